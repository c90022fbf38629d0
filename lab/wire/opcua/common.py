"""What requests and responses of all services have in common (OPC 10000-4 section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lab.wire.opcua.codec import NO_TIME, ByteString, DateTime, String, UInt32
from lab.wire.opcua.identifiers import NULL_NODE, NodeId
from lab.wire.opcua.status import GOOD, StatusCode
from lab.wire.opcua.structure import service, structure
from lab.wire.opcua.variant import NO_DIAGNOSTICS, DiagnosticInfo, Extension


class MessageSecurityMode(IntEnum):
    INVALID = 0
    NONE = 1
    SIGN = 2
    SIGN_AND_ENCRYPT = 3


class TimestampsToReturn(IntEnum):
    SOURCE = 0
    SERVER = 1
    BOTH = 2
    NEITHER = 3
    INVALID = 4


class NodeClass(IntEnum):
    UNSPECIFIED = 0
    OBJECT = 1
    VARIABLE = 2
    METHOD = 4
    OBJECT_TYPE = 8
    VARIABLE_TYPE = 16
    REFERENCE_TYPE = 32
    DATA_TYPE = 64
    VIEW = 128


class AttributeId(IntEnum):
    """OPC 10000-6 annex A.1."""

    NODE_ID = 1
    NODE_CLASS = 2
    BROWSE_NAME = 3
    DISPLAY_NAME = 4
    DESCRIPTION = 5
    WRITE_MASK = 6
    USER_WRITE_MASK = 7
    IS_ABSTRACT = 8
    SYMMETRIC = 9
    INVERSE_NAME = 10
    CONTAINS_NO_LOOPS = 11
    EVENT_NOTIFIER = 12
    VALUE = 13
    DATA_TYPE = 14
    VALUE_RANK = 15
    ARRAY_DIMENSIONS = 16
    ACCESS_LEVEL = 17
    USER_ACCESS_LEVEL = 18
    MINIMUM_SAMPLING_INTERVAL = 19
    HISTORIZING = 20
    EXECUTABLE = 21
    USER_EXECUTABLE = 22
    DATA_TYPE_DEFINITION = 23
    ROLE_PERMISSIONS = 24
    USER_ROLE_PERMISSIONS = 25
    ACCESS_RESTRICTIONS = 26
    ACCESS_LEVEL_EX = 27


@structure
@dataclass(frozen=True, slots=True)
class RequestHeader:
    authentication_token: NodeId = NULL_NODE
    """The session's secret, from CreateSessionResponse."""
    timestamp: DateTime = NO_TIME
    request_handle: UInt32 = 0
    return_diagnostics: UInt32 = 0
    audit_entry_id: String = None
    timeout_hint: UInt32 = 0
    """In milliseconds."""
    additional_header: Extension = None


@structure
@dataclass(frozen=True, slots=True)
class ResponseHeader:
    timestamp: DateTime = NO_TIME
    request_handle: UInt32 = 0
    service_result: StatusCode = GOOD
    service_diagnostics: DiagnosticInfo = NO_DIAGNOSTICS
    string_table: tuple[String, ...] = ()
    additional_header: Extension = None


@dataclass(frozen=True, slots=True)
class Request:
    header: RequestHeader


@dataclass(frozen=True, slots=True)
class Response:
    header: ResponseHeader


@service(397)
@dataclass(frozen=True, slots=True)
class ServiceFault(Response):
    """The answer to any request whose service failed as a whole; the header says why."""


@structure
@dataclass(frozen=True, slots=True)
class SignatureData:
    algorithm: String = None
    signature: ByteString = None
