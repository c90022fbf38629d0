"""Sparkplug B payloads, against Google's own Protocol Buffers with the schema of the specification."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from lab.wire import sparkplug
from lab.wire.malformed import Malformed
from lab.wire.protobuf import block, number, take_varint, varint
from lab.wire.sparkplug import (
    BAD,
    DataType,
    Field,
    Metric,
    Payload,
    Property,
    State,
    Topic,
    WireValue,
    decode,
    decode_state,
    meaning,
    parse_topic,
    quality,
    wire_value,
)

# Field types of descriptor.proto
_DOUBLE, _FLOAT, _UINT64, _BOOL, _STRING, _MESSAGE, _BYTES, _UINT32 = 1, 2, 4, 8, 9, 11, 12, 13
_ONE, _MANY = 1, 3
# Section 6.4.1 of the specification, the parts that a gateway uses.
SCHEMA: dict[str, list[tuple[str, int, int, int, str, bool]]] = {
    "PropertyValue": [
        ("type", 1, _UINT32, _ONE, "", False),
        ("is_null", 2, _BOOL, _ONE, "", False),
        ("int_value", 3, _UINT32, _ONE, "", True),
        ("long_value", 4, _UINT64, _ONE, "", True),
        ("float_value", 5, _FLOAT, _ONE, "", True),
        ("double_value", 6, _DOUBLE, _ONE, "", True),
        ("boolean_value", 7, _BOOL, _ONE, "", True),
        ("string_value", 8, _STRING, _ONE, "", True),
        ("propertyset_value", 9, _MESSAGE, _ONE, ".sp.PropertySet", True),
        ("propertysets_value", 10, _MESSAGE, _ONE, ".sp.PropertySetList", True),
    ],
    "PropertySet": [
        ("keys", 1, _STRING, _MANY, "", False),
        ("values", 2, _MESSAGE, _MANY, ".sp.PropertyValue", False),
    ],
    "PropertySetList": [("propertyset", 1, _MESSAGE, _MANY, ".sp.PropertySet", False)],
    "Metric": [
        ("name", 1, _STRING, _ONE, "", False),
        ("alias", 2, _UINT64, _ONE, "", False),
        ("timestamp", 3, _UINT64, _ONE, "", False),
        ("datatype", 4, _UINT32, _ONE, "", False),
        ("is_historical", 5, _BOOL, _ONE, "", False),
        ("is_transient", 6, _BOOL, _ONE, "", False),
        ("is_null", 7, _BOOL, _ONE, "", False),
        ("metadata", 8, _BYTES, _ONE, "", False),
        ("properties", 9, _MESSAGE, _ONE, ".sp.PropertySet", False),
        ("int_value", 10, _UINT32, _ONE, "", True),
        ("long_value", 11, _UINT64, _ONE, "", True),
        ("float_value", 12, _FLOAT, _ONE, "", True),
        ("double_value", 13, _DOUBLE, _ONE, "", True),
        ("boolean_value", 14, _BOOL, _ONE, "", True),
        ("string_value", 15, _STRING, _ONE, "", True),
        ("bytes_value", 16, _BYTES, _ONE, "", True),
    ],
    "Payload": [
        ("timestamp", 1, _UINT64, _ONE, "", False),
        ("metrics", 2, _MESSAGE, _MANY, ".sp.Metric", False),
        ("seq", 3, _UINT64, _ONE, "", False),
        ("uuid", 4, _STRING, _ONE, "", False),
        ("body", 5, _BYTES, _ONE, "", False),
    ],
}


def _google() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sp.proto", package="sp", syntax="proto2")
    for name, described in SCHEMA.items():
        message = file.message_type.add(name=name)
        if any(one_of for *_, one_of in described):
            message.oneof_decl.add(name="value")
        for field, numbered, kind, label, of, one_of in described:
            added = message.field.add(name=field, number=numbered, type=kind, label=label)  # type: ignore[arg-type]
            if of:
                added.type_name = of
            if one_of:
                added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sp.Payload"))


GooglePayload = _google()

texts = st.text(max_size=20)
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
singles = st.floats(width=32, allow_nan=False)
doubles = st.floats(allow_nan=False)
SIMPLE = [
    st.builds(WireValue, st.just(Field.INT), u32),
    st.builds(WireValue, st.just(Field.LONG), u64),
    st.builds(WireValue, st.just(Field.FLOAT), singles),
    st.builds(WireValue, st.just(Field.DOUBLE), doubles),
    st.builds(WireValue, st.just(Field.BOOLEAN), st.booleans()),
    st.builds(WireValue, st.just(Field.STRING), texts),
]
leaves = st.dictionaries(texts, st.builds(Property, st.none() | u32, st.none() | st.one_of(SIMPLE), st.booleans()))
properties = st.dictionaries(
    texts,
    st.builds(
        Property,
        st.none() | u32,
        st.one_of(
            st.none(),
            *SIMPLE,
            st.builds(WireValue, st.just(Field.PROPERTY_SET), leaves),
            st.builds(WireValue, st.just(Field.PROPERTY_SET_LIST), st.lists(leaves, max_size=2).map(tuple)),
        ),
        st.booleans(),
    ),
    max_size=3,
)
metrics = st.builds(
    Metric,
    st.none() | texts,
    st.none() | u64,
    st.none() | u64,
    st.none() | u32,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.binary(max_size=10),
    st.none() | properties,
    st.one_of(st.none(), *SIMPLE, st.builds(WireValue, st.just(Field.BYTES), st.binary(max_size=10))),
)
payloads = st.builds(
    Payload,
    st.none() | u64,
    st.lists(metrics, max_size=4).map(tuple),
    st.none() | u64,
    st.none() | texts,
    st.none() | st.binary(max_size=10),
)


@given(payloads)
def test_what_is_encoded_is_decoded(payload: Payload) -> None:
    assert decode(payload.encode()) == payload


@given(payloads)
def test_googles_library_reads_the_same(payload: Payload) -> None:
    theirs = GooglePayload()
    theirs.ParseFromString(payload.encode())
    assert (theirs.timestamp if theirs.HasField("timestamp") else None) == payload.timestamp
    assert (theirs.seq if theirs.HasField("seq") else None) == payload.seq
    assert len(theirs.metrics) == len(payload.metrics)
    for their, our in zip(theirs.metrics, payload.metrics, strict=True):
        assert (their.name if their.HasField("name") else None) == our.name
        assert (their.alias if their.HasField("alias") else None) == our.alias
        assert their.is_historical == our.is_historical
        assert their.is_null == our.is_null
        chosen = their.WhichOneof("value")
        assert chosen == (our.value.field.value if our.value else None)
        if our.value:
            assert getattr(their, chosen) == our.value.value
        assert list(their.properties.keys) == list(our.properties or {})
    assert decode(theirs.SerializeToString()) == payload, "and we read what Google writes"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_payload_or_malformed(data: bytes) -> None:
    try:
        decode(data)
    except Malformed:
        pass


@given(payloads, st.data())
def test_half_a_payload_never_does_harm(payload: Payload, draw: st.DataObject) -> None:
    encoded = payload.encode()
    try:
        decode(encoded[: draw.draw(st.integers(0, len(encoded)))])
    except Malformed:
        pass


@given(st.integers(0, 2**64 - 1))
def test_varints_return(value: int) -> None:
    encoded = varint(value)
    assert take_varint(encoded, 0) == (value, len(encoded))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("80", "within a varint"),
        ("0880808080808080808080" + "01", "more than 10 bytes"),
        ("08" + "ff" * 9 + "7f", "64 bits"),
        ("0a05", "longer than the message"),
        ("0d00000000", "wire type"),
        ("15000000", "ends within field 2"),
        ("0b", "wire type 3"),
        ("00", "field number 0"),
        ("1203" + "0a01ff", "no UTF-8"),
        ("1206" + "4a04" + "0a016b" + "00", "field number 0"),
        ("1205" + "4a03" + "0a016b", "1 keys and 0 values"),
        ("0900000000000000" + "00", "wire type"),
        ("1001", "wire type"),
    ],
)
def test_what_breaks_a_rule_is_named(data: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode(bytes.fromhex(data))


def test_property_sets_within_property_sets_end_somewhere() -> None:
    inner = b""
    for _ in range(40):
        inner = block(1, b"k") + block(2, block(9, inner))
    with pytest.raises(Malformed, match="deeper"):
        decode(block(2, block(9, inner)))


def test_extensions_are_passed_over() -> None:
    assert decode(number(1, 7) + number(1000, 1) + block(2000, b"x")) == Payload(7)


RANGES = [
    (DataType.INT8, -128, 127),
    (DataType.INT16, -32768, 32767),
    (DataType.INT32, -(2**31), 2**31 - 1),
    (DataType.INT64, -(2**63), 2**63 - 1),
    (DataType.UINT8, 0, 255),
    (DataType.UINT16, 0, 65535),
    (DataType.UINT32, 0, 2**32 - 1),
    (DataType.UINT64, 0, 2**64 - 1),
    (DataType.DATETIME, 0, 2**64 - 1),
]


@pytest.mark.parametrize(("datatype", "low", "high"), RANGES)
def test_tck_id_payloads_metric_datatype_value_whole_numbers_keep_their_sign(
    datatype: DataType, low: int, high: int
) -> None:
    for value in (low, high, 0):
        assert meaning(datatype, wire_value(datatype, value)) == value
    for value in (low - 1, high + 1, 1.5, True):
        with pytest.raises(ValueError, match="is no"):
            wire_value(datatype, value)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.FLOAT, 1.5),
        (DataType.DOUBLE, 0.1),
        (DataType.BOOLEAN, False),
        (DataType.STRING, "压力"),
        (DataType.TEXT, ""),
        (DataType.UUID, "1"),
        (DataType.BYTES, b"\0"),
        (DataType.FILE, b"x"),
        (DataType.INT16_ARRAY, b"\x01\x00"),
    ],
)
def test_values_of_other_types_are_what_they_were(datatype: DataType, value: Any) -> None:
    assert meaning(datatype, wire_value(datatype, value)) == value
    with pytest.raises(ValueError, match="is no"):
        wire_value(datatype, object())  # type: ignore[arg-type]


def test_tahu_writes_uint32_as_a_long_and_some_write_int8_in_eight_bits() -> None:
    assert meaning(DataType.UINT32, WireValue(Field.LONG, 4_000_000_000)) == 4_000_000_000
    assert meaning(DataType.INT8, WireValue(Field.INT, 0xFF)) == -1
    assert meaning(DataType.INT8, WireValue(Field.INT, 0xFFFF_FFFF)) == -1


def test_a_type_in_the_wrong_field_is_malformed() -> None:
    with pytest.raises(Malformed, match="string_value"):
        meaning(DataType.INT32, WireValue(Field.STRING, "1"))
    with pytest.raises(Malformed, match="int_value"):
        meaning(DataType.DOUBLE, WireValue(Field.INT, 1))


def test_tck_id_payloads_propertyset_quality_value_type_is_int32() -> None:
    metric = decode(Payload(metrics=(Metric(name="t", properties=quality(BAD)),)).encode()).metrics[0]
    assert metric.properties == {"Quality": Property(3, WireValue(Field.INT, 0))}


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("spBv1.0/plant/NBIRTH/gw", Topic("plant", "NBIRTH", "gw")),
        ("spBv1.0/plant/DDATA/gw/boiler", Topic("plant", "DDATA", "gw", "boiler")),
        ("v1/a/b", None),
        ("spBv1.0/STATE/scada", None),
    ],
)
def test_tck_id_topic_structure(text: str, topic: Topic | None) -> None:
    assert parse_topic(text) == topic
    assert topic is None or str(topic) == text


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0", "spBv1.0/p/NBIRTH/gw/dev", "spBv1.0/p/DBIRTH/gw", "spBv1.0/p/XDATA/gw", "spBv1.0/p/NDATA/"],
)
def test_tck_id_topic_structure_namespace_device_id_non_associated_message_types(topic: str) -> None:
    with pytest.raises(Malformed, match="no topic"):
        parse_topic(topic)


def test_tck_id_payloads_state_birth_payload() -> None:
    assert decode_state(State(True, 5).encode()) == State(True, 5)
    assert State(False, 7).encode() == b'{"online":false,"timestamp":7}'
    for wrong in (
        b"ONLINE",
        b"[]",
        b'{"online":1,"timestamp":5}',
        b'{"online":true}',
        b'{"online":true,"timestamp":NaN}',
    ):
        with pytest.raises(Malformed, match="STATE"):
            decode_state(wrong)


def test_the_module_names_what_the_specification_names() -> None:
    assert (sparkplug.NAMESPACE, sparkplug.REBIRTH, sparkplug.BD_SEQ) == ("spBv1.0", "Node Control/Rebirth", "bdSeq")
