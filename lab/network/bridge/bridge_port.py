"""One port of a bridge, and the short way of frames that belong to a conversation seen before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lab.model.address import mac_of
from lab.network.bridge.collisions import MismatchedLine
from lab.network.bridge.negotiation import LinkMode
from lab.network.bridge.ports import Counters, PortVlans
from lab.network.fabric import Jack

if TYPE_CHECKING:
    from lab.network.bridge.bridge import Bridge

CPU: Final = "cpu"


class Flow:
    """Untagged unicasts from one address to another between two ports: what was decided for the first holds for all."""

    __slots__ = ("carry", "frames", "octets", "source", "target", "vid")

    def __init__(self, carry: Callable[[bytes], None], source: bytes, target: BridgePort, vid: int) -> None:
        self.carry = carry
        self.source, self.target, self.vid = source, target, vid
        self.frames = self.octets = 0
        """Since they were added to the ports' counters."""


class StormControl:
    """Lets so many broadcasts a second in by one port."""

    __slots__ = ("_left", "_now", "_until", "limit")

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self.limit = limit
        self._now = now
        self._left, self._until = limit, 0.0

    def lets_in(self) -> bool:
        now = self._now()
        if now >= self._until:
            self._left, self._until = self.limit, now + 1.0
        self._left -= 1
        return self._left >= 0


class BridgePort:
    """One port of a bridge; the one called `cpu` leads to its own management interface."""

    __slots__ = (
        "bridge",
        "carry",
        "changed_at",
        "flows",
        "forwards",
        "is_up",
        "jack",
        "learns",
        "line",
        "mac",
        "mirrored_to",
        "mode",
        "name",
        "number",
        "storm",
        "tally",
        "vlans",
    )

    def __init__(self, bridge: Bridge, name: str, number: int, jack: Jack) -> None:
        self.bridge, self.name, self.number, self.jack = bridge, name, number, jack
        self.mac = mac_of(bridge.name, name)
        self.vlans = PortVlans()
        self.tally = Counters()
        """Without the frames of the flows that are still to be added."""
        self.flows: dict[bytes, Flow] = {}
        """By both addresses and the EtherType, as they stand at the beginning of a frame."""
        self.is_up = False
        """Whether the link is up and both ends agree about its speed."""
        self.changed_at = 0.0
        """When it came up or went down last, on the loop's clock."""
        self.mode: LinkMode | None = None
        self.line: MismatchedLine | None = None
        self.carry: Callable[[bytes], None] | None = None
        """Puts a frame on the cable while the port is up."""
        self.forwards = self.learns = True
        self.mirrored_to: tuple[BridgePort | None, BridgePort | None] = (None, None)
        """Where what it hears and what it says is copied to."""
        self.storm: StormControl | None = None

    @property
    def counters(self) -> Counters:
        self.bridge.count_flows()
        return self.tally

    def arrive(self, frame: bytes) -> None:
        """A frame comes in."""
        flow = self.flows.get(frame[:14])
        if flow is None:
            self.bridge.arrive(self, frame)
            return
        flow.frames += 1
        flow.octets += len(frame)
        flow.carry(frame)

    def collided(self, ours: bool) -> None:
        """A frame was lost to a collision, one of ours or one that came in."""
        if ours:
            self.tally.out_errors += 1
        else:
            self.tally.in_errors += 1
