"""TLS as a client on the plant's network: what it trusts, who it is, and why a handshake came to nothing.

A plant's hosts have no authorities of their own: they trust what their configuration names. Validity is judged by the
plant's clock. OpenSSL knows only the computer's, so it is told not to look at dates, and the dates of the chain it has
verified are looked at here, at the end of the handshake.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from lab.clock import now
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

if TYPE_CHECKING:
    from cryptography import x509

NO_PEM = Text(
    zh="应为 PEM 文本（以 -----BEGIN 开头），而不是文件名；在 YAML 中写 {key}: | 后另起一行粘贴",
    en="expected PEM text, beginning with -----BEGIN, not a file name: write {key}: | and paste it below",
)
NO_CERTIFICATE = Text(zh="{key} 中没有可用的证书：{why}", en="there is no usable certificate in {key}: {why}")
NO_KEY = Text(zh="key 中没有可用的私钥：{why}", en="there is no usable private key in key: {why}")
KEY_IN_CA = Text(zh="{key} 中是私钥，这里要的是证书", en="{key} holds a private key; a certificate belongs here")
KEY_AND_CERTIFICATE = Text(zh="certificate 与 key 要一起写", en="certificate and key belong together")
NOT_ITS_KEY = Text(zh="key 不是 certificate 的私钥", en="key is not the private key of certificate")
NOTHING_TRUSTED = Text(
    zh="要检查服务器证书就要写 ca（信任的 CA 证书）；不检查则写 verify: false",
    en="checking the server's certificate needs ca, the authorities to trust; verify: false does without",
)

UNKNOWN_CA = Text(
    zh="{host}:{port} 的证书不是由受信任的 CA 签发的（{why}）",
    en="the certificate of {host}:{port} was not issued by an authority that is trusted ({why})",
)
WRONG_NAME = Text(
    zh="{host}:{port} 的证书不是发给 {name} 的，而是发给：{names}",
    en="the certificate of {host}:{port} is not made out to {name} but to: {names}",
)
EXPIRED = Text(
    zh="{host}:{port} 的证书已于 {until} 过期（现在是 {now}）",
    en="the certificate of {host}:{port} expired at {until}, and now it is {now}",
)
NOT_YET_VALID = Text(
    zh="{host}:{port} 的证书自 {since} 起才有效（现在是 {now}）",
    en="the certificate of {host}:{port} is valid from {since}, and now it is {now}",
)
NOT_TRUSTED = Text(zh="不信任 {host}:{port} 的证书：{why}", en="the certificate of {host}:{port} is not trusted: {why}")
REFUSED_BY_PEER = Text(zh="{host}:{port} 拒绝了 TLS 握手：{why}", en="{host}:{port} refused the TLS handshake: {why}")
NO_TLS_THERE = Text(zh="{host}:{port} 上的服务不是 TLS", en="what answers at {host}:{port} is not TLS")
CLOSED_IN_HANDSHAKE = Text(
    zh="{host}:{port} 在 TLS 握手中关闭了连接", en="{host}:{port} closed the connection during the TLS handshake"
)
HANDSHAKE_FAILED = Text(
    zh="与 {host}:{port} 的 TLS 握手失败：{why}", en="the TLS handshake with {host}:{port} failed: {why}"
)

# RFC 8446 section 6.2, by OpenSSL's names of the alerts it hears.
ALERTS: Final[Mapping[str, Text]] = {
    "UNKNOWN_CA": Text(zh="对方不信任签发我方证书的 CA", en="it does not trust the authority of our certificate"),
    "CERTIFICATE_REQUIRED": Text(zh="对方要求客户端证书", en="it wants a client certificate"),
    "CERTIFICATE_EXPIRED": Text(zh="我方证书已过期", en="our certificate has expired"),
    "CERTIFICATE_REVOKED": Text(zh="我方证书已被吊销", en="our certificate has been revoked"),
    "CERTIFICATE_UNKNOWN": Text(zh="我方证书不被接受", en="our certificate is not acceptable"),
    "UNSUPPORTED_CERTIFICATE": Text(zh="不支持我方证书的类型", en="our certificate is of an unsupported type"),
    "BAD_CERTIFICATE": Text(zh="我方证书无效", en="our certificate is bad"),
    "ACCESS_DENIED": Text(zh="访问被拒绝", en="access denied"),
    "PROTOCOL_VERSION": Text(zh="对方不支持我方的 TLS 版本", en="it does not speak our TLS version"),
    "HANDSHAKE_FAILURE": Text(
        zh="没有双方都支持的算法，或对方要求客户端证书", en="no algorithm in common, or it wants a client certificate"
    ),
    "UNRECOGNIZED_NAME": Text(zh="对方没有这个名称的证书", en="it has no certificate of this name"),
    "DECRYPT_ERROR": Text(zh="签名或密钥验证失败", en="a signature or key did not verify"),
    "INTERNAL_ERROR": Text(zh="对方内部错误", en="an internal error over there"),
}

_DER: Final = 2
"""How `_ssl` calls the encoding of certificates that everybody else can read."""
_NO_CHECK_TIME: Final = 0x20_0000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for."""
# Codes of <openssl/x509_vfy.h>
_NOT_YET_VALID, _EXPIRED, _NAME_MISMATCH, _ADDRESS_MISMATCH = 9, 10, 62, 64
_NO_ISSUER: Final = {2, 18, 19, 20, 21}


class TlsClient(Strict):
    """How to secure a connection, and whom to trust."""

    ca: str | None = Field(
        None, max_length=200_000, description="信任的 CA 证书，PEM，可多张。 Trusted CA certificates, PEM."
    )
    certificate: str | None = Field(
        None, max_length=200_000, description="客户端证书（链），PEM，用于双向认证。 Client certificate chain, PEM."
    )
    key: str | None = Field(
        None, max_length=50_000, description="客户端私钥，PEM，不加密。 Its private key, PEM, in the clear."
    )
    server_name: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="证书上应有的名称，默认为 host。 The name on the certificate; host unless given.",
    )
    verify: bool = Field(True, description="检查服务器证书（签发者、名称、有效期）。 Check the server's certificate.")
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="最低 TLS 版本。 Lowest TLS version.")

    @field_validator("ca", "certificate")
    @classmethod
    def _holds_certificates(cls, value: str | None, info: Any) -> str | None:
        if value is not None:
            _certificates(value, info.field_name)
        return value

    @field_validator("key")
    @classmethod
    def _holds_a_key(cls, value: str | None) -> str | None:
        if value is not None:
            _private_key(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> TlsClient:
        if (self.certificate is None) != (self.key is None):
            raise KnownValueError(KEY_AND_CERTIFICATE)
        if self.certificate is not None and self.key is not None:
            owner = _certificates(self.certificate, "certificate")[0].public_key()
            if _private_key(self.key).public_key() != owner:
                raise KnownValueError(NOT_ITS_KEY)
        if self.verify and self.ca is None:
            raise KnownValueError(NOTHING_TRUSTED)
        return self


class OutOfDate(ssl.SSLCertVerificationError):
    """A certificate of the peer's chain is not valid now, on the plant's clock."""

    def __init__(self, code: int, message: str, certificate: x509.Certificate) -> None:
        super().__init__(1, message)
        self.verify_code = code
        self.verify_message = message
        self.certificate = certificate


class DatedSSLObject(ssl.SSLObject):
    """A TLS connection that looks at the dates of its peer's certificates on the plant's clock."""

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
            if self.context.verify_mode != ssl.CERT_NONE:
                check_dates(_chain(self, "get_verified_chain"), now())
        except OutOfDate:
            self.outgoing.read()  # what would tell the peer that all is well
            raise
        except ssl.SSLCertVerificationError as error:
            error.chain = _chain(self, "get_unverified_chain")  # type: ignore[attr-defined]
            raise


class PlantContext(ssl.SSLContext):
    """Judges certificates by the plant's clock, as a client or, with `PROTOCOL_TLS_SERVER`, as a server."""

    server_name: str | None = None
    """What the server should call itself, where that is not the name it was reached by."""

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.sslobject_class = DatedSSLObject
        self.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        name = server_hostname if server_side else self.server_name or server_hostname
        made = super().wrap_bio(incoming, outgoing, server_side, name, session)
        assert isinstance(made, DatedSSLObject)
        made.outgoing = outgoing
        return made


def client_context(config: TlsClient) -> PlantContext:
    """What a client's configuration asks for; it has been checked, so this does not fail."""
    context = PlantContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = config.server_name
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if config.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.ca is not None:
        context.load_verify_locations(cadata=config.ca)
    if config.certificate is not None and config.key is not None:
        load_identity(context, config.certificate, config.key)
    return context


def load_identity(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give a context its own certificate; OpenSSL takes it from files only."""
    with tempfile.TemporaryDirectory(prefix="iiotlab-") as folder:
        both = Path(folder) / "identity.pem"
        both.touch(0o600)
        both.write_text(f"{key.strip()}\n{certificate.strip()}\n")
        context.load_cert_chain(both)


def _chain(connection: ssl.SSLObject, which: str) -> list[x509.Certificate]:
    """The certificates of the peer, its own first; empty where it showed none."""
    from cryptography import x509

    if hasattr(connection, which):  # from Python 3.13
        encoded: list[bytes] = getattr(connection, which)()
    else:
        within = connection._sslobj  # type: ignore[attr-defined]
        encoded = [each.public_bytes(_DER) for each in getattr(within, which)() or ()]
    return [x509.load_der_x509_certificate(each) for each in encoded]


def check_dates(chain: list[x509.Certificate], at: datetime) -> None:
    """Raises OutOfDate, with OpenSSL's own codes and words."""
    for certificate in chain:
        if at > certificate.not_valid_after_utc:
            raise OutOfDate(_EXPIRED, "certificate has expired", certificate)
        if at < certificate.not_valid_before_utc:
            raise OutOfDate(_NOT_YET_VALID, "certificate is not yet valid", certificate)


class Failure(NamedTuple):
    """Why there is no secure connection, to be said in the reader's language."""

    what: Text
    facts: Mapping[str, object]


def why_not_secure(error: OSError, host: str, port: int, tls: TlsClient) -> Failure | None:
    """What a failed handshake was about; None where it was not about TLS."""
    facts: dict[str, object] = {"host": host, "port": port}
    if isinstance(error, ssl.SSLCertVerificationError):
        return _why_not_trusted(error, facts, tls.server_name or host)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        for alert, why in ALERTS.items():
            if f"ALERT_{alert}" in reason:
                return Failure(REFUSED_BY_PEER, {**facts, "why": why})
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
            return Failure(NO_TLS_THERE, facts)
        return Failure(HANDSHAKE_FAILED, {**facts, "why": reason.lower().replace("_", " ") or str(error)})
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError)):
        return Failure(CLOSED_IN_HANDSHAKE, facts)
    return None


def _why_not_trusted(error: ssl.SSLCertVerificationError, facts: Mapping[str, object], name: str) -> Failure:
    code = error.verify_code
    if isinstance(error, OutOfDate):
        dates = {
            "since": _shown(error.certificate.not_valid_before_utc),
            "until": _shown(error.certificate.not_valid_after_utc),
            "now": _shown(now()),
        }
        return Failure(EXPIRED if code == _EXPIRED else NOT_YET_VALID, {**facts, **dates})
    if code in (_NAME_MISMATCH, _ADDRESS_MISMATCH):
        return Failure(WRONG_NAME, {**facts, "name": name, "names": _names(error)})
    if code in _NO_ISSUER:
        return Failure(UNKNOWN_CA, {**facts, "why": error.verify_message})
    return Failure(NOT_TRUSTED, {**facts, "why": error.verify_message})


def _names(error: ssl.SSLCertVerificationError) -> str:
    """What the certificate that was refused is made out to."""
    from cryptography import x509

    chain: list[x509.Certificate] = getattr(error, "chain", [])
    if not chain:
        return "?"
    try:
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    except (x509.ExtensionNotFound, ValueError):
        found = []  # a common name has not counted since RFC 9525
    return ", ".join(found) or "-"


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _certificates(text: str, key: str) -> list[x509.Certificate]:
    from cryptography import x509

    if "-----BEGIN" not in text:
        raise KnownValueError(NO_PEM, key=key)
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        if "PRIVATE KEY-----" in text and "BEGIN CERTIFICATE" not in text:
            raise KnownValueError(KEY_IN_CA, key=key) from None
        raise KnownValueError(NO_CERTIFICATE, key=key, why=_first_line(error)) from None


def _private_key(text: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if "-----BEGIN" not in text:
        raise KnownValueError(NO_PEM, key="key")
    try:
        return load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KnownValueError(NO_KEY, why=_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["?"])[0][:120]
