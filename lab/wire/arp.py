"""Address resolution for IPv4 over Ethernet (RFC 826)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from lab.wire.malformed import Malformed

PACKET = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4 = 1, 0x0800


class Operation(IntEnum):
    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class Arp:
    """Who has `target_ip`? (request) or `sender_ip` is at `sender_mac` (reply)."""

    operation: Operation
    sender_mac: bytes
    sender_ip: bytes
    target_mac: bytes
    target_ip: bytes

    @property
    def is_gratuitous(self) -> bool:
        """Whether it only announces its sender (RFC 5227 section 1.2)."""
        return self.sender_ip == self.target_ip

    def encode(self) -> bytes:
        return PACKET.pack(
            _ETHERNET, _IPV4, 6, 4, self.operation, self.sender_mac, self.sender_ip, self.target_mac, self.target_ip
        )


def decode(data: bytes) -> Arp:
    """A packet from an Ethernet payload, padding ignored; raises Malformed."""
    if len(data) < PACKET.size:
        raise Malformed(f"an ARP packet has {PACKET.size} bytes, here are {len(data)}")
    hardware, protocol, hardware_size, protocol_size, operation, *addresses = PACKET.unpack_from(data)
    if (hardware, protocol, hardware_size, protocol_size) != (_ETHERNET, _IPV4, 6, 4):
        raise Malformed("this ARP packet is not about IPv4 over Ethernet")
    if operation not in (1, 2):
        raise Malformed(f"ARP operation {operation} is neither request nor reply")
    return Arp(Operation(operation), *addresses)
