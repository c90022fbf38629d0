"""What is known of one IP host while its cables are watched: whom it is talking to, and which addresses are its own."""

from __future__ import annotations

from grading.flows import Direction
from lab.wire.ipv4 import Reassembler

MAX_MACS = 64


class Station:
    """An IP host at the ends of its cables."""

    __slots__ = ("incoming", "macs", "name", "outgoing", "quiet", "sides")

    def __init__(self, name: str) -> None:
        self.name = name
        self.macs: set[bytes] = set()
        """Addresses of its own ports, as built and as used."""
        self.sides: dict[bytes, Direction] = {}
        """TCP conversations it began: both directions, by addresses and ports as they are in the frames."""
        self.quiet: set[bytes] = set()
        """Addresses and ports of conversations and exchanges that others began with it: read at their end."""
        self.outgoing, self.incoming = Reassembler(), Reassembler()

    def owns(self, mac: bytes) -> bool:
        """Whether a frame to this address is for this host: its own, or for many."""
        return mac in self.macs or bool(mac[0] & 1)

    def learn(self, mac: bytes) -> None:
        if not mac[0] & 1 and len(self.macs) < MAX_MACS:
            self.macs.add(mac)
