"""IEEE 802.1Q tags on frames that stay bytes: what a bridge puts in and takes out without looking further."""

from __future__ import annotations

from typing import Final

from lab.wire import ethernet
from lab.wire.ethernet import Tag
from lab.wire.malformed import Malformed

TPID: Final = ethernet.VLAN.to_bytes(2, "big")
LEAST_VID: Final = 1
GREATEST_VID: Final = 4094
"""IEEE 802.1Q table 9-2: 0 means priority only, 4095 is reserved."""
_VID: Final = 0x0FFF


def encode(tag: Tag) -> bytes:
    """The four bytes that stand between the addresses and the EtherType."""
    return ethernet.TAG.pack(ethernet.VLAN, tag.priority << 13 | tag.drop_eligible << 12 | tag.vid)


def decode(frame: bytes) -> Tag | None:
    """The outermost tag of a frame, None where there is none; raises Malformed."""
    if frame[12:14] != TPID:
        return None
    if len(frame) < 18:
        raise Malformed("an 802.1Q tag is cut off")
    control = frame[14] << 8 | frame[15]
    return Tag(control & _VID, control >> 13, bool(control & 0x1000))


def insert(frame: bytes, tag: bytes) -> bytes:
    """The frame with an encoded tag, before those that it has."""
    return frame[:12] + tag + frame[12:]


def strip(frame: bytes) -> bytes:
    """The frame without its outermost tag."""
    return frame[:12] + frame[16:]
