"""Modbus RTU frames: check sums, and where one ends and the next begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from lab.wire.malformed import Malformed
from lab.wire.modbus.rtu import MAX_ADU, Framed, Framer, RtuAdu, crc, decode_framed, decode_rtu

ADUS = st.builds(RtuAdu, st.integers(0, 255), st.binary(min_size=1, max_size=253))
T15, T35 = 0.0017, 0.004
CHARACTER = 11 / 9600


def test_the_example_of_the_specification() -> None:
    # Modbus over Serial Line V1.02, section 6.2.2: 02 07 gives 0x1241, low byte first.
    assert crc(bytes.fromhex("0207")) == 0x1241
    assert RtuAdu(2, b"\x07").encode() == bytes.fromhex("02074112")


@given(st.binary(max_size=300))
def test_the_check_sum_is_the_one_that_others_compute(data: bytes) -> None:
    # pymodbus holds the two bytes in the order of the wire.
    assert crc(data).to_bytes(2, "little") == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@given(ADUS)
def test_what_is_encoded_can_be_read(adu: RtuAdu) -> None:
    assert decode_rtu(adu.encode()) == adu


@given(ADUS, st.data())
def test_one_wrong_bit_is_found(adu: RtuAdu, data: st.DataObject) -> None:
    frame = bytearray(adu.encode())
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed, match="CRC"):
        decode_rtu(bytes(frame))


@given(ADUS, st.booleans())
def test_a_frame_that_is_not_whole_is_malformed_however_right_it_looks(adu: RtuAdu, is_whole: bool) -> None:
    framed = Framed(adu.encode(), is_whole, 0.0)
    if is_whole:
        assert decode_framed(framed) == adu
    else:
        with pytest.raises(Malformed, match="gap"):
            decode_framed(framed)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_frame_or_malformed(data: bytes) -> None:
    try:
        assert decode_rtu(data).encode() == data
    except Malformed:
        return


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), min_size=1, max_size=6), st.data()
)
def test_frames_are_cut_at_silences_however_their_characters_come(
    frames: list[list[bytes]], data: st.DataObject
) -> None:
    framer, at, out = Framer(T15, T35), 0.0, list[Framed]()
    for bursts in frames:
        at += T35 + data.draw(st.floats(0, 1))
        for burst in bursts:
            began, at = at, at + len(burst) * CHARACTER
            framed = framer.feed(burst, began, at)
            if framed is not None:
                out.append(framed)
            at += data.draw(st.sampled_from((0.0, T15)))
    last = framer.finish()
    assert last is not None
    assert [framed.data for framed in [*out, last]] == [b"".join(bursts) for bursts in frames]
    assert all(framed.is_whole for framed in out)
    assert framer.finish() is None


def test_a_gap_inside_spoils_a_frame_and_the_next_is_good_again() -> None:
    framer = Framer(T15, T35)
    framer.feed(b"ab", 0.0, 0.002)
    framer.feed(b"cd", 0.002 + 2 * T15, 0.008)
    spoiled = framer.feed(b"next", 0.1, 0.104)
    assert spoiled == Framed(b"abcd", False, 0.008)
    assert framer.finish() == Framed(b"next", True, 0.104)


def test_a_flawed_character_spoils_a_frame() -> None:
    framer = Framer(T15, T35)
    framer.feed(b"ab", 0.0, 0.002, is_good=False)
    framer.feed(b"cd", 0.002, 0.004)
    assert framer.finish() == Framed(b"abcd", False, 0.004)


def test_who_never_pauses_fills_no_memory() -> None:
    framer = Framer(T15, T35)
    for number in range(1000):
        assert framer.feed(b"x" * 10, number * 0.01, number * 0.01 + 0.01) is None
    framed = framer.finish()
    assert framed is not None
    assert (len(framed.data), framed.is_whole) == (MAX_ADU, False)
