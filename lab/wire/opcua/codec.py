"""Reading and writing the simple built-in types of the OPC UA binary encoding (OPC 10000-6 section 5.2.2).

A structure names its fields' types in annotations, such as `max_age: Double`: `Double` is a float to whoever reads the
message and carries the codec that reads it from the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from lab.wire.malformed import Malformed

T = TypeVar("T")

MAX_DEPTH = 100
"""Levels of nesting that are followed; the standard asks for at least this many."""
MAX_ELEMENTS = 1_000_000
"""Elements in all the arrays of one message."""
_EPOCH_TICKS = 116_444_736_000_000_000  # 100 ns ticks from 1601-01-01 to 1970-01-01


class Reader:
    """The body of one message, read in wire order; raises Malformed or struct.error where it ends too early."""

    __slots__ = ("at", "data", "depth", "elements")

    def __init__(self, data: bytes, depth: int = 0, elements: int = MAX_ELEMENTS) -> None:
        self.data = data
        self.at = 0
        self.depth = depth
        self.elements = elements

    def take(self, size: int) -> bytes:
        start = self.at
        if size > len(self.data) - start:
            raise Malformed(f"{size} bytes are announced where {len(self.data) - start} are left")
        self.at = start + size
        return self.data[start : self.at]

    def length(self) -> int:
        """The length of a string or array: -1 for null, else not above the number of bytes left."""
        length: int = INT32.read(self)
        if length < -1 or length > len(self.data) - self.at:
            raise Malformed(f"a length of {length} where {len(self.data) - self.at} bytes are left")
        return length

    def count(self) -> int:
        """The length of an array, null being empty, taken off the elements one message may have."""
        length = max(self.length(), 0)
        self.elements -= length
        if self.elements < 0:
            raise Malformed(f"a message of more than {MAX_ELEMENTS} elements")
        return length

    def descend(self) -> None:
        """Enter one level of nesting; whoever does comes back by `depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Malformed(f"values are nested more than {MAX_DEPTH} levels deep")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How a type is read from the wire and written to it."""

    read: Callable[[Reader], T]
    write: Callable[[bytearray, T], None]

    def decode(self, data: bytes) -> T:
        """The value that takes up all of these bytes; raises Malformed."""
        return self.read_last(Reader(data))

    def read_last(self, reader: Reader) -> T:
        """The value that takes up the rest of the bytes; raises Malformed."""
        try:
            value = self.read(reader)
        except struct.error:
            raise Malformed("the bytes end early") from None
        if reader.at != len(reader.data):
            raise Malformed(f"{len(reader.data) - reader.at} bytes follow the end")
        return value

    def encode(self, value: T) -> bytes:
        """Its bytes; raises ValueError for what its type cannot hold."""
        out = bytearray()
        try:
            self.write(out, value)
        except struct.error as error:
            raise ValueError(str(error)) from None
        return bytes(out)


def number(code: str) -> Codec[Any]:
    """A number by its format character in `struct`."""
    layout = struct.Struct("<" + code)
    unpack, size = layout.unpack_from, layout.size

    def read(reader: Reader) -> Any:
        at = reader.at
        reader.at = at + size
        return unpack(reader.data, at)[0]

    def write(out: bytearray, value: Any) -> None:
        out += layout.pack(value)

    return Codec(read, write)


def array(element: Codec[T]) -> Codec[tuple[T, ...]]:
    """An array, null being empty."""
    read_one, write_one = element.read, element.write

    def read(reader: Reader) -> tuple[T, ...]:
        return tuple([read_one(reader) for _ in range(reader.count())])

    def write(out: bytearray, values: tuple[T, ...]) -> None:
        INT32.write(out, len(values))
        for value in values:
            write_one(out, value)

    return Codec(read, write)


BOOLEAN = number("?")
SBYTE = number("b")
BYTE = number("B")
INT16 = number("h")
UINT16 = number("H")
INT32 = number("i")
UINT32 = number("I")
INT64 = number("q")
UINT64 = number("Q")
FLOAT = number("f")
DOUBLE = number("d")


def _read_bytes(reader: Reader) -> bytes | None:
    length = reader.length()
    return None if length < 0 else reader.take(length)


def _write_bytes(out: bytearray, value: bytes | None) -> None:
    INT32.write(out, -1 if value is None else len(value))
    out += value or b""


def _read_string(reader: Reader) -> str | None:
    length = reader.length()
    try:
        return None if length < 0 else reader.take(length).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a string is not UTF-8: {error.reason}") from None


def _write_string(out: bytearray, value: str | None) -> None:
    _write_bytes(out, None if value is None else value.encode())


def _read_time(reader: Reader) -> int:
    ticks: int = INT64.read(reader)
    return (ticks - _EPOCH_TICKS) * 100


def _write_time(out: bytearray, value: int) -> None:
    INT64.write(out, value // 100 + _EPOCH_TICKS)


BYTE_STRING = Codec(_read_bytes, _write_bytes)
STRING = Codec(_read_string, _write_string)
DATE_TIME = Codec(_read_time, _write_time)
GUID = Codec(lambda reader: UUID(bytes_le=reader.take(16)), lambda out, value: out.extend(value.bytes_le))

Boolean = Annotated[bool, BOOLEAN]
Byte = Annotated[int, BYTE]
UInt16 = Annotated[int, UINT16]
Int32 = Annotated[int, INT32]
UInt32 = Annotated[int, UINT32]
Double = Annotated[float, DOUBLE]
String = Annotated[str | None, STRING]
"""None is null, which is not the same as empty."""
ByteString = Annotated[bytes | None, BYTE_STRING]
DateTime = Annotated[int, DATE_TIME]
"""Nanoseconds since the Unix epoch, a multiple of 100 on the wire; NO_TIME where none is given."""
Duration = Annotated[float, DOUBLE]
"""In milliseconds."""

NO_TIME = -_EPOCH_TICKS * 100
"""The beginning of 1601, which the encoding has for 'no time'."""
