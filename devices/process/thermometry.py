"""Eight places whose temperature is taken with PT100 elements."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from devices.process.process import Process, approach, clamp

OPEN = 3276.7
"""°C that the transmitter shows for an element that is broken or not there: 0x7FFF in its register."""
CHANNELS = range(1, 9)


class Thermometry(Process):
    points: ClassVar[tuple[str, ...]] = tuple(f"temperature_{channel}" for channel in CHANNELS)

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._targets = tuple(random.uniform(25.0, 180.0) for _ in CHANNELS)
        self.connected = frozenset(CHANNELS)
        """Channels with an element."""
        for point, target in zip(self.points, self._targets, strict=True):
            setattr(self, point, target)

    def connect(self, channels: frozenset[int]) -> None:
        """From now on only these have an element."""
        self.connected = channels
        for channel, point, target in zip(CHANNELS, self.points, self._targets, strict=True):
            if channel not in channels:
                self.set(point, OPEN)
            elif getattr(self, point) == OPEN:
                self.set(point, target)  # as warm as its place

    def advance(self, dt: float) -> None:
        for channel, point, target in zip(CHANNELS, self.points, self._targets, strict=True):
            if channel in self.connected:
                value = self.wander(approach(getattr(self, point), target, dt, 300.0), target, 1.2, dt, 600.0)
                setattr(self, point, clamp(value, -200.0, 850.0))
            else:
                setattr(self, point, OPEN)
