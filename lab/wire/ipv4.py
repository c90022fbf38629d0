"""IPv4 datagrams and their fragments (RFC 791, RFC 815)."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from lab.wire.checksum import checksum, is_intact
from lab.wire.malformed import Malformed

HEADER = struct.Struct("!BBHHHBBH4s4s")
ICMP, TCP, UDP = 1, 6, 17
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000
MAX_LENGTH = 0xFFFF


@dataclass(frozen=True, slots=True)
class IPv4:
    """One datagram or fragment."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    ttl: int = 64
    identification: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    offset: int = 0
    """Of this fragment in its datagram, in bytes; a multiple of 8."""
    tos: int = 0
    options: bytes = b""
    """A multiple of 4 bytes, at most 40."""

    def encode(self) -> bytes:
        size = HEADER.size + len(self.options)
        flags = self.dont_fragment << 14 | self.more_fragments << 13 | self.offset >> 3
        header = HEADER.pack(
            0x40 | size >> 2,
            self.tos,
            size + len(self.payload),
            self.identification,
            flags,
            self.ttl,
            self.protocol,
            0,
            self.source,
            self.destination,
        )
        header += self.options
        return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + self.payload

    @property
    def is_fragment(self) -> bool:
        return self.more_fragments or self.offset > 0

    def __str__(self) -> str:
        return f"{IPv4Address(self.source)} > {IPv4Address(self.destination)}"


def decode(data: bytes) -> IPv4:
    """A datagram from an Ethernet payload, padding cut off; raises Malformed, also for a wrong header checksum."""
    if len(data) < HEADER.size:
        raise Malformed(f"an IPv4 header has at least 20 bytes, here are {len(data)}")
    version_ihl, tos, length, identification, flags, ttl, protocol, _, source, destination = HEADER.unpack_from(data)
    if version_ihl >> 4 != 4:
        raise Malformed(f"IP version is {version_ihl >> 4}, not 4")
    size = (version_ihl & 0x0F) << 2
    if size < HEADER.size or size > length or length > len(data):
        raise Malformed(f"IPv4 header of {size} in {length} bytes of {len(data)} that are there")
    if not is_intact(data[:size]):
        raise Malformed("the IPv4 header checksum is wrong")
    offset = (flags & 0x1FFF) << 3
    if offset + length - size > MAX_LENGTH:
        raise Malformed(f"a fragment at {offset} reaches beyond 65535 bytes")
    return IPv4(
        source,
        destination,
        protocol,
        data[size:length],
        ttl,
        identification,
        bool(flags & DONT_FRAGMENT),
        bool(flags & MORE_FRAGMENTS),
        offset,
        tos,
        data[HEADER.size : size],
    )


def fragments(datagram: IPv4, mtu: int) -> Iterator[IPv4]:
    """The datagram in pieces of at most `mtu` bytes, header included."""
    room = (mtu - HEADER.size - len(datagram.options)) & ~7
    payload = datagram.payload
    if HEADER.size + len(datagram.options) + len(payload) <= mtu:
        yield datagram
        return
    for start in range(0, len(payload), room):
        more = datagram.more_fragments or start + room < len(payload)
        yield replace(
            datagram, payload=payload[start : start + room], offset=datagram.offset + start, more_fragments=more
        )


class Reassembler:
    """Puts fragments together again (RFC 815); knows no clock: the caller says what time it is.

    Bounded: at most `capacity` unfinished datagrams, the oldest forgotten first, each for `patience` seconds (RFC 791
    suggests 15). Overlapping fragments condemn their datagram, as RFC 5722 demands for IPv6 and careful hosts do here.
    """

    def __init__(self, capacity: int = 64, patience: float = 15.0) -> None:
        self._capacity = capacity
        self._patience = patience
        self._unfinished: OrderedDict[tuple[bytes, bytes, int, int], _Pieces] = OrderedDict()

    def add(self, fragment: IPv4, now: float) -> IPv4 | None:
        """The whole datagram once its last piece is in, else None."""
        if not fragment.is_fragment:
            return fragment
        while self._unfinished:
            oldest = next(iter(self._unfinished.values()))
            if now - oldest.since <= self._patience:
                break
            self._unfinished.popitem(last=False)
        key = (fragment.source, fragment.destination, fragment.protocol, fragment.identification)
        pieces = self._unfinished.get(key)
        if pieces is None:
            if len(self._unfinished) >= self._capacity:
                self._unfinished.popitem(last=False)
            pieces = self._unfinished[key] = _Pieces(now)
        payload = pieces.add(fragment)
        if payload is None:
            return None
        del self._unfinished[key]
        return replace(fragment, payload=payload, offset=0, more_fragments=False)


class _Pieces:
    __slots__ = ("condemned", "parts", "since", "total")

    def __init__(self, since: float) -> None:
        self.since = since
        self.parts: dict[int, bytes] = {}
        self.total: int | None = None
        self.condemned = False

    def add(self, fragment: IPv4) -> bytes | None:
        start, end = fragment.offset, fragment.offset + len(fragment.payload)
        if self.condemned or self.parts.get(start) == fragment.payload:
            return None
        overlaps = any(start < at + len(part) and at < end for at, part in self.parts.items())
        uneven = fragment.more_fragments and (len(fragment.payload) % 8 != 0 or not fragment.payload)
        beyond = self.total is not None and (end > self.total or not fragment.more_fragments)
        if overlaps or uneven or beyond:
            self.condemned = True
            self.parts.clear()
            return None
        self.parts[start] = fragment.payload
        if not fragment.more_fragments:
            self.total = end
        if self.total is None or sum(map(len, self.parts.values())) != self.total:
            return None
        return b"".join(part for _, part in sorted(self.parts.items()))
