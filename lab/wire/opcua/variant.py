"""Values of any type (OPC 10000-6 sections 5.2.2.12 and 5.2.2.15 to 5.2.2.17)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

from lab.wire.malformed import Malformed
from lab.wire.opcua import codec
from lab.wire.opcua.codec import BYTE, BYTE_STRING, DATE_TIME, INT32, STRING, UINT16, Codec, Reader
from lab.wire.opcua.identifiers import EXPANDED_NODE_ID, LOCALIZED_TEXT, NODE_ID, NULL_NODE, QUALIFIED_NAME, NodeId
from lab.wire.opcua.status import GOOD, STATUS_CODE, StatusCode


class BuiltInType(IntEnum):
    """OPC 10000-6 table 1."""

    NULL = 0
    BOOLEAN = 1
    SBYTE = 2
    BYTE = 3
    INT16 = 4
    UINT16 = 5
    INT32 = 6
    UINT32 = 7
    INT64 = 8
    UINT64 = 9
    FLOAT = 10
    DOUBLE = 11
    STRING = 12
    DATE_TIME = 13
    GUID = 14
    BYTE_STRING = 15
    XML_ELEMENT = 16
    NODE_ID = 17
    EXPANDED_NODE_ID = 18
    STATUS_CODE = 19
    QUALIFIED_NAME = 20
    LOCALIZED_TEXT = 21
    EXTENSION_OBJECT = 22
    DATA_VALUE = 23
    VARIANT = 24
    DIAGNOSTIC_INFO = 25


@dataclass(frozen=True, slots=True)
class Variant:
    """A value with its type: one value, or a tuple of them for an array."""

    type: BuiltInType = BuiltInType.NULL
    value: Any = None
    dimensions: tuple[int, ...] | None = None
    """Of an array with several, whose values come row by row."""


NULL = Variant()


@dataclass(frozen=True, slots=True)
class DataValue:
    """A value with its quality and times."""

    value: Variant | None = None
    status: StatusCode = GOOD
    source_timestamp: int | None = None
    """Nanoseconds since the Unix epoch."""
    server_timestamp: int | None = None
    """Nanoseconds since the Unix epoch."""
    source_picoseconds: int | None = None
    """Units of 10 ps to add to the time."""
    server_picoseconds: int | None = None


NO_DATA = DataValue()


@dataclass(frozen=True, slots=True)
class DiagnosticInfo:
    """What a vendor has to say about a status; numbers but the status are places in the response's string table."""

    symbolic_id: int | None = None
    namespace_uri: int | None = None
    locale: int | None = None
    localized_text: int | None = None
    additional_info: str | None = None
    inner_status: StatusCode | None = None
    inner: DiagnosticInfo | None = None


NO_DIAGNOSTICS = DiagnosticInfo()


@dataclass(frozen=True, slots=True)
class ExtensionObject:
    """A structure this module has no class for, or that is not what its type id says: its body as it came."""

    type_id: NodeId = NULL_NODE
    body: bytes | None = None
    is_xml: bool = False


EXTENSIONS: dict[int, Codec[Any]] = {}
"""Known structures by the numeric node id of their binary encoding, in namespace 0."""
TYPE_IDS: dict[type, int] = {}
"""Of these and of the services, the other way round."""


def lookup(table: dict[int, Codec[Any]], type_id: NodeId) -> Codec[Any] | None:
    """What a table of numeric node ids in namespace 0 has for a node id."""
    identifier = type_id.identifier
    return table.get(identifier) if isinstance(identifier, int) and type_id.namespace == 0 else None


def _read_extension(reader: Reader) -> object:
    type_id = NODE_ID.read(reader)
    encoding = BYTE.read(reader)
    if encoding == 0:
        return None if type_id == NULL_NODE else ExtensionObject(type_id)
    if encoding > 2:
        raise Malformed(f"there is no extension object encoding {encoding}")
    body = BYTE_STRING.read(reader) or b""
    known = lookup(EXTENSIONS, type_id) if encoding == 1 else None
    if known is not None:
        reader.descend()
        inner = Reader(body, reader.depth, reader.elements)
        try:
            return known.read_last(inner)
        except Malformed:
            pass  # It is kept as it came: what it says is between its sender and its receiver.
        finally:
            reader.depth -= 1
            reader.elements = inner.elements
    return ExtensionObject(type_id, body, encoding == 2)


def _write_extension(out: bytearray, value: object) -> None:
    if value is None:
        value = ExtensionObject()
    if isinstance(value, ExtensionObject):
        NODE_ID.write(out, value.type_id)
        out.append(0 if value.body is None else 2 if value.is_xml else 1)
        if value.body is not None:
            BYTE_STRING.write(out, value.body)
    else:
        type_id = TYPE_IDS[type(value)]
        NODE_ID.write(out, NodeId(0, type_id))
        out.append(1)
        body = bytearray()
        EXTENSIONS[type_id].write(body, value)
        BYTE_STRING.write(out, bytes(body))


def _read_data_value(reader: Reader) -> DataValue:
    mask = BYTE.read(reader)
    if not mask & 0x3F:
        return NO_DATA
    reader.descend()
    value = _read_variant(reader) if mask & 1 else None
    status = STATUS_CODE.read(reader) if mask & 2 else GOOD
    source = DATE_TIME.read(reader) if mask & 4 else None
    source_picoseconds = UINT16.read(reader) if mask & 16 else None
    server = DATE_TIME.read(reader) if mask & 8 else None
    server_picoseconds = UINT16.read(reader) if mask & 32 else None
    reader.depth -= 1
    return DataValue(value, status, source, server, source_picoseconds, server_picoseconds)


def _write_data_value(out: bytearray, value: DataValue) -> None:
    mask_at = len(out)
    out.append(0)
    fields: tuple[tuple[int, Any, Any, Callable[[bytearray, Any], None]], ...] = (
        (1, value.value, None, _write_variant),
        (2, value.status, GOOD, STATUS_CODE.write),
        (4, value.source_timestamp, None, DATE_TIME.write),
        (16, value.source_picoseconds, None, UINT16.write),
        (8, value.server_timestamp, None, DATE_TIME.write),
        (32, value.server_picoseconds, None, UINT16.write),
    )
    for bit, field, absent, write in fields:
        if field != absent:
            out[mask_at] |= bit
            write(out, field)


def _read_diagnostics(reader: Reader) -> DiagnosticInfo:
    mask = BYTE.read(reader)
    if not mask & 0x7F:
        return NO_DIAGNOSTICS
    reader.descend()
    # Locale comes before LocalizedText although its bit comes after.
    symbolic_id = INT32.read(reader) if mask & 1 else None
    namespace_uri = INT32.read(reader) if mask & 2 else None
    locale = INT32.read(reader) if mask & 8 else None
    localized_text = INT32.read(reader) if mask & 4 else None
    additional_info = STRING.read(reader) if mask & 16 else None
    inner_status = STATUS_CODE.read(reader) if mask & 32 else None
    inner = _read_diagnostics(reader) if mask & 64 else None
    reader.depth -= 1
    return DiagnosticInfo(symbolic_id, namespace_uri, locale, localized_text, additional_info, inner_status, inner)


def _write_diagnostics(out: bytearray, value: DiagnosticInfo) -> None:
    mask_at = len(out)
    out.append(0)
    fields: tuple[tuple[int, Any, Callable[[bytearray, Any], None]], ...] = (
        (1, value.symbolic_id, INT32.write),
        (2, value.namespace_uri, INT32.write),
        (8, value.locale, INT32.write),
        (4, value.localized_text, INT32.write),
        (16, value.additional_info, STRING.write),
        (32, value.inner_status, STATUS_CODE.write),
        (64, value.inner, _write_diagnostics),
    )
    for bit, field, write in fields:
        if field is not None:
            out[mask_at] |= bit
            write(out, field)


def _read_variant(reader: Reader) -> Variant:
    mask = BYTE.read(reader)
    kind = mask & 0x3F
    if kind == 0:
        return NULL
    if kind > 31:
        raise Malformed(f"there is no built-in type {kind}")
    # OPC 10000-6 section 5.2.2.16: 26 to 31 are reserved and read as ByteString.
    type_ = BuiltInType(kind) if kind <= 25 else BuiltInType.BYTE_STRING
    reader.descend()
    if mask & 0x80:
        value = _read_array(reader, type_)
        dimensions = _DIMENSIONS.read(reader) if mask & 0x40 else None
        if dimensions is not None:
            _check_dimensions(dimensions, len(value))
        variant = Variant(type_, value, dimensions)
    elif kind == BuiltInType.VARIANT:
        raise Malformed("a variant is directly in a variant")
    else:
        variant = Variant(type_, _CODECS[type_].read(reader))
    reader.depth -= 1
    return variant


def _read_array(reader: Reader, type_: BuiltInType) -> tuple[Any, ...]:
    code = _NUMBERS.get(type_)
    if code is None:
        return _ARRAYS[type_].read(reader)
    layout = struct.Struct(f"<{reader.count()}{code}")
    return layout.unpack(reader.take(layout.size))


def _check_dimensions(dimensions: tuple[int, ...], length: int) -> None:
    total = 0 if 0 in dimensions else 1
    for dimension in dimensions:
        total *= dimension
        if dimension < 0 or total > length:  # Checked each time, or the product of millions of them would be awaited.
            break
    if total != length or min(dimensions, default=0) < 0:
        raise Malformed(f"the dimensions of an array are not those of its {length} elements")


def _write_variant(out: bytearray, value: Variant) -> None:
    if value.type is BuiltInType.NULL:
        out.append(0)
    elif isinstance(value.value, tuple):
        out.append(value.type | 0x80 | (0x40 if value.dimensions is not None else 0))
        _ARRAYS[value.type].write(out, value.value)
        if value.dimensions is not None:
            _DIMENSIONS.write(out, value.dimensions)
    else:
        out.append(value.type)
        _CODECS[value.type].write(out, value.value)


EXTENSION_OBJECT: Codec[object] = Codec(_read_extension, _write_extension)
DATA_VALUE = Codec(_read_data_value, _write_data_value)
DIAGNOSTIC_INFO = Codec(_read_diagnostics, _write_diagnostics)
VARIANT = Codec(_read_variant, _write_variant)

Extension = Annotated[object, EXTENSION_OBJECT]
"""A structure known to this module, else an ExtensionObject; None where there is none."""

_CODECS: dict[BuiltInType, Codec[Any]] = {
    BuiltInType.BOOLEAN: codec.BOOLEAN,
    BuiltInType.SBYTE: codec.SBYTE,
    BuiltInType.BYTE: codec.BYTE,
    BuiltInType.INT16: codec.INT16,
    BuiltInType.UINT16: codec.UINT16,
    BuiltInType.INT32: codec.INT32,
    BuiltInType.UINT32: codec.UINT32,
    BuiltInType.INT64: codec.INT64,
    BuiltInType.UINT64: codec.UINT64,
    BuiltInType.FLOAT: codec.FLOAT,
    BuiltInType.DOUBLE: codec.DOUBLE,
    BuiltInType.STRING: codec.STRING,
    BuiltInType.DATE_TIME: codec.DATE_TIME,
    BuiltInType.GUID: codec.GUID,
    BuiltInType.BYTE_STRING: codec.BYTE_STRING,
    BuiltInType.XML_ELEMENT: codec.STRING,
    BuiltInType.NODE_ID: NODE_ID,
    BuiltInType.EXPANDED_NODE_ID: EXPANDED_NODE_ID,
    BuiltInType.STATUS_CODE: STATUS_CODE,
    BuiltInType.QUALIFIED_NAME: QUALIFIED_NAME,
    BuiltInType.LOCALIZED_TEXT: LOCALIZED_TEXT,
    BuiltInType.EXTENSION_OBJECT: EXTENSION_OBJECT,
    BuiltInType.DATA_VALUE: DATA_VALUE,
    BuiltInType.VARIANT: VARIANT,
    BuiltInType.DIAGNOSTIC_INFO: DIAGNOSTIC_INFO,
}
_ARRAYS = {type_: codec.array(element) for type_, element in _CODECS.items()}
_NUMBERS = {
    # Format characters in `struct`: a number array is unpacked at once.
    BuiltInType.BOOLEAN: "?",
    BuiltInType.SBYTE: "b",
    BuiltInType.BYTE: "B",
    BuiltInType.INT16: "h",
    BuiltInType.UINT16: "H",
    BuiltInType.INT32: "i",
    BuiltInType.UINT32: "I",
    BuiltInType.INT64: "q",
    BuiltInType.UINT64: "Q",
    BuiltInType.FLOAT: "f",
    BuiltInType.DOUBLE: "d",
}
_DIMENSIONS = codec.array(codec.INT32)
