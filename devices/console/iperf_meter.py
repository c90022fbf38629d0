"""What `iperf` reports of a transfer, each interval and at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from devices.console.process import Process

_PREFIXES: Final = ("", "K", "M", "G")


class Meter:
    """Counts bytes, and says how many, each interval and at the end."""

    def __init__(self, process: Process, interval: float | None, more: Callable[[], str] = lambda: "") -> None:
        self._process, self._interval, self._more = process, interval, more
        self.began = self._since = process.now()
        self.total = self._before = 0
        self._task: asyncio.Task[None] | None = None
        process.print(f"{'[ Interval ]':>16} {'Transfer':>14} {'Bandwidth':>16}")
        if interval is not None:
            self._task = asyncio.create_task(self._report_often(interval))

    async def _report_often(self, interval: float) -> None:
        while True:
            await self._process.until(self._since + interval)
            now = self._process.now()
            self._line(self._since, now, self.total - self._before)
            self._since, self._before = now, self.total

    def end(self) -> None:
        """Once, with everything."""
        if self._task is not None:
            self._task.cancel()
        self._line(self.began, self._process.now(), self.total, self._more())

    def stop(self) -> None:
        """Without a last word."""
        if self._task is not None:
            self._task.cancel()

    def _line(self, since: float, until: float, size: int, more: str = "") -> None:
        self._process.print(line(since - self.began, until - self.began, size) + more)


def line(since: float, until: float, size: int) -> str:
    """So many bytes between two moments, both in seconds."""
    rate = 8 * size / (until - since) if until > since else 0.0
    return f"[{since:6.2f}-{until:6.2f} s] {_scaled(size, 1024, 'Bytes'):>14} {_scaled(rate, 1000, 'bits/s'):>16}"


def _scaled(value: float, step: int, unit: str) -> str:
    power = 0
    while value >= step and power < len(_PREFIXES) - 1:
        value /= step
        power += 1
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {_PREFIXES[power]}{unit}"
