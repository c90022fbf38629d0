"""Protocol Buffers on the wire: varints, keys and the fields of a message, whatever they mean.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from lab.wire.malformed import Malformed

_LONGEST_VARINT: Final = 10
_FIXED32: Final = struct.Struct("<I")
_FIXED64: Final = struct.Struct("<Q")
_U64: Final = (1 << 64) - 1


class WireType(IntEnum):
    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    FIXED32 = 5


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte, least significant first."""
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def take_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends; raises Malformed."""
    value = 0
    for index in range(_LONGEST_VARINT):
        if at + index >= len(data):
            raise Malformed("the message ends within a varint")
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value > _U64:
                raise Malformed("a varint has more than 64 bits")
            return value, at + index + 1
    raise Malformed("a varint has more than 10 bytes")


def key(field: int, wire_type: WireType) -> bytes:
    return varint(field << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    """A field of type uint32, uint64 or bool."""
    return key(field, WireType.VARINT) + varint(value)


def block(field: int, value: bytes) -> bytes:
    """A field of type string, bytes, or a message within this one."""
    return key(field, WireType.LENGTH) + varint(len(value)) + value


def fields(data: bytes) -> Iterator[tuple[int, WireType, int | bytes]]:
    """Every field in the order of the wire; fixed-width ones as unsigned numbers. Raises Malformed."""
    at = 0
    while at < len(data):
        tag, at = take_varint(data, at)
        field, wire = tag >> 3, tag & 7
        if not 1 <= field < 1 << 29:
            raise Malformed(f"field number {field}, protobuf has 1 to 536870911")
        value: int | bytes
        if wire == WireType.VARINT:
            value, at = take_varint(data, at)
        elif wire == WireType.LENGTH:
            length, at = take_varint(data, at)
            value = data[at : at + length]
            at += length
        elif wire == WireType.FIXED64 and at + 8 <= len(data):
            value = _FIXED64.unpack_from(data, at)[0]
            at += 8
        elif wire == WireType.FIXED32 and at + 4 <= len(data):
            value = _FIXED32.unpack_from(data, at)[0]
            at += 4
        elif wire in (WireType.FIXED64, WireType.FIXED32):
            raise Malformed(f"the message ends within field {field}")
        else:
            # Groups (3 and 4) went out of use before proto2 had a name; 6 and 7 never were.
            raise Malformed(f"wire type {wire} in field {field}")
        if at > len(data):
            raise Malformed(f"field {field} is longer than the message")
        yield field, WireType(wire), value
