"""Bits and 16-bit words between tuples and bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain

WORD = struct.Struct("!H")
PAIR = struct.Struct("!HH")
TRIPLE = struct.Struct("!HHH")

_WORDS = tuple(struct.Struct(f"!{count}H") for count in range(128))
_BITS = tuple(tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256))


def pack_words(values: Sequence[int]) -> bytes:
    return _WORDS[len(values)].pack(*values)


def unpack_words(data: bytes, at: int, count: int) -> tuple[int, ...]:
    """`count` words, at most 127, of `data` from the byte `at`."""
    return _WORDS[count].unpack_from(data, at)


def pack_bits(values: Sequence[bool]) -> bytes:
    """The first value in the least significant bit of the first byte, the last byte filled up with zeros."""
    number = sum(1 << index for index, value in enumerate(values) if value)
    return number.to_bytes((len(values) + 7) // 8, "little")


def unpack_bits(data: bytes) -> tuple[bool, ...]:
    """Eight values for each byte."""
    return tuple(chain.from_iterable(map(_BITS.__getitem__, data)))
