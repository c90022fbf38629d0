"""TCP conversations put together again from what one cable carried, as their originator saw them.

Frames may come twice, late, overlapping or not at all. What a receiver has acknowledged and the capture does not have
is a gap: it is reported and stepped over.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Protocol

from grading.conversations.conversation import Conversation, Deaf
from grading.observations import (
    CaptureGap,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionTimedOut,
    Observation,
)
from lab.wire.tcp import Flag

PATIENCE = 5.0
"""Seconds without an answer after which a SYN, a ping or a datagram counts as unanswered."""
LINGER = 60.0
"""Seconds that an ended connection is remembered, for frames that are late."""
IDLE = 7200.0
"""Seconds without a frame after which an open connection is forgotten."""
WINDOW = 1 << 18
"""Bytes ahead of what has been delivered that are kept; a receiver without window scaling takes 65,535."""
MAX_PENDING = 512
"""Segments that wait in one direction for one that is missing."""

_MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000
_SYN, _FIN, _RST, _ACK = int(Flag.SYN), int(Flag.FIN), int(Flag.RST), int(Flag.ACK)

Emit = Callable[[Observation], None]


class Said(Protocol):
    """One side's bytes, in order and once: the bytes, seconds since the run began, and the frame's number."""

    def __call__(self, data: bytes, at: float, number: int, /) -> None: ...


class Direction:
    """The bytes that one side of a conversation says."""

    __slots__ = ("by_client", "fin", "flow", "next", "peer", "pending", "said")

    peer: Direction

    def __init__(self, flow: Flow, by_client: bool) -> None:
        self.flow = flow
        self.by_client = by_client
        self.next: int | None = None
        """The sequence number of the first byte that has not been delivered; None before anything was seen."""
        self.pending: dict[int, tuple[bytes, int]] = {}
        """By sequence number: bytes beyond a hole and the frame they came in."""
        self.fin: int | None = None
        """The sequence number of FIN."""
        self.said: Said = _into_the_void

    def take(self, sequence: int, data: bytes, at: float, number: int) -> None:
        """Some bytes at their place in the stream."""
        if self.next is None:
            self.next = sequence
        ahead = (sequence - self.next) & _MASK
        if ahead >= _HALF:
            known = _MASK + 1 - ahead
            if known >= len(data):
                return
            sequence, data, ahead = self.next, data[known:], 0
        if ahead:
            self._keep(sequence, data, ahead, number)
            return
        self.next = (sequence + len(data)) & _MASK
        self.said(data, at, number)
        if self.pending:
            self._deliver_pending(at)

    def end_at(self, sequence: int, number: int) -> bool:
        """FIN stands here; returns whether everything before it has been delivered."""
        if self.fin is None:
            self.fin = sequence
        if self.fin != self.next:
            self.pending.setdefault(sequence, (b"", number))  # so that whoever fills the hole comes by
        return self.fin == self.next

    def _keep(self, sequence: int, data: bytes, ahead: int, number: int) -> None:
        if ahead + len(data) > WINDOW:
            return
        kept = self.pending.get(sequence)
        if kept is None and len(self.pending) >= MAX_PENDING:
            return
        if kept is None or len(kept[0]) < len(data):
            self.pending[sequence] = (data, number)

    def _deliver_pending(self, at: float) -> None:
        assert self.next is not None
        origin = self.next
        # In the order of the stream; what begins before `next` overlaps it and comes first.
        waiting = sorted(self.pending, key=lambda sequence: (sequence - origin + _HALF) & _MASK)
        for sequence in waiting:
            known = (self.next - sequence) & _MASK
            if known >= _HALF:
                return
            data, number = self.pending.pop(sequence)
            if known < len(data):
                self.next = (sequence + len(data)) & _MASK
                self.said(data[known:], at, number)
            if self.next == self.fin:
                self.flow.finish(at, number)

    def acknowledged(self, number: int, at: float, frame: int) -> None:
        """The other side says that it has everything before `number`; what we lack of it is a gap."""
        if self.next is None:
            self.flow.pick_up(self, number, at, frame)
            return
        if self.fin is not None and number == (self.fin + 1) & _MASK:
            number = self.fin
        missing = 0
        while 0 < (ahead := (number - self.next) & _MASK) < _HALF:
            step = min(((sequence - self.next) & _MASK for sequence in self.pending), default=ahead)
            step = min(step, ahead)
            missing += step
            self.next = (self.next + step) & _MASK
            self.flow.conversation.lost(self.by_client)
            self._deliver_pending(at)
            if not step:
                break
        if missing:
            self.flow.report_gap(missing, self.by_client, at, frame)


class State(Enum):
    ASKED = auto()
    OPEN = auto()
    ENDED = auto()


class Flow:
    """One TCP conversation between the host that sent the SYN and whoever got it."""

    __slots__ = (
        "address",
        "asked_at",
        "attempts",
        "client",
        "closing_by_client",
        "conversation",
        "emit",
        "frames",
        "from_client",
        "from_server",
        "has_timed_out",
        "initial",
        "key",
        "last",
        "opened_at",
        "port",
        "reverse",
        "server",
        "server_address",
        "state",
    )

    def __init__(self, key: bytes, client: str, at: float, number: int, initial: int | None, emit: Emit) -> None:
        """`key` is source and destination address and port as in the client's frames; `initial` the SYN's sequence."""
        self.key = key
        self.reverse = key[4:8] + key[:4] + key[10:12] + key[8:10]
        self.client = client
        self.server = ""
        self.address = key[4:8]
        self.server_address = str(IPv4Address(self.address))
        self.port = key[10] << 8 | key[11]
        self.emit = emit
        self.state = State.ASKED
        self.initial = initial
        self.asked_at = self.opened_at = self.last = at
        self.attempts = 1
        self.has_timed_out = False
        self.frames: tuple[int, ...] = (number,)
        """Of the handshake."""
        self.closing_by_client: bool | None = None
        self.conversation: Conversation = Deaf(self)
        self.from_client, self.from_server = Direction(self, True), Direction(self, False)
        self.from_client.peer, self.from_server.peer = self.from_server, self.from_client

    def listen(self, conversation: Conversation) -> None:
        """From now on this is who understands what is said."""
        self.conversation = conversation
        self.from_client.said = conversation.client_said
        self.from_server.said = conversation.server_said

    def report_gap(self, missing: int, by_client: bool, at: float, frame: int) -> None:
        self.emit(CaptureGap(at, self.client, self.server, self.server_address, (frame,), missing, by_client))

    def mark(
        self, side: Direction, sequence: int, acknowledgment: int, flags: int, size: int, at: float, number: int
    ) -> None:
        """A segment with SYN, FIN or RST; `size` is its payload's, which is taken elsewhere, before this."""
        if flags & _RST:
            self._reset(side, sequence, acknowledgment, flags, at, number)
        elif flags & _SYN:
            self._synchronise(side, sequence, acknowledgment, flags, at, number)
        elif flags & _FIN:
            if self.closing_by_client is None:
                self.closing_by_client = side.by_client
            if side.end_at((sequence + size) & _MASK, number):
                self.finish(at, number)

    def _synchronise(
        self, side: Direction, sequence: int, acknowledgment: int, flags: int, at: float, number: int
    ) -> None:
        if side.by_client:
            if sequence == self.initial and self.state is State.ASKED:
                self.attempts += 1
        elif (
            flags & _ACK
            and self.state is State.ASKED
            and self.initial is not None
            and acknowledgment == (self.initial + 1) & _MASK
        ):
            self._open((sequence + 1) & _MASK, at, number)

    def pick_up(self, side: Direction, acknowledgment: int, at: float, number: int) -> None:
        """Somebody acknowledges what we have not seen begin: the capture lacks the SYN, ACK or began later."""
        if self.state is State.ASKED:
            if not side.by_client:
                self._open(acknowledgment, at, number)
        else:
            side.next = acknowledgment

    def _open(self, server_next: int, at: float, number: int) -> None:
        assert self.initial is not None
        self.state = State.OPEN
        self.opened_at = at
        self.from_client.next = (self.initial + 1) & _MASK
        self.from_server.next = server_next
        self.frames += (number,)
        self.emit(
            ConnectionOpened(at, self.client, self.server, self.server_address, self.frames, self.port, self.asked_at)
        )

    def _reset(self, side: Direction, sequence: int, acknowledgment: int, flags: int, at: float, number: int) -> None:
        if self.state is State.ASKED:
            # RFC 9293 section 3.10.7.3: a RST counts in SYN-SENT if it acknowledges the SYN.
            answers = flags & _ACK and self.initial is not None and acknowledgment == (self.initial + 1) & _MASK
            if not side.by_client and answers:
                self.state = State.ENDED
                self.frames += (number,)
                self.emit(
                    ConnectionRefused(
                        at, self.client, self.server, self.server_address, self.frames, self.port, self.asked_at
                    )
                )
            elif side.by_client:
                self.state = State.ENDED
                self.time_out(at)
        elif self.state is State.OPEN and (side.next is None or (sequence - side.next) & _MASK <= WINDOW):
            self._end(at, number, side.by_client, was_reset=True)

    def finish(self, at: float, number: int) -> None:
        """One side's bytes are complete; once both are, the connection is closed."""
        is_over = all(side.fin is not None and side.fin == side.next for side in (self.from_client, self.from_server))
        if is_over and self.state is State.OPEN:
            self._end(at, number, bool(self.closing_by_client), was_reset=False)

    def _end(self, at: float, number: int, by_client: bool, was_reset: bool) -> None:
        # The directions stay: a receiver may have had its reasons not to believe in this end.
        self.state = State.ENDED
        self.conversation.ended(at)
        self.emit(
            ConnectionClosed(
                at,
                self.client,
                self.server,
                self.server_address,
                (*self.frames, number),
                self.port,
                self.opened_at,
                by_client,
                was_reset,
            )
        )

    def abandon(self, at: float) -> None:
        """The flow is about to be forgotten."""
        if self.state is State.OPEN:
            self.conversation.ended(at)
        elif self.state is State.ASKED:
            self.time_out(at)

    def time_out(self, at: float) -> None:
        """Say, once, that nobody answered the SYN."""
        if not self.has_timed_out and self.initial is not None:
            self.has_timed_out = True
            self.emit(
                ConnectionTimedOut(
                    at,
                    self.client,
                    self.server,
                    self.server_address,
                    self.frames,
                    self.port,
                    self.asked_at,
                    self.attempts,
                )
            )

    def is_over(self, now: float) -> bool:
        """Whether it may be forgotten at `now`; tells of time-outs on the way."""
        if self.state is State.OPEN:
            self.conversation.sweep(now)
            return now - self.last > IDLE
        if self.state is State.ASKED and now - self.asked_at >= PATIENCE:
            self.time_out(self.asked_at + PATIENCE)
        return now - self.last > LINGER


def _into_the_void(data: bytes, at: float, number: int, /) -> None:
    """Nobody understands this direction."""
