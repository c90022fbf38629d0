"""TCP conversations come out whole, whatever happened to their segments on the way."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from grading_kit import ACK, FIN, PSH, RST, SYN, Paper, Talk, all_of, observe, only
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.flows import Direction, Flow
from grading.observations import (
    CaptureGap,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionTimedOut,
    MalformedMessage,
    Observation,
    RegistersRead,
    RequestArrived,
    RequestLeft,
)
from lab.wire.modbus import Adu, ReadInputRegisters
from lab.wire.modbus import RegistersRead as Answer

KEY = bytes((10, 0, 0, 1, 10, 0, 0, 2)) + (50_000).to_bytes(2, "big") + (502).to_bytes(2, "big")
REQUEST = Adu(1, 7, ReadInputRegisters(0, 3)).encode()
ANSWER = Adu(1, 7, Answer(4, (10, 20, 30))).encode()


def stream(initial: int = 0) -> tuple[Direction, bytearray, list[Observation]]:
    """A direction whose bytes are collected."""
    told: list[Observation] = []
    flow = Flow(KEY, "h1", 0.0, 1, initial, told.append)
    heard = bytearray()
    flow.from_client.said = lambda data, at, number: heard.extend(data)
    flow.from_client.next = initial
    return flow.from_client, heard, told


@st.composite
def segmented(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, bytes]]]:
    """A stream and segments that cover it: overlapping, repeated, in any order."""
    data = draw(st.binary(min_size=1, max_size=400))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=12))})
    pieces = [(start, data[start:end]) for start, end in pairwise(cuts)]
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(data) - 1))
        pieces.append((start, data[start : start + draw(st.integers(0, 100))]))
    return data, draw(st.permutations(pieces))


@given(segmented(), st.integers(0, 0xFFFF_FFFF))
def test_any_segmentation_repetition_and_order_gives_the_same_stream(
    sent: tuple[bytes, list[tuple[int, bytes]]], initial: int
) -> None:
    data, pieces = sent
    direction, heard, _ = stream(initial)
    for start, piece in pieces:
        direction.take((initial + start) & 0xFFFF_FFFF, piece, 0.0, 1)
    assert bytes(heard) == data
    assert not direction.pending


@given(segmented(), st.integers(0, 0xFFFF_FFFF), st.data())
def test_what_is_missing_is_stepped_over_once_the_receiver_has_acknowledged_it(
    sent: tuple[bytes, list[tuple[int, bytes]]], initial: int, data: st.DataObject
) -> None:
    whole, pieces = sent
    lost = data.draw(st.integers(0, len(pieces) - 1))
    direction, heard, told = stream(initial)
    for index, (start, piece) in enumerate(pieces):
        if index != lost:
            direction.take((initial + start) & 0xFFFF_FFFF, piece, 0.0, 1)
    direction.acknowledged((initial + len(whole)) & 0xFFFF_FFFF, 1.0, 9)
    missing = sum(gap.missing for gap in told if isinstance(gap, CaptureGap))
    assert len(heard) + missing == len(whole)
    assert not direction.pending


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.integers(1, 30), st.booleans())
def test_messages_survive_whatever_happens_to_their_frames(chance: random.Random, step: int, is_direct: bool) -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502, is_direct=is_direct, initial=0xFFFF_FFF0)
    request, answer = REQUEST * 3, ANSWER * 3
    for data, frame, carry in (
        (request, talk.there, talk.forth),
        (answer, talk.back, talk.home),
    ):
        parts = [(at, data[at : at + step]) for at in range(0, len(data), step)]
        parts += chance.sample(parts, len(parts) // 2)
        chance.shuffle(parts)
        for at, part in parts:
            carry(frame(PSH | ACK, part, skip=at, ack=None if data is answer else talk.server_initial + 1))
        if data is request:
            talk.sent += len(data)
    reads = all_of(RegistersRead, observe(paper))
    # Three requests of one transaction: only the last of them can be answered.
    assert [(read.unit, read.address, read.values) for read in reads] == [(7, 0, (10, 20, 30))]


def test_a_conversation_is_told_by_its_hosts_and_frames() -> None:
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    talk.say(REQUEST)
    talk.answer(ANSWER)
    talk.close()
    seen = observe(paper)
    assert [type(each).__name__ for each in seen] == [
        "RequestLeft",
        "RequestArrived",
        "ConnectionOpened",
        "RegistersRead",
        "ConnectionClosed",
    ]
    read = only(RegistersRead, seen)
    assert (read.client, read.server, read.server_address) == ("gw", "plc", "10.0.0.2")
    assert read.frames == (7, 10)  # where gw's cable begins, not where plc's ends
    assert (read.asked_at, read.at) == pytest.approx((70e-6, 100e-6))
    closed = only(ConnectionClosed, seen)
    assert closed.by_client
    assert not closed.was_reset


def test_a_direct_cable_is_both_ends_at_once() -> None:
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502, is_direct=True)
    talk.say(REQUEST)
    talk.answer(ANSWER)
    assert only(RegistersRead, observe(paper)).server == "plc"


def test_a_request_that_arrives_nowhere_has_no_server() -> None:
    paper = Paper()
    talk = paper.talk("h1", "h2", 502)
    paper.up("h1", talk.there(SYN))
    paper.wait(1.0)
    paper.up("h1", talk.there(SYN))
    seen = observe(paper, until=10)
    assert only(RequestLeft, seen).server == ""
    timed_out = only(ConnectionTimedOut, seen)
    assert (timed_out.server, timed_out.attempts) == ("", 2)
    assert timed_out.at == pytest.approx(5.0, abs=0.001)
    assert not all_of(RequestArrived, seen)


def test_time_outs_are_judged_by_frames_alone() -> None:
    paper = Paper("h1", "h2", "h3")
    paper.up("h1", paper.talk("h1", "h2", 502).there(SYN))
    paper.until(5.5)
    paper.ping("h2", "h3")
    assert only(ConnectionTimedOut, observe(paper)).at == pytest.approx(5.0, abs=0.001)


def test_a_refused_connection_has_arrived() -> None:
    paper = Paper()
    talk = paper.talk("h1", "h2", 502)
    talk.forth(talk.there(SYN))
    talk.sent += 1
    talk.home(talk.back(RST | ACK))
    seen = observe(paper, until=20)
    assert only(ConnectionRefused, seen).server == "h2"
    assert not all_of(ConnectionTimedOut, seen)


def test_a_reset_that_does_not_acknowledge_the_syn_is_not_believed() -> None:
    paper = Paper()
    talk = paper.talk("h1", "h2", 502)
    talk.forth(talk.there(SYN))
    talk.home(talk.back(RST | ACK, ack=5))
    assert not all_of(ConnectionRefused, observe(paper))


def test_frames_flooded_to_others_do_not_arrive_at_them() -> None:
    paper = Paper("h1", "h2", "h3")
    talk = paper.talk("h1", "h2", 502)
    paper.up("h1", talk.there(SYN))
    paper.down("h3", talk.there(SYN))
    paper.down("h2", talk.there(SYN))
    assert only(RequestArrived, observe(paper)).server == "h2"


def test_a_gap_in_the_capture_is_said_and_reading_goes_on() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    talk.say(REQUEST)
    lost = len(paper.frames)
    talk.answer(ANSWER)
    talk.say(Adu(2, 7, ReadInputRegisters(0, 3)).encode())
    talk.answer(Adu(2, 7, Answer(4, (1, 2, 3))).encode())
    frames = [frame for frame in paper.frames if not lost < frame.number <= lost + 2]
    seen = observe(paper, frames)
    gap = only(CaptureGap, seen)
    assert (gap.missing, gap.by_client) == (len(ANSWER), False)
    assert only(RegistersRead, seen).values == (1, 2, 3)


def test_a_missing_syn_ack_is_made_up_for_by_what_follows() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    talk.say(REQUEST)
    talk.answer(ANSWER)
    seen = observe(paper, [frame for frame in paper.frames if frame.number not in (3, 4)])
    assert only(ConnectionOpened, seen).server == "h2"
    assert only(RegistersRead, seen).values == (10, 20, 30)


def test_a_conversation_older_than_the_capture_is_picked_up() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    opening = len(paper.frames)
    for _ in range(2):
        talk.say(REQUEST)
        talk.answer(ANSWER)
    seen = observe(paper, paper.frames[opening:])
    assert len(all_of(RegistersRead, seen)) == 2
    assert not all_of(ConnectionOpened, seen)


def test_tagged_and_padded_frames_and_ip_options_are_read_alike() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    start = len(paper.frames)
    talk.say(REQUEST)
    talk.answer(ANSWER)
    tagged = [
        frame if frame.number <= start else frame._replace(data=frame.data[:12] + b"\x81\0\0\x0a" + frame.data[12:])
        for frame in paper.frames
    ]
    assert only(RegistersRead, observe(paper, tagged)).values == (10, 20, 30)


def test_keep_alive_and_zero_window_probes_say_nothing_new() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    talk.say(REQUEST)
    talk.home(talk.back(ACK))
    talk.forth(talk.there(ACK, skip=-1))
    talk.forth(talk.there(ACK, REQUEST[-1:], skip=-1))
    talk.forth(talk.there(ACK, ANSWER[:0]))
    talk.answer(ANSWER)
    # The client's window is closed: the first byte of the next answer goes ahead as a probe, and comes again.
    more = Adu(2, 7, Answer(4, (4, 5, 6))).encode()
    talk.say(Adu(2, 7, ReadInputRegisters(0, 3)).encode())
    talk.home(talk.back(ACK, more[:1]))
    talk.home(talk.back(ACK, more[:1]))
    talk.answer(more)
    seen = observe(paper)
    assert [read.values for read in all_of(RegistersRead, seen)] == [(10, 20, 30), (4, 5, 6)]
    assert not all_of(CaptureGap, seen)
    assert not all_of(MalformedMessage, seen)


def test_a_segment_with_a_wrong_checksum_is_not_evidence() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    good = talk.there(PSH | ACK, REQUEST)
    talk.forth(good[:-1] + bytes((good[-1] ^ 1,)))
    seen = observe(paper)
    assert only(MalformedMessage, seen).protocol == "tcp"
    talk.say(REQUEST)
    talk.answer(ANSWER)
    assert only(RegistersRead, observe(paper)).address == 0


def test_a_forged_end_does_not_make_a_conversation_invisible() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    talk.forth(talk.there(RST, skip=40))  # within the window, but not exact: RFC 5961 has it challenged, not obeyed
    talk.say(REQUEST)
    talk.answer(ANSWER)
    seen = observe(paper)
    assert only(ConnectionClosed, seen).was_reset
    assert only(RegistersRead, seen).values == (10, 20, 30)


def test_the_same_ports_used_again_are_another_connection() -> None:
    paper = Paper()
    first = paper.connect("h1", "h2", 502)
    first.close()
    second = Talk(paper, "h1", "h2", 502, first.own_port, initial=5_000_000)
    second.open()
    second.say(REQUEST)
    second.answer(ANSWER)
    seen = observe(paper)
    assert len(all_of(ConnectionOpened, seen)) == 2
    assert len(all_of(RequestArrived, seen)) == 2
    assert only(RegistersRead, seen).server == "h2"


def test_simultaneous_fins_close_too() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    talk.forth(talk.there(FIN | ACK))
    talk.home(talk.back(FIN | ACK))
    talk.sent += 1
    talk.answered += 1
    talk.forth(talk.there(ACK))
    talk.home(talk.back(ACK))
    assert only(ConnectionClosed, observe(paper)).by_client


def test_a_fin_before_the_last_data_waits_for_it() -> None:
    paper = Paper()
    talk = paper.connect("h1", "h2", 502)
    talk.forth(talk.there(FIN | ACK, skip=len(REQUEST)))
    talk.home(talk.back(FIN | ACK))
    assert not all_of(ConnectionClosed, observe(paper))
    talk.say(REQUEST)
    assert only(ConnectionClosed, observe(paper)).by_client
