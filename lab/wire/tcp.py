"""TCP segments (RFC 9293 section 3.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from lab.wire import ipv4
from lab.wire.checksum import checksum, is_intact, pseudo_header
from lab.wire.malformed import Malformed

HEADER = struct.Struct("!HHIIBBHHH")
_END, _NO_OPERATION, _MSS = 0, 1, 2


class Flag(IntFlag):
    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


@dataclass(frozen=True, slots=True)
class Segment:
    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: Flag
    window: int
    payload: bytes = b""
    options: bytes = b""
    """A multiple of 4 bytes, at most 40."""
    urgent: int = 0

    def encode(self, source: bytes, destination: bytes) -> bytes:
        """The segment between two 4-byte addresses, which its checksum covers."""
        size = HEADER.size + len(self.options)
        head = HEADER.pack(
            self.source_port,
            self.destination_port,
            self.sequence,
            self.acknowledgment,
            size << 2,
            self.flags,
            self.window,
            0,
            self.urgent,
        )
        body = self.options + self.payload
        total = checksum(head + body, pseudo_header(source, destination, ipv4.TCP, size + len(self.payload)))
        return head[:16] + total.to_bytes(2, "big") + head[18:] + body

    @property
    def maximum_segment_size(self) -> int | None:
        """The MSS option, in bytes, or None."""
        options = self.options
        at = 0
        while at < len(options) and options[at] != _END:
            if options[at] == _NO_OPERATION:
                at += 1
                continue
            if at + 1 >= len(options) or options[at + 1] < 2:
                return None
            if options[at] == _MSS and options[at + 1] == 4 and at + 4 <= len(options):
                return int.from_bytes(options[at + 2 : at + 4], "big")
            at += options[at + 1]
        return None


def mss_option(size: int) -> bytes:
    """The option that says how large a segment its sender can take, payload only, in bytes."""
    return bytes((_MSS, 4)) + size.to_bytes(2, "big")


def decode(data: bytes, source: bytes, destination: bytes) -> Segment:
    """A segment from an IPv4 payload; raises Malformed, also for a wrong checksum."""
    if len(data) < HEADER.size:
        raise Malformed(f"a TCP header has at least 20 bytes, here are {len(data)}")
    source_port, destination_port, sequence, acknowledgment, offset, flags, window, _, urgent = HEADER.unpack_from(data)
    size = offset >> 4 << 2
    if not HEADER.size <= size <= len(data):
        raise Malformed(f"a TCP header of {size} in {len(data)} bytes")
    if not is_intact(data, pseudo_header(source, destination, ipv4.TCP, len(data))):
        raise Malformed("the TCP checksum is wrong")
    return Segment(
        source_port,
        destination_port,
        sequence,
        acknowledgment,
        Flag(flags),
        window,
        data[size:],
        data[HEADER.size : size],
        urgent,
    )


class FrameTemplate:
    """Ethernet, IPv4 and TCP headers of one connection's segments, everything that stays the same computed once.

    Modulo 65535 a 32-bit number equals the sum of its two halves, so checksums are sums of whole header fields.
    """

    __slots__ = ("_addresses", "_ip_sum", "_start", "_tcp_sum")

    _FRAME = struct.Struct("!16sHHIH12sIIHHI")
    _VERSION = 0x4500
    _FLAGS, _TTL_AND_PROTOCOL = ipv4.DONT_FRAGMENT, 64 << 8 | ipv4.TCP
    _FLAGS_TO_PROTOCOL = _FLAGS << 16 | _TTL_AND_PROTOCOL

    def __init__(self, ethernet: bytes, source: bytes, destination: bytes, ports: tuple[int, int]) -> None:
        self._start = ethernet + self._VERSION.to_bytes(2, "big")
        self._addresses = source + destination + struct.pack("!HH", *ports)
        addresses = pseudo_header(source, destination, 0, 0)
        self._ip_sum = self._VERSION + self._FLAGS + self._TTL_AND_PROTOCOL + addresses
        self._tcp_sum = addresses + ipv4.TCP + sum(ports)

    def pack(
        self,
        identification: int,
        sequence: int,
        acknowledgment: int,
        flags: int,
        window: int,
        payload: bytes = b"",
        options: bytes = b"",
    ) -> bytes:
        """One complete frame."""
        if options:
            payload = options + payload
            flags |= (5 + (len(options) >> 2)) << 12
        else:
            flags |= 0x5000
        length = 20 + len(payload)
        number = int.from_bytes(payload, "big")
        if length & 1:
            number <<= 8
        total = self._tcp_sum + length + sequence + acknowledgment + flags + window + number
        return (
            self._FRAME.pack(
                self._start,
                20 + length,
                identification,
                self._FLAGS_TO_PROTOCOL,
                -(self._ip_sum + 20 + length + identification) % 0xFFFF,
                self._addresses,
                sequence,
                acknowledgment,
                flags,
                window,
                (-total % 0xFFFF) << 16,
            )
            + payload
        )
