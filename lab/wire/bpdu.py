"""Bridge protocol data units of RSTP (IEEE 802.1D-2004 clause 9.3), in LLC frames to the bridge group address."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from lab.wire.malformed import Malformed

GROUP: Final = bytes.fromhex("0180c2000000")
_LLC: Final = b"\x42\x42\x03"
_BODY: Final = struct.Struct("!HBBB8sI8sHHHHH")
"""Protocol, version, type, flags, root, cost, bridge, port, then four times in 1/256 s."""
_RST, _CONFIG, _TCN = 2, 0, 0x80


class BridgeId(NamedTuple):
    """Lower is better."""

    priority: int
    """0 to 61440 in steps of 4096"""
    mac: bytes

    def encode(self) -> bytes:
        return self.priority.to_bytes(2, "big") + self.mac


class PortRole(IntEnum):
    """As encoded in the flags."""

    UNKNOWN = 0
    ALTERNATE_OR_BACKUP = 1
    ROOT = 2
    DESIGNATED = 3


class Flag(IntFlag):
    TOPOLOGY_CHANGE = 0x01
    PROPOSAL = 0x02
    LEARNING = 0x10
    FORWARDING = 0x20
    AGREEMENT = 0x40
    TOPOLOGY_CHANGE_ACK = 0x80


NO_FLAG: Final = Flag(0)


@dataclass(frozen=True, slots=True)
class Bpdu:
    """An RST BPDU, or a configuration BPDU of a bridge that only knows STP; times in seconds."""

    root: BridgeId
    cost: int
    """Of the path from the sender to the root."""
    bridge: BridgeId
    """The sender."""
    port: int
    """The sender's port identifier: priority in the upper four bits, number in the others."""
    role: PortRole = PortRole.DESIGNATED
    flags: Flag = NO_FLAG
    message_age: float = 0.0
    max_age: float = 20.0
    hello_time: float = 2.0
    forward_delay: float = 15.0
    is_rapid: bool = True

    def encode(self, source: bytes) -> bytes:
        """A complete Ethernet frame from the port's MAC address, padded to the least length."""
        flags = int(self.flags) | (self.role << 2 if self.is_rapid else 0)
        body = _BODY.pack(
            0,
            _RST if self.is_rapid else 0,
            _RST if self.is_rapid else _CONFIG,
            flags,
            self.root.encode(),
            self.cost,
            self.bridge.encode(),
            self.port,
            *(round(each * 256) for each in (self.message_age, self.max_age, self.hello_time, self.forward_delay)),
        )
        payload = _LLC + body + (b"\0" if self.is_rapid else b"")
        frame = GROUP + source + len(payload).to_bytes(2, "big") + payload
        return frame + bytes(max(0, 60 - len(frame)))


def decode(frame: bytes) -> Bpdu | None:
    """A BPDU from a frame to the bridge group address; None for a topology change notification of STP.

    Raises Malformed.
    """
    if len(frame) < 21 or frame[14:17] != _LLC:
        raise Malformed("no LLC header of the spanning tree protocol")
    body = frame[17:]
    if body[:2] != b"\0\0":
        raise Malformed(f"protocol identifier is {body[:2].hex()}, spanning tree has 0000")
    version, kind = body[2], body[3]
    if kind == _TCN:
        return None
    if (version >= _RST) != (kind == _RST) or kind not in (_RST, _CONFIG):
        raise Malformed(f"BPDU of version {version} and type {kind}")
    if len(body) < _BODY.size:
        raise Malformed(f"a BPDU has at least {_BODY.size} bytes, here are {len(body)}")
    _, _, _, flags, root, cost, bridge, port, *times = _BODY.unpack_from(body)
    is_rapid = kind == _RST
    role = PortRole(flags >> 2 & 3) if is_rapid else PortRole.DESIGNATED
    return Bpdu(
        _bridge_id(root),
        cost,
        _bridge_id(bridge),
        port,
        role,
        Flag(flags & (0xF3 if is_rapid else 0x81)),
        times[0] / 256,
        times[1] / 256,
        times[2] / 256,
        times[3] / 256,
        is_rapid,
    )


def _bridge_id(data: bytes) -> BridgeId:
    return BridgeId(int.from_bytes(data[:2], "big"), data[2:])
