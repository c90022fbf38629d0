"""Plant time: what a clock on the wall of the plant shows.

Inside a plant it is the plant loop's time, real or virtual; outside one it is the computer's. Simulated code asks
this module and never `time`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

EPOCH_NS = 1_767_225_600_000_000_000
"""When a plant in virtual time boots: 2026-01-01T00:00:00Z, so that a run can be repeated to the byte."""

plant_clock: ContextVar[Callable[[], int] | None] = ContextVar("plant_clock", default=None)
"""Set by whoever runs a plant: returns nanoseconds since the Unix epoch on the plant's clock."""


def now_ns() -> int:
    """Nanoseconds since the Unix epoch on the clock of the plant this code runs in."""
    clock = plant_clock.get()
    return clock() if clock is not None else time.time_ns()


def now() -> datetime:
    """The same as an aware UTC datetime, microseconds cut off below."""
    return datetime.fromtimestamp(now_ns() // 1_000 / 1_000_000, UTC)
