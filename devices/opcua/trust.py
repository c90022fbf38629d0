"""Which clients' certificates a server relies on (OPC 10000-4 section 6.1.3), and those it has refused."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from cryptography import x509

from lab.clock import now
from lab.network.logbook import Log
from lab.network.opcua_trust import is_among, sha1, uris
from lab.text import Text

REFUSED: Final = Text(
    zh="拒绝客户端证书 {thumbprint}（{subject}）：{why}",
    en="refused the client certificate {thumbprint} ({subject}): {why}",
)
UNTRUSTED: Final = Text(zh="不在信任列表中", en="it is not in the trust list")
OUT_OF_DATE: Final = Text(zh="不在有效期内", en="this is not the time of its validity")
OTHER_URI: Final = Text(zh="证书不是发给应用 {uri} 的", en="it is not made out to the application {uri}")

_MOST_REFUSED: Final = 50
_CODES: Final = ua.StatusCodes


class TrustList:
    """Without a list of thumbprints, every certificate that is valid is trusted."""

    def __init__(self, trusted: Sequence[str] | None, log: Log[Any]) -> None:
        self._log = log
        self._trusted: set[str] | None = None
        self._refused: OrderedDict[str, str] = OrderedDict()
        """Subjects by thumbprint, of certificates that may yet be accepted, the latest last."""
        self.accept(trusted)

    @property
    def refused(self) -> Mapping[str, str]:
        return dict(self._refused)

    def accept(self, trusted: Sequence[str] | None) -> None:
        """Trust these from now on, and nobody else; None is everybody."""
        self._trusted = None if trusted is None else set(trusted)
        for thumbprint in [each for each in self._refused if self._trusted is None or each in self._trusted]:
            del self._refused[thumbprint]

    def check(self, der: bytes) -> None:
        """Raises ServiceError; a channel that is opened with this certificate has proven that it has the key."""
        certificate = _certificate(der)
        if self._trusted is not None and not is_among(certificate, self._trusted):
            self._remember(certificate)
            # The client is told no more than this: OPC 10000-4 section 6.1.3, table 100.
            self._refuse(certificate, _CODES.BadSecurityChecksFailed, str(UNTRUSTED))
        if not certificate.not_valid_before_utc <= now() <= certificate.not_valid_after_utc:
            self._refuse(certificate, _CODES.BadCertificateTimeInvalid, str(OUT_OF_DATE))

    def check_application(self, der: bytes, uri: str | None) -> None:
        """Raises ServiceError where the certificate is not made out to the application that shows it."""
        certificate = _certificate(der)
        if uri not in uris(certificate):
            self._refuse(certificate, _CODES.BadCertificateUriInvalid, OTHER_URI.say(uri=uri or "-"))

    def _remember(self, certificate: x509.Certificate) -> None:
        thumbprint = sha1(certificate)
        self._refused[thumbprint] = certificate.subject.rfc4514_string()[:200]
        self._refused.move_to_end(thumbprint)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    def _refuse(self, certificate: x509.Certificate, code: int, why: str) -> None:
        subject = certificate.subject.rfc4514_string()[:200]
        line = REFUSED.say(thumbprint=sha1(certificate), subject=subject, why=why)
        self._log.add(f"{now().isoformat(timespec='milliseconds')} {line}")
        raise ServiceError(code)


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise ServiceError(_CODES.BadCertificateInvalid) from None
