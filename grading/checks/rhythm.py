"""How regularly something happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import Field

from lab.model.plant import Strict
from lab.text import Text

LEAST: Final = 3
"""Happenings before anything can be said of their distance."""
MOST: Final = 2048
HOLE: Final = 2.0
"""Periods without a happening that make a hole."""

SENTENCES: Final[Mapping[str, Text]] = {
    "too-few": Text(zh="只见到 {seen} 次，至少需要 {needed} 次", en="seen {seen} times so far, {needed} are needed"),
    "stopped": Text(
        zh="最近一次在 {silent:.1f} 秒之前，周期应为 {period:g} 秒",
        en="the last was {silent:.1f} s ago; the period should be {period:g} s",
    ),
    "too-slow": Text(
        zh="平均周期 {mean:.2f} 秒，应为 {period:g} 秒（±{percent:.0f}%）",
        en="the mean period is {mean:.2f} s; it should be {period:g} s ±{percent:.0f}%",
    ),
    "too-fast": Text(
        zh="平均周期 {mean:.2f} 秒，应为 {period:g} 秒（±{percent:.0f}%）",
        en="the mean period is {mean:.2f} s; it should be {period:g} s ±{percent:.0f}%",
    ),
    "gaps": Text(
        zh="最长间隔 {slowest:.1f} 秒，周期应为 {period:g} 秒",
        en="the longest gap was {slowest:.1f} s; the period should be {period:g} s",
    ),
}
UNTIMELY: Final = 0.5
"""The share of what is right but for its rhythm."""


class Periodic(Strict):
    """How often something is to happen."""

    period: Annotated[float, Field(gt=0, le=3600, description="周期，秒。 Period in seconds.")]
    tolerance: Annotated[
        float,
        Field(gt=0, lt=1, description="平均周期允许的偏差（比例）。 How far the mean period may be off, as a share."),
    ] = 0.2
    window: Annotated[
        float, Field(gt=0, le=3600, description="只看最近多少秒。 How many of the last seconds count.")
    ] = 60.0


class Rhythm:
    """The times at which something happened within a window that moves along."""

    __slots__ = ("_times", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._times: deque[float] = deque(maxlen=MOST)

    def beat(self, at: float) -> None:
        times = self._times
        if times and at <= times[-1]:
            return
        times.append(at)
        while at - times[0] > self._window:
            times.popleft()

    def clear(self) -> None:
        self._times.clear()

    @property
    def count(self) -> int:
        return len(self._times)

    def complaint(self, params: Periodic, now: float) -> tuple[str, dict[str, Any]] | None:
        """What is wrong with it, one of SENTENCES with its facts; None for a rhythm as it should be."""
        times, period = self._times, params.period
        if len(times) < LEAST:
            return "too-few", {"seen": len(times), "needed": LEAST}
        silent = now - times[-1]
        mean = (times[-1] - times[0]) / (len(times) - 1)
        slowest = max(later - earlier for earlier, later in pairwise(times))
        facts = {
            "period": period,
            "percent": params.tolerance * 100,
            "mean": mean,
            "slowest": max(slowest, silent),
            "silent": silent,
            "seen": len(times),
        }
        if silent > HOLE * max(period, mean) * (1 + params.tolerance):
            return "stopped", facts
        if mean > period * (1 + params.tolerance):
            return "too-slow", facts
        if mean < period * (1 - params.tolerance):
            return "too-fast", facts
        if slowest > HOLE * period * (1 + params.tolerance):
            return "gaps", facts
        return None

    @property
    def mean(self) -> float:
        """Seconds from one to the next; 0 before there were two."""
        return (self._times[-1] - self._times[0]) / (len(self._times) - 1) if len(self._times) > 1 else 0.0
