"""Frames of the Media Redundancy Protocol (IEC 62439-2 section 8): a version, blocks of type, length, value, an end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from lab.wire.malformed import Malformed

ETHERTYPE: Final = 0x88E3
TEST_GROUP: Final = bytes.fromhex("01154e000001")
CONTROL_GROUP: Final = bytes.fromhex("01154e000002")
DEFAULT_DOMAIN: Final = b"\xff" * 16
_KIND: Final = ETHERTYPE.to_bytes(2, "big")
_VERSION: Final = 1
_COMMON: Final = struct.Struct("!H16s")
_TEST: Final = struct.Struct("!H6sHHHI")
_CHANGE: Final = struct.Struct("!H6sH")
_LINK: Final = struct.Struct("!6sHHH")
_MINIMUM: Final = 60


class Block(IntEnum):
    END = 0
    COMMON = 1
    TEST = 2
    TOPOLOGY_CHANGE = 3
    LINK_DOWN = 4
    LINK_UP = 5
    OPTION = 0x7F


class RingPort(IntEnum):
    PRIMARY = 0
    SECONDARY = 1


class RingState(IntEnum):
    OPEN = 0
    CLOSED = 1


@dataclass(frozen=True, slots=True)
class RingTest:
    """What the manager sends into both ends of its ring, to see whether it comes round."""

    priority: int
    manager: bytes
    """Its MAC address."""
    port: RingPort
    ring: RingState
    transitions: int
    """How often the ring has been opened, modulo 65536."""
    timestamp: int
    """Milliseconds, modulo 2**32."""


@dataclass(frozen=True, slots=True)
class TopologyChange:
    """The manager has everybody forget the addresses of the ring."""

    priority: int
    manager: bytes
    interval: int
    """Milliseconds from now."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A client has lost or got back the link of a ring port."""

    is_up: bool
    source: bytes
    port: RingPort
    interval: int
    """Milliseconds until the port changes its state."""
    can_block: bool = True


Message = RingTest | TopologyChange | LinkChange


@dataclass(frozen=True, slots=True)
class Mrp:
    """One frame's content."""

    message: Message
    sequence: int
    domain: bytes = DEFAULT_DOMAIN

    def encode(self, source: bytes) -> bytes:
        """A complete Ethernet frame from this MAC address, padded to the least length."""
        message = self.message
        if isinstance(message, RingTest):
            block = _block(
                Block.TEST,
                _TEST.pack(
                    message.priority,
                    message.manager,
                    message.port,
                    message.ring,
                    message.transitions & 0xFFFF,
                    message.timestamp & 0xFFFFFFFF,
                ),
            )
        elif isinstance(message, TopologyChange):
            block = _block(Block.TOPOLOGY_CHANGE, _CHANGE.pack(message.priority, message.manager, message.interval))
        else:
            kind = Block.LINK_UP if message.is_up else Block.LINK_DOWN
            block = _block(kind, _LINK.pack(message.source, message.port, message.interval, message.can_block))
        group = TEST_GROUP if isinstance(message, RingTest) else CONTROL_GROUP
        common = _block(Block.COMMON, _COMMON.pack(self.sequence & 0xFFFF, self.domain))
        frame = group + source + _KIND + _VERSION.to_bytes(2, "big") + block + common + bytes(2)
        return frame + bytes(max(0, _MINIMUM - len(frame)))


def _block(kind: Block, value: bytes) -> bytes:
    """Type, length and value, filled up so that the next one begins at a multiple of four."""
    return bytes((kind, len(value))) + value + bytes(-(len(value) + 2) % 4)


def decode(frame: bytes) -> Mrp:
    """The content of an untagged frame; raises Malformed."""
    if frame[12:14] != _KIND or len(frame) < 18:
        raise Malformed("no frame of the media redundancy protocol")
    version = int.from_bytes(frame[14:16], "big")
    if version != _VERSION:
        raise Malformed(f"MRP version {version}, known is {_VERSION}")
    message: Message | None = None
    common: tuple[int, bytes] | None = None
    at = 16
    while True:
        if at + 2 > len(frame):
            raise Malformed("the end block is missing")
        kind, length = frame[at], frame[at + 1]
        value = frame[at + 2 : at + 2 + length]
        if len(value) < length:
            raise Malformed(f"a block of {length} bytes is cut off after {len(value)}")
        if kind == Block.END:
            break
        if kind == Block.COMMON:
            common = _unpack(_COMMON, value)
        elif kind in _MESSAGES:
            if message is not None:
                raise Malformed("two messages in one frame")
            message = _message(Block(kind), value)
        at += 2 + length + -(length + 2) % 4
    if message is None or common is None:
        raise Malformed("a message and the common block are needed")
    return Mrp(message, *common)


_MESSAGES: Final = {Block.TEST, Block.TOPOLOGY_CHANGE, Block.LINK_DOWN, Block.LINK_UP}


def _message(kind: Block, value: bytes) -> Message:
    try:
        if kind is Block.TEST:
            priority, manager, port, ring, transitions, timestamp = _unpack(_TEST, value)
            return RingTest(priority, manager, RingPort(port), RingState(ring), transitions, timestamp)
        if kind is Block.TOPOLOGY_CHANGE:
            return TopologyChange(*_unpack(_CHANGE, value))
        source, port, interval, can_block = _unpack(_LINK, value)
        return LinkChange(kind is Block.LINK_UP, source, RingPort(port), interval, bool(can_block))
    except ValueError as error:
        raise Malformed(str(error)) from None


def _unpack(form: struct.Struct, value: bytes) -> tuple[Any, ...]:
    if len(value) != form.size:
        raise Malformed(f"a block has {len(value)} bytes in place of {form.size}")
    return form.unpack(value)
