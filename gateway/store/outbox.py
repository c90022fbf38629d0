"""Messages on their way: waiting in a bounded queue, or sent and not yet acknowledged.

While the other end acknowledges promptly nothing is written: a message that is still here a moment after it was
accepted is, together with all that came after it, written to the disk in one go. So a program that is killed loses
nothing that it accepted longer than that moment ago, and after a restart it sends again only what had not been
acknowledged. Long queues stay on the disk, and only their beginning is in memory.

In the order of the queue: in flight, ready, on the disk only, fresh.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from gateway.store.log import Entry, Log, Place
from lab.clock import now_ns

_IN_MEMORY: Final = 256 << 10
"""Bytes of the queue's beginning that stay in memory."""
_NS: Final = 1_000_000_000
_MS: Final = 1_000_000


class Limits(NamedTuple):
    """How much may wait; what is in flight comes on top."""

    messages: int
    bytes: int
    age: float = float("inf")
    """Seconds"""


class Timers(Protocol):
    """The part of an event loop that an outbox needs."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object: ...

    def call_soon(self, callback: Callable[[], None], /) -> object: ...


class Outbox:
    """A queue that drops its oldest message when full, and a window of messages in flight."""

    def __init__(self, limits: Limits, window: int, log: Log | None, timers: Timers, patience: float = 0.2) -> None:
        self.limits = limits
        self.window = window
        """Messages that may be in flight."""
        self.patience = patience
        """Seconds a message may be here without being on the disk."""
        self.dropped = 0
        """Too many, too large altogether, or too old."""
        self.not_stored = 0
        """Dropped because the disk had no room."""
        self.delivered = 0
        self.recovered = 0
        """Found on the disk when the program began."""
        self._log = log
        self._timers = timers
        self._in_flight: dict[int, Entry] = {}
        self._ready: deque[Entry] = deque()
        self._fresh: deque[Entry] = deque()
        """Not written yet, behind others that are on the disk only."""
        self._cursor: Place | None = None
        """Where on the disk the first message stands that is not in memory."""
        self._on_disk = 0
        self._bytes = 0
        """Of everything that waits."""
        self._unwritten: dict[Entry, None] = {}
        self._is_watching = self._is_settling = False
        if log is not None:
            waiting = log.open()
            self.recovered = self._on_disk = len(waiting)
            self._bytes = sum(size for _, size in waiting)
            self._cursor = waiting[0][0] if waiting else None

    def __len__(self) -> int:
        return self.waiting + len(self._in_flight)

    @property
    def waiting(self) -> int:
        return len(self._ready) + self._on_disk + len(self._fresh)

    @property
    def size(self) -> int:
        """Bytes of everything here."""
        return self._bytes + sum(entry.size for entry in self._in_flight.values())

    @property
    def on_disk(self) -> int:
        """Bytes on the disk."""
        return self._log.size if self._log is not None else 0

    @property
    def log(self) -> Log | None:
        return self._log

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, so that the next message could go out at once."""
        return not self.waiting

    def oldest_age(self) -> float:
        """Seconds since the oldest message here was accepted."""
        first = next(iter(self._in_flight.values()), None) or self._head()
        return 0.0 if first is None else max(0.0, (now_ns() - first.at) / _NS)

    def put(self, entry: Entry) -> None:
        (self._fresh if self._on_disk else self._ready).append(entry)
        self._bytes += entry.size
        if self._log is not None:
            self._unwritten[entry] = None
            if not self._is_watching:
                self._is_watching = True
                self._timers.call_later(self.patience, self._watch)
        self._trim()

    def peek(self) -> Entry | None:
        """The message to send now, oldest first; None where nothing waits or the window is full."""
        if len(self._in_flight) >= self.window:
            return None
        self._drop_the_old()
        return self._head()

    def next(self) -> Entry | None:
        """The same, taken out of the queue."""
        entry = self.peek()
        if entry is not None:
            self._ready.popleft()
            self._bytes -= entry.size
        return entry

    def sent(self, entry: Entry, identifier: int | None) -> None:
        """A message has been sent under this identifier, or without one, when nobody will acknowledge it."""
        if identifier is None:
            self.delivered += 1
            self._leave(entry)
        else:
            self._in_flight[identifier] = entry

    def acknowledged(self, identifier: int) -> Entry | None:
        """The message of this identifier has arrived."""
        entry = self._in_flight.pop(identifier, None)
        if entry is not None:
            self.delivered += 1
            self._leave(entry)
        return entry

    def refused(self, identifier: int) -> Entry | None:
        """The message of this identifier will never be taken."""
        entry = self._in_flight.pop(identifier, None)
        if entry is not None:
            self._leave(entry)
        return entry

    def forgotten(self) -> None:
        """Nobody knows of what was in flight: all of it waits again, before everything else."""
        self._ready.extendleft(reversed(self._in_flight.values()))
        self._bytes += sum(entry.size for entry in self._in_flight.values())
        self._in_flight.clear()
        self._trim()

    def discard(self, entry: Entry) -> None:
        """Drop a message that `next` gave."""
        self._leave(entry)

    def close(self) -> None:
        """Leave everything that has not arrived on the disk."""
        if self._log is not None:
            self._write()
            self._log.close()
            self._log = None

    # -- the disk ------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Write everything once something has been here for too long."""
        self._is_watching = False
        first = next(iter(self._unwritten), None)
        if first is None or self._log is None:
            return
        left = self.patience - (now_ns() - first.at) / _NS
        if left > 0.001:
            self._is_watching = True
            self._timers.call_later(left, self._watch)
        else:
            self._write()
            self._spare_memory()

    def _write(self) -> None:
        if self._log is None or not self._unwritten:
            return
        entries = list(self._unwritten)
        self._unwritten.clear()
        if not self._log.append(entries):
            self._lose(set(entries))
        elif self._on_disk:
            self._on_disk += len(self._fresh)
            self._fresh.clear()

    def _lose(self, entries: set[Entry]) -> None:
        """What waits and cannot be stored is lost; what is in flight may yet be acknowledged."""
        before = self.waiting
        self._ready = deque(entry for entry in self._ready if entry not in entries)
        self._fresh = deque(entry for entry in self._fresh if entry not in entries)
        self.not_stored += before - self.waiting
        self._bytes -= sum(entry.size for entry in entries.difference(self._in_flight.values()))

    def _spare_memory(self) -> None:
        """Everything is on the disk; in memory the beginning will do."""
        if self._on_disk or self._unwritten:
            return
        size = 0
        for kept, entry in enumerate(self._ready):
            size += entry.size
            if size > _IN_MEMORY and kept:
                self._cursor = entry.place
                self._on_disk = len(self._ready) - kept
                self._ready = deque(itertools.islice(self._ready, kept))
                return

    def _head(self) -> Entry | None:
        """The first message that waits, in memory."""
        if not self._ready and self._on_disk:
            self._load()
        return self._ready[0] if self._ready else None

    def _load(self) -> None:
        assert self._log is not None
        assert self._cursor is not None
        found, self._cursor = self._log.read(self._cursor, _IN_MEMORY)
        self._ready.extend(found)
        self._on_disk -= len(found)
        if not found or self._on_disk < 0:
            # The disk has lost them.
            self.not_stored += max(0, self._on_disk)
            self._on_disk = 0
        if not self._on_disk:
            self._ready.extend(self._fresh)
            self._fresh.clear()
            self._bytes = sum(entry.size for entry in self._ready)

    def _leave(self, entry: Entry) -> None:
        self._unwritten.pop(entry, None)
        if entry.place is not None and self._log is not None:
            self._log.done(entry.place)
            if not self._is_settling:
                self._is_settling = True
                self._timers.call_soon(self._settle)

    def _settle(self) -> None:
        self._is_settling = False
        if self._log is not None:
            self._log.settle()

    # -- the limits ----------------------------------------------------------------------------------------------------

    def _trim(self) -> None:
        while self.waiting > self.limits.messages or (self._bytes > self.limits.bytes and self.waiting > 1):
            self._drop()
        self._drop_the_old()

    def _drop_the_old(self) -> None:
        if self.limits.age == float("inf"):
            return
        limit = now_ns() - round(self.limits.age * _NS)
        while (head := self._head()) is not None and head.at < limit:
            self._drop()

    def _drop(self) -> None:
        head = self._head()
        assert head is not None
        self._ready.popleft()
        self._bytes -= head.size
        self.dropped += 1
        self._leave(head)
