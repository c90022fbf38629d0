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

    @property
    def is_due(self) -> bool:
        """Whether the next tick has come already."""
        return self._loop.time() - self._began >= (self._tick + 1) * self._period

    async def next_tick(self, unless: asyncio.Event | None = None) -> bool:
        """Wait for the next tick that is still ahead; False where something comes first that is worth an extra one."""
        elapsed = (self._loop.time() - self._began) / self._period
        # Work that ends on a tick, give or take a rounding error, is in time for it.
        ahead = max(self._tick + 1, math.ceil(elapsed - 1e-9))
        self.overruns += ahead - self._tick - 1
        self._tick = ahead
        pause = self._began + ahead * self._period - self._loop.time()
        if unless is None:
            await asyncio.sleep(pause)
            return True
        try:
            async with asyncio.timeout(pause):
                await unless.wait()
        except TimeoutError:
            return True
        self._tick = ahead - 1  # the tick itself is still ahead
        return False


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


class Patience:
    """Attempts at somebody who is silent: ever more rarely, as a share of how long that has lasted."""

    SHARE = 0.1

    def __init__(self, random: Random, first: float, limit: float) -> None:
        self._random, self._first, self._limit = random, min(first, limit), limit
        self._since: float | None = None
        self._next = 0.0

    @property
    def is_needed(self) -> bool:
        return self._since is not None

    def failed(self, now: float) -> None:
        """An attempt has come to nothing."""
        if self._since is None:
            self._since = now
        pause = min(max(self._first, (now - self._since) * self.SHARE), self._limit)
        self._next = now + pause * (0.5 + self._random.random() / 2)

    def is_over(self, now: float) -> bool:
        """Whether it is time for another attempt."""
        return now >= self._next

    def hurry(self) -> None:
        """Something has changed that makes an attempt worth while now."""
        self._next = 0.0

    def succeeded(self) -> None:
        self._since = None
        self._next = 0.0
