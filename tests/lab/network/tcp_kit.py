"""Two TCP machines on a line of ideal or terrible quality, in time of their own: no loop, no frames."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.network.tcp import ACK, FIN, RST, SYN, Connection


@dataclass(frozen=True)
class Sent:
    """A segment as one end sent it."""

    at: float
    by: str
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    payload: bytes
    options: bytes = b""

    @property
    def words(self) -> str:
        names = [name for name, bit in (("SYN", SYN), ("FIN", FIN), ("RST", RST), ("ACK", ACK)) if self.flags & bit]
        return ",".join(names)


class Time:
    """Runs what is due, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, do))

    def run(self, until: float = 1e9, steps: int = 200_000) -> None:
        while self._due and self._due[0][0] <= until:
            steps -= 1
            assert steps, "it never ends"
            when, _, do = heapq.heappop(self._due)
            self.now = max(self.now, when)
            do()
        if until < 1e9:
            self.now = until


class Alarm:
    def __init__(self, time: Time, ring: Callable[[], None]) -> None:
        self._time, self._ring, self._deadline = time, ring, None

    def start(self, delay: float) -> None:
        deadline = self._deadline = self._time.now + delay
        self._time.at(deadline, lambda: self._due(deadline))

    def _due(self, deadline: float) -> None:
        if self._deadline == deadline:
            self._deadline = None
            self._ring()

    def stop(self) -> None:
        self._deadline = None

    dispose = stop

    @property
    def is_running(self) -> bool:
        return self._deadline is not None


@dataclass
class Line:
    """What happens to segments between the two; `delay` in seconds."""

    chance: random.Random = field(default_factory=lambda: random.Random(1))
    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.001
    jitter: float = 0.0
    until: float = 1e9
    """Afterwards the line is good, so that every story ends."""


class End:
    """A user with a connection."""

    def __init__(self, name: str, time: Time, iss: int, mss: int = 1460) -> None:
        self.name, self.time = name, time
        self.peer: End
        self.line = Line()
        self.log: list[Sent] = []
        self.got = bytearray()
        self.is_established = self.has_ended = self.is_closed = self.is_forgotten = False
        self.error: OSError | None = None
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.connection = Connection(
            user=self, transmit=self._transmit, alarm=self._alarm, now=lambda: time.now, initial_sequence=iss, mss=mss
        )
        self.opened = False

    def _alarm(self, ring: Callable[[], None]) -> Alarm:
        return Alarm(self.time, ring)

    def _transmit(
        self, sequence: int, acknowledgment: int, flags: int, window: int, payload: bytes, options: bytes
    ) -> None:
        assert 0 <= window <= 0xFFFF
        segment = Sent(self.time.now, self.name, sequence, acknowledgment, flags, window, payload, options)
        self.log.append(segment)
        line = self.line
        good = self.time.now >= line.until
        copies = 1
        if not good and line.chance.random() < line.loss:
            copies = 0
        elif not good and line.chance.random() < line.duplicate:
            copies = 2
        for _ in range(copies):
            late = line.delay + (0 if good else line.chance.random() * line.jitter)
            self.time.at(self.time.now + late, lambda: self.peer.arrive(segment))

    def arrive(self, segment: Sent) -> None:
        mss = int.from_bytes(segment.options[2:4], "big") if segment.options else None
        if not self.opened and segment.flags & (SYN | ACK) == SYN:
            self.opened = True
            self.connection.accept(segment.sequence, segment.window, mss)
            return
        self.connection.arrive(
            segment.sequence, segment.acknowledgment, segment.flags, segment.window, segment.payload, mss
        )

    def established(self) -> None:
        assert not self.is_established
        self.is_established = True

    def received(self, data: bytes) -> None:
        assert data
        assert not self.has_ended, "data after the end"
        self.got += data
        self.on_data(data)

    def ended(self) -> None:
        assert not self.has_ended
        self.has_ended = True

    def acknowledged(self) -> None:
        pass

    def closed(self, error: OSError | None) -> None:
        assert not self.is_closed
        self.is_closed, self.error = True, error

    def forgotten(self) -> None:
        assert not self.is_forgotten
        self.is_forgotten = True


def pair(*, iss: tuple[int, int] = (1000, 5000), mss: tuple[int, int] = (1460, 1460)) -> tuple[Time, End, End]:
    time = Time()
    a, b = End("a", time, iss[0], mss[0]), End("b", time, iss[1], mss[1])
    a.peer, b.peer = b, a
    return time, a, b


def connected(**options: tuple[int, int]) -> tuple[Time, End, End]:
    time, a, b = pair(**options)
    a.opened = True
    a.connection.open()
    time.run(until=0.1)
    assert a.is_established
    assert b.is_established
    return time, a, b
