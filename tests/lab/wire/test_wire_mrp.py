"""MRP frames survive the wire, nonsense is Malformed, and tshark agrees on every field."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_kit import dissect

from lab.model.address import format_mac
from lab.wire import mrp
from lab.wire.malformed import Malformed
from lab.wire.mrp import LinkChange, Mrp, RingPort, RingState, RingTest, TopologyChange

MAC = bytes.fromhex("021a00000001")
_WORD = st.integers(0, 0xFFFF)
_MAC = st.binary(min_size=6, max_size=6)
_PORT = st.sampled_from(RingPort)
_MESSAGE = st.one_of(
    st.builds(RingTest, _WORD, _MAC, _PORT, st.sampled_from(RingState), _WORD, st.integers(0, 2**32 - 1)),
    st.builds(TopologyChange, _WORD, _MAC, _WORD),
    st.builds(LinkChange, st.booleans(), _MAC, _PORT, _WORD, st.booleans()),
)


@given(st.builds(Mrp, _MESSAGE, _WORD, st.binary(min_size=16, max_size=16)))
def test_a_message_survives_the_wire(message: Mrp) -> None:
    frame = message.encode(MAC)
    assert len(frame) == 60
    assert mrp.decode(frame) == message


@given(st.binary(max_size=80), _MESSAGE)
def test_arbitrary_bytes_are_a_message_or_malformed(
    data: bytes, message: RingTest | TopologyChange | LinkChange
) -> None:
    frame = Mrp(message, 1).encode(MAC)
    for attempt in (data, frame[:16] + data, frame[:18] + data, frame[: len(data)]):
        try:
            mrp.decode(attempt)
        except Malformed:
            pass


def test_blocks_that_nobody_knows_are_passed_over() -> None:
    message = Mrp(TopologyChange(0x8000, MAC, 30), 7)
    frame = message.encode(MAC)
    option = bytes.fromhex("7f04 000ecf 00 0000")
    assert mrp.decode(frame[:16] + option + frame[16:]) == message


@pytest.mark.parametrize(
    "content",
    ["0002 0000", "0001", "0001 0000", "0001 0205 0000", "0001 030a 8000 021a00000001 001e 0000"],
    ids=["other version", "nothing", "no message", "cut off", "no common block"],
)
def test_what_is_incomplete_is_malformed(content: str) -> None:
    with pytest.raises(Malformed):
        mrp.decode(mrp.TEST_GROUP + MAC + b"\x88\xe3" + bytes.fromhex(content))


@pytest.mark.foreign
def test_tshark_agrees_on_every_field(tshark: str, tmp_path: Path) -> None:
    domain = bytes(range(16))
    messages = [
        Mrp(RingTest(0xA000, MAC, RingPort.SECONDARY, RingState.CLOSED, 3, 0x11223344), 77, domain),
        Mrp(TopologyChange(0x8000, MAC, 30), 78, domain),
        Mrp(LinkChange(False, MAC, RingPort.SECONDARY, 20), 79, domain),
        Mrp(LinkChange(True, MAC, RingPort.PRIMARY, 80, False), 80, domain),
    ]
    names = "version sa domain_uuid sequence_id prio port_role ring_state transition time_stamp interval blocked"
    frames = [each.encode(MAC) for each in messages]
    rows = dissect(tshark, tmp_path, frames, *(f"pn_mrp.{name}" for name in names.split()))
    assert [row[:3] for row in rows] == [["1", format_mac(MAC), str(UUID(bytes=domain))]] * 4
    numbers = [[int(each, 0) if each else None for each in row[3:]] for row in rows]
    assert numbers == [
        [77, 0xA000, 1, 1, 3, 0x11223344, None, None],
        [78, 0x8000, None, None, None, None, 30, None],
        [79, None, 1, None, None, None, 20, 1],
        [80, None, 0, None, None, None, 80, 0],
    ]
