"""Certificates of OPC UA applications, as trust lists know them: by thumbprint."""

from __future__ import annotations

import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from lab.model.document import KnownValueError
from lab.text import Text

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


def sha1(certificate: x509.Certificate) -> str:
    """What OPC UA calls the thumbprint (OPC 10000-6 section 6.2.2)."""
    return certificate.fingerprint(hashes.SHA1()).hex()


def is_among(certificate: x509.Certificate, thumbprints: set[str]) -> bool:
    """Whether it is named, by either thumbprint."""
    return bool({sha1(certificate), certificate.fingerprint(hashes.SHA256()).hex()} & thumbprints)


def uris(certificate: x509.Certificate) -> list[str]:
    """The application URIs it is made out to."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.UniformResourceIdentifier)
