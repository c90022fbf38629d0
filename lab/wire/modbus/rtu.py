"""Modbus RTU framing: unit id, PDU and CRC between silences (Modbus over Serial Line V1.02, section 2.5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lab.wire.malformed import Malformed

MAX_ADU: Final = 256
"""Bytes of unit id, PDU and CRC."""
MIN_ADU: Final = 4
BROADCAST: Final = 0
MAX_UNIT: Final = 247
"""248 to 255 are reserved (section 2.2)."""

_POLYNOMIAL: Final = 0xA001
_SLACK: Final = 1e-9
"""Seconds by which sums of times may be wrong."""


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ _POLYNOMIAL if byte & 1 else byte >> 1
    return byte


_TABLE: Final = tuple(map(_table_entry, range(256)))


def crc(data: bytes) -> int:
    """CRC-16 of section 6.2.2; on the wire its low byte comes first."""
    remainder = 0xFFFF
    for byte in data:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ byte) & 0xFF]
    return remainder


@dataclass(frozen=True, slots=True)
class RtuAdu:
    """A request or response as it stands on a serial line; the PDU is not looked into."""

    unit: int
    pdu: bytes

    def encode(self) -> bytes:
        body = bytes((self.unit,)) + self.pdu
        return body + crc(body).to_bytes(2, "little")


def decode_rtu(frame: bytes) -> RtuAdu:
    """Read what stood between two silences; raises Malformed for a wrong length or check sum."""
    if not MIN_ADU <= len(frame) <= MAX_ADU:
        raise Malformed(f"{len(frame)} bytes, a Modbus RTU frame has {MIN_ADU} to {MAX_ADU}")
    body, received = frame[:-2], int.from_bytes(frame[-2:], "little")
    if (right := crc(body)) != received:
        raise Malformed(f"the CRC is {received:#06x} and should be {right:#06x}")
    return RtuAdu(body[0], body[1:])


@dataclass(frozen=True, slots=True)
class Framed:
    """What stood between two silences."""

    data: bytes
    is_whole: bool
    """False where a receiver must throw it away: flawed characters, a gap inside, or too many bytes."""
    ended: float
    """Seconds, when the last character was through."""


def decode_framed(framed: Framed) -> RtuAdu:
    """Read what stood between two silences, if it is whole; raises Malformed."""
    if not framed.is_whole:
        raise Malformed("flawed characters or a gap")
    return decode_rtu(framed.data)


class Framer:
    """Cuts characters into frames at silences of 3.5 characters; a gap of more than 1.5 spoils a frame.

    It knows no clock: the caller says when characters came and, by `finish`, when there was silence.
    """

    def __init__(self, t15: float, t35: float) -> None:
        self._t15 = t15
        self._t35 = t35
        self._data = bytearray()
        self._is_whole = True
        self._is_open = False
        self._ended = 0.0

    def feed(self, data: bytes, began: float, ended: float, *, is_good: bool = True) -> Framed | None:
        """Characters without a gap between them; returns the frame before them where there was silence between."""
        gap = began - self._ended
        before = self.finish() if self._is_open and gap >= self._t35 - _SLACK else None
        if self._is_open and gap > self._t15 + _SLACK:
            self._is_whole = False
        self._is_open = True
        self._is_whole &= is_good
        self._ended = ended
        room = MAX_ADU - len(self._data)
        if len(data) > room:
            self._is_whole = False
        self._data += data[:room]
        return before

    def finish(self) -> Framed | None:
        """There has been silence: the frame that is over, None where there was none."""
        if not self._is_open:
            return None
        framed = Framed(bytes(self._data), self._is_whole, self._ended)
        self._data.clear()
        self._is_whole = True
        self._is_open = False
        return framed
