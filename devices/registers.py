"""The memory a Modbus device shows: four tables of addresses, and variables laid over them.

An address exists because a variable was put there; everything else is an illegal data address, as in a real map with
holes in it.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, Literal, get_args

from lab.network.appliance import Value

WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
"""How the bytes of a 32-bit number, A the most significant, follow one another on the wire."""
WORD_ORDERS: Final[tuple[WordOrder, ...]] = get_args(WordOrder)
Form = Literal["u16", "i16", "u32", "i32", "f32"]

_FORMS: Final = {form: struct.Struct(f"!{code}") for form, code in zip(get_args(Form), "HhIif", strict=True)}
_LIMITS: Final = {"u16": (0, 0xFFFF), "i16": (-0x8000, 0x7FFF), "u32": (0, 0xFFFFFFFF), "i32": (-(2**31), 2**31 - 1)}
_LARGEST: Final = (2 - 2**-23) * 2.0**127
"""Of the finite numbers an f32 can be."""
_WORD: Final = struct.Struct("!H")
_PAIR: Final = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Number:
    """A number in one or two registers; `scale` is what one step of an integer is worth."""

    words: dict[int, int]
    address: int
    form: Form
    scale: float = 1.0
    order: WordOrder = "ABCD"

    def write(self, value: Value) -> None:
        """Show a value in engineering units, rounded to the step and held within the range of the form."""
        assert not isinstance(value, str)
        if self.form == "f32":
            data = _FORMS["f32"].pack(min(max(value, -_LARGEST), _LARGEST) if isfinite(value) else value)
        else:
            low, high = _LIMITS[self.form]
            data = _FORMS[self.form].pack(round(min(max(value / self.scale, low), high)))
        if len(data) == 2:
            (self.words[self.address],) = _WORD.unpack(data)
        else:
            self.words[self.address], self.words[self.address + 1] = _PAIR.unpack(_reordered(data, self.order))

    def read(self) -> Value:
        """The value a reader of the registers gets when he makes no mistake."""
        if self.form in ("u16", "i16"):
            data = _WORD.pack(self.words[self.address])
        else:
            data = _reordered(_PAIR.pack(self.words[self.address], self.words[self.address + 1]), self.order)
        raw: float = _FORMS[self.form].unpack(data)[0]
        if self.form == "f32" or self.scale == 1.0:
            return raw
        return round(raw * self.scale, 9)  # 7 × 0.1 is 0.7 and not 0.7000000000000001


@dataclass(frozen=True, slots=True)
class Bit:
    """A coil or discrete input."""

    bits: dict[int, bool]
    address: int

    def write(self, value: Value) -> None:
        self.bits[self.address] = bool(value)

    def read(self) -> Value:
        return self.bits[self.address]


@dataclass(frozen=True, slots=True)
class Flag:
    """One bit of a register, 0 the least significant."""

    words: dict[int, int]
    address: int
    bit: int

    def write(self, value: Value) -> None:
        mask = 1 << self.bit
        self.words[self.address] = self.words[self.address] & ~mask | mask * bool(value)

    def read(self) -> Value:
        return bool(self.words[self.address] >> self.bit & 1)


Variable = Number | Bit | Flag


def width(form: Form) -> int:
    """Registers that a number takes."""
    return _FORMS[form].size // 2


@dataclass(slots=True)
class BitTable:
    """Coils or discrete inputs."""

    values: dict[int, bool] = field(default_factory=dict)
    writable: set[int] = field(default_factory=set)
    """Addresses a client may write."""

    def bit(self, address: int, *, writable: bool = False) -> Bit:
        """Lay a variable over one bit; raises ValueError where there is one already."""
        _claim(self.values, self.writable, range(address, address + 1), writable)
        self.values[address] = False
        return Bit(self.values, address)


@dataclass(slots=True)
class WordTable:
    """Holding or input registers."""

    values: dict[int, int] = field(default_factory=dict)
    writable: set[int] = field(default_factory=set)
    """Addresses a client may write."""
    limits: dict[int, Container[int]] = field(default_factory=dict)
    """What a client may write there, where the device takes not just anything."""
    flags: dict[int, set[int]] = field(default_factory=dict)
    """Bits that have variables, by the address of their register."""

    def number(
        self, address: int, form: Form, scale: float = 1.0, order: WordOrder = "ABCD", *, writable: bool = False
    ) -> Number:
        """Lay a variable over one or two registers; raises ValueError where there is one already."""
        span = range(address, address + width(form))
        _claim(self.values, self.writable, span, writable)
        self.values.update(dict.fromkeys(span, 0))
        return Number(self.values, address, form, scale, order)

    def flag(self, address: int, bit: int, *, writable: bool = False) -> Flag:
        """Lay a variable over one bit of a register, which it may share with other bits only; raises ValueError."""
        if address not in self.flags:
            _claim(self.values, self.writable, range(address, address + 1), writable)
            self.values[address] = 0
        elif bit in self.flags[address]:
            raise ValueError(f"bit {bit} of address {address} is taken")
        elif writable is not (address in self.writable):
            raise ValueError(f"the bits of address {address} are not alike writable")
        self.flags.setdefault(address, set()).add(bit)
        return Flag(self.values, address, bit)


@dataclass(slots=True)
class Registers:
    """The four tables of one device."""

    coils: BitTable = field(default_factory=BitTable)
    discrete_inputs: BitTable = field(default_factory=BitTable)
    holding_registers: WordTable = field(default_factory=WordTable)
    input_registers: WordTable = field(default_factory=WordTable)


def _claim(values: dict[int, int] | dict[int, bool], writables: set[int], span: range, writable: bool) -> None:
    for address in span:
        if address in values:
            raise ValueError(f"address {address} is taken")
        if not 0 <= address <= 0xFFFF:
            raise ValueError(f"address {address} is not within 0 to 65535")
    if writable:
        writables.update(span)


def _reordered(data: bytes, order: WordOrder) -> bytes:
    """Four bytes from ABCD to `order`, or back: each of the four orders undoes itself."""
    match order:
        case "ABCD":
            return data
        case "CDAB":
            return data[2:] + data[:2]
        case "BADC":
            return bytes((data[1], data[0], data[3], data[2]))
        case "DCBA":
            return data[::-1]
