"""Which samples are worth passing on: every one, those that changed, or those and a sign of life."""

from __future__ import annotations

from typing import Final

from gateway.fields import Deadband, Reported, ReportMode
from gateway.samples import Sample

MAX_SILENCE_MS: Final = 60_000
_NS_PER_MS: Final = 1_000_000


class Gate:
    """Remembers what was last passed on of one tag."""

    __slots__ = ("_deadband", "_last", "_max_silence", "_passed_at", "_span", "mode")

    def __init__(self, tag: Reported, group: Reported) -> None:
        self.mode: ReportMode = tag.report or group.report or "period"
        silence = tag.max_silence_ms or group.max_silence_ms or MAX_SILENCE_MS
        self._max_silence = silence * _NS_PER_MS if self.mode == "both" else 0
        self._deadband = tag.deadband or group.deadband
        span = getattr(tag, "range", None)
        self._span = abs(span[1] - span[0]) if span is not None else None
        self._last: Sample | None = None
        self._passed_at = 0

    def passes(self, sample: Sample, now: int) -> bool:
        """Whether this sample, seen at plant time `now` in nanoseconds, is to be passed on."""
        if self.mode == "period":
            return True
        last = self._last
        is_silent_for_long = bool(self._max_silence) and now - self._passed_at >= self._max_silence
        is_same = last is not None and sample.quality is last.quality and not self._moved(last, sample)
        if is_same and not is_silent_for_long:
            return False
        self._last, self._passed_at = sample, now
        return True

    def overdue(self, now: int) -> bool:
        """Whether a sign of life is due of a tag that is only heard of when it changes; then it counts as given."""
        if self._last is None or not self._max_silence or now - self._passed_at < self._max_silence:
            return False
        self._passed_at = now
        return True

    @property
    def patience(self) -> float | None:
        """Seconds of silence that are allowed; None where they are not limited."""
        return self._max_silence / 1e9 if self._max_silence else None

    def _moved(self, last: Sample, sample: Sample) -> bool:
        old, new = last.value, sample.value
        if new == old and isinstance(new, bool) is isinstance(old, bool):
            return False
        if self._deadband is None or isinstance(old, (bool, str)) or isinstance(new, (bool, str)):
            return True
        if old is None or new is None:
            return True
        # 20.1 less 20.0 is a little more than 0.1 in binary fractions.
        return abs(new - old) > _width(self._deadband, self._span, old) * (1 + 1e-9) + 1e-12


def _width(deadband: Deadband, span: float | None, last: float) -> float:
    """The deadband in engineering units (OPC UA Part 8, 6.2, counts percents of the range)."""
    if deadband.absolute is not None:
        return deadband.absolute
    return (deadband.percent or 0.0) / 100 * (abs(last) if span is None else span)
