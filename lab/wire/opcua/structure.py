"""Structures: dataclasses whose annotations say how each field is read and written, in the order of the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from enum import IntEnum
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from lab.wire.malformed import Malformed
from lab.wire.opcua.codec import INT32, Codec, Reader, array
from lab.wire.opcua.identifiers import (
    EXPANDED_NODE_ID,
    LOCALIZED_TEXT,
    NODE_ID,
    QUALIFIED_NAME,
    ExpandedNodeId,
    LocalizedText,
    NodeId,
    QualifiedName,
)
from lab.wire.opcua.status import STATUS_CODE, StatusCode
from lab.wire.opcua.variant import (
    DATA_VALUE,
    DIAGNOSTIC_INFO,
    EXTENSIONS,
    TYPE_IDS,
    VARIANT,
    DataValue,
    DiagnosticInfo,
    Variant,
)

S = TypeVar("S")

CODECS: dict[type, Codec[Any]] = {
    NodeId: NODE_ID,
    ExpandedNodeId: EXPANDED_NODE_ID,
    QualifiedName: QUALIFIED_NAME,
    LocalizedText: LOCALIZED_TEXT,
    StatusCode: STATUS_CODE,
    Variant: VARIANT,
    DataValue: DATA_VALUE,
    DiagnosticInfo: DIAGNOSTIC_INFO,
}
SERVICES: dict[int, Codec[Any]] = {}
"""Requests and responses by the numeric node id of their binary encoding, in namespace 0."""


def structure(cls: type[S]) -> type[S]:
    """Make a dataclass known as the type of other structures' fields."""
    hints = get_type_hints(cls, include_extras=True)
    parts = [(field.name, codec_of(hints[field.name])) for field in fields(cls)]  # type: ignore[arg-type]
    reads = [codec.read for _, codec in parts]
    writes = [(name, codec.write) for name, codec in parts]

    def read(reader: Reader) -> S:
        return cls(*[read_field(reader) for read_field in reads])

    def write(out: bytearray, value: S) -> None:
        for name, write_field in writes:
            write_field(out, getattr(value, name))

    CODECS[cls] = Codec(read, write)
    return cls


def service(type_id: int) -> Callable[[type[S]], type[S]]:
    """Make a dataclass known as a request or response."""
    return _known_in(SERVICES, type_id)


def extension(type_id: int) -> Callable[[type[S]], type[S]]:
    """Make a dataclass known as the content of an extension object."""
    return _known_in(EXTENSIONS, type_id)


def _known_in(known: dict[int, Codec[Any]], type_id: int) -> Callable[[type[S]], type[S]]:
    def decorate(cls: type[S]) -> type[S]:
        structure(cls)
        known[type_id] = CODECS[cls]
        TYPE_IDS[cls] = type_id
        return cls

    return decorate


def codec_of(hint: Any) -> Codec[Any]:
    """The codec of a field's annotation."""
    if get_origin(hint) is Annotated:
        codec: Codec[Any] = get_args(hint)[1]
        return codec
    if get_origin(hint) is tuple:
        return array(codec_of(get_args(hint)[0]))
    if issubclass(hint, IntEnum):
        return _enumeration(hint)
    return CODECS[hint]


def _enumeration(kind: type[IntEnum]) -> Codec[IntEnum]:
    members = {int(member): member for member in kind}

    def read(reader: Reader) -> IntEnum:
        number: int = INT32.read(reader)
        if number not in members:
            raise Malformed(f"{number} is no {kind.__name__}")
        return members[number]

    return Codec(read, INT32.write)
