"""The simple fields of LLRP's binary encoding (LLRP 1.0.1 section 15): big-endian, bits from the top.

A field names its type in its annotation, such as `period: U32`: to whoever reads the message it is an int, and it
carries the codec that reads it from the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Annotated, Any, Final, Generic, TypeVar

from lab.wire.llrp.status import Refused, StatusCode

T = TypeVar("T")

_U16: Final = struct.Struct("!H")


class Reader:
    """The inside of one message or parameter, read in wire order."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise Refused(StatusCode.P_FIELD_ERROR, f"{size} bytes are announced where {self.left} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def count(self) -> int:
        count: int = _U16.unpack(self.take(2))[0]
        return count


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How a field is read from the wire and written to it."""

    read: Callable[[Reader], T]
    write: Callable[[T], bytes]


@dataclass(frozen=True, slots=True)
class Bits:
    """A string of bits; those that fill up the last byte are zero."""

    count: int
    data: bytes

    @staticmethod
    def of(data: bytes) -> Bits:
        """Whole bytes."""
        return Bits(8 * len(data), data)


def number(code: str) -> Codec[int]:
    """An integer by its format character in `struct`."""
    layout = struct.Struct("!" + code)
    return Codec(lambda reader: int(layout.unpack(reader.take(layout.size))[0]), layout.pack)


def numbers(code: str) -> Codec[tuple[int, ...]]:
    """A list of integers with their number in front."""
    size = struct.calcsize("!" + code)

    def read(reader: Reader) -> tuple[int, ...]:
        count = reader.count()
        return struct.unpack(f"!{count}{code}", reader.take(count * size))

    def write(values: tuple[int, ...]) -> bytes:
        return struct.pack(f"!H{len(values)}{code}", len(values), *values)

    return Codec(read, write)


def top(bits: int) -> Codec[int]:
    """A number in the upper bits of a byte, the lower ones reserved."""
    shift = 8 - bits

    def write(value: int) -> bytes:
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{value} has more than {bits} bits")
        return bytes((value << shift,))

    return Codec(lambda reader: reader.take(1)[0] >> shift, write)


def fixed(size: int) -> Codec[bytes]:
    """So many bytes."""

    def write(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"{len(value)} bytes where {size} are wanted")
        return value

    return Codec(lambda reader: reader.take(size), write)


def one_of(kind: type[IntEnum], codec: Codec[int]) -> Codec[IntEnum]:
    """A number that has a name; any other is an error of its field."""

    def read(reader: Reader) -> IntEnum:
        value = codec.read(reader)
        try:
            return kind(value)
        except ValueError:
            raise Refused(StatusCode.P_FIELD_ERROR, f"{value} is no {kind.__name__}") from None

    return Codec(read, codec.write)


def some_of(kind: type[IntFlag], codec: Codec[int]) -> Codec[IntFlag]:
    """Bits that have names; the others are reserved and not looked at."""
    known = 0
    for flag in kind:
        known |= flag
    return Codec(lambda reader: kind(codec.read(reader) & known), codec.write)


def _read_text(reader: Reader) -> str:
    try:
        return reader.take(reader.count()).decode()
    except UnicodeDecodeError as error:
        raise Refused(StatusCode.P_FIELD_ERROR, f"a text is not UTF-8: {error.reason}") from None


def _write_text(value: str) -> bytes:
    return _write_bytes(value.encode())


def _write_bytes(value: bytes) -> bytes:
    return _U16.pack(len(value)) + value


def _read_bits(reader: Reader) -> Bits:
    count = reader.count()
    data = reader.take((count + 7) // 8)
    spare = -count % 8
    if spare:
        data = data[:-1] + bytes((data[-1] >> spare << spare,))
    return Bits(count, data)


def _write_bits(value: Bits) -> bytes:
    if len(value.data) != (value.count + 7) // 8:
        raise ValueError(f"{value.count} bits are not {len(value.data)} bytes")
    return _U16.pack(value.count) + value.data


_FLAG = top(1)

U8 = Annotated[int, number("B")]
U16 = Annotated[int, number("H")]
U32 = Annotated[int, number("I")]
U64 = Annotated[int, number("Q")]
S8 = Annotated[int, number("b")]
S16 = Annotated[int, number("h")]
Top2 = Annotated[int, top(2)]
Flag = Annotated[bool, Codec(lambda reader: bool(_FLAG.read(reader)), _FLAG.write)]
Utf8 = Annotated[str, Codec(_read_text, _write_text)]
U8s = Annotated[bytes, Codec(lambda reader: reader.take(reader.count()), _write_bytes)]
U16s = Annotated[tuple[int, ...], numbers("H")]
U32s = Annotated[tuple[int, ...], numbers("I")]
BitString = Annotated[Bits, Codec(_read_bits, _write_bits)]
Epc96 = Annotated[bytes, fixed(12)]
Rest = Annotated[bytes, Codec(lambda reader: reader.take(reader.left), bytes)]


def codec_of(base: Any, codec: Codec[Any]) -> Codec[Any]:
    """The codec of a field `Annotated[base, codec]`."""
    if isinstance(base, type) and issubclass(base, IntFlag):
        return some_of(base, codec)
    if isinstance(base, type) and issubclass(base, IntEnum):
        return one_of(base, codec)
    return codec
