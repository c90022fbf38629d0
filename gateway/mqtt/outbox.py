"""Messages on their way to a broker: waiting in a bounded queue, or sent and not yet acknowledged."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Publication(NamedTuple):
    """One message as it goes out."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Outbox:
    """A queue that drops its oldest message when full, and a window of messages in flight."""

    def __init__(self, capacity: int, window: int) -> None:
        self.capacity = capacity
        """Messages that may wait; those in flight come on top."""
        self.window = window
        """Messages of QoS 1 and 2 that may be in flight."""
        self.dropped = 0
        self.delivered = 0
        """Acknowledged, or sent with QoS 0."""
        self._waiting: deque[Publication] = deque()
        self._in_flight: dict[int, Publication] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    @property
    def is_flowing(self) -> bool:
        """Whether another message could go out at once."""
        return len(self._in_flight) < self.window

    def put(self, message: Publication) -> None:
        self._waiting.append(message)
        self._trim()

    def next(self) -> Publication | None:
        """The message to send now, oldest first; None where nothing waits or the window is full."""
        if not self._waiting or len(self._in_flight) >= self.window:
            return None
        return self._waiting.popleft()

    def sent(self, message: Publication, identifier: int | None) -> None:
        """A message has been sent under this packet identifier, or without one, as QoS 0 is."""
        if identifier is None:
            self.delivered += 1
        else:
            self._in_flight[identifier] = message

    def acknowledged(self, identifier: int) -> None:
        if self._in_flight.pop(identifier, None) is not None:
            self.delivered += 1

    def forgotten(self) -> None:
        """The broker knows nothing of what was in flight: all of it waits again, before everything else."""
        self._waiting.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        self._trim()

    def _trim(self) -> None:
        while len(self._waiting) > self.capacity:
            self._waiting.popleft()
            self.dropped += 1
