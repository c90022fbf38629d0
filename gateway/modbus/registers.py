"""Values in 16-bit registers: every data type in every byte and word order."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, get_args

Value = float | int | bool | str

DataType = Literal["bool", "i16", "u16", "i32", "u32", "f32", "i64", "u64", "f64", "string"]
DATA_TYPES: tuple[DataType, ...] = get_args(DataType)

Order = Literal[
    "AB", "BA",
    "ABCD", "CDAB", "BADC", "DCBA",
    "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA",
]  # fmt: skip
"""A is the most significant byte; the letters stand in the order in which the bytes travel."""
ORDERS: tuple[Order, ...] = get_args(Order)

_FORMATS = {
    "i16": ">h", "u16": ">H",
    "i32": ">i", "u32": ">I", "f32": ">f",
    "i64": ">q", "u64": ">Q", "f64": ">d",
}  # fmt: skip
_BYTES_SWAPPED = {"BA", "BADC", "DCBA", "BADCFEHG", "HGFEDCBA"}
_WORDS_REVERSED = {"CDAB", "DCBA", "GHEFCDAB", "HGFEDCBA"}


def width(kind: DataType, length: int = 0) -> int:
    """Registers a value takes; `length` is that of a string, in bytes."""
    if kind == "string":
        return (length + 1) // 2
    return 1 if kind == "bool" else struct.calcsize(_FORMATS[kind]) // 2


def orders_of(kind: DataType) -> tuple[Order, ...]:
    """The orders in which this type can stand; a string has one per register, as its words are never reversed."""
    size = 2 if kind == "string" else 2 * width(kind)
    return tuple(order for order in ORDERS if len(order) == size)


def decode(kind: DataType, order: Order, registers: Sequence[int], *, bit: int = 0) -> Value:
    """The value in these registers; a bool is one bit of its register, 0 being the least significant."""
    data = _in_order(order, registers)
    if kind == "bool":
        return bool(int.from_bytes(data, "big") >> bit & 1)
    if kind == "string":
        return data.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()
    value: Value = struct.unpack(_FORMATS[kind], data)[0]
    return value


def encode(kind: DataType, order: Order, value: Value, *, bit: int = 0, length: int = 0) -> list[int]:
    """The registers that hold a value; raises ValueError where it does not fit."""
    if kind == "bool":
        data = (int(bool(value)) << bit).to_bytes(2, "big")
    elif kind == "string":
        data = str(value).encode()
        if len(data) > length:
            raise ValueError(f"{value!r} is longer than {length} bytes")
        data = data.ljust(2 * width(kind, length), b"\0")
    else:
        try:
            data = struct.pack(_FORMATS[kind], value)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{value!r} does not fit {kind}: {error}") from None
    registers = [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]
    # Each order is its own inverse.
    swapped = _in_order(order, registers)
    return [swapped[i] << 8 | swapped[i + 1] for i in range(0, len(swapped), 2)]


def _in_order(order: Order, registers: Sequence[int]) -> bytes:
    words = reversed(registers) if order in _WORDS_REVERSED else registers
    endian: Literal["little", "big"] = "little" if order in _BYTES_SWAPPED else "big"
    return b"".join(word.to_bytes(2, endian) for word in words)
