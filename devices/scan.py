"""The scan cycle of a controller: the same act at the same distance, for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ScanCycle:
    """Calls `act(seconds)` once every `period` seconds of the loop's time, without drift."""

    def __init__(self, period: float, act: Callable[[float], None]) -> None:
        self._period = period
        self._act = act
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._period
        self._timer = loop.call_at(self._due, self._scan, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _scan(self, loop: asyncio.AbstractEventLoop) -> None:
        # A computer that slept has scans to make up for: they become one long one.
        periods = 1 + max(0, int((loop.time() - self._due) / self._period))
        self._due += periods * self._period
        self._timer = loop.call_at(self._due, self._scan, loop)
        self._act(periods * self._period)
