"""Requests and responses as the content of messages: a type id and then its fields (OPC 10000-6 section 5.2.9)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lab.wire.malformed import Malformed
from lab.wire.opcua import attribute, session, subscription  # noqa: F401 - each makes its services known
from lab.wire.opcua.codec import Codec, Reader
from lab.wire.opcua.common import Request, Response
from lab.wire.opcua.identifiers import NODE_ID, NULL_NODE, NodeId
from lab.wire.opcua.structure import CODECS, SERVICES
from lab.wire.opcua.variant import TYPE_IDS, lookup


@dataclass(frozen=True, slots=True)
class UnknownService:
    """A request or response this package has no class for."""

    type_id: NodeId
    body: bytes
    """What follows the type id."""


@dataclass(frozen=True, slots=True)
class UnreadableService:
    """A content that is not what its type id says: its receiver answers Bad_DecodingError and the channel goes on."""

    type_id: NodeId
    content: bytes
    """All of it, the type id included."""
    reason: str


Service = Request | Response | UnknownService | UnreadableService


def decode_service(content: bytes) -> Service:
    """The service in a message put together from its chunks."""
    reader = Reader(content)
    type_id = NULL_NODE
    try:
        type_id = NODE_ID.read(reader)
        codec: Codec[Request | Response] | None = lookup(SERVICES, type_id)
        return UnknownService(type_id, content[reader.at :]) if codec is None else codec.read_last(reader)
    except Malformed as malformed:
        return UnreadableService(type_id, content, str(malformed))
    except struct.error:
        return UnreadableService(type_id, content, "the type id is cut off")


def encode_service(service: Service) -> bytes:
    """The content of a message; raises ValueError for what a field cannot hold."""
    match service:
        case UnknownService(type_id, body):
            return NODE_ID.encode(type_id) + body
        case UnreadableService(_, content, _):
            return content
    return NODE_ID.encode(NodeId(0, TYPE_IDS[type(service)])) + CODECS[type(service)].encode(service)
