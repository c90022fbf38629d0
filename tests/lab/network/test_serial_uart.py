"""A receiver with the sender's settings gets every character; with others it gets what a real one would."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lab.network.serial.line import BAUDS, LineSettings
from lab.network.serial.uart import Character, disturbed, inverted, levels, sample

SETTINGS = st.builds(
    LineSettings,
    baud=st.sampled_from(BAUDS),
    data_bits=st.sampled_from((7, 8)),
    parity=st.sampled_from(("none", "even", "odd")),
    stop_bits=st.sampled_from((1, 2)),
)


def received(data: bytes, sender: LineSettings, receiver: LineSettings) -> list[Character]:
    return list(sample(levels(data, sender), sender, receiver))


@given(st.binary(max_size=40), SETTINGS)
def test_with_the_same_settings_nothing_is_lost(data: bytes, settings: LineSettings) -> None:
    seven = bytes(byte & (1 << settings.data_bits) - 1 for byte in data)
    characters = received(seven, settings, settings)
    assert bytes(each.value for each in characters) == seven
    assert all(each.is_good for each in characters)


@given(st.binary(min_size=1, max_size=40), SETTINGS, SETTINGS)
def test_whatever_the_settings_a_receiver_comes_to_an_end(
    data: bytes, sender: LineSettings, receiver: LineSettings
) -> None:
    characters = received(data, sender, receiver)
    assert all(before.ended <= after.began + 0.5 / receiver.baud for before, after in pairwise(characters))
    assert all(0 <= each.value < 1 << receiver.data_bits for each in characters)


def test_one_stop_bit_is_enough_for_a_receiver_that_expects_two() -> None:
    one, two = LineSettings(parity="none"), LineSettings(parity="none", stop_bits=2)
    assert one.understands(two)
    assert two.understands(one)
    assert [each.value for each in received(b"\x01\xff\x00", one, two)] == [1, 255, 0]


def test_a_wrong_parity_shows_in_each_character_that_has_the_wrong_bit() -> None:
    even, odd = LineSettings(parity="even"), LineSettings(parity="odd")
    characters = received(b"\x01\x03", even, odd)
    assert [each.value for each in characters] == [1, 3]
    assert not any(each.is_good for each in characters)


def test_without_parity_the_parity_bit_is_taken_for_the_stop_bit() -> None:
    even, none = LineSettings(parity="even"), LineSettings(parity="none")
    # 0x01 has an odd number of ones, so its parity bit is 1 like a stop bit; that of 0x03 is 0.
    assert [each.is_good for each in received(b"\x01\x03", even, none)] == [True, False]


def test_at_twice_the_speed_every_bit_is_taken_for_two() -> None:
    slow, fast = LineSettings(baud=9600, parity="none"), LineSettings(baud=19200, parity="none")
    # Sent: 0 11111111 1; sampled in halves of bits: start 0, then 0 and seven ones.
    assert received(b"\xff", slow, fast)[0].value == 0xFE


def test_swapped_wires_turn_characters_into_garbage() -> None:
    settings = LineSettings()
    data = bytes.fromhex("0103000000018e0a")
    characters = list(sample(inverted(levels(data, settings)), settings, settings))
    assert bytes(each.value for each in characters) != data
    assert not all(each.is_good for each in characters)


def test_one_bit_turned_over_is_found_by_parity() -> None:
    settings = LineSettings(parity="even")
    line = disturbed(levels(b"abc", settings), [1 + 11 + 3])
    assert [each.is_good for each in sample(line, settings, settings)] == [True, False, True]


@pytest.mark.parametrize(
    ("settings", "bits", "t35"),
    [
        ({"baud": 9600, "parity": "even"}, 11, 3.5 * 11 / 9600),
        ({"baud": 19200, "parity": "N"}, 10, 3.5 * 10 / 19200),
        ({"baud": 19200, "parity": "N", "stop_bits": 2}, 11, 3.5 * 11 / 19200),
        ({"baud": 38400, "parity": "E"}, 11, 0.00175),
        ({"baud": 115200, "parity": "O"}, 11, 0.00175),
    ],
)
def test_times_follow_the_serial_line_specification(settings: dict[str, object], bits: int, t35: float) -> None:
    line = LineSettings.model_validate(settings)
    assert line.bits_per_character == bits
    assert line.t35 == pytest.approx(t35)


def test_settings_are_said_as_people_say_them() -> None:
    assert str(LineSettings()) == "9600 8E1"


@pytest.mark.parametrize("wrong", [{"baud": 9601}, {"parity": "maybe"}, {"data_bits": 9}, {"stop_bits": 0}])
def test_settings_that_no_port_has_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LineSettings.model_validate(wrong)
