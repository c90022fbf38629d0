"""One end of a TCP connection as a state machine (RFC 9293), without I/O.

It is told what arrives, what its user wants and when its timers ring; it says what to send and what its user should
know. Retransmission follows RFC 6298, congestion control RFC 5681, RFC 6582 (NewReno) and RFC 3042, blind-attack
checks RFC 5961. Left out on purpose, as in many field devices: window scaling, timestamps, selective acknowledgments,
urgent data. Nagle's algorithm is off.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

from lab.wire.tcp import Flag, mss_option

FIN, SYN, RST, PSH, ACK = (int(flag) for flag in (Flag.FIN, Flag.SYN, Flag.RST, Flag.PSH, Flag.ACK))
_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000

DEFAULT_MSS = 536
"""Bytes, for a peer that does not say (RFC 9293 section 3.7.1)."""
RECEIVE_CAPACITY = 65_535
"""Bytes a peer may send ahead of a user who does not read."""
INITIAL_RTO, MINIMUM_RTO, MAXIMUM_RTO = 1.0, 1.0, 60.0
"""Seconds (RFC 6298 section 2)."""
GRANULARITY = 0.001
_LARGEST_CWND = 2 * RECEIVE_CAPACITY
"""No window reaches farther, so there is nothing to gain beyond."""
MAX_SYN_RETRANSMISSIONS = 6
"""1 + 2 + 4 + 8 + 16 + 32 + 60 seconds: about two minutes, as Linux takes."""
MAX_RETRANSMISSIONS = 7
"""Over 100 seconds, RFC 9293 section 3.8.3 (R2)."""
ACK_DELAY = 0.04
"""Seconds; RFC 9293 section 3.8.6.3 allows 0.5."""
TIME_WAIT_SECONDS = 60.0
"""Two maximum segment lifetimes of 30 seconds."""
FIN_WAIT_2_SECONDS = 60.0
"""How long a connection whose user is gone waits for the peer's FIN."""
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 7200.0, 75.0, 9
"""RFC 9293 section 3.8.4; off unless the user asks."""


class State(Enum):
    CLOSED = auto()
    SYN_SENT = auto()
    SYN_RECEIVED = auto()
    ESTABLISHED = auto()
    FIN_WAIT_1 = auto()
    FIN_WAIT_2 = auto()
    CLOSE_WAIT = auto()
    CLOSING = auto()
    LAST_ACK = auto()
    TIME_WAIT = auto()


class Event(Enum):
    ACTIVE_OPEN = auto()
    SYN = auto()
    """A SYN arrived without acknowledging ours."""
    SYN_ACK = auto()
    ACK_OF_SYN = auto()
    CLOSE = auto()
    """The user has nothing more to send, and our FIN goes out."""
    FIN = auto()
    ACK_OF_FIN = auto()
    FIN_AND_ACK_OF_FIN = auto()
    END = auto()
    """Reset, given up, or the quiet time is over."""


S, E = State, Event
TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (S.CLOSED, E.ACTIVE_OPEN): S.SYN_SENT,
    (S.CLOSED, E.SYN): S.SYN_RECEIVED,
    (S.SYN_SENT, E.SYN_ACK): S.ESTABLISHED,
    (S.SYN_SENT, E.SYN): S.SYN_RECEIVED,  # simultaneous open
    (S.SYN_RECEIVED, E.ACK_OF_SYN): S.ESTABLISHED,
    (S.SYN_RECEIVED, E.CLOSE): S.FIN_WAIT_1,
    (S.ESTABLISHED, E.CLOSE): S.FIN_WAIT_1,
    (S.ESTABLISHED, E.FIN): S.CLOSE_WAIT,
    (S.FIN_WAIT_1, E.ACK_OF_FIN): S.FIN_WAIT_2,
    (S.FIN_WAIT_1, E.FIN): S.CLOSING,  # simultaneous close
    (S.FIN_WAIT_1, E.FIN_AND_ACK_OF_FIN): S.TIME_WAIT,
    (S.FIN_WAIT_2, E.FIN): S.TIME_WAIT,
    (S.CLOSING, E.ACK_OF_FIN): S.TIME_WAIT,
    (S.CLOSE_WAIT, E.CLOSE): S.LAST_ACK,
    (S.LAST_ACK, E.ACK_OF_FIN): S.CLOSED,
    **{(state, E.END): S.CLOSED for state in State if state is not S.CLOSED},
}
"""RFC 9293 figure 5; LISTEN is the listener's, who makes a new machine for every SYN."""

_ESTABLISHED, _CLOSED = State.ESTABLISHED, State.CLOSED
_MAY_SEND = frozenset({S.ESTABLISHED, S.CLOSE_WAIT})
_SENDS_DATA = frozenset({S.ESTABLISHED, S.CLOSE_WAIT, S.FIN_WAIT_1, S.CLOSING, S.LAST_ACK})
"""Also after CLOSE, until everything queued and the FIN are acknowledged."""
_RECEIVES_DATA = frozenset({S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2})
_OPENING = frozenset({S.SYN_SENT, S.SYN_RECEIVED})


class Alarm(Protocol):
    """A restartable timer; see lab.network.timer."""

    def start(self, delay: float) -> None: ...
    def stop(self) -> None: ...
    def dispose(self) -> None: ...
    @property
    def is_running(self) -> bool: ...


class User(Protocol):
    """Who a connection works for."""

    def established(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def ended(self) -> None:
        """The peer has nothing more to send."""

    def acknowledged(self) -> None:
        """Some of what was sent has arrived; there is room for more."""

    def closed(self, error: OSError | None) -> None:
        """It is over; `error` says why where it did not end in order. Called once."""

    def forgotten(self) -> None:
        """Not even TIME-WAIT is left: the pair of ports is free again."""


Transmit = Callable[[int, int, int, int, bytes, bytes], None]
"""transmit(sequence, acknowledgment, flags, window, payload, options)."""


class Connection:
    """The state of one connection, in the words of RFC 9293 section 3.3.1."""

    __slots__ = (
        "_ack_owed", "_acks_since", "_backoff", "_buffer", "_closed_told", "_cwnd", "_delayed",
        "_dup_acks", "_fin_queued", "_fin_received", "_held", "_in_fast_recovery", "_irs", "_iss",
        "_keepalive", "_keepalive_settings", "_later", "_max_window", "_now", "_orphan", "_paused",
        "_probes", "_quiet", "_rcv_adv", "_rcv_nxt", "_recover", "_retransmit", "_rto", "_rttvar",
        "_smss", "_snd_max", "_snd_nxt", "_snd_una", "_snd_wl1", "_snd_wl2", "_snd_wnd", "_srtt",
        "_ssthresh", "_timed", "_transmit", "_user", "_waiting", "own_mss", "retransmissions", "state", "wants_room",
    )  # fmt: skip

    def __init__(
        self,
        *,
        user: User,
        transmit: Transmit,
        alarm: Callable[[Callable[[], None]], Alarm],
        now: Callable[[], float],
        initial_sequence: int,
        mss: int = 1460,
    ) -> None:
        self.state = State.CLOSED
        self.own_mss = mss
        self.wants_room = False
        """Whether the user would like to hear of acknowledgments."""
        self.retransmissions = 0
        """Segments sent again, over the whole life."""
        self._user = user
        self._transmit = transmit
        self._now = now
        # Send sequence space. The buffer holds what the peer has not acknowledged, from SND.UNA (or ISS+1) on.
        self._iss = initial_sequence & _MASK
        self._snd_una = self._iss
        self._snd_nxt = self._iss
        self._snd_max = self._iss
        self._snd_wnd = 0
        self._snd_wl1 = 0
        self._snd_wl2 = 0
        self._max_window = 0
        self._buffer = bytearray()
        self._fin_queued = False
        self._smss = DEFAULT_MSS
        # Receive sequence space.
        self._irs = 0
        self._rcv_nxt = 0
        self._rcv_adv = 0
        self._later: list[tuple[int, bytes]] = []
        """Segments that came too early, sorted by their distance from RCV.NXT."""
        self._fin_received: int | None = None
        """Sequence number of the peer's FIN, once seen."""
        self._held: deque[bytes] = deque()
        self._waiting = 0
        """Bytes held for a user who has paused."""
        self._paused = False
        self._ack_owed = False
        self._acks_since = 0
        """Bytes received since we last acknowledged."""
        # Congestion control and round-trip time.
        self._cwnd = 0
        self._ssthresh = RECEIVE_CAPACITY
        self._dup_acks = 0
        self._recover: int | None = None
        self._in_fast_recovery = False
        self._srtt: float | None = None
        self._rttvar = 0.0
        self._rto = INITIAL_RTO
        self._backoff = 0
        self._timed: tuple[int, float] | None = None
        """(sequence number whose acknowledgment is timed, since when); none during retransmission (Karn)."""
        self._keepalive_settings: tuple[float, float, int] | None = None
        self._probes = 0
        self._orphan = False
        self._closed_told = False
        self._retransmit = alarm(self._retransmission_due)
        self._delayed = alarm(self._acknowledge)
        self._quiet = alarm(self._quiet_time_over)
        self._keepalive = alarm(self._keepalive_due)

    # -- what the user wants ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect: send a SYN."""
        self._move(Event.ACTIVE_OPEN)
        self._snd_nxt = self._snd_max = self._iss + 1 & _MASK
        self._timed = (self._snd_nxt, self._now())
        self._send_syn()

    def accept(self, sequence: int, window: int, mss: int | None) -> None:
        """Answer a peer's SYN, which arrived at a listening port."""
        self._move(Event.SYN)
        self._learn_peer(sequence, window, mss)
        self._snd_nxt = self._snd_max = self._iss + 1 & _MASK
        self._timed = (self._snd_nxt, self._now())
        self._send_syn()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Queue data, and send what the windows allow. Raises BrokenPipeError once closed or before established."""
        if self._fin_queued or self.state not in _MAY_SEND:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        size = len(data)
        if not self._buffer and size <= self._smss and size <= self._snd_wnd and size <= self._cwnd:
            self._buffer += data  # what a request or an answer mostly is: one segment with nothing before it
            self._send_data(bytes(data), PSH)
        else:
            self._buffer += data
            self._push()

    def close(self) -> None:
        """Nothing more to send: a FIN follows what is queued."""
        if self._fin_queued or self.state is State.CLOSED:
            return
        if self.state is State.SYN_SENT:
            self._finish(None)
            return
        self._fin_queued = True
        if self.state is not State.SYN_RECEIVED:
            self._move(Event.CLOSE)
            self._push()

    def release(self) -> None:
        """The user is gone for good: finish in order without anybody to deliver to.

        Data that nobody will read resets the connection (RFC 9293 section 3.6.1).
        """
        self._orphan = True
        if self._waiting:
            self.abort()
            return
        self.close()
        if self.state is State.FIN_WAIT_2:
            self._quiet.start(FIN_WAIT_2_SECONDS)

    def abort(self, error: OSError | None = None) -> None:
        """End at once; the peer gets a RST where it could know of us."""
        if self.state is State.CLOSED:
            return
        if self.state not in (State.SYN_SENT, State.TIME_WAIT):
            self._transmit(self._snd_nxt, self._rcv_nxt, RST | ACK, 0, b"", b"")
        self._finish(error)

    def fail(self, error: OSError) -> None:
        """End at once and without a word, because the network says that the peer is not to be had."""
        if self.state is not State.CLOSED:
            self._finish(error)

    def pause(self) -> None:
        """Deliver nothing until `resume`; the window closes as data piles up."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        while self._held and not self._paused:
            data = self._held.popleft()
            self._waiting -= len(data)
            self._user.received(data)
        if not self._held:
            self._end_if_due()
        if self.state in _RECEIVES_DATA and self._fin_received is None:
            opened = (self._window_edge() - self._rcv_adv) & _MASK
            if opened >= min(self.own_mss, RECEIVE_CAPACITY // 2) and opened < _HALF:
                self._acknowledge()  # window update

    def keep_alive(
        self,
        idle: float = KEEPALIVE_IDLE,
        interval: float = KEEPALIVE_INTERVAL,
        probes: int = KEEPALIVE_PROBES,
    ) -> None:
        """Probe a silent peer after `idle` seconds, every `interval`, and give up after `probes` without an answer."""
        self._keepalive_settings = (idle, interval, probes)
        self._keepalive.start(idle)

    @property
    def next_expected(self) -> int:
        """RCV.NXT."""
        return self._rcv_nxt

    @property
    def unacknowledged(self) -> int:
        """Bytes accepted from the user that the peer has not acknowledged."""
        return len(self._buffer)

    @property
    def unsent(self) -> int:
        return max(0, len(self._buffer) - ((self._snd_nxt - self._snd_una) & _MASK))

    # -- what the network brings -----------------------------------------------------------------------------------

    def arrive(
        self, sequence: int, acknowledgment: int, flags: int, window: int, payload: bytes, mss: int | None = None
    ) -> None:
        """A segment with intact checksum that belongs to this connection (RFC 9293 section 3.10.7)."""
        self._probes = 0
        if self._keepalive_settings is not None:
            self._keepalive.start(self._keepalive_settings[0])
        if (
            self.state is _ESTABLISHED
            and flags & (ACK | SYN | FIN | RST) == ACK
            and sequence == self._rcv_nxt
            and not self._later
            and not self._waiting
        ):
            # What nearly every segment is: in order, in state, nothing special.
            if not self._take_acknowledgment(sequence, acknowledgment, window, len(payload)):
                return
            if payload:
                self._accept_in_order(payload)
            return
        if self.state is State.SYN_SENT:
            self._arrive_in_syn_sent(sequence, acknowledgment, flags, window, mss)
            return
        if self.state is State.CLOSED:
            return
        self._arrive_synchronized(sequence, acknowledgment, flags, window, payload)

    def _arrive_in_syn_sent(self, sequence: int, acknowledgment: int, flags: int, window: int, mss: int | None) -> None:
        if flags & ACK and acknowledgment != self._snd_nxt:
            if not flags & RST:
                self._transmit(acknowledgment, 0, RST, 0, b"", b"")
            return
        if flags & RST:
            if flags & ACK:
                self._finish(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
            return
        if not flags & SYN:
            return
        self._learn_peer(sequence, window, mss)
        if flags & ACK:
            self._snd_una = acknowledgment
            self._snd_wl2 = acknowledgment
            self._sample(acknowledgment)
            self._backoff = 0
            self._retransmit.stop()
            self._move(Event.SYN_ACK)
            self._acknowledge()
            self._user.established()
        else:
            self._move(Event.SYN)
            self._send_syn()

    def _arrive_synchronized(self, sequence: int, acknowledgment: int, flags: int, window: int, payload: bytes) -> None:
        if self.state is State.SYN_RECEIVED and flags & SYN and sequence == self._irs:
            if not flags & ACK:
                self._send_syn(again=True)  # the peer did not get our SYN,ACK
                return
            flags &= ~SYN  # simultaneous open: it answers the SYN we both sent (RFC 9293 figure 7)
            sequence = sequence + 1 & _MASK
        size = len(payload) + bool(flags & FIN)
        if not self._is_acceptable(sequence, size + bool(flags & SYN)):
            if flags & RST:
                return
            if self.state is State.TIME_WAIT:
                self._quiet.start(TIME_WAIT_SECONDS)
            self._acknowledge()
            if not flags & ACK or self.state is State.TIME_WAIT:
                return
            # A closed window must not keep acknowledgments out (RFC 9293 section 3.10.7.4).
            self._take_acknowledgment(sequence, acknowledgment, window, 0)
            return
        if flags & RST:
            if sequence == self._rcv_nxt:
                self._reset_by_peer()
            else:
                self._acknowledge()  # RFC 5961 section 3: challenge a blind reset
            return
        if flags & SYN:
            self._acknowledge()  # RFC 5961 section 4
            return
        if not flags & ACK:
            return
        if self.state is State.SYN_RECEIVED:
            if not self._is_between(self._snd_una, acknowledgment, self._snd_max) or acknowledgment == self._snd_una:
                self._transmit(acknowledgment, 0, RST, 0, b"", b"")
                return
            self._sample(acknowledgment)
            self._snd_una = self._iss + 1 & _MASK
            self._backoff = 0
            self._retransmit.stop()
            self._snd_wnd, self._snd_wl1, self._snd_wl2 = window, sequence, acknowledgment
            self._max_window = max(self._max_window, window)
            self._move(Event.ACK_OF_SYN)
            self._user.established()
            if self._fin_queued and self.state in _MAY_SEND:
                self._move(Event.CLOSE)
                self._push()
        if self.state is State.TIME_WAIT:
            if flags & FIN:
                self._acknowledge()
                self._quiet.start(TIME_WAIT_SECONDS)
            return
        if not self._take_acknowledgment(sequence, acknowledgment, window, size):
            return
        if size:
            self._take_text(sequence, payload, bool(flags & FIN))

    def _take_text(self, sequence: int, payload: bytes, fin: bool) -> None:
        if self.state not in _RECEIVES_DATA:
            # The peer's FIN is in: whatever this is, it has been acknowledged before.
            self._acknowledge()
            return
        if payload and self._orphan:
            # RFC 9293 section 3.6.1: data for a user who is gone resets the connection.
            self.abort()
            return
        if fin:
            self._fin_received = sequence + len(payload) & _MASK
        offset = (self._rcv_nxt - sequence) & _MASK
        if offset < _HALF:
            if offset < len(payload):
                payload = payload[offset : offset + self._room()]
                had_holes = bool(self._later)
                self._accept_in_order(payload)
                if had_holes and self._ack_owed and self.state is not State.CLOSED:
                    self._acknowledge()  # RFC 5681 section 4.2: at once when a gap is filled
            elif payload and not fin:
                self._acknowledge()  # all of it is old
        elif payload:
            self._keep_for_later(sequence, payload)
            self._acknowledge()  # RFC 5681 section 3.2: a duplicate acknowledgment at once
        if self.state is not State.CLOSED:
            self._take_fin_if_due(answer=fin)

    def _accept_in_order(self, payload: bytes) -> None:
        if self._orphan:
            self.abort()
            return
        self._rcv_nxt = self._rcv_nxt + len(payload) & _MASK
        self._ack_owed = True
        self._acks_since += len(payload)
        self._deliver(payload)
        while self._later:
            sequence, later = self._later[0]
            offset = (self._rcv_nxt - sequence) & _MASK
            if offset >= _HALF and offset:
                break
            del self._later[0]
            if offset < len(later):
                later = later[offset:]
                self._rcv_nxt = self._rcv_nxt + len(later) & _MASK
                self._acks_since += len(later)
                self._deliver(later)
        if self._ack_owed and self.state is not _CLOSED:
            if self._acks_since >= 2 * self.own_mss:  # RFC 5681 section 4.2: at least every second full segment
                self._acknowledge()
            elif not self._delayed.is_running:
                self._delayed.start(ACK_DELAY)

    def _deliver(self, data: bytes) -> None:
        if self._paused or self._held:
            self._held.append(data)
            self._waiting += len(data)
        else:
            self._user.received(data)

    def _keep_for_later(self, sequence: int, payload: bytes) -> None:
        distance = (sequence - self._rcv_nxt) & _MASK
        payload = payload[: max(0, self._room() - distance)]
        if not payload:
            return
        at = len(self._later)
        while at and ((self._later[at - 1][0] - self._rcv_nxt) & _MASK) > distance:
            at -= 1
        if at and self._later[at - 1][0] == sequence and len(self._later[at - 1][1]) >= len(payload):
            return
        self._later.insert(at, (sequence, payload))

    def _take_fin_if_due(self, *, answer: bool) -> None:
        if self._fin_received != self._rcv_nxt:
            if answer:
                self._acknowledge()
            return
        self._rcv_nxt = self._rcv_nxt + 1 & _MASK
        fin_acknowledged = self._fin_queued and not self._buffer and self._snd_una == self._snd_max
        if self.state is State.FIN_WAIT_1 and fin_acknowledged:
            self._move(Event.FIN_AND_ACK_OF_FIN)
        else:
            self._move(Event.FIN)
        self._acknowledge()
        if self.state is State.TIME_WAIT:
            self._enter_time_wait()
        self._end_if_due()

    def _end_if_due(self) -> None:
        if self._fin_received is not None and self._fin_received != self._rcv_nxt and not self._held:
            received, self._fin_received = self._fin_received, None
            if (self._rcv_nxt - received) & _MASK == 1:
                self._user.ended()
            else:
                self._fin_received = received

    def _take_acknowledgment(self, sequence: int, acknowledgment: int, window: int, size: int) -> bool:
        """Process the ACK field; False where the segment goes no further."""
        una = self._snd_una
        advance = (acknowledgment - una) & _MASK
        if advance == 0:
            flight = self._snd_max != una
            if flight and not size and window == self._snd_wnd and window and self._snd_nxt != una:
                self._duplicate_acknowledgment()
            self._update_window(sequence, acknowledgment, window)
            return True
        if advance > (self._snd_max - una) & _MASK:
            if advance < _HALF:
                self._acknowledge()  # it acknowledges what was never sent
                return False
            return True  # an old duplicate
        self._sample(acknowledgment)
        in_buffer = len(self._buffer)
        fin_acknowledged = advance > in_buffer
        if advance >= in_buffer:
            self._buffer.clear()
        else:
            del self._buffer[:advance]
        self._snd_una = acknowledgment
        if (self._snd_nxt - acknowledgment) & _MASK >= _HALF:
            self._snd_nxt = acknowledgment
        self._backoff = 0
        if self._recover is not None or 2 * ((self._snd_max - una) & _MASK) >= self._cwnd < _LARGEST_CWND:
            self._grow(advance, acknowledgment)
        else:
            self._dup_acks = 0  # RFC 7661: who does not use the window learns nothing about it
        if acknowledgment == self._snd_max:
            self._retransmit.stop()
        else:
            self._retransmit.start(self._rto)
        if fin_acknowledged:
            self._fin_was_acknowledged()
            return self.state is not State.CLOSED
        self._update_window(sequence, acknowledgment, window)
        if self.wants_room and not self._closed_told:
            self._user.acknowledged()
        return self.state is not _CLOSED

    def _update_window(self, sequence: int, acknowledgment: int, window: int) -> None:
        newer = (sequence - self._snd_wl1) & _MASK
        if (newer and newer < _HALF) or (not newer and (acknowledgment - self._snd_wl2) & _MASK < _HALF):
            was_closed = self._snd_wnd == 0
            self._snd_wnd, self._snd_wl1, self._snd_wl2 = window, sequence, acknowledgment
            if window > self._max_window:
                self._max_window = window
            if was_closed and window and self._buffer:
                self._snd_nxt = self._snd_una  # what probes carried was not kept
                self._retransmit.stop()
                self._backoff = 0
        if self._buffer or self._fin_queued:
            self._push()

    def _fin_was_acknowledged(self) -> None:
        if (self.state, Event.ACK_OF_FIN) not in TRANSITIONS:
            return
        self._move(Event.ACK_OF_FIN)
        if self.state is State.CLOSED:
            self._finish(None)
        elif self.state is State.TIME_WAIT:
            self._enter_time_wait()
        elif self._orphan:
            self._quiet.start(FIN_WAIT_2_SECONDS)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _push(self) -> None:
        """Send new data as far as the peer's window and the congestion window reach."""
        if self.state not in _SENDS_DATA:
            return
        buffer = self._buffer
        while True:
            flight = (self._snd_nxt - self._snd_una) & _MASK
            unsent = len(buffer) - flight
            if unsent <= 0:
                if self._fin_queued and unsent == 0:
                    self._send_data(b"", FIN)
                break
            # RFC 3042: the first two duplicate acknowledgments each let a segment out, so that small flights get a third.
            early = self._dup_acks * self._smss if self._dup_acks < 3 else 0
            usable = min(self._snd_wnd, self._cwnd + early) - flight
            size = min(unsent, self._smss)
            if size > usable:
                # RFC 9293 section 3.8.6.2.1: no silly small segments while something is on its way.
                if usable <= 0 or (flight and usable * 2 < self._max_window):
                    break
                size = usable
            last = size == unsent
            flags = (PSH | FIN if self._fin_queued else PSH) if last else 0
            self._send_data(bytes(buffer[flight : flight + size]), flags)
            if last:
                break
        if buffer and self._snd_nxt == self._snd_una and not self._retransmit.is_running:
            self._retransmit.start(self._rto)  # the window is closed: probe it

    def _send_data(self, payload: bytes, flags: int) -> None:
        sequence = self._snd_nxt
        self._snd_nxt = sequence + len(payload) + bool(flags & FIN) & _MASK
        if (self._snd_nxt - self._snd_max) & _MASK < _HALF:
            self._snd_max = self._snd_nxt
            if self._timed is None and not self._backoff:
                self._timed = (self._snd_nxt, self._now())
        else:
            self.retransmissions += 1
        self._say(sequence, flags | ACK, payload)
        if not self._retransmit.is_running:
            self._retransmit.start(self._rto)

    def _send_syn(self, *, again: bool = False) -> None:
        flags = SYN if self.state is State.SYN_SENT else SYN | ACK
        window = min(RECEIVE_CAPACITY, 0xFFFF)
        self._rcv_adv = self._rcv_nxt + window & _MASK
        self._transmit(self._iss, self._rcv_nxt if flags & ACK else 0, flags, window, b"", mss_option(self.own_mss))
        if not again:
            self._retransmit.start(self._rto)

    def _acknowledge(self) -> None:
        """Send an acknowledgment by itself."""
        if self.state is not State.CLOSED:
            self._say(self._snd_nxt, ACK, b"")

    def _say(self, sequence: int, flags: int, payload: bytes) -> None:
        edge = self._window_edge() if self._waiting else self._rcv_nxt + RECEIVE_CAPACITY & _MASK
        if 0 < (edge - self._rcv_adv) & _MASK < _HALF:
            self._rcv_adv = edge
        if self._ack_owed:
            self._ack_owed = False
            self._acks_since = 0
            self._delayed.stop()
        self._transmit(sequence, self._rcv_nxt, flags, (self._rcv_adv - self._rcv_nxt) & _MASK, payload, b"")

    def _window_edge(self) -> int:
        """Where the receive window could end; small steps are withheld (RFC 9293 section 3.8.6.2.2)."""
        room = RECEIVE_CAPACITY - self._waiting
        edge = self._rcv_nxt + max(0, room) & _MASK
        step = (edge - self._rcv_adv) & _MASK
        if room < RECEIVE_CAPACITY // 2 and step < min(self.own_mss, RECEIVE_CAPACITY // 2):
            return self._rcv_adv
        return edge

    def _room(self) -> int:
        return (self._rcv_adv - self._rcv_nxt) & _MASK

    # -- time ------------------------------------------------------------------------------------------------------

    def _retransmission_due(self) -> None:
        if self.state is State.CLOSED or self.state is State.TIME_WAIT:
            return
        if self.state in _OPENING:
            self._syn_unanswered()
            return
        if self._snd_wnd == 0 and self._buffer:
            self._probe_window()
            return
        if self._snd_una == self._snd_max:
            return
        self._backoff += 1
        if self._backoff > MAX_RETRANSMISSIONS:
            self._finish(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            return
        flight = (self._snd_max - self._snd_una) & _MASK
        if self._backoff == 1:
            self._ssthresh = max(flight // 2, 2 * self._smss)  # RFC 5681 equation 4
        self._cwnd = self._smss
        self._timed = None
        self._dup_acks = 0
        self._recover = self._snd_max
        self._in_fast_recovery = False
        self._rto = min(self._rto * 2, MAXIMUM_RTO)
        self._snd_nxt = self._snd_una
        self._retransmit.start(self._rto)
        self._resend_first()

    def _resend_first(self) -> None:
        """Send the oldest unacknowledged segment again; SND.NXT moves on only from there."""
        size = min(len(self._buffer), self._smss)
        whole = size == len(self._buffer)
        flags = (FIN if whole and self._fin_queued else 0) | (PSH if whole and size else 0)
        self._timed = None
        self.retransmissions += 1
        self._say(self._snd_una, flags | ACK, bytes(self._buffer[:size]))
        after = self._snd_una + size + bool(flags & FIN) & _MASK
        if (after - self._snd_nxt) & _MASK < _HALF:
            self._snd_nxt = after

    def _probe_window(self) -> None:
        """One byte beyond a closed window asks whether it still is (RFC 9293 section 3.8.6.1)."""
        self._backoff += 1
        self._probes += 1
        if self._probes > MAX_RETRANSMISSIONS:
            self._finish(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            return
        self._timed = None
        # SND.NXT stays: were both windows closed, acknowledgments from beyond them would answer one another for ever.
        self._snd_nxt = self._snd_una
        if self._snd_max == self._snd_una:
            self._snd_max = self._snd_una + 1 & _MASK
        self._rto = min(self._rto * 2, MAXIMUM_RTO)
        self._retransmit.start(self._rto)
        self._say(self._snd_una, ACK, bytes(self._buffer[:1]))

    def _syn_unanswered(self) -> None:
        self._backoff += 1
        if self._backoff > MAX_SYN_RETRANSMISSIONS:
            self._finish(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            return
        self._timed = None
        self.retransmissions += 1
        self._rto = min(self._rto * 2, MAXIMUM_RTO)
        self._send_syn()

    def _duplicate_acknowledgment(self) -> None:
        """RFC 5681 section 3.2 and RFC 6582."""
        self._dup_acks += 1
        if self._dup_acks == 3 and self._recover is None:
            flight = (self._snd_max - self._snd_una) & _MASK
            self._ssthresh = max(flight // 2, 2 * self._smss)
            self._recover = self._snd_max
            self._in_fast_recovery = True
            self._resend_first()
            self._cwnd = self._ssthresh + 3 * self._smss
            self._retransmit.start(self._rto)
        elif self._dup_acks > 3 and self._in_fast_recovery:
            self._cwnd += self._smss

    def _grow(self, advance: int, acknowledgment: int) -> None:
        self._dup_acks = 0
        if self._recover is not None:
            if 0 < (self._recover - acknowledgment) & _MASK < _HALF:
                if self._in_fast_recovery:  # a partial acknowledgment: the next hole
                    self._resend_first()
                    self._cwnd = max(self._smss, self._cwnd - advance + self._smss)
                    return
            else:
                self._recover = None
                if self._in_fast_recovery:
                    self._in_fast_recovery = False
                    self._cwnd = self._ssthresh
                    return
        if self._cwnd < self._ssthresh:
            self._cwnd += min(advance, self._smss)
        else:
            self._cwnd += max(1, self._smss * self._smss // self._cwnd)

    def _sample(self, acknowledgment: int) -> None:
        """RFC 6298 section 2."""
        timed = self._timed
        if timed is None or (acknowledgment - timed[0]) & _MASK >= _HALF:
            if self._rto > MINIMUM_RTO and self._srtt is not None:
                self._set_rto()
            return
        self._timed = None
        rtt = self._now() - timed[1]
        if self._srtt is None:
            self._srtt, self._rttvar = rtt, rtt / 2
        else:
            self._rttvar += (abs(self._srtt - rtt) - self._rttvar) / 4
            self._srtt += (rtt - self._srtt) / 8
        self._set_rto()

    def _set_rto(self) -> None:
        assert self._srtt is not None
        rto = self._srtt + max(GRANULARITY, 4 * self._rttvar)
        self._rto = MINIMUM_RTO if rto < MINIMUM_RTO else min(rto, MAXIMUM_RTO)

    def _keepalive_due(self) -> None:
        settings = self._keepalive_settings
        if settings is None or self.state in _OPENING or self.state in (State.CLOSED, State.TIME_WAIT):
            return
        _, interval, probes = settings
        if self._probes >= probes:
            self.abort(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            return
        self._probes += 1
        self._keepalive.start(interval)
        self._transmit(self._snd_una - 1 & _MASK, self._rcv_nxt, ACK, self._room(), b"", b"")

    def _enter_time_wait(self) -> None:
        self._retransmit.stop()
        self._delayed.stop()
        self._keepalive_settings = None
        self._quiet.start(TIME_WAIT_SECONDS)
        self._tell_closed(None)

    def _quiet_time_over(self) -> None:
        self._finish(None)

    # -- the rest --------------------------------------------------------------------------------------------------

    def _learn_peer(self, sequence: int, window: int, mss: int | None) -> None:
        self._irs = sequence
        self._rcv_nxt = sequence + 1 & _MASK
        self._rcv_adv = self._rcv_nxt + RECEIVE_CAPACITY & _MASK
        self._smss = min(max(mss or DEFAULT_MSS, 64), self.own_mss)
        self._snd_wnd, self._snd_wl1, self._snd_wl2 = window, sequence, self._iss
        self._max_window = window
        self._cwnd = 10 * self._smss  # RFC 6928

    def path_takes(self, mtu: int) -> None:
        """A router on the path says how long a datagram may be: send what was lost again, shorter (RFC 1191)."""
        size = mtu - 40
        if size < self._smss:
            self._smss = size
            if self._snd_una != self._snd_max:
                self._snd_nxt = self._snd_una
                self._resend_first()

    def _is_acceptable(self, sequence: int, size: int) -> bool:
        """RFC 9293 section 3.10.7.4, first check."""
        window = self._room()
        start = (sequence - self._rcv_nxt) & _MASK
        if size == 0:
            return start == 0 if window == 0 else start < window
        if window == 0:
            return False
        return start < window or (sequence + size - 1 - self._rcv_nxt) & _MASK < window

    @staticmethod
    def _is_between(low: int, value: int, high: int) -> bool:
        return (value - low) & _MASK <= (high - low) & _MASK

    def _reset_by_peer(self) -> None:
        if self.state is State.SYN_RECEIVED:
            self._finish(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
        elif self.state in (State.CLOSING, State.LAST_ACK, State.TIME_WAIT):
            self._finish(None)
        else:
            self._finish(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]

    def _finish(self, error: OSError | None) -> None:
        if self.state is not State.CLOSED:
            self._move(Event.END)
        for alarm in (self._retransmit, self._delayed, self._quiet, self._keepalive):
            alarm.dispose()
        self._buffer.clear()
        self._later.clear()
        self._tell_closed(error)
        self._user.forgotten()

    def _tell_closed(self, error: OSError | None) -> None:
        if not self._closed_told:
            self._closed_told = True
            self._user.closed(error)
