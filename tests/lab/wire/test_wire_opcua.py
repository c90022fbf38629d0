"""OPC UA messages: everything survives the wire, asyncua agrees, and any bytes at all do no harm."""

from __future__ import annotations

import math
import struct
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.wire.malformed import Malformed
from lab.wire.opcua import (
    NONE,
    Abort,
    Acknowledge,
    BuiltInType,
    ChannelDecoder,
    DataValue,
    DiagnosticInfo,
    Error,
    ExpandedNodeId,
    ExtensionObject,
    Hello,
    Kind,
    LocalizedText,
    Message,
    NodeId,
    Opaque,
    Open,
    QualifiedName,
    ReverseHello,
    StatusCode,
    Transported,
    UnknownService,
    UnreadableService,
    Variant,
    codec,
    decode_service,
    encode_service,
)
from lab.wire.opcua.attribute import ReadRequest, ReadResponse, ReadValueId, WriteRequest, WriteValue
from lab.wire.opcua.codec import Codec
from lab.wire.opcua.common import MessageSecurityMode, RequestHeader, ResponseHeader, SignatureData, TimestampsToReturn
from lab.wire.opcua.identifiers import NODE_ID
from lab.wire.opcua.session import (
    ActivateSessionRequest,
    AnonymousIdentityToken,
    CloseSecureChannelRequest,
    CloseSessionRequest,
    UserNameIdentityToken,
)
from lab.wire.opcua.status import NAMES, STATUS_CODE
from lab.wire.opcua.structure import SERVICES
from lab.wire.opcua.variant import DIAGNOSTIC_INFO, EXTENSION_OBJECT, EXTENSIONS, TYPE_IDS, VARIANT

BASIC256SHA256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
SERVICE_CLASSES = [cls for cls, type_id in TYPE_IDS.items() if type_id in SERVICES]
EXTENSION_CLASSES = [cls for cls, type_id in TYPE_IDS.items() if type_id in EXTENSIONS]


def decode(data: bytes, step: int = 0, decoder: ChannelDecoder | None = None) -> list[Transported]:
    decoder = decoder or ChannelDecoder()
    step = step or len(data) or 1
    return [message for at in range(0, len(data), step) for message in decoder.feed(data[at : at + step])]


# --- any value --------------------------------------------------------------------------------------------------------


def whole(bits: int, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


strings = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
byte_strings = st.none() | st.binary(max_size=8)
times = st.integers(0, 1 << 48).map(lambda microseconds: microseconds * 1000)
node_ids = st.builds(
    NodeId, whole(16, False), whole(32, False) | st.text(max_size=5) | st.uuids() | st.binary(max_size=5)
)
small_node_ids = st.builds(NodeId, st.integers(0, 3), st.integers(0, 70_000) | st.sampled_from(["CNC01.State", "温度"]))
expanded_node_ids = st.builds(ExpandedNodeId, small_node_ids, strings, whole(32, False))
names = st.builds(QualifiedName, whole(16, False), strings)
texts = st.builds(LocalizedText, strings, strings)
statuses = st.sampled_from([code << 16 for code in NAMES]).map(StatusCode) | whole(32, False).map(StatusCode)
diagnostics = st.recursive(
    st.just(DiagnosticInfo()),
    lambda inner: st.builds(
        DiagnosticInfo,
        *[st.none() | whole(32, True)] * 4,
        strings,
        st.none() | statuses,
        st.none() | inner,
    ),
    max_leaves=3,
)
opaque_extensions = st.builds(
    ExtensionObject, st.builds(NodeId, st.integers(1, 9), st.integers(1, 70_000)), byte_strings, st.just(False)
)
SCALARS: dict[BuiltInType, st.SearchStrategy[Any]] = {
    BuiltInType.BOOLEAN: st.booleans(),
    BuiltInType.SBYTE: whole(8, True),
    BuiltInType.BYTE: whole(8, False),
    BuiltInType.INT16: whole(16, True),
    BuiltInType.UINT16: whole(16, False),
    BuiltInType.INT32: whole(32, True),
    BuiltInType.UINT32: whole(32, False),
    BuiltInType.INT64: whole(64, True),
    BuiltInType.UINT64: whole(64, False),
    BuiltInType.FLOAT: st.floats(width=32, allow_nan=False),
    BuiltInType.DOUBLE: st.floats(allow_nan=False),
    BuiltInType.STRING: strings,
    BuiltInType.DATE_TIME: times,
    BuiltInType.GUID: st.uuids(),
    BuiltInType.BYTE_STRING: byte_strings,
    BuiltInType.XML_ELEMENT: strings,
    BuiltInType.NODE_ID: node_ids,
    BuiltInType.EXPANDED_NODE_ID: expanded_node_ids,
    BuiltInType.STATUS_CODE: statuses,
    BuiltInType.QUALIFIED_NAME: names,
    BuiltInType.LOCALIZED_TEXT: texts,
    BuiltInType.EXTENSION_OBJECT: st.none() | opaque_extensions,
    BuiltInType.DIAGNOSTIC_INFO: diagnostics,
}


def variant_of(type_: BuiltInType, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Variant]:
    scalar = st.builds(Variant, st.just(type_), value)
    vector = st.builds(Variant, st.just(type_), st.lists(value, max_size=4).map(tuple))
    matrix = st.builds(
        Variant, st.just(type_), st.lists(value, min_size=6, max_size=6).map(tuple), st.sampled_from([(2, 3), (6, 1)])
    )
    return scalar | vector | matrix


simple_variants = st.just(Variant()) | st.one_of([variant_of(type_, value) for type_, value in SCALARS.items()])


def data_value_of(variant: st.SearchStrategy[Variant]) -> st.SearchStrategy[DataValue]:
    pico = st.none() | whole(16, False)
    return st.builds(DataValue, st.none() | variant, statuses, st.none() | times, st.none() | times, pico, pico)


variants = simple_variants | st.recursive(
    simple_variants,
    lambda inner: (
        st.builds(Variant, st.just(BuiltInType.VARIANT), st.lists(inner, max_size=3).map(tuple))
        | variant_of(BuiltInType.DATA_VALUE, data_value_of(inner))
    ),
    max_leaves=3,
)
BY_CODEC: list[tuple[Codec[Any], st.SearchStrategy[Any]]] = [
    (codec.BOOLEAN, st.booleans()),
    (codec.BYTE, whole(8, False)),
    (codec.UINT16, whole(16, False)),
    (codec.INT32, whole(32, True)),
    (codec.UINT32, whole(32, False)),
    (codec.DOUBLE, st.floats(allow_nan=False)),
    (codec.STRING, strings),
    (codec.BYTE_STRING, byte_strings),
    (codec.DATE_TIME, times),
    (EXTENSION_OBJECT, st.none() | opaque_extensions | st.deferred(lambda: extensions)),
]
BY_TYPE: dict[type, st.SearchStrategy[Any]] = {
    NodeId: node_ids,
    ExpandedNodeId: expanded_node_ids,
    QualifiedName: names,
    LocalizedText: texts,
    StatusCode: statuses,
    Variant: variants,
    DataValue: data_value_of(variants),
    DiagnosticInfo: diagnostics,
}


@cache
def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, found by its annotation as the package itself does."""
    if get_origin(hint) is Annotated:
        return next(values for known, values in BY_CODEC if known is get_args(hint)[1])
    if get_origin(hint) is tuple:
        return st.lists(any_of(get_args(hint)[0]), max_size=2).map(tuple)
    if issubclass(hint, IntEnum):
        return st.sampled_from(hint)
    if hint in BY_TYPE:
        return BY_TYPE[hint]
    hints = get_type_hints(hint, include_extras=True)
    return st.builds(hint, *[any_of(hints[field.name]) for field in fields(hint)])


extensions: st.SearchStrategy[Any] = st.sampled_from(EXTENSION_CLASSES).flatmap(any_of)
services: st.SearchStrategy[Any] = st.sampled_from(SERVICE_CLASSES).flatmap(any_of)


@given(services)
def test_a_service_survives_encoding(service: Any) -> None:
    assert decode_service(encode_service(service)) == service


def is_plain(value: Any) -> bool:
    """Whether asyncua 2.1 represents a value without loss."""
    match value:
        case tuple():
            return all(map(is_plain, value))
        case DiagnosticInfo():
            return value.inner is None
        case ExtensionObject():
            return bool(value.body)
        case ExpandedNodeId():
            return value.namespace_uri != ""
        case DataValue():
            whole_times = value.source_picoseconds is None and value.server_picoseconds is None
            return value.value is not None and whole_times and is_plain(value.value)
        case Variant():
            is_simple = value.type < BuiltInType.EXTENSION_OBJECT and value.type is not BuiltInType.XML_ELEMENT
            return is_simple and is_plain(value.value)
        case _ if is_dataclass(value):
            return all(is_plain(getattr(value, field.name)) for field in fields(value))
    return True


@settings(max_examples=200)
@given(services.filter(is_plain))
def test_asyncua_reads_what_we_write_and_we_what_it_writes(service: Any) -> None:
    theirs = struct_from_binary(getattr(ua, type(service).__name__), Buffer(encode_service(service)))
    assert decode_service(struct_to_binary(theirs)) == service


@given(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from(sorted(SERVICES)).flatmap(
            lambda type_id: st.binary(max_size=80).map(lambda rest: struct.pack("<BBH", 1, 0, type_id) + rest)
        ),
    )
)
def test_any_content_is_a_service_known_unknown_or_unreadable(content: bytes) -> None:
    service = decode_service(content)
    if isinstance(service, UnknownService | UnreadableService):
        assert encode_service(decode_service(encode_service(service))) == encode_service(service)


@given(services, st.data())
def test_a_damaged_content_is_still_some_service(service: Any, data: st.DataObject) -> None:
    content = bytearray(encode_service(service))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    found = decode_service(bytes(content))
    assert isinstance(found, UnreadableService) or decode_service(encode_service(found)) is not None


# --- messages on the stream -------------------------------------------------------------------------------------------

numbers = whole(32, False)
sizes = st.tuples(numbers, numbers, numbers, numbers, numbers, strings)
opens = st.builds(Open, numbers, st.just(1), numbers, services, st.just(NONE), byte_strings, byte_strings)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Transported], bytes]:
    """What one side says, with sequence numbers in order, and how it looks in chunks of one size or another."""
    said: list[Transported] = [draw(st.builds(lambda of: Hello(*of), sizes)), draw(opens)]
    stream = b"".join(message.encode() for message in said)
    sequence_number = 2
    for service in draw(st.lists(services, max_size=3)):
        room = draw(st.integers(25, 500))
        closes = draw(st.booleans()) and len(encode_service(service)) < room - 24
        message = Message(draw(numbers), draw(numbers), sequence_number, draw(numbers), service, closes)
        said.append(message)
        stream += message.encode(room)
        sequence_number += -(-len(encode_service(service)) // (room - 24))
    if draw(st.booleans()):
        abort = Abort(draw(numbers), draw(numbers), sequence_number, draw(numbers), draw(statuses), draw(strings))
        said.append(abort)
        stream += abort.encode()
    said.append(draw(st.builds(Error, statuses, strings)))
    return said, stream + said[-1].encode()


@given(conversations(), st.integers(1, 200))
def test_messages_survive_chunking_and_any_segmentation(
    conversation: tuple[list[Transported], bytes], step: int
) -> None:
    said, stream = conversation
    assert decode(stream, step) == said


@given(conversations(), st.data())
def test_a_damaged_stream_is_messages_or_malformed(
    conversation: tuple[list[Transported], bytes], data: st.DataObject
) -> None:
    stream = bytearray(conversation[1])
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(stream), data.draw(st.integers(1, len(stream))))
    except Malformed:
        return
    assert len(found) <= len(stream) // 8


@given(
    st.lists(
        st.sampled_from([b"HELF", b"ACKF", b"ERRF", b"RHEF", b"OPNF", b"MSGF", b"MSGC", b"MSGA", b"CLOF"]).flatmap(
            lambda kind: st.binary(max_size=60).map(lambda rest: kind + struct.pack("<I", 8 + len(rest)) + rest)
        ),
        max_size=4,
    ).map(b"".join)
    | st.binary(max_size=60)
)
def test_any_bytes_are_messages_or_malformed(stream: bytes) -> None:
    try:
        found = decode(stream)
    except Malformed:
        return
    assert len(found) <= len(stream) // 8


@given(st.builds(ReverseHello, strings, strings) | st.builds(Acknowledge, *[numbers] * 5))
def test_messages_without_a_channel_survive(message: ReverseHello | Acknowledge) -> None:
    assert decode(message.encode(), 3) == [message]


READ = ReadRequest(RequestHeader(NodeId(0, 300)), 0.0, TimestampsToReturn.BOTH, (ReadValueId(NodeId(2, "a" * 90)),))
OPEN = Open(7, 1, 1, CloseSecureChannelRequest(RequestHeader())).encode()


@pytest.mark.parametrize(
    ("rule", "stream"),
    [
        ("message type", b"GET / HTTP/1.1\r\n"),
        ("chunk type", b"HELC" + struct.pack("<I", 8)),
        ("chunk type", b"CLOA" + struct.pack("<I", 24) + bytes(16)),
        ("chunk type", b"MSGX" + struct.pack("<I", 24) + bytes(16)),
        ("a chunk of 7 bytes", b"MSGF" + struct.pack("<I", 7)),
        ("are allowed here", b"MSGF" + struct.pack("<I", 0x7FFFFFFF)),
        ("ends early", b"OPNF" + struct.pack("<I", 8)),
        ("end early", b"HELF" + struct.pack("<I", 10) + bytes(2)),
        ("length of 99", b"OPNF" + struct.pack("<IIi", 16, 0, 99)),
        ("policy URI", b"OPNF" + struct.pack("<IIiii", 24, 0, -1, -1, -1)),
        ("sequence number 3 follows 1", OPEN + Message(7, 1, 3, 2, READ).encode()),
        ("sequence number 1 follows 1", OPEN + Message(7, 1, 1, 2, READ).encode()),
        ("sequence header", OPEN + b"MSGF" + struct.pack("<III", 18, 7, 1) + bytes(2)),
    ],
)
def test_a_broken_framing_is_named(rule: str, stream: bytes) -> None:
    for step in (1, len(stream)):
        with pytest.raises(Malformed, match=rule):
            decode(stream, step)


def test_what_came_before_the_malformed_message_is_still_told_and_nothing_after() -> None:
    decoder = ChannelDecoder()
    error = Error(StatusCode(0x807D0000), "busy")
    heard = decoder.feed(error.encode() + b"NOPE" + bytes(4) + error.encode())
    assert next(heard) == error
    with pytest.raises(Malformed):
        next(heard)
    with pytest.raises(Malformed, match="message type"):
        decoder.feed(error.encode())


def test_a_sequence_number_may_wrap_around() -> None:
    stream = OPEN.replace(struct.pack("<II", 1, 1), struct.pack("<II", 0xFFFFFFF0, 1))
    last = Message(7, 1, 1, 2, READ)
    assert decode(stream + last.encode())[-1] == last


def test_chunks_of_two_messages_may_be_interleaved() -> None:
    first, second = Message(7, 1, 2, 20, READ), Message(7, 1, 3, 21, READ)
    in_two = [message.encode(120) for message in (first, second)]
    halves = [(chunks[:120], chunks[120:]) for chunks in in_two]
    stream = halves[0][0] + halves[1][0] + halves[0][1] + halves[1][1]
    renumbered = bytearray(OPEN + stream)
    for number, at in enumerate((0, 120, 240, 240 + len(halves[0][1])), 2):
        struct.pack_into("<I", renumbered, len(OPEN) + at + 16, number)
    assert decode(bytes(renumbered), 50)[1:] == [first, second]


def test_an_aborted_message_is_forgotten_and_its_room_given_back() -> None:
    decoder = ChannelDecoder(max_message=200)
    decode(OPEN, decoder=decoder)
    number = 2
    for _ in range(10):
        begun = Message(7, 1, number, 9, READ).encode(120)[:120]
        abort = Abort(7, 1, number + 1, 9, StatusCode(0x80800000), "too large")
        assert decode(begun + abort.encode(), decoder=decoder) == [abort]
        number += 2


@pytest.mark.parametrize("limits", [{"max_message": 200}, {"max_chunks": 2}])
def test_a_message_that_never_ends_is_malformed_at_the_limit(limits: dict[str, int]) -> None:
    decoder = ChannelDecoder(**limits)
    decode(OPEN, decoder=decoder)
    endless = b"".join(Message(7, 1, number, 9, READ).encode(120)[:120] for number in range(2, 10))
    with pytest.raises(Malformed, match="unfinished messages"):
        decode(endless, decoder=decoder)


# --- security ---------------------------------------------------------------------------------------------------------


def secured_open(policy: str = BASIC256SHA256) -> Opaque:
    return Opaque(Kind.OPEN, "F", 5, None, policy, bytes(range(256)), b"certificate", bytes(20))


def test_an_encrypted_channel_tells_its_policy_ids_and_sizes_and_nothing_else() -> None:
    secret = Opaque(Kind.MESSAGE, "C", 5, 13, BASIC256SHA256, bytes(range(96)))
    closing = Opaque(Kind.CLOSE, "F", 5, 13, BASIC256SHA256, bytes(range(64)))
    decoder = ChannelDecoder()
    assert decode(b"".join(one.encode() for one in (secured_open(), secret, closing)), 10, decoder) == [
        secured_open(),
        secret,
        closing,
    ]
    assert decoder.policy_uri == BASIC256SHA256
    assert decoder.mode is MessageSecurityMode.SIGN_AND_ENCRYPT


def signed(message: Message, size: int = 32) -> bytes:
    chunk = bytearray(message.encode() + b"\xee" * size)
    struct.pack_into("<I", chunk, 4, len(chunk))
    return bytes(chunk)


@pytest.mark.parametrize(("policy", "size"), [("Basic256Sha256", 32), ("Basic256", 20), ("Aes256_Sha256_RsaPss", 32)])
def test_a_channel_that_only_signs_is_read_without_its_signatures(policy: str, size: int) -> None:
    decoder = ChannelDecoder()
    opened = secured_open(BASIC256SHA256.replace("Basic256Sha256", policy))
    stream = opened.encode() + signed(Message(5, 13, 2, 2, READ), size) + signed(Message(5, 13, 3, 3, READ), size)
    read = Message(5, 13, 2, 2, READ, is_signed=True)
    assert decode(stream, decoder=decoder)[:2] == [opened, read]
    assert decoder.mode is MessageSecurityMode.SIGN
    with pytest.raises(ValueError, match="keys"):
        read.encode()


def test_a_policy_not_known_here_stays_opaque_and_unjudged() -> None:
    decoder = ChannelDecoder()
    found = decode(secured_open("urn:own#Policy").encode() + signed(Message(5, 13, 2, 2, READ)), decoder=decoder)
    assert [type(one) for one in found] == [Opaque, Opaque]
    assert decoder.mode is None


def test_a_channel_opened_before_anyone_listened_is_read_if_it_can_be() -> None:
    message = Message(5, 13, 40, 40, READ)
    assert decode(message.encode()) == [message]
    assert isinstance(decode(b"MSGF" + struct.pack("<III", 80, 5, 13) + bytes(64))[0], Opaque)


def test_a_renewed_token_keeps_what_was_found_out_and_a_new_policy_does_not() -> None:
    decoder = ChannelDecoder()
    decode(secured_open().encode() + signed(Message(5, 13, 2, 2, READ)), decoder=decoder)
    decode(secured_open().encode(), decoder=decoder)
    assert decoder.mode is MessageSecurityMode.SIGN
    decode(OPEN, decoder=decoder)
    assert (decoder.policy_uri, decoder.mode) == (NONE, MessageSecurityMode.NONE)


# --- contents ---------------------------------------------------------------------------------------------------------


def test_null_and_empty_strings_are_two_things() -> None:
    token = UserNameIdentityToken(None, "", b"", None)
    unsigned = SignatureData()
    request = ActivateSessionRequest(RequestHeader(), unsigned, (), ("", None), token, unsigned)
    assert decode_service(encode_service(request)) == request


def test_a_time_is_nanoseconds_since_1970_in_steps_of_100() -> None:
    # 2026-01-01T00:00:00Z is 134116992000000000 ticks of 100 ns after 1601.
    assert codec.DATE_TIME.decode((134_116_992_000_000_000).to_bytes(8, "little")) == 1_767_225_600_000_000_000
    assert codec.DATE_TIME.encode(1_767_225_600_000_000_199) == (134_116_992_000_000_001).to_bytes(8, "little")
    assert codec.DATE_TIME.decode(bytes(8)) == codec.NO_TIME


def test_a_guid_has_its_first_three_fields_in_little_endian() -> None:
    # The example of OPC 10000-6 section 5.2.2.6.
    wire = bytes.fromhex("91 2b 96 72 75 fa e6 4a 8d 28 b4 04 dc 7d af 63")
    assert codec.GUID.decode(wire) == UUID("72962B91-FA75-4AE6-8D28-B404DC7DAF63")


@pytest.mark.parametrize(
    ("text", "wire"),
    [  # the examples of OPC 10000-6 section 5.2.2.9 and one of each other encoding
        ("i=72", "00 48"),
        ("ns=5;i=1025", "01 05 0104"),
        ("ns=300;i=7", "02 2c01 07000000"),
        ("i=70000", "02 0000 70110100"),
        ("ns=1;s=Hot水", "03 0100 06000000 486f74e6b0b4"),
        ("ns=1;g=72962b91-fa75-4ae6-8d28-b404dc7daf63", "04 0100 912b967275fae64a8d28b404dc7daf63"),
        ("ns=2;b=AQI=", "05 0200 02000000 0102"),
    ],
)
def test_a_node_id_is_written_in_its_shortest_form(text: str, wire: str) -> None:
    node_id = NodeId.parse(text)
    assert NODE_ID.encode(node_id) == bytes.fromhex(wire)
    assert NODE_ID.decode(bytes.fromhex(wire)) == node_id
    assert str(node_id) == text


@pytest.mark.parametrize("text", ["", "2258", "ns=2", "ns=x;i=1", "i=a", "g=1", "ns=1;b=%", "ns=2 ;; s"])
def test_what_is_no_node_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a node id"):
        NodeId.parse(text)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, "Good"),
        (0x80340000, "Bad_NodeIdUnknown"),
        (0x80340480, "Bad_NodeIdUnknown"),
        (0x408F0000, "Uncertain_NoCommunicationLastUsableValue"),
        (0x8FFF0000, "Bad_0x8fff0000"),
    ],
)
def test_a_status_code_has_the_name_of_the_standard(code: int, name: str) -> None:
    assert str(STATUS_CODE.decode(code.to_bytes(4, "little"))) == name


def nested(levels: int, opening: bytes, core: bytes) -> bytes:
    return opening * levels + core


@pytest.mark.parametrize(
    ("kind", "opening", "core"),
    [
        (DIAGNOSTIC_INFO, b"\x40", b"\0"),
        (VARIANT, b"\x98\x01\0\0\0", b"\0"),  # an array of one variant
    ],
)
def test_nesting_is_followed_100_levels_deep_and_no_deeper(kind: Codec[Any], opening: bytes, core: bytes) -> None:
    kind.decode(nested(100, opening, core))
    with pytest.raises(Malformed, match="nested"):
        kind.decode(nested(101, opening, core))
    with pytest.raises(Malformed, match="nested"):
        kind.decode(nested(100_000, opening, core))


def test_extension_objects_in_extension_objects_are_opaque_below_the_limit() -> None:
    body: bytes = b"\0\0\0"
    for _ in range(500):  # DataChangeNotification with one value, an extension object
        value = b"\x01\x16" + body
        inside = struct.pack("<iI", 1, 0) + value + struct.pack("<i", -1)
        body = struct.pack("<BBHB", 1, 0, 811, 1) + struct.pack("<i", len(inside)) + inside
    found: Any = EXTENSION_OBJECT.decode(body)
    depth = 0
    while not isinstance(found, ExtensionObject):
        found, depth = found.monitored_items[0].value.value.value, depth + 1
    assert 30 <= depth <= 100
    assert found.body


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("8b 05000000 00", "length of 5"),
        ("8c ffffff7f", "length of 2147483647"),
        ("81 feffffff", "length of -2"),
        ("c3 04000000 01020304 02000000 02000000 03000000", "dimensions"),
        ("c3 04000000 01020304 02000000 feffffff feffffff", "dimensions"),
        ("c3 00000000 02000000 00000000 ffffffff", "dimensions"),
        ("c3 01000000 01 02000000 09000000 00000000", "dimensions"),
        ("18 01 01", "directly in a variant"),
        ("20", "no built-in type 32"),
        ("0c 02000000 c328", "UTF-8"),
        ("0b 00", "end early"),
        ("01 01 00", "follow the end"),
    ],
)
def test_a_value_that_cannot_be_is_malformed(content: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        VARIANT.decode(bytes.fromhex(content))


def test_a_message_of_countless_small_elements_is_refused() -> None:
    for type_ in (BuiltInType.DATA_VALUE, BuiltInType.BYTE):
        with pytest.raises(Malformed, match="elements"):
            VARIANT.decode(bytes((type_ | 0x80,)) + (1_500_000).to_bytes(4, "little") + bytes(1_500_000))


def test_reserved_types_are_read_as_byte_strings() -> None:
    assert VARIANT.decode(bytes.fromhex("1d 01000000 aa")) == Variant(BuiltInType.BYTE_STRING, b"\xaa")


def test_a_structure_that_is_not_what_it_says_is_kept_as_it_came() -> None:
    wrong = bytes.fromhex("01 00 4101 01 02000000 0900")  # an AnonymousIdentityToken that ends early
    assert EXTENSION_OBJECT.decode(wrong) == ExtensionObject(NodeId(0, 321), b"\x09\0")
    right = AnonymousIdentityToken("anonymous")
    assert EXTENSION_OBJECT.decode(EXTENSION_OBJECT.encode(right)) == right


def test_xml_and_bodiless_extension_objects_are_kept() -> None:
    for value in (ExtensionObject(NodeId(0, 321), b"<a/>", is_xml=True), ExtensionObject(NodeId(3, 1)), None):
        assert EXTENSION_OBJECT.decode(EXTENSION_OBJECT.encode(value)) == value


def test_an_unreadable_service_does_not_break_the_channel() -> None:
    broken = UnreadableService(NodeId(0, 631), encode_service(READ)[:-1], "")
    close = Message(7, 1, 3, 3, CloseSessionRequest(RequestHeader(), True))
    found = decode(OPEN + Message(7, 1, 2, 2, broken).encode() + close.encode())
    assert isinstance(found[1], Message)
    assert isinstance(found[1].body, UnreadableService)
    assert found[1].body.type_id == NodeId(0, 631)
    assert found[2] == close


def test_an_enumeration_without_such_a_member_makes_a_service_unreadable() -> None:
    content = bytearray(encode_service(READ))
    at = content.index(struct.pack("<d", 0.0) + struct.pack("<i", TimestampsToReturn.BOTH)) + 8
    content[at] = 9
    found = decode_service(bytes(content))
    assert isinstance(found, UnreadableService)
    assert "9 is no TimestampsToReturn" in found.reason


def test_a_service_nobody_here_knows_keeps_its_body() -> None:
    assert decode_service(bytes.fromhex("01 00 9a02 beef")) == UnknownService(NodeId(0, 666), b"\xbe\xef")


def test_a_value_out_of_its_types_range_is_not_written() -> None:
    with pytest.raises(ValueError, match="out of range"):
        encode_service(WriteRequest(RequestHeader(), (WriteValue(NodeId(), -1, None, DataValue()),)))


def test_not_a_number_survives() -> None:
    response = ReadResponse(ResponseHeader(), (DataValue(Variant(BuiltInType.DOUBLE, math.nan)),), ())
    found = decode_service(encode_service(response))
    assert isinstance(found, ReadResponse)
    assert found.results[0].value is not None
    assert math.isnan(found.results[0].value.value)
