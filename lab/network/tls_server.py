"""The server's side of TLS: certificates as PEM text, and their validity in the plant's time.

OpenSSL compares dates with the computer's clock, which in a plant means nothing, so that check is switched off and the
dates of clients' certificates are looked at here.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from lab.model.document import KnownValueError
from lab.text import Text

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name."""

NOT_PEM = Text(
    zh="{what} 不是 PEM 格式的证书（以 -----BEGIN CERTIFICATE----- 开头）",
    en="{what} is no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
)
NOT_A_KEY = Text(
    zh="key 不是 PEM 格式的私钥（以 -----BEGIN PRIVATE KEY----- 开头，不加密）",
    en="key is no private key in PEM form (-----BEGIN PRIVATE KEY-----), or is encrypted",
)
OTHER_KEY = Text(zh="key 与 certificate 不匹配：不是同一对密钥", en="key does not fit certificate: they are no pair")
REFUSED_BY_OPENSSL = Text(zh="OpenSSL 不接受该证书：{reason}", en="OpenSSL does not accept the certificate: {reason}")
EXPIRED = Text(zh="{what} 已于 {until:%Y-%m-%d %H:%M} 过期", en="{what} expired on {until:%Y-%m-%d %H:%M}")
NOT_YET = Text(zh="{what} 自 {since:%Y-%m-%d %H:%M} 起才有效", en="{what} is valid from {since:%Y-%m-%d %H:%M} on")


def check_credentials(certificate: str, key: str, ca: str | None) -> None:
    """Raise KnownValueError in clear words where these could not serve."""
    own = _certificates("certificate", certificate)[0]
    if ca is not None:
        _certificates("ca", ca)
    if _public(_private_key(key)) != own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise KnownValueError(OTHER_KEY)
    try:
        server_context(certificate, key, ca, client_certificate="none")
    except ssl.SSLError as error:  # too short a key, for one
        raise KnownValueError(REFUSED_BY_OPENSSL, reason=error.reason or error) from None


def server_context(
    certificate: str, key: str, ca: str | None, *, client_certificate: str, min_version: str = "1.2"
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:  # only its owner may look, and OpenSSL takes nothing but files
        chain = Path(folder, "chain.pem")
        chain.write_text(f"{key.strip()}\n{certificate.strip()}\n", "ascii", "ignore")
        context.load_cert_chain(chain)
    context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    if ca is not None:
        context.load_verify_locations(cadata=ca)
    context.verify_mode = {
        "none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED,
    }[client_certificate]  # fmt: skip
    return context


def warnings(certificate: str, ca: str | None, at: datetime) -> Iterator[str]:
    """What of the server's own certificates is out of date."""
    for what, pem in (("certificate", certificate), ("ca", ca)):
        for each in _certificates(what, pem) if pem else ():
            if trouble := validity(each, what, at):
                yield trouble


def validity(certificate: x509.Certificate, what: str, at: datetime) -> str:
    """Why a certificate is not valid at this time; empty where it is."""
    if at > certificate.not_valid_after_utc:
        return EXPIRED.say(what=what, until=certificate.not_valid_after_utc)
    if at < certificate.not_valid_before_utc:
        return NOT_YET.say(what=what, since=certificate.not_valid_before_utc)
    return ""


class Peer:
    """The client at the other end of a TLS connection, as its certificate shows it."""

    def __init__(self, connection: ssl.SSLObject) -> None:
        der = connection.getpeercert(binary_form=True)
        self._certificate = x509.load_der_x509_certificate(der) if der else None

    @property
    def common_name(self) -> str | None:
        names = self._certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME) if self._certificate else []
        return str(names[0].value) if names else None

    def trouble(self, ca: str | None, at: datetime) -> str:
        """Why its certificate, or that of who signed it, is not valid now; empty where there is none or it is."""
        if self._certificate is None:
            return ""
        signers = (each for each in _certificates("ca", ca or "") if each.subject == self._certificate.issuer)
        found = (
            validity(each, name, at)
            for each, name in ((self._certificate, "certificate"), *((s, "ca") for s in signers))
        )
        return next(filter(None, found), "")


def _certificates(what: str, pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise KnownValueError(NOT_PEM, what=what) from None


def _private_key(pem: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KnownValueError(NOT_A_KEY) from None


def _public(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
