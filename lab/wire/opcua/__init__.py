"""OPC UA over TCP in its binary encoding (OPC 10000-6), and the services of a plant's traffic (OPC 10000-4)."""

from lab.wire.opcua.channel import ChannelDecoder
from lab.wire.opcua.identifiers import ExpandedNodeId, LocalizedText, NodeId, QualifiedName
from lab.wire.opcua.service import Service, UnknownService, UnreadableService, decode_service, encode_service
from lab.wire.opcua.status import StatusCode
from lab.wire.opcua.transport import (
    NONE,
    Abort,
    Acknowledge,
    Error,
    Hello,
    Kind,
    Message,
    Opaque,
    Open,
    ReverseHello,
    Transported,
)
from lab.wire.opcua.variant import BuiltInType, DataValue, DiagnosticInfo, ExtensionObject, Variant

__all__ = [
    "NONE",
    "Abort",
    "Acknowledge",
    "BuiltInType",
    "ChannelDecoder",
    "DataValue",
    "DiagnosticInfo",
    "Error",
    "ExpandedNodeId",
    "ExtensionObject",
    "Hello",
    "Kind",
    "LocalizedText",
    "Message",
    "NodeId",
    "Opaque",
    "Open",
    "QualifiedName",
    "ReverseHello",
    "Service",
    "StatusCode",
    "Transported",
    "UnknownService",
    "UnreadableService",
    "Variant",
    "decode_service",
    "encode_service",
]
