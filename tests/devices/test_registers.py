"""Numbers laid over registers read back as a perfect reader would read them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.registers import WORD_ORDERS, Registers, WordOrder

PI = struct.unpack("!f", bytes.fromhex("40490fdb"))[0]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", (0x4049, 0x0FDB)),
        ("CDAB", (0x0FDB, 0x4049)),
        ("BADC", (0x4940, 0xDB0F)),
        ("DCBA", (0xDB0F, 0x4940)),
    ],
)
def test_an_f32_lies_in_the_registers_in_its_word_order(order: WordOrder, words: tuple[int, int]) -> None:
    table = Registers().holding_registers
    number = table.number(10, "f32", order=order)
    number.write(PI)
    assert (table.values[10], table.values[11]) == words
    assert number.read() == PI


@given(st.integers(-0x8000, 0x7FFF), st.sampled_from([1.0, 0.1, 0.01]))
def test_a_scaled_i16_reads_back_as_the_nearest_step(raw: int, scale: float) -> None:
    table = Registers().input_registers
    number = table.number(0, "i16", scale)
    number.write(raw * scale + 0.4 * scale)
    assert table.values[0] == raw & 0xFFFF
    assert number.read() == pytest.approx(raw * scale)


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(WORD_ORDERS))
def test_a_u32_survives_every_word_order(value: int, order: WordOrder) -> None:
    number = Registers().input_registers.number(4, "u32", order=order)
    number.write(value)
    assert number.read() == value


def test_seven_tenths_read_as_seven_tenths() -> None:
    number = Registers().input_registers.number(0, "i16", 0.1)
    number.write(0.7)
    assert number.read() == 0.7


@pytest.mark.parametrize(("value", "raw"), [(1e9, 0x7FFF), (-1e9, 0x8000)])
def test_what_a_register_cannot_hold_stays_at_its_end(value: float, raw: int) -> None:
    table = Registers().input_registers
    table.number(0, "i16", 0.1).write(value)
    assert table.values[0] == raw


def test_two_variables_do_not_share_a_register() -> None:
    table = Registers().holding_registers
    table.number(2, "f32")
    with pytest.raises(ValueError, match="address 3 is taken"):
        table.number(3, "u16")


def test_there_is_no_address_beyond_65535() -> None:
    with pytest.raises(ValueError, match="65536"):
        Registers().holding_registers.number(0xFFFF, "u32")
