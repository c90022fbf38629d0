"""When to act: a schedule without drift, and growing pauses between attempts."""

from __future__ import annotations

import asyncio
import math
from random import Random


class Schedule:
    """The ticks of a fixed grid; a tick missed because work took too long is skipped and counted."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._tick = 0
        self.overruns = 0

    async def next_tick(self) -> None:
        """Wait for the next tick that is still ahead."""
        elapsed = (self._loop.time() - self._began) / self._period
        # Work that ends on a tick, give or take a rounding error, is in time for it.
        ahead = max(self._tick + 1, math.ceil(elapsed - 1e-9))
        self.overruns += ahead - self._tick - 1
        self._tick = ahead
        await asyncio.sleep(self._began + ahead * self._period - self._loop.time())


class Backoff:
    """Pauses that double up to a limit, with jitter so that many clients do not return at once."""

    def __init__(self, random: Random, first: float, limit: float) -> None:
        self._random = random
        self._first = min(first, limit)
        self._limit = limit
        self._next = self._first

    def lasted(self, seconds: float) -> None:
        """A connection that held for as long as the longest pause starts the count anew."""
        if seconds >= self._limit:
            self._next = self._first

    def pause(self) -> float:
        """Seconds to wait now: between half of the current pause and all of it."""
        pause, self._next = self._next, min(self._limit, self._next * 2)
        return pause * (0.5 + self._random.random() / 2)
