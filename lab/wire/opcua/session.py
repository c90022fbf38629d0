"""Discovery, secure channel and session services (OPC 10000-4 sections 5.5 to 5.7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lab.wire.opcua.codec import Boolean, Byte, ByteString, DateTime, Duration, String, UInt32
from lab.wire.opcua.common import MessageSecurityMode, Request, Response, SignatureData
from lab.wire.opcua.identifiers import LocalizedText, NodeId
from lab.wire.opcua.status import StatusCode
from lab.wire.opcua.structure import extension, service, structure
from lab.wire.opcua.variant import DiagnosticInfo, Extension


class ApplicationType(IntEnum):
    SERVER = 0
    CLIENT = 1
    CLIENT_AND_SERVER = 2
    DISCOVERY_SERVER = 3


class UserTokenType(IntEnum):
    ANONYMOUS = 0
    USER_NAME = 1
    CERTIFICATE = 2
    ISSUED_TOKEN = 3


class SecurityTokenRequestType(IntEnum):
    ISSUE = 0
    RENEW = 1


@structure
@dataclass(frozen=True, slots=True)
class ApplicationDescription:
    application_uri: String
    product_uri: String
    application_name: LocalizedText
    application_type: ApplicationType
    gateway_server_uri: String
    discovery_profile_uri: String
    discovery_urls: tuple[String, ...]


@structure
@dataclass(frozen=True, slots=True)
class UserTokenPolicy:
    policy_id: String
    token_type: UserTokenType
    issued_token_type: String
    issuer_endpoint_url: String
    security_policy_uri: String


@structure
@dataclass(frozen=True, slots=True)
class EndpointDescription:
    endpoint_url: String
    server: ApplicationDescription
    server_certificate: ByteString
    security_mode: MessageSecurityMode
    security_policy_uri: String
    user_identity_tokens: tuple[UserTokenPolicy, ...]
    transport_profile_uri: String
    security_level: Byte


@service(422)
@dataclass(frozen=True, slots=True)
class FindServersRequest(Request):
    endpoint_url: String
    locale_ids: tuple[String, ...]
    server_uris: tuple[String, ...]


@service(425)
@dataclass(frozen=True, slots=True)
class FindServersResponse(Response):
    servers: tuple[ApplicationDescription, ...]


@service(428)
@dataclass(frozen=True, slots=True)
class GetEndpointsRequest(Request):
    endpoint_url: String
    locale_ids: tuple[String, ...]
    profile_uris: tuple[String, ...]


@service(431)
@dataclass(frozen=True, slots=True)
class GetEndpointsResponse(Response):
    endpoints: tuple[EndpointDescription, ...]


@service(446)
@dataclass(frozen=True, slots=True)
class OpenSecureChannelRequest(Request):
    client_protocol_version: UInt32
    request_type: SecurityTokenRequestType
    security_mode: MessageSecurityMode
    client_nonce: ByteString
    requested_lifetime: UInt32
    """In milliseconds."""


@structure
@dataclass(frozen=True, slots=True)
class ChannelSecurityToken:
    channel_id: UInt32
    token_id: UInt32
    created_at: DateTime
    revised_lifetime: UInt32
    """In milliseconds."""


@service(449)
@dataclass(frozen=True, slots=True)
class OpenSecureChannelResponse(Response):
    server_protocol_version: UInt32
    security_token: ChannelSecurityToken
    server_nonce: ByteString


@service(452)
@dataclass(frozen=True, slots=True)
class CloseSecureChannelRequest(Request):
    pass


@service(455)
@dataclass(frozen=True, slots=True)
class CloseSecureChannelResponse(Response):
    pass


@service(461)
@dataclass(frozen=True, slots=True)
class CreateSessionRequest(Request):
    client_description: ApplicationDescription
    server_uri: String
    endpoint_url: String
    session_name: String
    client_nonce: ByteString
    client_certificate: ByteString
    requested_session_timeout: Duration
    max_response_message_size: UInt32


@structure
@dataclass(frozen=True, slots=True)
class SignedSoftwareCertificate:
    certificate_data: ByteString
    signature: ByteString


@service(464)
@dataclass(frozen=True, slots=True)
class CreateSessionResponse(Response):
    session_id: NodeId
    authentication_token: NodeId
    revised_session_timeout: Duration
    server_nonce: ByteString
    server_certificate: ByteString
    server_endpoints: tuple[EndpointDescription, ...]
    server_software_certificates: tuple[SignedSoftwareCertificate, ...]
    server_signature: SignatureData
    max_request_message_size: UInt32


@extension(321)
@dataclass(frozen=True, slots=True)
class AnonymousIdentityToken:
    policy_id: String


@extension(324)
@dataclass(frozen=True, slots=True)
class UserNameIdentityToken:
    policy_id: String
    user_name: String
    password: ByteString
    """As it is, where no encryption algorithm is named."""
    encryption_algorithm: String


@extension(327)
@dataclass(frozen=True, slots=True)
class X509IdentityToken:
    policy_id: String
    certificate_data: ByteString


@extension(940)
@dataclass(frozen=True, slots=True)
class IssuedIdentityToken:
    policy_id: String
    token_data: ByteString
    encryption_algorithm: String


@service(467)
@dataclass(frozen=True, slots=True)
class ActivateSessionRequest(Request):
    client_signature: SignatureData
    client_software_certificates: tuple[SignedSoftwareCertificate, ...]
    locale_ids: tuple[String, ...]
    user_identity_token: Extension
    """None stands for anonymous."""
    user_token_signature: SignatureData


@service(470)
@dataclass(frozen=True, slots=True)
class ActivateSessionResponse(Response):
    server_nonce: ByteString
    results: tuple[StatusCode, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@service(473)
@dataclass(frozen=True, slots=True)
class CloseSessionRequest(Request):
    delete_subscriptions: Boolean


@service(476)
@dataclass(frozen=True, slots=True)
class CloseSessionResponse(Response):
    pass
