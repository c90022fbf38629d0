"""UDP datagrams (RFC 768)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lab.wire import ipv4
from lab.wire.checksum import checksum, is_intact, pseudo_header
from lab.wire.malformed import Malformed

HEADER = struct.Struct("!HHHH")


@dataclass(frozen=True, slots=True)
class Udp:
    source_port: int
    destination_port: int
    payload: bytes

    def encode(self, source: bytes, destination: bytes) -> bytes:
        """The datagram between two 4-byte addresses, which its checksum covers."""
        length = HEADER.size + len(self.payload)
        head = HEADER.pack(self.source_port, self.destination_port, length, 0)
        total = checksum(head + self.payload, pseudo_header(source, destination, ipv4.UDP, length))
        return head[:6] + (total or 0xFFFF).to_bytes(2, "big") + self.payload  # RFC 768: zero would mean "no checksum"


def decode(data: bytes, source: bytes, destination: bytes) -> Udp:
    """A datagram from an IPv4 payload; raises Malformed, also for a wrong checksum."""
    if len(data) < HEADER.size:
        raise Malformed(f"a UDP header has 8 bytes, here are {len(data)}")
    source_port, destination_port, length, total = HEADER.unpack_from(data)
    if not HEADER.size <= length <= len(data):
        raise Malformed(f"a UDP length of {length} for {len(data)} bytes")
    data = data[:length]
    if total and not is_intact(data, pseudo_header(source, destination, ipv4.UDP, length)):
        raise Malformed("the UDP checksum is wrong")
    return Udp(source_port, destination_port, data[HEADER.size :])
