"""A packaging machine whose states are those of PackML (ISA-TR88.00.02)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from random import Random
from typing import ClassVar, Final

from devices.process.process import Process, approach, clamp

DESIGN_SPEED: Final = 60.0
"""Packs per minute."""
FASTEST: Final = 72.0
"""Packs per minute that its belts stand."""
START: Final = 6.0
"""Seconds from Starting to Execute."""
REJECTS: Final = 0.006
"""Share of packs that are defective when all is well."""


class State(IntEnum):
    """PackML's numbers for the states it uses."""

    STOPPED = 2
    STARTING = 3
    SUSPENDED = 5
    EXECUTE = 6
    HELD = 11


class StopReason(IntEnum):
    """Why it does not run: its own trouble holds it, its neighbours' trouble suspends it."""

    NONE = 0
    PACK_JAM = 1
    FILM_OUT = 2
    STARVED = 3
    BLOCKED = 4
    CONTROLLER = 9


_LASTS: Final = {
    StopReason.PACK_JAM: (40.0, 180.0),
    StopReason.FILM_OUT: (90.0, 240.0),
    StopReason.STARVED: (20.0, 120.0),
    StopReason.BLOCKED: (20.0, 120.0),
}
"""Seconds, from and to."""
_MEAN_TIME_BETWEEN: Final = 1500.0
"""Seconds of work between two stops."""


class PackagingMachine(Process):
    points: ClassVar[tuple[str, ...]] = (
        "state_current",
        "mach_speed",
        "prod_processed",
        "prod_defective",
        "stop_reason",
    )
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {"mach_speed": (0.0, FASTEST)}

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.state_current = int(State.EXECUTE)
        self.mach_speed = DESIGN_SPEED
        """Packs per minute."""
        self.prod_processed = random.randrange(10_000, 90_000)
        """Packs, good or not."""
        self.prod_defective = round(self.prod_processed * REJECTS)
        self.stop_reason = int(StopReason.NONE)
        self._left = 0.0
        """Seconds that what stops it still lasts."""
        self._starting = 0.0
        """Seconds until it executes."""
        self._packs = 0.0
        """The part of a pack that is in the machine."""

    def advance(self, dt: float) -> None:
        self._stop_or_go(dt)
        running = self.state_current == State.EXECUTE
        target = DESIGN_SPEED if running else 0.0
        self.mach_speed = clamp(
            approach(self.mach_speed, target, dt, 1.5) + running * self.random.gauss(0.0, 0.12), 0.0, 120.0
        )
        self._packs += self.mach_speed * dt / 60.0
        made, self._packs = int(self._packs), self._packs % 1.0
        bad = sum(self.random.random() < REJECTS for _ in range(made))
        self.prod_processed = (self.prod_processed + made) & 0xFFFFFFFF
        self.prod_defective = (self.prod_defective + bad) & 0xFFFFFFFF

    def _stop_or_go(self, dt: float) -> None:
        if not self.controlled:
            self.stop_reason = int(StopReason.CONTROLLER)
        elif "stop_reason" not in self._held:
            self._find_reason(dt)
        if self.stop_reason:
            self._starting = START
            self.state_current = self._state_of(self.stop_reason)
        elif self._starting > 0.0:
            self._starting -= dt
            self.state_current = int(State.STARTING)
        else:
            self.state_current = int(State.EXECUTE)

    def _find_reason(self, dt: float) -> None:
        self._left -= dt
        if self.stop_reason:
            if self._left <= 0.0:
                self.stop_reason = int(StopReason.NONE)
        elif self.state_current == State.EXECUTE and self.random.random() < dt / _MEAN_TIME_BETWEEN:
            reason = self.random.choice(tuple(_LASTS))
            self.stop_reason = int(reason)
            self._left = self.random.uniform(*_LASTS[reason])

    @staticmethod
    def _state_of(reason: int) -> int:
        if reason in (StopReason.STARVED, StopReason.BLOCKED):
            return int(State.SUSPENDED)
        return int(State.STOPPED if reason == StopReason.CONTROLLER else State.HELD)
