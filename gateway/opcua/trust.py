"""Whether a server's certificate is one to rely on (OPC UA Part 4, 6.1.3): trusted, valid now, and made out to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from gateway.samples import Reason, Unreachable
from lab.network.opcua_trust import is_among, sha1, uris
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


def check_certificate(der: bytes | None, uri: str | None, trusted: Sequence[str] | None, now: datetime) -> None:
    """Raise Unreachable where it is not to be relied on; without a list every certificate is trusted."""
    try:
        certificate = x509.load_der_x509_certificate(der or b"")
        names = uris(certificate)
        subject = certificate.subject.rfc4514_string()
    except ValueError:
        raise Unreachable(NO_CERTIFICATE, is_refusal=True) from None
    if trusted is not None and not is_among(certificate, set(trusted)):
        raise Unreachable(Reason(UNTRUSTED, {"thumbprint": sha1(certificate), "subject": subject}), is_refusal=True)
    if now > certificate.not_valid_after_utc:
        raise Unreachable(Reason(EXPIRED, {"until": f"{certificate.not_valid_after_utc:%Y-%m-%d}"}), is_refusal=True)
    if now < certificate.not_valid_before_utc:
        raise Unreachable(Reason(NOT_YET, {"since": f"{certificate.not_valid_before_utc:%Y-%m-%d}"}), is_refusal=True)
    if uri is not None and uri not in names:
        raise Unreachable(Reason(WRONG_NAME, {"names": ", ".join(names) or "–", "uri": uri}), is_refusal=True)
