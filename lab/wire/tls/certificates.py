"""Certificates as they pass before encryption begins, that is up to TLS 1.2 (RFC 5246 sections 7.4.2 and 7.4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lab.wire.malformed import Malformed
from lab.wire.tls.reader import Reader, numbers, vector

_TLS_1_2 = 0x0303


@dataclass(frozen=True, slots=True)
class Certificate:
    """The sender's certificate and those that vouch for it."""

    chain: tuple[bytes, ...]
    """DER, the sender's own first; empty where a client has none."""

    def encode(self) -> bytes:
        """The handshake message with its header."""
        return b"\x0b" + vector(vector(b"".join(vector(der, 3) for der in self.chain), 3), 3)

    @classmethod
    def decode(cls, body: bytes) -> Certificate:
        """From a message without its header; raises Malformed."""
        reader = Reader(body)
        chain = Reader(reader.vector(3)).vectors(3)
        reader.finish()
        return cls(chain)


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """The server wants to know who the client is."""

    certificate_types: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    """Empty before TLS 1.2."""
    authorities: tuple[bytes, ...]
    """Distinguished names in DER of those whom the server trusts."""

    def encode(self, version: int = _TLS_1_2) -> bytes:
        """The handshake message with its header."""
        algorithms = b"".join(algorithm.to_bytes(2, "big") for algorithm in self.signature_algorithms)
        body = vector(bytes(self.certificate_types), 1)
        if version >= _TLS_1_2:
            body += vector(algorithms, 2)
        return b"\x0d" + vector(body + vector(b"".join(vector(name, 2) for name in self.authorities), 2), 3)

    @classmethod
    def decode(cls, body: bytes, version: int = _TLS_1_2) -> CertificateRequest:
        """From a message without its header; raises Malformed."""
        reader = Reader(body)
        types = tuple(reader.vector(1))
        algorithms = numbers(reader.vector(2), 2) if version >= _TLS_1_2 else ()
        authorities = Reader(reader.vector(2)).vectors(2)
        reader.finish()
        return cls(types, algorithms, authorities)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says; whether it is to be believed is not asked here."""

    subject: str
    """As RFC 4514 writes it: `CN=broker,O=Plant`."""
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    """Aware, UTC."""
    names: tuple[str, ...]
    """DNS names and IP addresses it is made out to (subjectAltName)."""


def certificate_facts(der: bytes) -> CertificateFacts:
    """Read an X.509 certificate; raises Malformed."""
    from cryptography import x509  # takes 50 ms, which most captures need not pay

    try:
        certificate = x509.load_der_x509_certificate(der)
        try:
            alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names: list[str] = []
        else:
            names = alternatives.get_values_for_type(x509.DNSName)
            names += map(str, alternatives.get_values_for_type(x509.IPAddress))
        return CertificateFacts(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial=certificate.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            names=tuple(names),
        )
    except Exception as error:
        # The library has no common base for what may be wrong with a certificate.
        raise Malformed(f"a certificate cannot be read: {error or type(error).__name__}") from error
