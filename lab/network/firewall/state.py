"""Connection tracking: what is under way, in a table that stays bounded whatever arrives.

TCP is followed as by G. van Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2000): a segment is valid where
it lies in what the other side has offered. Times are seconds on the caller's clock, which never runs backwards.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, Final

from lab.wire.tcp import Segment

if TYPE_CHECKING:
    from lab.network.firewall.inspection import Inspection
    from lab.network.firewall.rules import CompiledRule

FIN, SYN, RST, ACK = 1, 2, 4, 16
_WRAP: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000
_LEAST_WINDOW: Final = 66_000
"""Bytes an acknowledgment may lag behind, at least."""
_WINDOW_SCALE: Final = 3
"""Option kind (RFC 7323 section 2.2)"""

Endpoint = tuple[bytes, int]
"""Address and port."""


class Phase(Enum):
    """Of a flow; TCP goes through all of them, others are NEW until the first answer."""

    NEW = "new"
    OPENING = "opening"
    """SYN and SYN-ACK have been seen."""
    ESTABLISHED = "established"
    CLOSING = "closing"
    """A FIN has been seen."""
    CLOSED = "closed"


TCP_TIMEOUTS: Final = {
    Phase.NEW: 30.0,
    Phase.OPENING: 30.0,
    Phase.ESTABLISHED: 7440.0,  # RFC 5382 REQ-5: at least 2 hours and 4 minutes
    Phase.CLOSING: 240.0,
    Phase.CLOSED: 10.0,
}
OTHER_TIMEOUTS: Final = {Phase.NEW: 30.0, Phase.ESTABLISHED: 180.0}
"""RFC 4787 REQ-5: UDP at least 2 minutes once it is answered."""
ICMP_TIMEOUT: Final = 60.0
"""RFC 5508 REQ-1"""


class Side:
    """One direction of a TCP connection: what its sender has sent and may send."""

    __slots__ = ("acknowledged", "end", "fin", "limit", "scale", "window")

    def __init__(self) -> None:
        self.end = 0
        """One past the highest sequence number sent."""
        self.limit = 0
        """One past the highest that the other side has offered to take."""
        self.window = 1
        """The largest it has offered the other side, in bytes."""
        self.scale: int | None = None
        """Window scale it announced, as a shift; None where it announced none."""
        self.fin: int | None = None
        """One past its FIN."""
        self.acknowledged: int | None = None
        """The latest acknowledgment number it sent."""


class Flow:
    """One connection, or question and answer, between two endpoints; `reply` is how answers look on the wire."""

    __slots__ = (
        "destination",
        "epoch",
        "expires",
        "inspection",
        "interfaces",
        "key",
        "new_destination",
        "new_source",
        "phase",
        "protocol",
        "reply_key",
        "rule",
        "sides",
        "source",
        "timeout",
        "zones",
    )

    def __init__(
        self,
        protocol: int,
        source: Endpoint,
        destination: Endpoint,
        new_source: Endpoint,
        new_destination: Endpoint,
    ) -> None:
        self.protocol = protocol
        self.source, self.destination = source, destination
        """As its first packet came."""
        self.new_source, self.new_destination = new_source, new_destination
        """As its first packet went on."""
        self.key = key_of(source, destination, protocol)
        self.reply_key = key_of(new_destination, new_source, protocol)
        self.zones: tuple[str, str] = ("", "")
        self.interfaces: tuple[str, str] = ("", "")
        self.rule: CompiledRule
        self.epoch = 0
        """Of the policy that last allowed it."""
        self.phase = Phase.NEW
        self.sides = (Side(), Side())
        """Of the opener, of the other."""
        self.timeout = 0.0
        self.expires = 0.0
        self.inspection: Inspection | None = None

    @property
    def is_translated(self) -> bool:
        return self.source != self.new_source or self.destination != self.new_destination

    def enter(self, phase: Phase, now: float) -> None:
        self.phase = phase
        if self.protocol == 6:
            self.timeout = TCP_TIMEOUTS[phase]
        else:
            self.timeout = ICMP_TIMEOUT if self.protocol == 1 else OTHER_TIMEOUTS[phase]
        self.expires = now + self.timeout

    # -- TCP -------------------------------------------------------------------------------------------------------

    def open(self, segment: Segment, now: float) -> None:
        """The flow begins with this SYN."""
        side = self.sides[0]
        side.end = side.limit = segment.sequence + 1 + len(segment.payload) & _WRAP
        side.window = max(segment.window, 1)
        side.scale = _window_scale(segment.options)
        self.enter(Phase.NEW, now)

    def take(self, reply: bool, segment: Segment, now: float) -> str | None:
        """Follow a segment; what is wrong with it, or None where it is valid."""
        flags = int(segment.flags)
        sender, receiver = self.sides[reply], self.sides[not reply]
        if flags & SYN:
            return self._take_syn(reply, segment, flags, now)
        if self.phase is Phase.NEW:
            if reply and flags & RST and flags & ACK and segment.acknowledgment == receiver.end:
                self.enter(Phase.CLOSED, now)
                return None
            if not reply and flags & RST and segment.sequence == sender.end:
                self.enter(Phase.CLOSED, now)
                return None
            return "no handshake"
        if flags & RST:
            # RFC 5961 section 3.2: one that its receiver would not believe must not close the flow here either.
            expected = receiver.acknowledged
            if segment.sequence not in (expected, sender.end) and not (expected is None and not segment.sequence):
                return "reset out of window"
            self.enter(Phase.CLOSED, now)
            return None
        if not flags & ACK:
            return "no acknowledgment"
        fault = self.advance(
            reply, segment.sequence, segment.acknowledgment, segment.window, len(segment.payload), flags
        )
        if fault is not None:
            return fault
        if self.phase is Phase.OPENING and not reply:
            self.enter(Phase.ESTABLISHED, now)
        self.expires = now + self.timeout
        self._follow_closing(now)
        return None

    def _take_syn(self, reply: bool, segment: Segment, flags: int, now: float) -> str | None:
        opener, other = self.sides
        end = segment.sequence + 1 + len(segment.payload) & _WRAP
        if not reply:
            if flags & ACK or end != opener.end:
                return "unexpected SYN"
            self.expires = now + self.timeout
            return None  # the same once more
        if not flags & ACK or (
            segment.acknowledgment - opener.end & _WRAP and self.phase in (Phase.NEW, Phase.OPENING)
        ):
            return "unexpected SYN"
        if self.phase is Phase.NEW:
            other.end = other.limit = end
            other.window = max(segment.window, 1)
            other.scale = _window_scale(segment.options)
            if other.scale is None or opener.scale is None:
                opener.scale = other.scale = None
            other.limit = end + opener.window & _WRAP
            opener.limit = segment.acknowledgment + other.window & _WRAP
            other.acknowledged = segment.acknowledgment
            self.enter(Phase.OPENING, now)
        elif end != other.end and self.phase is Phase.OPENING:
            return "unexpected SYN"
        return None

    def advance(
        self, reply: bool, sequence: int, acknowledgment: int, window: int, length: int, flags: int
    ) -> str | None:
        """Check an ordinary segment against both windows and move them; what is wrong with it, or None."""
        if reply:
            receiver, sender = self.sides
        else:
            sender, receiver = self.sides
        end = sequence + length + (flags & FIN) & _WRAP
        if (
            0 < sequence - sender.limit & _WRAP < _HALF
            or 0 < sender.end - receiver.window - 1 - end & _WRAP < _HALF
            or 0 < acknowledgment - receiver.end & _WRAP < _HALF
            or 0 < receiver.end - max(sender.window, _LEAST_WINDOW) - acknowledgment & _WRAP < _HALF
        ):
            return "out of window"
        if sender.scale:
            window <<= sender.scale
        if window > sender.window:
            sender.window = window
        if 0 < end - sender.end & _WRAP < _HALF:
            sender.end = end
            if flags & FIN:
                sender.fin = end
        offered = acknowledgment + (window or 1) & _WRAP
        if 0 < offered - receiver.limit & _WRAP < _HALF:
            receiver.limit = offered
        sender.acknowledged = acknowledgment
        return None

    def _follow_closing(self, now: float) -> None:
        a, b = self.sides
        if a.fin is None and b.fin is None:
            return
        if a.fin is not None and b.fin is not None and b.acknowledged == a.fin and a.acknowledged == b.fin:
            if self.phase is not Phase.CLOSED:
                self.enter(Phase.CLOSED, now)
        elif self.phase is Phase.ESTABLISHED:
            self.enter(Phase.CLOSING, now)


def key_of(source: Endpoint, destination: Endpoint, protocol: int) -> bytes:
    """Addresses and ports in the order in which they stand in a frame, and the protocol."""
    ports = source[1].to_bytes(2, "big") + destination[1].to_bytes(2, "big")
    return source[0] + destination[0] + ports + bytes((protocol,))


def _window_scale(options: bytes) -> int | None:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            return None
        if options[at] == _WINDOW_SCALE and options[at + 1] == 3 and at + 2 < len(options):
            return min(options[at + 2], 14)
        at += options[at + 1]
    return None


class Connections:
    """Every flow, by how its packets look in either direction.

    A full table makes room by forgetting half-open connections first, the oldest of them, then closed ones and those
    of protocols without connections; established connections are never forgotten for newcomers.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self.capacity = capacity
        """Flows; half of them at most may be half-open."""
        self.evicted = 0
        self._swept = float("-inf")
        self._table: dict[bytes, tuple[Flow, bool]] = {}
        self._flows: dict[bytes, Flow] = {}
        self._half_open: OrderedDict[bytes, Flow] = OrderedDict()
        self._transient: OrderedDict[bytes, Flow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    @property
    def flows(self) -> tuple[Flow, ...]:
        return tuple(self._flows.values())

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    def find(self, key: bytes, now: float) -> tuple[Flow, bool] | None:
        """The flow a packet belongs to and whether it goes the other way than the first; None for a new one."""
        found = self._table.get(key)
        if found is None:
            return None
        if now > found[0].expires:
            self.remove(found[0])
            return None
        return found

    def is_free(self, reply_key: bytes) -> bool:
        """Whether no flow's packets look like this."""
        return reply_key not in self._table

    def add(self, flow: Flow, now: float) -> bool:
        """Take up a flow whose keys are free; False where there is no room for it."""
        if len(self._flows) >= self.capacity and now >= self._swept + 1.0:
            self._swept = now  # a flood must not make every packet look at the whole table
            self.expire(now)
        half_full = flow.protocol == 6 and len(self._half_open) >= self.capacity // 2
        if (half_full or len(self._flows) >= self.capacity) and not self._make_room(half_full):
            return False
        self._flows[flow.key] = flow
        self._table[flow.key] = (flow, False)
        self._table[flow.reply_key] = (flow, True)
        (self._half_open if flow.protocol == 6 else self._transient)[flow.key] = flow
        return True

    def _make_room(self, half_full: bool) -> bool:
        for oldest in (self._half_open,) if half_full else (self._half_open, self._transient):
            if oldest:
                self.remove(next(iter(oldest.values())))
                self.evicted += 1
                return True
        return False

    def settle(self, flow: Flow) -> None:
        """Note how far a flow has come: an established connection is no longer half-open."""
        if flow.phase in (Phase.NEW, Phase.OPENING):
            return
        if flow.protocol != 6:
            if flow.key in self._transient:
                self._transient.move_to_end(flow.key)
        else:
            self._half_open.pop(flow.key, None)
            if flow.phase is Phase.CLOSED:
                self._transient[flow.key] = flow

    def remove(self, flow: Flow) -> None:
        if self._flows.get(flow.key) is not flow:
            return
        del self._flows[flow.key]
        for key in (flow.key, flow.reply_key):
            self._table.pop(key, None)
        self._half_open.pop(flow.key, None)
        self._transient.pop(flow.key, None)
        flow.phase = Phase.CLOSED

    def expire(self, now: float) -> list[Flow]:
        """Forget what has been silent for too long."""
        silent = [flow for flow in self._flows.values() if now > flow.expires]
        for flow in silent:
            self.remove(flow)
        return silent
