"""A raw socket at a host's port, for programs that make their own frames: what packet(7) is on Linux.

It hears every frame that passes the port in either direction but its own, and what it sends leaves through the host's
cable. Beside the host's own stack, that stack answers too, and resets connections it knows nothing of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lab.model.frame import Port, Tap
from lab.network.fabric import MAXIMUM_FRAME, Network
from lab.network.stand_in import StandIn
from lab.wire import arp, ethernet
from lab.wire.malformed import Malformed

MINIMUM_FRAME: Final = ethernet.HEADER.size
_ARP: Final = ethernet.ARP.to_bytes(2, "big")


class _Own(bytes):
    """A frame that knows which socket sent it."""

    sender: FrameSocket


class FrameSocket:
    """See the module. `alone`: in place of the host's stack; all that still answers then is ARP for its address.

    Raises KeyError for an unknown port, ValueError where something else has taken the host's place.
    """

    def __init__(self, network: Network, port: Port, receive: Callable[[bytes], None], *, alone: bool = False) -> None:
        network.jack(port)
        self._network = network
        self._port = port
        self._receive = receive
        self._nic = network.hosts[port.host].nic(port.name)
        self._stand_in = StandIn(network, port, self._answer_arp, lambda up: None) if alone else None
        self._is_open = True
        network.taps.append(self._see)

    def send(self, frame: bytes) -> None:
        """Put a frame on the cable; raises ValueError for one that no card would send."""
        if not MINIMUM_FRAME <= len(frame) <= MAXIMUM_FRAME:
            raise ValueError(f"an Ethernet frame has {MINIMUM_FRAME} to {MAXIMUM_FRAME} bytes, not {len(frame)}")
        own = _Own(frame)
        own.sender = self
        self._network.jack(self._port).send(own)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._network.taps.remove(self._see)
            if self._stand_in is not None:
                self._stand_in.leave()

    def _see(self, tap: Tap, _: int, frame: bytes) -> None:
        port = self._port
        if tap.seen_at != port and tap.sent_from != port:
            return
        if not isinstance(frame, _Own) or frame.sender is not self:
            self._receive(frame)

    def _answer_arp(self, frame: bytes) -> None:
        """Or nobody could send anything to the address for long."""
        nic = self._nic
        if frame[12:14] != _ARP or nic.address is None:
            return
        try:
            packet = arp.decode(frame[14:])
        except Malformed:
            return
        if packet.operation is arp.Operation.REQUEST and packet.target_ip == nic.address != packet.sender_ip:
            answer = arp.Arp(arp.Operation.REPLY, nic.mac, nic.address, packet.sender_mac, packet.sender_ip)
            head = ethernet.HEADER.pack(packet.sender_mac, nic.mac, ethernet.ARP)
            self._network.jack(self._port).send(head + answer.encode())


def encode(frame: bytes) -> bytes:
    """A frame as it stands in a byte stream: two bytes of length before it, the higher one first."""
    return len(frame).to_bytes(2, "big") + frame


class Decoder:
    """Frames out of a byte stream."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Each frame that is complete by now; raises Malformed for a length that no frame has."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= 2:
                length = int.from_bytes(self._buffer[start : start + 2], "big")
                if not MINIMUM_FRAME <= length <= MAXIMUM_FRAME:
                    raise Malformed(f"no Ethernet frame has {length} bytes")
                end = start + 2 + length
                if len(self._buffer) < end:
                    return
                yield self._buffer[start + 2 : end]
                start = end
        finally:
            self._buffer = self._buffer[start:]
