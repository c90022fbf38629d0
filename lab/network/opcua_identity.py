"""Keys and certificates of OPC UA applications.

An RSA key takes a tenth of a second or more to find, so each application's is found once on a computer and kept in the
user's cache. The certificate is made from it anew every time and comes out the same to the byte: its serial number is
derived, its signature (PKCS #1 v1.5) has no chance in it, and its validity covers any plant, whether that runs today or
in virtual time.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.network.cache import read_cached, write_cached
from lab.network.loop import current_host

Role = Literal["server", "client"]
Flaw = Literal["expired", "wrong-name", "other-key"]
"""Its validity is over; it is made out to another application; its key is a new one, which nobody trusts yet."""
_PURPOSES: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}

VALID_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
VALID_UNTIL: Final = datetime(2049, 12, 31, tzinfo=UTC)
EXPIRED: Final = datetime(2020, 12, 31, tzinfo=UTC)
"""Before any plant's clock."""


@dataclass(frozen=True, slots=True)
class ApplicationIdentity:
    """What an OPC UA application proves itself with."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


async def application_identity(uri: str, host: str, role: Role) -> ApplicationIdentity:
    """The identity of the application `uri` on `host`, the same every time on this computer.

    Where the current plant host has a `certificate_flaw`, so has the certificate.
    """
    here = current_host.get()
    flaw = here.certificate_flaw if here is not None else None
    owner = f"{uri}:new" if flaw == "other-key" else uri
    key = _cached_key(owner)
    if key is None:
        key = await asyncio.to_thread(_new_key, owner)
    if flaw == "wrong-name":
        uri, host = f"{uri}:other", f"{host}-other"
    until = EXPIRED if flaw == "expired" else VALID_UNTIL
    return ApplicationIdentity(key, _certificate(key, uri, host, role, until))


def _cached_key(uri: str) -> rsa.RSAPrivateKey | None:
    data = read_cached(_key_name(uri))
    if data is None:
        return None
    try:
        # Checking that it is a key at all takes as long as a start: we wrote it, and it guards nothing real.
        key = load_der_private_key(data, None, unsafe_skip_rsa_key_validation=True)
    except ValueError:
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) else None


def _new_key(uri: str) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(65537, 2048)
    write_cached(_key_name(uri), key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _key_name(uri: str) -> str:
    return f"opcua-key-{hashlib.sha256(uri.encode()).hexdigest()[:24]}.der"


def _certificate(key: rsa.RSAPrivateKey, uri: str, host: str, role: Role, until: datetime) -> x509.Certificate:
    """Self-signed, with the extensions of OPC 10000-6 section 6.2.2."""
    public = key.public_key()
    public_bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    serial = int.from_bytes(hashlib.sha256(uri.encode() + host.encode() + public_bytes).digest()[:16], "big") >> 1
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{host} OPC UA {role}")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(VALID_FROM)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([_PURPOSES[role]]), critical=False)
        .sign(key, hashes.SHA256())
    )
