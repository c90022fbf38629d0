"""NTP packets (RFC 5905 section 7.3), without extension fields and authentication."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from lab.wire.malformed import Malformed

PORT = 123
UNSYNCHRONISED_STRATUM = 16
_PACKET = struct.Struct("!BBbbiI4sQQQQ")
_ERA_SECONDS = 2_208_988_800
"""From 1900, where NTP's era 0 begins, to the Unix epoch."""
_NS = 1_000_000_000


class Leap(IntEnum):
    NONE = 0
    LONG_MINUTE = 1
    SHORT_MINUTE = 2
    UNSYNCHRONISED = 3


class Mode(IntEnum):
    SYMMETRIC_ACTIVE = 1
    SYMMETRIC_PASSIVE = 2
    CLIENT = 3
    SERVER = 4
    BROADCAST = 5
    CONTROL = 6
    PRIVATE = 7


@dataclass(frozen=True, slots=True)
class Ntp:
    """One packet; timestamps are NTP's 64 bits (seconds since 1900 and their fraction), 0 for none."""

    mode: int
    leap: Leap = Leap.NONE
    stratum: int = 0
    """0 on the wire means unspecified, or a kiss-o'-death."""
    poll: int = 6
    """log2 of seconds"""
    precision: int = -20
    """log2 of seconds"""
    root_delay: float = 0.0
    """Seconds, as the next"""
    root_dispersion: float = 0.0
    reference_id: bytes = bytes(4)
    """Four letters at stratum 0 and 1, else the server's IPv4 address."""
    reference: int = 0
    origin: int = 0
    """The client's transmit timestamp, which a reply carries back."""
    receive: int = 0
    transmit: int = 0
    version: int = 4

    def encode(self) -> bytes:
        return _PACKET.pack(
            self.leap << 6 | self.version << 3 | self.mode,
            self.stratum,
            self.poll,
            self.precision,
            round(self.root_delay * 65536),
            round(self.root_dispersion * 65536),
            self.reference_id,
            self.reference,
            self.origin,
            self.receive,
            self.transmit,
        )

    def __str__(self) -> str:
        return f"NTP {'reply' if self.mode == Mode.SERVER else 'request'}, stratum {self.stratum}"


def decode(data: bytes) -> Ntp:
    """A packet from a UDP payload, whatever follows its 48 bytes left out; raises Malformed."""
    if len(data) < _PACKET.size:
        raise Malformed(f"an NTP packet has at least 48 bytes, here are {len(data)}")
    first, stratum, poll, precision, delay, dispersion, reference_id, *times = _PACKET.unpack_from(data)
    version = first >> 3 & 7
    if not 1 <= version <= 4:
        raise Malformed(f"NTP version {version}")
    return Ntp(
        first & 7,
        Leap(first >> 6),
        stratum,
        poll,
        precision,
        delay / 65536,
        dispersion / 65536,
        reference_id,
        times[0],
        times[1],
        times[2],
        times[3],
        version,
    )


def stamp(unix_ns: int) -> int:
    """NTP's 64 bits for nanoseconds since the Unix epoch; eras follow one another every 136 years."""
    seconds, rest = divmod(unix_ns, _NS)
    return (seconds + _ERA_SECONDS & 0xFFFFFFFF) << 32 | (rest << 32) // _NS


def difference(later: int, earlier: int) -> float:
    """Seconds between two timestamps less than 68 years apart, whatever their eras (RFC 5905 section 6)."""
    return ((later - earlier + (1 << 63) & (1 << 64) - 1) - (1 << 63)) / (1 << 32)
