"""TLS as an observer without keys sees it (RFC 5246, RFC 8446): records, hellos, certificates, alerts, sizes.

In TLS 1.3 everything after the ServerHello looks like application data, certificates and most alerts included.
"""

from lab.wire.tls.certificates import Certificate, CertificateFacts, CertificateRequest, certificate_facts
from lab.wire.tls.decoder import (
    Alert,
    ApplicationData,
    ChangeCipherSpec,
    Decoder,
    Encrypted,
    Handshake,
    Message,
)
from lab.wire.tls.hello import ClientHello, Extension, ServerHello, alpn, server_name, supported_versions
from lab.wire.tls.names import ALERTS, CIPHER_SUITES, HANDSHAKES, VERSIONS, cipher_suite_name, version_name
from lab.wire.tls.records import ContentType, Record, RecordDecoder

__all__ = [
    "ALERTS",
    "CIPHER_SUITES",
    "HANDSHAKES",
    "VERSIONS",
    "Alert",
    "ApplicationData",
    "Certificate",
    "CertificateFacts",
    "CertificateRequest",
    "ChangeCipherSpec",
    "ClientHello",
    "ContentType",
    "Decoder",
    "Encrypted",
    "Extension",
    "Handshake",
    "Message",
    "Record",
    "RecordDecoder",
    "ServerHello",
    "alpn",
    "certificate_facts",
    "cipher_suite_name",
    "server_name",
    "supported_versions",
    "version_name",
]
