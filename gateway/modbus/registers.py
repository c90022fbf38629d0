"""Values in 16-bit registers: every data type in every byte and word order."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Final, Literal, get_args

Value = float | int | bool | str

DataType = Literal["bool", "i16", "u16", "i32", "u32", "f32", "i64", "u64", "f64", "string", "bytes"]
DATA_TYPES: tuple[DataType, ...] = get_args(DataType)
TEXTS: Final = ("string", "bytes")
WHOLE: Final = ("i16", "u16", "i32", "u32", "i64", "u64")

Order = Literal[
    "AB", "BA",
    "ABCD", "CDAB", "BADC", "DCBA",
    "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA",
    "EFGHABCD", "CDABGHEF", "FEHGBADC", "DCBAHGFE",
]  # fmt: skip
"""A is the most significant byte; the letters stand in the order in which the bytes travel."""
ORDERS: tuple[Order, ...] = get_args(Order)

DeviceOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
"""What a whole device does: whether it swaps the bytes of each register, and whether it reverses the registers."""

Encoding = Literal["hex", "base64", "utf-8", "ascii", "gbk", "latin-1"]
"""How bytes are written down, or how a string is."""
ENCODINGS: Final[dict[str, tuple[Encoding, ...]]] = {
    "string": ("utf-8", "ascii", "gbk", "latin-1"),
    "bytes": ("hex", "base64"),
}

FORMATS: Final = {
    "i16": "h", "u16": "H",
    "i32": "i", "u32": "I", "f32": "f",
    "i64": "q", "u64": "Q", "f64": "d",
}  # fmt: skip
_OF_A_DEVICE: Final[dict[str, tuple[Order, Order, Order]]] = {
    "ABCD": ("AB", "ABCD", "ABCDEFGH"),
    "CDAB": ("AB", "CDAB", "GHEFCDAB"),
    "BADC": ("BA", "BADC", "BADCFEHG"),
    "DCBA": ("BA", "DCBA", "HGFEDCBA"),
}


def width(kind: DataType, length: int = 0) -> int:
    """Registers a value takes; `length` is that of a string, in bytes."""
    if kind in TEXTS:
        return (length + 1) // 2
    return 1 if kind == "bool" else struct.calcsize(f">{FORMATS[kind]}") // 2


def orders_of(kind: DataType) -> tuple[Order, ...]:
    """The orders in which this type can stand; a string has one per register, as its words are never reversed."""
    size = 2 if kind in TEXTS else 2 * width(kind)
    return tuple(order for order in ORDERS if len(order) == size)


def order_on(device: DeviceOrder, kind: DataType) -> Order:
    """The order this type has on a device that keeps to one."""
    size = 1 if kind in TEXTS else width(kind)
    return _OF_A_DEVICE[device][(1, 2, 4).index(size)]


def decode(
    kind: DataType,
    order: Order,
    registers: Sequence[int],
    *,
    bit: int = 0,
    length: int = 0,
    encoding: Encoding | None = None,
) -> Value:
    """The value in these registers; a bool is one bit of its register, 0 being the least significant."""
    data = in_order(order, struct.pack(f">{len(registers)}H", *registers))
    if kind == "bool":
        return bool(int.from_bytes(data, "big") >> bit & 1)
    if kind in TEXTS:
        return text_of(kind, data[: length or None], encoding)
    value: Value = struct.unpack(f">{FORMATS[kind]}", data)[0]
    return value


def encode(
    kind: DataType, order: Order, value: Value, *, bit: int = 0, length: int = 0, encoding: Encoding | None = None
) -> list[int]:
    """The registers that hold a value; raises ValueError where it does not fit."""
    if kind == "bool":
        data = (int(bool(value)) << bit).to_bytes(2, "big")
    elif kind in TEXTS:
        data = _bytes_of(kind, str(value), encoding)
        if len(data) > length:
            raise ValueError(f"{value!r} is longer than {length} bytes")
        data = data.ljust(2 * width(kind, length), b"\0")
    else:
        try:
            data = struct.pack(f">{FORMATS[kind]}", value)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{value!r} does not fit {kind}: {error}") from None
    # Each order is its own inverse.
    data = in_order(order, data)
    return list(struct.unpack(f">{len(data) // 2}H", data))


def bits_of(raw: int, start: int, length: int, *, signed: bool) -> int:
    """A field of bits in a whole number, 0 being the least significant bit."""
    field = raw >> start & (1 << length) - 1
    return field - (1 << length) if signed and field >> length - 1 else field


def text_of(kind: DataType, data: bytes, encoding: Encoding | None) -> str:
    """Bytes as text: a string up to its first zero and without trailing blanks, or all of them in hex or base64."""
    if kind == "bytes":
        return base64.b64encode(data).decode() if encoding == "base64" else data.hex()
    return data.split(b"\0", 1)[0].decode(encoding or "utf-8", "replace").rstrip()


def _bytes_of(kind: DataType, text: str, encoding: Encoding | None) -> bytes:
    """The inverse; raises ValueError."""
    if kind == "string":
        return text.encode(encoding or "utf-8")
    try:
        return base64.b64decode(text, validate=True) if encoding == "base64" else bytes.fromhex(text)
    except (binascii.Error, ValueError):
        raise ValueError(f"{text!r} is no {encoding or 'hex'}") from None


def in_order(order: Order, data: bytes) -> bytes:
    """Bytes as they travelled, most significant first; text is put in order register by register."""
    if len(order) == 2:
        return data if order == "AB" else swapped(data)
    return bytes(data[place] for place in _PLACES[order])


def swapped(data: bytes) -> bytes:
    """The two bytes of each register the other way round."""
    both = bytearray(len(data))
    both[0::2], both[1::2] = data[1::2], data[0::2]
    return bytes(both)


_PLACES: Final = {order: tuple(order.index(letter) for letter in sorted(order)) for order in ORDERS}
