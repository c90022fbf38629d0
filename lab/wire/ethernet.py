"""Ethernet II frames with IEEE 802.1Q tags, without preamble and frame check sequence."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lab.model.address import format_mac
from lab.wire.malformed import Malformed

HEADER = struct.Struct("!6s6sH")
TAG = struct.Struct("!HH")
BROADCAST = b"\xff" * 6
MINIMUM = 60
"""IEEE 802.3 pads shorter frames with zeros up to here (64 bytes with the frame check sequence)."""

IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
IPV6 = 0x86DD
LLDP = 0x88CC
_FIRST_ETHERTYPE = 0x0600


@dataclass(frozen=True, slots=True)
class Tag:
    """An IEEE 802.1Q tag."""

    vid: int
    """VLAN id, 0 to 4095; 0 means priority only."""
    priority: int = 0
    """Priority code point, 0 to 7."""
    drop_eligible: bool = False


@dataclass(frozen=True, slots=True)
class Ethernet:
    """One frame; padding, if any, is still at the end of its payload."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes
    tags: tuple[Tag, ...] = ()
    """Outermost first."""

    def encode(self) -> bytes:
        head = self.destination + self.source
        for tag in self.tags:
            head += TAG.pack(VLAN, tag.priority << 13 | tag.drop_eligible << 12 | tag.vid)
        return head + self.ethertype.to_bytes(2, "big") + self.payload

    def __str__(self) -> str:
        return f"{format_mac(self.source)} > {format_mac(self.destination)} 0x{self.ethertype:04x}"


def decode(data: bytes) -> Ethernet:
    """A frame from its bytes; raises Malformed."""
    if len(data) < HEADER.size:
        raise Malformed(f"an Ethernet header has 14 bytes, here are {len(data)}")
    destination, source, ethertype = HEADER.unpack_from(data)
    tags: tuple[Tag, ...] = ()
    at = HEADER.size
    while ethertype == VLAN:
        if len(data) < at + 4:
            raise Malformed("an 802.1Q tag is cut off")
        control, ethertype = TAG.unpack_from(data, at)
        tags += (Tag(control & 0x0FFF, control >> 13, bool(control & 0x1000)),)
        at += 4
    if len(data) - at < ethertype < _FIRST_ETHERTYPE:
        # IEEE 802.3 section 3.2.6: below 1536 the field is a length, and LLC follows.
        raise Malformed(f"an 802.3 length of {ethertype} for {len(data) - at} bytes")
    return Ethernet(destination, source, ethertype, data[at:], tags)


def is_group(mac: bytes) -> bool:
    """Whether an address means several stations: multicast or broadcast."""
    return bool(mac[0] & 1)
