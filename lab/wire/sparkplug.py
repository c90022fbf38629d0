"""Sparkplug B 3.0: topics, payloads (section 6.4, Google Protocol Buffers) and the STATE of host applications.

A value on the wire is a number, a text or bytes in one of several fields; what it means depends on a data type that
only birth certificates have to show. So a metric keeps the value as it stands on the wire, and `meaning` reads it.
DataSets, Templates and MetaData are kept as the bytes they are.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from lab.wire.malformed import Malformed
from lab.wire.protobuf import WireType, block, fields, key, number

NAMESPACE: Final = "spBv1.0"
BD_SEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
QUALITY: Final = "Quality"
SEQUENCE_LIMIT: Final = 256
"""tck-id-payloads-sequence-num-incrementing: after 255 comes 0."""
GOOD, BAD, STALE = 192, 0, 500
"""tck-id-payloads-propertyset-quality-value-value"""
_DEEPEST: Final = 16
"""Property sets within property sets; a limit of ours."""
_MOST_METRICS: Final = 100_000
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


class DataType(IntEnum):
    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


class Field(Enum):
    """Which of the alternatives of `oneof value` is there; the number differs between metrics and properties."""

    INT = "int_value"
    LONG = "long_value"
    FLOAT = "float_value"
    DOUBLE = "double_value"
    BOOLEAN = "boolean_value"
    STRING = "string_value"
    BYTES = "bytes_value"
    DATASET = "dataset_value"
    TEMPLATE = "template_value"
    EXTENSION = "extension_value"
    PROPERTY_SET = "propertyset_value"
    PROPERTY_SET_LIST = "propertysets_value"


METRIC_FIELDS: Final[Mapping[int, Field]] = {
    10: Field.INT, 11: Field.LONG, 12: Field.FLOAT, 13: Field.DOUBLE, 14: Field.BOOLEAN, 15: Field.STRING,
    16: Field.BYTES, 17: Field.DATASET, 18: Field.TEMPLATE, 19: Field.EXTENSION,
}  # fmt: skip
PROPERTY_FIELDS: Final[Mapping[int, Field]] = {
    3: Field.INT, 4: Field.LONG, 5: Field.FLOAT, 6: Field.DOUBLE, 7: Field.BOOLEAN, 8: Field.STRING,
    9: Field.PROPERTY_SET, 10: Field.PROPERTY_SET_LIST, 11: Field.EXTENSION,
}  # fmt: skip
_METRIC_NUMBERS: Final = {field: number for number, field in METRIC_FIELDS.items()}
_PROPERTY_NUMBERS: Final = {field: number for number, field in PROPERTY_FIELDS.items()}
_VARINTS: Final = {Field.INT: 32, Field.LONG: 64, Field.BOOLEAN: 1}

Plain = bool | int | float | str | bytes


class WireValue(NamedTuple):
    """A value as it stands on the wire: numbers of INT and LONG are unsigned there."""

    field: Field
    value: Plain | PropertySet | tuple[PropertySet, ...]


@dataclass(frozen=True, slots=True)
class Property:
    type: int | None
    value: WireValue | None
    is_null: bool = False


PropertySet = Mapping[str, Property]
"""By name; where a name comes twice, the last counts."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None
    """Milliseconds since 1970 in UTC at which the value was acquired."""
    datatype: int | None = None
    is_historical: bool = False
    is_transient: bool = False
    is_null: bool = False
    metadata: bytes | None = None
    properties: PropertySet | None = None
    value: WireValue | None = None

    def encode(self) -> bytes:
        parts = []
        if self.name is not None:
            parts.append(block(1, self.name.encode()))
        for field, given in ((2, self.alias), (3, self.timestamp), (4, self.datatype)):
            if given is not None:
                parts.append(number(field, given))
        for field, flag in ((5, self.is_historical), (6, self.is_transient), (7, self.is_null)):
            if flag:
                parts.append(number(field, 1))
        if self.metadata is not None:
            parts.append(block(8, self.metadata))
        if self.properties is not None:
            parts.append(block(9, encode_properties(self.properties)))
        if self.value is not None:
            parts.append(_encode_value(_METRIC_NUMBERS[self.value.field], self.value))
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Payload:
    timestamp: int | None = None
    """Milliseconds since 1970 in UTC at which the message was sent."""
    metrics: Sequence[Metric] = ()
    seq: int | None = None
    uuid: str | None = None
    body: bytes | None = None

    def encode(self) -> bytes:
        parts = []
        if self.timestamp is not None:
            parts.append(number(1, self.timestamp))
        parts += [block(2, metric.encode()) for metric in self.metrics]
        if self.seq is not None:
            parts.append(number(3, self.seq))
        if self.uuid is not None:
            parts.append(block(4, self.uuid.encode()))
        if self.body is not None:
            parts.append(block(5, self.body))
        return b"".join(parts)

    def metric(self, name: str) -> Metric | None:
        """The first metric of this name."""
        return next((metric for metric in self.metrics if metric.name == name), None)


def decode(data: bytes) -> Payload:
    """Raises Malformed; fields the schema does not have are extensions and are passed over."""
    timestamp = seq = uuid = body = None
    metrics: list[Metric] = []
    for field, wire, value in fields(data):
        if field == 1:
            timestamp = _number(field, wire, value)
        elif field == 2:
            if len(metrics) == _MOST_METRICS:
                raise Malformed(f"more than {_MOST_METRICS} metrics")
            metrics.append(_decode_metric(_block(field, wire, value)))
        elif field == 3:
            seq = _number(field, wire, value)
        elif field == 4:
            uuid = _text(field, wire, value)
        elif field == 5:
            body = _block(field, wire, value)
    return Payload(timestamp, tuple(metrics), seq, uuid, body)


def _decode_metric(data: bytes) -> Metric:
    name = alias = timestamp = datatype = metadata = properties = found = None
    flags = {5: False, 6: False, 7: False}
    for field, wire, value in fields(data):
        if field in METRIC_FIELDS:
            found = _decode_value(METRIC_FIELDS[field], field, wire, value, 0)
        elif field == 1:
            name = _text(field, wire, value)
        elif field == 2:
            alias = _number(field, wire, value)
        elif field == 3:
            timestamp = _number(field, wire, value)
        elif field == 4:
            datatype = _number(field, wire, value) & 0xFFFF_FFFF
        elif field in flags:
            flags[field] = bool(_number(field, wire, value))
        elif field == 8:
            metadata = _block(field, wire, value)
        elif field == 9:
            properties = _decode_properties(_block(field, wire, value), 0)
    return Metric(name, alias, timestamp, datatype, flags[5], flags[6], flags[7], metadata, properties, found)


def encode_properties(properties: PropertySet) -> bytes:
    names = [block(1, name.encode()) for name in properties]
    return b"".join(names + [block(2, _encode_property(each)) for each in properties.values()])


def _encode_property(each: Property) -> bytes:
    encoded = b"" if each.type is None else number(1, each.type)
    if each.is_null:
        encoded += number(2, 1)
    if each.value is not None:
        encoded += _encode_value(_PROPERTY_NUMBERS[each.value.field], each.value)
    return encoded


def _decode_properties(data: bytes, depth: int) -> PropertySet:
    if depth > _DEEPEST:
        raise Malformed(f"property sets within property sets, deeper than {_DEEPEST}")
    names: list[str] = []
    values: list[Property] = []
    for field, wire, value in fields(data):
        if field == 1:
            names.append(_text(field, wire, value))
        elif field == 2:
            values.append(_decode_property(_block(field, wire, value), depth))
    if len(names) != len(values):
        raise Malformed(
            f"{len(names)} keys and {len(values)} values in a property set [tck-id-payloads-propertyset-keys-array-size]"
        )
    return dict(zip(names, values, strict=True))


def _decode_property(data: bytes, depth: int) -> Property:
    kind = found = None
    is_null = False
    for field, wire, value in fields(data):
        if field in PROPERTY_FIELDS:
            found = _decode_value(PROPERTY_FIELDS[field], field, wire, value, depth)
        elif field == 1:
            kind = _number(field, wire, value) & 0xFFFF_FFFF
        elif field == 2:
            is_null = bool(_number(field, wire, value))
    return Property(kind, found, is_null)


def _encode_value(field: int, value: WireValue) -> bytes:
    kind, plain = value
    if kind in _VARINTS:
        assert isinstance(plain, int)
        return number(field, int(plain))
    if kind is Field.FLOAT:
        assert isinstance(plain, (int, float))
        return key(field, WireType.FIXED32) + _FLOAT.pack(plain)
    if kind is Field.DOUBLE:
        assert isinstance(plain, (int, float))
        return key(field, WireType.FIXED64) + _DOUBLE.pack(plain)
    if isinstance(plain, str):
        return block(field, plain.encode())
    if isinstance(plain, Mapping):
        return block(field, encode_properties(plain))
    if isinstance(plain, tuple):
        return block(field, b"".join(block(1, encode_properties(each)) for each in plain))
    assert isinstance(plain, bytes)
    return block(field, plain)


def _decode_value(kind: Field, field: int, wire: WireType, value: int | bytes, depth: int) -> WireValue:
    if kind in _VARINTS:
        plain = _number(field, wire, value)
        if kind is Field.BOOLEAN:
            return WireValue(kind, bool(plain))
        # protobuf reads a uint32 out of a longer varint by cutting it off
        return WireValue(kind, plain & (1 << _VARINTS[kind]) - 1)
    if kind is Field.FLOAT:
        return WireValue(kind, _FLOAT.unpack(_fixed(field, wire, value, WireType.FIXED32).to_bytes(4, "little"))[0])
    if kind is Field.DOUBLE:
        return WireValue(kind, _DOUBLE.unpack(_fixed(field, wire, value, WireType.FIXED64).to_bytes(8, "little"))[0])
    if kind is Field.STRING:
        return WireValue(kind, _text(field, wire, value))
    data = _block(field, wire, value)
    if kind is Field.PROPERTY_SET:
        return WireValue(kind, _decode_properties(data, depth + 1))
    if kind is Field.PROPERTY_SET_LIST:
        found = [_block(number, wire, each) for number, wire, each in fields(data) if number == 1]
        return WireValue(kind, tuple(_decode_properties(each, depth + 1) for each in found))
    return WireValue(kind, data)


def _number(field: int, wire: WireType, value: int | bytes) -> int:
    return _fixed(field, wire, value, WireType.VARINT)


def _fixed(field: int, wire: WireType, value: int | bytes, wanted: WireType) -> int:
    if wire is not wanted or isinstance(value, bytes):
        raise Malformed(f"field {field} has wire type {wire}, it should be {wanted}")
    return value


def _block(field: int, wire: WireType, value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed(f"field {field} has wire type {wire}, it should be {WireType.LENGTH}")
    return value


def _text(field: int, wire: WireType, value: int | bytes) -> str:
    try:
        return _block(field, wire, value).decode()
    except UnicodeDecodeError:
        raise Malformed(f"field {field} is no UTF-8") from None


# -- what values mean --------------------------------------------------------------------------------------------------

_SIGNED: Final[Mapping[int, int]] = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_UNSIGNED: Final[Mapping[int, int]] = {
    DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64, DataType.DATETIME: 64,
}  # fmt: skip
_TEXTS: Final = (DataType.STRING, DataType.TEXT, DataType.UUID)
_OTHERS: Final[Mapping[int, Field]] = {
    DataType.FLOAT: Field.FLOAT,
    DataType.DOUBLE: Field.DOUBLE,
    DataType.BOOLEAN: Field.BOOLEAN,
    **dict.fromkeys(_TEXTS, Field.STRING),
    DataType.DATASET: Field.DATASET,
    DataType.TEMPLATE: Field.TEMPLATE,
}
_PYTHON: Final[Mapping[Field, tuple[type, ...]]] = {
    Field.FLOAT: (float, int), Field.DOUBLE: (float, int), Field.BOOLEAN: (bool,), Field.STRING: (str,),
}  # fmt: skip


def wire_value(datatype: int, value: Plain) -> WireValue:
    """A value as a metric of this type carries it (section 6.4.16); raises ValueError where it does not fit."""
    if bits := _SIGNED.get(datatype):
        if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(f"{value!r} is no signed number of {bits} bits")
        # Two's complement in as many bits as the field has.
        return WireValue(Field.INT, value & 0xFFFF_FFFF) if bits < 64 else WireValue(Field.LONG, value & (1 << 64) - 1)
    if bits := _UNSIGNED.get(datatype):
        if type(value) is not int or not 0 <= value < 1 << bits:
            raise ValueError(f"{value!r} is no unsigned number of {bits} bits")
        return WireValue(Field.INT if bits < 64 else Field.LONG, value)
    field = _OTHERS.get(datatype, Field.BYTES)
    if not isinstance(value, _PYTHON.get(field, (bytes,))) or (field is not Field.BOOLEAN and value is True):
        raise ValueError(f"{value!r} is no value of Sparkplug's type {datatype}")
    return WireValue(field, value)


def meaning(datatype: int, value: WireValue) -> Plain:
    """The value of a metric of this type; raises Malformed where that field cannot hold such a type."""
    field, plain = value
    if bits := _SIGNED.get(datatype) or _UNSIGNED.get(datatype):
        # Tahu writes UInt32 into long_value; whoever writes INT8 in 8 bits means the same as in 32.
        if field not in (Field.INT, Field.LONG) or not isinstance(plain, int):
            raise Malformed(f"Sparkplug's type {datatype} in {field.value}")
        plain &= (1 << bits) - 1
        return plain - (1 << bits) if datatype in _SIGNED and plain >> bits - 1 else plain
    wanted = _OTHERS.get(datatype, Field.BYTES)
    if field is not wanted or isinstance(plain, (Mapping, tuple)):
        raise Malformed(f"Sparkplug's type {datatype} in {field.value}")
    return plain


def quality(code: int) -> PropertySet:
    """The one property the specification defines (section 6.4.7): how far a value can be relied on."""
    return {QUALITY: Property(DataType.INT32, WireValue(Field.INT, code))}


# -- topics ------------------------------------------------------------------------------------------------------------

NODE_VERBS: Final = ("NBIRTH", "NDEATH", "NDATA", "NCMD")
DEVICE_VERBS: Final = ("DBIRTH", "DDEATH", "DDATA", "DCMD")


class Topic(NamedTuple):
    group: str
    verb: str
    node: str
    device: str | None = None

    def __str__(self) -> str:
        parts = (NAMESPACE, self.group, self.verb, self.node)
        return "/".join(parts if self.device is None else (*parts, self.device))


def parse_topic(topic: str) -> Topic | None:
    """None where it is no topic of an edge node or a device; raises Malformed where it pretends to be one."""
    namespace, *rest = topic.split("/")
    if namespace != NAMESPACE or (rest and rest[0] == "STATE"):
        return None
    if len(rest) == 3 and rest[1] in NODE_VERBS and all(rest):
        return Topic(rest[0], rest[1], rest[2])
    if len(rest) == 4 and rest[1] in DEVICE_VERBS and all(rest):
        return Topic(*rest)
    raise Malformed(f"{topic!r} is no topic of Sparkplug B [tck-id-topic-structure]")


def state_topic(host: str) -> str:
    return f"{NAMESPACE}/STATE/{host}"


class State(NamedTuple):
    """Whether a host application is there, by its STATE message."""

    online: bool
    timestamp: int
    """Milliseconds; says which of two messages is the newer one."""

    def encode(self) -> bytes:
        return json.dumps({"online": self.online, "timestamp": self.timestamp}, separators=(",", ":")).encode()


def decode_state(data: bytes) -> State:
    """Raises Malformed."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("a STATE message is no JSON [tck-id-payloads-state-birth-payload]") from None
    online = document.get("online") if isinstance(document, dict) else None
    at = document.get("timestamp") if isinstance(document, dict) else None
    if (
        not isinstance(online, bool)
        or isinstance(at, bool)
        or not isinstance(at, (int, float))
        or not math.isfinite(at)
    ):
        raise Malformed("a STATE message needs online and timestamp [tck-id-payloads-state-birth-payload]")
    return State(online, int(at))
