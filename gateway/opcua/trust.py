"""Whether a server's certificate is one to rely on (OPC UA Part 4, 6.1.3): trusted, valid now, and made out to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.samples import Reason, Unreachable
from lab.model.document import KnownValueError
from lab.text import Text

NO_CERTIFICATE = Reason(Text(zh="服务器没有出示可读的证书", en="the server shows no certificate that can be read"))
UNTRUSTED = Text(
    zh="不信任服务器证书：SHA-1 {thumbprint}（{subject}）不在 trusted 中",
    en="the server's certificate is not trusted: SHA-1 {thumbprint} ({subject}) is not in trusted",
)
EXPIRED = Text(zh="服务器证书已于 {until} 过期", en="the server's certificate expired on {until}")
NOT_YET = Text(zh="服务器证书 {since} 才生效", en="the server's certificate is not valid before {since}")
WRONG_NAME = Text(
    zh="服务器证书写的是 {names}，而服务器自称 {uri}",
    en="the server's certificate is made out to {names}, and the server calls itself {uri}",
)
NOT_A_THUMBPRINT = Text(
    zh="{value!r} 不是证书指纹：应为 40（SHA-1）或 64（SHA-256）位十六进制，可用冒号分隔",
    en="{value!r} is no thumbprint of a certificate: 40 (SHA-1) or 64 (SHA-256) hex digits, colons allowed",
)
_THUMBPRINT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def thumbprint(value: str) -> str:
    """A thumbprint in lower case without colons; raises KnownValueError."""
    plain = re.sub(r"[:\s]", "", value).lower()
    if not _THUMBPRINT.fullmatch(plain):
        raise KnownValueError(NOT_A_THUMBPRINT, value=value)
    return plain


def check_certificate(der: bytes | None, uri: str | None, trusted: Sequence[str] | None, now: datetime) -> None:
    """Raise Unreachable where it is not to be relied on; without a list every certificate is trusted."""
    try:
        certificate = x509.load_der_x509_certificate(der or b"")
        names = _uris(certificate)
        subject = certificate.subject.rfc4514_string()
    except ValueError:
        raise Unreachable(NO_CERTIFICATE, is_refusal=True) from None
    sha1 = certificate.fingerprint(hashes.SHA1()).hex()  # what OPC UA calls the thumbprint
    if trusted is not None and not {sha1, certificate.fingerprint(hashes.SHA256()).hex()} & set(trusted):
        raise Unreachable(Reason(UNTRUSTED, {"thumbprint": sha1, "subject": subject}), is_refusal=True)
    if now > certificate.not_valid_after_utc:
        raise Unreachable(Reason(EXPIRED, {"until": f"{certificate.not_valid_after_utc:%Y-%m-%d}"}), is_refusal=True)
    if now < certificate.not_valid_before_utc:
        raise Unreachable(Reason(NOT_YET, {"since": f"{certificate.not_valid_before_utc:%Y-%m-%d}"}), is_refusal=True)
    if uri is not None and uri not in names:
        raise Unreachable(Reason(WRONG_NAME, {"names": ", ".join(names) or "–", "uri": uri}), is_refusal=True)


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.UniformResourceIdentifier)
