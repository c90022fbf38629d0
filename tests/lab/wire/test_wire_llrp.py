"""LLRP's binary encoding: vectors from the specification, round trips of everything, and garbage that does no harm."""

from __future__ import annotations

from dataclasses import fields
from enum import IntEnum, IntFlag
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_kit import dissect
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from lab.wire.llrp import MAX_MESSAGE, Frame, FrameDecoder, Refused, StatusCode, Unframed, decode, encode, layout_of
from lab.wire.llrp import fields as f
from lab.wire.llrp import messages as m
from lab.wire.llrp.configuration import EventState, EventStates, Notification
from lab.wire.llrp.parameters import (
    SUCCESS,
    AntennaId,
    FieldError,
    LlrpStatus,
    ParameterError,
    UtcTimestamp,
    refusal,
)
from lab.wire.llrp.reports import (
    ConnectionAttempt,
    ConnectionAttempted,
    EpcData,
    EpcOf96,
    PcBits,
    PeakRssi,
    ReaderEvent,
    TagReport,
)
from lab.wire.llrp.specs import (
    AiSpec,
    AiStop,
    AiStopTrigger,
    AntennaConfiguration,
    InventoryCommand,
    InventorySpec,
    Periodic,
    ReportContent,
    ReportTrigger,
    RfReceiver,
    RfTransmitter,
    RoBoundary,
    RoReport,
    RoSpec,
    RoSpecState,
    RoStart,
    RoStop,
    Selected,
    Singulation,
    StartTrigger,
    StopTrigger,
)
from lab.wire.llrp.structure import MESSAGES, PARAMETERS
from lab.wire.malformed import Malformed

EPC = bytes.fromhex("3035A537C8377540000003E9")

VECTORS = {
    "043e0000000a00000007": m.KeepaliveMessage(),
    "04180000000e0000000200000001": m.EnableRoSpec(1),
    "04010000000b0000000100": m.GetReaderCapabilities(),
    # LLRPStatus (287) of eight bytes: code 0, no description
    "041e000000120000000a" + "011f000800000000": m.AddRoSpecResponse(SUCCESS),
    # ReaderEventNotificationData (246), in it UTCTimestamp (128) and ConnectionAttemptEvent (256)
    "043f0000002000000000" + "00f60016" + "0080000c0006466a98b12000" + "010000060000": m.ReaderEventNotification(
        ReaderEvent(
            UtcTimestamp(0x0006466A98B12000), connection=ConnectionAttempted(ConnectionAttempt.SUCCESS)
        )
    ),
    # TagReportData (240) with the TV parameters EPC_96 (13), AntennaID (1), PeakRSSI (6) and C1G2_PC (12)
    "043d0000002300000005" + "00f00019" + "8d" + EPC.hex() + "810002" + "86c8" + "8c3000": m.RoAccessReport(
        (TagReport(EpcOf96(EPC), antenna=AntennaId(2), rssi=PeakRssi(-56), memory=(PcBits(0x3000),)),)
    ),
    # EPCData (241) counts bits
    "043d0000001400000005" + "00f0000a" + "00f100060000": m.RoAccessReport((TagReport(EpcData(f.Bits(0, b""))),)),
    "07ff00000013000000010000651a1501020304": m.CustomMessage(25882, 21, b"\1\2\3\4"),
}  # fmt: skip


def whole(data: bytes) -> Frame:
    (frame,) = FrameDecoder().feed(data)
    return frame


@pytest.mark.parametrize(("wire", "message"), VECTORS.items(), ids=[type(each).__name__ for each in VECTORS.values()])
def test_messages_look_on_the_wire_as_the_specification_says(wire: str, message: m.Message) -> None:
    frame = whole(bytes.fromhex(wire))
    assert decode(frame) == message
    assert encode(message, frame.id).hex() == wire


NUMBERS = {
    f.U8: st.integers(0, 0xFF), f.U16: st.integers(0, 0xFFFF), f.U32: st.integers(0, 0xFFFFFFFF),
    f.U64: st.integers(0, 2**64 - 1), f.S8: st.integers(-128, 127), f.S16: st.integers(-(2**15), 2**15 - 1),
    f.Top2: st.integers(0, 3), f.Flag: st.booleans(), f.Utf8: st.text(max_size=8), f.U8s: st.binary(max_size=8),
    f.U16s: st.lists(st.integers(0, 0xFFFF), max_size=4).map(tuple),
    f.U32s: st.lists(st.integers(0, 0xFFFFFFFF), max_size=4).map(tuple),
    f.BitString: st.binary(max_size=12).map(f.Bits.of) | st.just(f.Bits(3, b"\xa0")),
    f.Epc96: st.binary(min_size=12, max_size=12), f.Rest: st.binary(max_size=20),
}  # fmt: skip


def simple(hint: Any) -> st.SearchStrategy[Any]:
    base = get_args(hint)[0]
    if isinstance(base, type) and issubclass(base, IntFlag):
        return st.integers(0, sum(base)).map(lambda bits: base(bits & sum(base)))
    if isinstance(base, type) and issubclass(base, IntEnum):
        return st.sampled_from(list(base))
    return NUMBERS[hint]


def made(cls: type, depth: int = 0) -> st.SearchStrategy[Any]:
    """Anything that this dataclass can be."""
    hints = get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{each.name: part(hints[each.name], depth) for each in fields(cls)})


def part(hint: Any, depth: int) -> st.SearchStrategy[Any]:
    if get_origin(hint) is Annotated:
        return simple(hint)
    if get_origin(hint) is tuple:
        return st.lists(part(get_args(hint)[0], depth), max_size=2).map(tuple)
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if depth > 7 and NoneType in members:
        return st.none()
    return st.one_of(*[st.none() if member is NoneType else made(member, depth + 1) for member in members])


ANY_MESSAGE = st.one_of(*[st.deferred(lambda cls=layout.make: made(cls)) for layout in MESSAGES.values()])


@given(ANY_MESSAGE, st.integers(0, 2**32 - 1))
def test_every_message_comes_back_as_it_was(message: m.Message, number: int) -> None:
    frame = whole(encode(message, number))
    assert frame.id == number
    assert decode(frame) == message


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_messages_survive_any_segmentation(step: int) -> None:
    stream = bytes.fromhex("".join(VECTORS))
    decoder, seen = FrameDecoder(), []
    for start in range(0, len(stream), step):
        seen += [decode(frame) for frame in decoder.feed(stream[start : start + step])]
    assert seen == list(VECTORS.values())


@given(ANY_MESSAGE, st.data())
def test_a_message_cut_short_is_refused_or_says_less(message: m.Message, data: st.DataObject) -> None:
    frame = whole(encode(message, 1))
    cut = data.draw(st.integers(0, max(len(frame.body) - 1, 0)))
    try:
        less = decode(Frame(frame.version, frame.number, 1, frame.body[:cut]))
    except Refused:
        return
    assert less != message or cut == len(frame.body) or isinstance(message, m.CustomMessage)


@given(st.binary(max_size=200))
def test_garbage_in_a_stream_is_malformed_at_worst(data: bytes) -> None:
    try:
        for frame in FrameDecoder().feed(data):
            decode(frame)
    except Malformed:
        pass


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=100))
def test_garbage_in_a_message_is_refused_at_worst(number: int, body: bytes) -> None:
    try:
        message = decode(Frame(1, number, 1, body))
    except Refused as refused:
        encode(m.ErrorMessage(refusal(refused)), 1)  # there is always a way to say so
        return
    again = whole(encode(message, 1))
    assert decode(again) == message


@given(ANY_MESSAGE, st.data())
def test_a_message_with_a_byte_changed_is_refused_at_worst(message: m.Message, data: st.DataObject) -> None:
    frame = whole(encode(message, 1))
    if frame.body:
        body = bytearray(frame.body)
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        try:
            decode(Frame(1, frame.number, 1, bytes(body)))
        except Refused:
            pass


@pytest.mark.parametrize("length", [0, 9, MAX_MESSAGE + 1, 2**32 - 1])
def test_a_stream_with_an_impossible_length_cannot_be_followed(length: int) -> None:
    header = bytes.fromhex("0414") + length.to_bytes(4, "big") + (77).to_bytes(4, "big")
    with pytest.raises(Unframed) as caught:
        list(FrameDecoder().feed(header))
    assert caught.value.message == 77


REFUSED = {
    "an unknown message": (Frame(1, 500, 1, b""), StatusCode.M_UNSUPPORTED_MESSAGE, ()),
    "a later version": (Frame(2, 20, 1, b""), StatusCode.M_UNSUPPORTED_VERSION, ()),
    "no ROSpec": (Frame(1, 20, 1, b""), StatusCode.P_MISSING_PARAMETER, ()),
    "an unknown parameter": (Frame(1, 14, 1, bytes.fromhex("03e80004")), StatusCode.P_UNKNOWN_PARAMETER, (1000,)),
    "one that has no place": (Frame(1, 14, 1, bytes.fromhex("810001")), StatusCode.P_UNEXPECTED_PARAMETER, (1,)),
    "a vendor's": (Frame(1, 14, 1, bytes.fromhex("03ff0004")), StatusCode.P_UNSUPPORTED_PARAMETER, (1023,)),
    "two where one may be": (
        Frame(1, 3, 1, bytes.fromhex("00" + "00dc000900000000000"[:18] * 2)), StatusCode.P_DUPLICATE_PARAMETER, (),
    ),
    "a state that is none": (
        Frame(1, 3, 1, bytes.fromhex("00" + "00dc00090500000000")), StatusCode.P_FIELD_ERROR, (220,),
    ),
    "a length that is none": (Frame(1, 14, 1, bytes.fromhex("00b10003")), StatusCode.P_FIELD_ERROR, ()),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_what_is_wrong_and_where(frame: Frame, code: StatusCode, path: tuple[int, ...]) -> None:
    with pytest.raises(Refused) as caught:
        decode(frame)
    assert (caught.value.code, caught.value.path) == (code, path)


def test_a_mistake_deep_inside_is_told_level_by_level() -> None:
    refused = Refused(StatusCode.P_MISSING_PARAMETER, "gone", (177, 178))
    assert refusal(refused) == LlrpStatus(
        StatusCode.M_PARAMETER_ERROR,
        "gone",
        parameter=ParameterError(
            177, StatusCode.P_PARAMETER_ERROR, within=ParameterError(178, StatusCode.P_MISSING_PARAMETER)
        ),
    )
    assert refusal(Refused(StatusCode.P_MISSING_PARAMETER, "gone")).code == StatusCode.M_MISSING_PARAMETER


def test_what_does_not_fit_is_not_written() -> None:
    for message in (
        m.EnableRoSpec(-1),
        m.RoAccessReport((TagReport(EpcOf96(b"short")),)),
        m.ErrorMessage(LlrpStatus(StatusCode.M_FIELD_ERROR, "x" * 70_000)),
        m.ErrorMessage(LlrpStatus(StatusCode.M_FIELD_ERROR, "x" * 65_530, FieldError(1, StatusCode.P_FIELD_ERROR))),
    ):
        with pytest.raises(ValueError, match=r"."):
            encode(message, 1)


def test_numbers_are_those_of_the_specification() -> None:
    assert {number: MESSAGES[number].make.__name__ for number in (1, 2, 3, 20, 41, 61, 62, 63, 64, 72, 100)} == {
        1: "GetReaderCapabilities", 2: "GetReaderConfig", 3: "SetReaderConfig", 20: "AddRoSpec", 41: "DeleteAccessSpec",
        61: "RoAccessReport", 62: "KeepaliveMessage", 63: "ReaderEventNotification", 64: "EnableEventsAndReports",
        72: "KeepaliveAck", 100: "ErrorMessage",
    }  # fmt: skip
    assert {177, 183, 186, 222, 237, 240, 246, 287, 330} <= set(PARAMETERS)


def numbers_in(value: Any) -> list[int]:
    """The numbers of the TLV parameters in a message or parameter, in the order of the wire."""
    found = []
    for place in layout_of(type(value)).places:
        given = getattr(value, place.name)
        for each in given if place.is_many else (() if given is None else (given,)):
            number = layout_of(type(each)).number
            found += [number] * (number >= 128) + numbers_in(each)
    return found


def a_ro_spec() -> RoSpec:
    singulation = Singulation(2, 24, 0)
    antenna = AntennaConfiguration(
        1, RfReceiver(1), RfTransmitter(0, 1, 25), (InventoryCommand(False, (), None, singulation),)
    )
    ai_spec = AiSpec((1, 2), AiStop(AiStopTrigger.DURATION, 1500), (InventorySpec(7, 1, (antenna,)),))
    report = RoReport(
        ReportTrigger.N_TAGS_OR_END_OF_AI_SPEC, 4, ReportContent(Selected.ANTENNA_ID | Selected.PEAK_RSSI)
    )
    boundary = RoBoundary(RoStart(StartTrigger.PERIODIC, Periodic(0, 2000)), RoStop(StopTrigger.NULL))
    return RoSpec(1, 0, RoSpecState.DISABLED, boundary, (ai_spec,), report)


@pytest.mark.foreign
def test_tshark_reads_the_same(tshark: str, tmp_path: Path) -> None:
    messages = [
        *[each for each in VECTORS.values() if not isinstance(each, m.CustomMessage)],
        m.AddRoSpec(a_ro_spec()),
        m.GetRoSpecsResponse(SUCCESS, (a_ro_spec(),)),
        m.SetReaderConfig(events=EventStates((EventState(Notification.GPI, True),)), report=a_ro_spec().report),
        m.ErrorMessage(refusal(Refused(StatusCode.P_MISSING_PARAMETER, "gone", (177, 178)))),
    ]
    frames, sequence = [], 1
    for number, message in enumerate(messages, 1):
        data = encode(message, number)
        segment = TCP(sport=40_000, dport=5084, seq=sequence, flags="PA")
        frames.append(bytes(Ether() / IP(src="10.0.0.2", dst="10.0.0.1") / segment / data))
        sequence += len(data)
    rows = dissect(tshark, tmp_path, frames, "llrp.type", "llrp.id", "llrp.length", "llrp.tlv_type")
    for number, (message, (kind, ident, length, parameters)) in enumerate(zip(messages, rows, strict=True), 1):
        assert (int(kind, 0), int(ident, 0)) == (layout_of(type(message)).number, number)
        assert int(length, 0) == len(encode(message, number))
        assert [int(each, 0) for each in parameters.split(",") if each] == numbers_in(message), message
