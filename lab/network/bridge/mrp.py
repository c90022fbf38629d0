"""The Media Redundancy Protocol (IEC 62439-2), sans-I/O: events and times in, frames and port states out.

One manager sends test frames both ways round a ring of clients. While they come back, the ring is closed and the
manager keeps its secondary port blocked; when they stay away, it opens that port and has everybody forget what was
learnt. Clients pass test frames on and tell the manager at once of links that they lose or get back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from lab.wire.mrp import DEFAULT_DOMAIN, LinkChange, Mrp, RingPort, RingState, RingTest, TopologyChange

NEVER: Final = float("inf")
DEFAULT_PRIORITY: Final = 0x8000
"""Of a manager; lower is better."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of IEC 62439-2, by the longest recovery that is to be expected; seconds and counts."""

    test_interval: float = 0.020
    tests_missed: int = 3
    """Intervals without a test frame after which the ring counts as open."""
    change_interval: float = 0.010
    changes: int = 3
    link_interval: float = 0.020
    links: int = 4
    """How often a client speaks of a link."""

    @property
    def detection(self) -> float:
        return self.test_interval * self.tests_missed


RECOVERY: Final = {200: Times(), 500: Times(0.050, 5, 0.020)}
"""By the milliseconds within which a ring of up to 50 nodes recovers."""


class Effects(Protocol):
    """What the protocol does to its bridge."""

    def send_mrp(self, port: RingPort, message: Mrp) -> None: ...
    def ring_port_changed(self, port: RingPort, forwards: bool) -> None: ...
    def flush_ring(self) -> None: ...


_BOTH: Final = (RingPort.PRIMARY, RingPort.SECONDARY)


@dataclass(slots=True)
class _End:
    """One of the two ring ports."""

    is_up: bool = False
    forwards: bool = False


@dataclass(slots=True)
class _Repeating:
    """A message that is said several times, the last time when what it announces happens."""

    left: int
    at: float
    is_up: bool = False
    lost: RingPort = RingPort.PRIMARY


@dataclass(slots=True)
class _Node:
    """What manager and clients have in common. Whoever owns one calls `tick` at `deadline`."""

    mac: bytes
    effects: Effects
    domain: bytes = DEFAULT_DOMAIN
    times: Times = Times()
    ends: dict[RingPort, _End] = field(default_factory=lambda: {port: _End() for port in _BOTH})
    flush_at: float = NEVER
    _sequence: int = 0

    def forwards(self, port: RingPort) -> bool:
        return self.ends[port].forwards

    def _set(self, port: RingPort, forwards: bool) -> None:
        end = self.ends[port]
        if end.forwards != forwards:
            end.forwards = forwards
            self.effects.ring_port_changed(port, forwards)

    def _send(self, port: RingPort, message: RingTest | TopologyChange | LinkChange) -> None:
        if self.ends[port].is_up:
            self._sequence = self._sequence + 1 & 0xFFFF
            self.effects.send_mrp(port, Mrp(message, self._sequence, self.domain))

    def _flush_when_due(self, now: float) -> None:
        if self.flush_at <= now:
            self.flush_at = NEVER
            self.effects.flush_ring()


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


@dataclass(slots=True)
class Manager(_Node):
    """The one that keeps the ring open at one place while it is whole."""

    priority: int = DEFAULT_PRIORITY
    ring: RingState = RingState.OPEN
    transitions: int = 0
    """How often the ring has opened."""
    other_manager: bytes | None = None
    """Another manager that was heard in this domain: a mistake, for there may be only one."""
    _test_at: float = NEVER
    _open_at: float = NEVER
    """When the ring counts as open, unless a test comes back."""
    _changes: _Repeating | None = None

    @property
    def deadline(self) -> float:
        due = self._changes.at if self._changes is not None else NEVER
        return min(self._test_at, self._open_at, due, self.flush_at)

    def link_changed(self, port: RingPort, up: bool, now: float) -> None:
        """A ring port's link came up or went down."""
        end, other = self.ends[port], self.ends[_opposite(port)]
        if end.is_up == up:
            return
        end.is_up = up
        if not up:
            self._set(port, False)
            self._test_at = now if other.is_up else NEVER
            self._open_at = NEVER
            if other.is_up:
                self._set(_opposite(port), True)
                self._open_ring(now)
            self.ring = RingState.OPEN
            return
        self._test_at = now
        if not other.is_up:
            self._set(port, True)
        else:
            # The ring may be closed by this link: it stays blocked until the tests have had their time to come round.
            self._set(port, False)
            self._open_at = now + self.times.detection

    def received(self, port: RingPort, mrp: Mrp, now: float) -> None:
        """A frame came in by a ring port."""
        message = mrp.message
        if mrp.domain != self.domain:
            return
        if isinstance(message, RingTest):
            if message.manager != self.mac:
                self.other_manager = message.manager
            elif message.port is not port and self._is_cabled:
                self._open_at = now + self.times.detection
                if self.ring is RingState.OPEN:
                    self._close_ring(now)
        elif isinstance(message, LinkChange) and self._is_cabled:
            # A client that has lost a link spares us the wait; one that got it back holds it until a test comes round.
            if message.is_up:
                self._test_at = now
                if self.ring is RingState.OPEN and not message.can_block:
                    self._close_ring(now)
                    self._open_at = now + self.times.detection
            elif self.ring is RingState.CLOSED:
                self._open(now)

    def tick(self, now: float) -> None:
        """Do what has fallen due."""
        self._flush_when_due(now)
        changes = self._changes
        if changes is not None and changes.at <= now:
            self._announce(changes, now)
        if self._open_at <= now:
            self._open(now)
        if self._test_at <= now:
            self._test(now)

    def _test(self, now: float) -> None:
        self._test_at = now + self.times.test_interval
        for port in _BOTH:
            self._send(port, RingTest(self.priority, self.mac, port, self.ring, self.transitions, _milliseconds(now)))

    def _open(self, now: float) -> None:
        self._open_at = NEVER
        for port in _BOTH:
            self._set(port, True)
        self._open_ring(now)

    def _open_ring(self, now: float) -> None:
        if self.ring is RingState.CLOSED:
            self.transitions = self.transitions + 1 & 0xFFFF
        self.ring = RingState.OPEN
        self._change(now)

    def _close_ring(self, now: float) -> None:
        self.ring = RingState.CLOSED
        self._set(RingPort.SECONDARY, False)
        self._set(RingPort.PRIMARY, True)
        self._change(now)

    def _change(self, now: float) -> None:
        self._announce(_Repeating(self.times.changes, now), now)

    def _announce(self, changes: _Repeating, now: float) -> None:
        remaining = self.times.change_interval * changes.left
        for port in _BOTH:
            self._send(port, TopologyChange(self.priority, self.mac, _milliseconds(remaining)))
        self.flush_at = now + remaining
        changes.left -= 1
        changes.at = now + self.times.change_interval
        self._changes = changes if changes.left > 0 else None

    @property
    def _is_cabled(self) -> bool:
        return all(end.is_up for end in self.ends.values())


@dataclass(slots=True)
class Client(_Node):
    """One of the others. Test frames pass through its ring ports in any state."""

    _opening: dict[RingPort, float] = field(default_factory=dict)
    """Ports that got their link back and wait for the manager's word, or until then."""
    _saying: _Repeating | None = None

    @property
    def deadline(self) -> float:
        due = self._saying.at if self._saying is not None else NEVER
        return min(due, self.flush_at, *self._opening.values(), NEVER)

    def link_changed(self, port: RingPort, up: bool, now: float) -> None:
        """A ring port's link came up or went down."""
        end = self.ends[port]
        if end.is_up == up:
            return
        end.is_up = up
        self._opening.pop(port, None)
        if not up:
            self._set(port, False)
        elif self.ends[_opposite(port)].is_up:
            # Whether this closes the ring only the manager knows.
            self._opening[port] = now + self.times.link_interval * self.times.links
        else:
            self._set(port, True)
        self._say(_Repeating(self.times.links, now, up, port), now)

    def received(self, port: RingPort, mrp: Mrp, now: float) -> None:
        """A frame came in by a ring port."""
        message = mrp.message
        if mrp.domain == self.domain and isinstance(message, TopologyChange):
            self.flush_at = now + message.interval / 1000
            for waiting in tuple(self._opening):
                self._opening[waiting] = min(self._opening[waiting], self.flush_at)

    def tick(self, now: float) -> None:
        """Do what has fallen due."""
        self._flush_when_due(now)
        for port, at in tuple(self._opening.items()):
            if at <= now:
                del self._opening[port]
                self._set(port, True)
        if self._saying is not None and self._saying.at <= now:
            self._say(self._saying, now)

    def _say(self, saying: _Repeating, now: float) -> None:
        remaining = _milliseconds(self.times.link_interval * saying.left)
        self._send(_opposite(saying.lost), LinkChange(saying.is_up, self.mac, saying.lost, remaining))
        saying.left -= 1
        saying.at = now + self.times.link_interval
        self._saying = saying if saying.left > 0 else None


def _opposite(port: RingPort) -> RingPort:
    return RingPort.SECONDARY if port is RingPort.PRIMARY else RingPort.PRIMARY
