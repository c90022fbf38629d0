"""A packet(7) socket as the end of a cable: whole frames, with the VLAN tags the kernel has taken off; Linux only."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

from lab.wire import vlan
from lab.wire.checksum import checksum

# linux/if_packet.h, linux/if_ether.h, asm/socket.h
_PACKET, _MEMBERSHIP, _AUXILIARY, _QDISC_BYPASS, _IGNORE_OUTGOING = 263, 1, 8, 20, 23
_PROMISCUOUS, _ALL_PROTOCOLS, _RECEIVE_BUFFER_FORCE = 1, 3, 33
_CHECKSUM_IS_NOT_READY, _TAG_IS_VALID, _TAG_TYPE_IS_VALID = 0x08, 0x10, 0x40
_AUXILIARY_DATA: Final = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata: status, length, captured length, two offsets, tag control information, tag type."""
_AUXILIARY_SPACE: Final = 64
_TAG: Final = struct.Struct("!HH")
_CUSTOMER_TAG: Final = 0x8100
_CHECKSUMS: Final = {b"\x06": 16, b"\x11": 6}
"""Where the sum stands in a segment, by IP protocol."""
_RECEIVE_BUFFER: Final = 4 << 20
"""Bytes; the kernel accounts over 2 KB for every frame."""


def open_packets(interface: str, *, promiscuous: bool = False) -> socket.socket:
    """Everything that arrives at an interface, and the way to send from it; raises OSError."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        packets.setsockopt(_PACKET, _IGNORE_OUTGOING, 1)
        # The kernel hands a tag over beside the frame, whatever the card does (skb_vlan_untag in net/core/dev.c).
        packets.setsockopt(_PACKET, _AUXILIARY, 1)
        # A queue would drop what we send until the kernel, in its own time, has noticed that the link is up.
        packets.setsockopt(_PACKET, _QDISC_BYPASS, 1)
        try:
            packets.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _RECEIVE_BUFFER)
        except PermissionError:
            packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)  # as much as the system grants
        if promiscuous:
            index = socket.if_nametoindex(interface)
            packets.setsockopt(_PACKET, _MEMBERSHIP, struct.pack("=iHH8s", index, _PROMISCUOUS, 0, b""))
        packets.bind((interface, _ALL_PROTOCOLS))
    except BaseException:
        packets.close()
        raise
    packets.setblocking(False)
    return packets


def read_frame(packets: socket.socket, largest: int) -> bytes:
    """The next frame as it was on the cable, of at most `largest` bytes.

    Raises OSError: BlockingIOError where none waits, EMSGSIZE for a longer one, which is lost.
    """
    frame, auxiliary, flags, _ = packets.recvmsg(largest, _AUXILIARY_SPACE)
    if flags & socket.MSG_TRUNC:
        raise OSError(errno.EMSGSIZE, "Message too long")
    for _, _, data in auxiliary:
        status, _, _, _, _, control, kind = _AUXILIARY_DATA.unpack_from(data)
        if status & _CHECKSUM_IS_NOT_READY:
            frame = _summed(frame)
        if status & _TAG_IS_VALID:
            kind = kind if status & _TAG_TYPE_IS_VALID else _CUSTOMER_TAG
            return vlan.insert(frame, _TAG.pack(kind, control))
    return frame


def _summed(frame: bytes) -> bytes:
    """What a card would do for a kernel that leaves sums to it: TCP and UDP over IPv4, whose pseudo-header is in."""
    at = _CHECKSUMS.get(frame[23:24], 0)
    start = 14 + ((frame[14] & 0x0F) << 2) if len(frame) > 14 else 0
    end = 14 + int.from_bytes(frame[16:18], "big")
    if frame[12:14] != b"\x08\x00" or not at or not start + at + 2 <= end <= len(frame):
        return frame
    segment = frame[start:end]
    sum_ = checksum(segment) or 0xFFFF
    return frame[: start + at] + sum_.to_bytes(2, "big") + frame[start + at + 2 :]
