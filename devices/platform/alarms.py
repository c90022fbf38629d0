"""When an alarm is raised and when it is over: state machines that know neither clock nor database.

Each is told of readings, with their time, and of the passing of time where it asked for that.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from devices.platform.rules import Duration, Repeating, StaleRule, ThresholdRule


class Change(Enum):
    """What has just become of an alarm."""

    RAISED = auto()
    CLEARED = auto()


class Watch(Protocol):
    """A rule as it stands with one property of one device."""

    is_raised: bool

    def seen(self, value: object, at: int) -> Change | None:
        """A good reading, at milliseconds since the epoch; never an older one than before."""

    def waits(self) -> float | None:
        """Seconds after this reading at which `elapsed` wants to be called, None for not at all."""

    def elapsed(self) -> Change | None:
        """That time has passed, without another reading that ended the wait."""

    def reset(self) -> None:
        """Somebody has cleared the alarm by hand: begin anew."""


class ThresholdWatch:
    """By the value."""

    def __init__(self, rule: ThresholdRule, *, is_raised: bool = False) -> None:
        self.is_raised = is_raised
        self._rule = rule
        self._since: int | None = None
        """Time of the first of the latest readings in a row for which the condition holds."""
        self._times = 0
        """How many these are."""

    def seen(self, value: object, at: int) -> Change | None:
        if self.is_raised:
            return self._end() if self._rule.is_over(value) else None
        if not self._rule.create.holds(value):
            self.reset()
            return None
        if self._since is None:
            self._since = at
        self._times += 1
        return self._raise() if self._is_enough(at - self._since) else None

    def waits(self) -> float | None:
        trigger = self._rule.trigger
        return trigger.seconds if isinstance(trigger, Duration) and self._since is not None else None

    def elapsed(self) -> Change | None:
        return self._raise() if self._since is not None and not self.is_raised else None

    def reset(self) -> None:
        self.is_raised = False
        self._since = None
        self._times = 0

    def _is_enough(self, held: int) -> bool:
        match self._rule.trigger:
            case Duration(seconds=seconds):
                return held >= seconds * 1000
            case Repeating(times=times):
                return self._times >= times
            case _:
                return True

    def _raise(self) -> Change:
        self.reset()
        self.is_raised = True
        return Change.RAISED

    def _end(self) -> Change:
        self.reset()
        return Change.CLEARED


class StaleWatch:
    """By silence: every reading begins the wait anew, and ends the alarm."""

    def __init__(self, rule: StaleRule, *, is_raised: bool = False) -> None:
        self.is_raised = is_raised
        self._rule = rule

    def seen(self, value: object, at: int) -> Change | None:
        was_raised, self.is_raised = self.is_raised, False
        return Change.CLEARED if was_raised else None

    def waits(self) -> float | None:
        return None if self.is_raised else self._rule.seconds

    def elapsed(self) -> Change | None:
        if self.is_raised:
            return None
        self.is_raised = True
        return Change.RAISED

    def reset(self) -> None:
        self.is_raised = False


def watch(rule: ThresholdRule | StaleRule, *, is_raised: bool = False) -> Watch:
    if isinstance(rule, StaleRule):
        return StaleWatch(rule, is_raised=is_raised)
    return ThresholdWatch(rule, is_raised=is_raised)
