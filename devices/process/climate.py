"""The air of a workshop, as a wall sensor feels it."""

from __future__ import annotations

import math
from random import Random
from typing import ClassVar

from devices.process.process import Process, approach, clamp

DAY = 86_400.0


class Climate(Process):
    points: ClassVar[tuple[str, ...]] = ("temperature", "humidity")

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.temperature = random.uniform(21.0, 26.0)
        """°C"""
        self.humidity = random.uniform(40.0, 60.0)
        """% relative"""
        self._mean = self.temperature
        self._of_day = random.uniform(0.0, DAY)
        """Seconds since the coolest moment of the day."""
        self._vapour = self.humidity * _saturation(self.temperature)
        """Of the outside air, as relative humidity times saturation pressure."""

    def advance(self, dt: float) -> None:
        self._of_day = (self._of_day + dt) % DAY
        target = self._mean - 3.0 * math.cos(2 * math.pi * self._of_day / DAY)
        self.temperature = clamp(
            self.wander(approach(self.temperature, target, dt, 1800.0), target, 0.4, dt, 900.0), -40.0, 80.0
        )
        # The same water in warmer air is less of what it could hold.
        target = self._vapour / _saturation(self.temperature)
        self.humidity = clamp(
            self.wander(approach(self.humidity, target, dt, 300.0), target, 1.5, dt, 1200.0), 0.0, 100.0
        )


def _saturation(temperature: float) -> float:
    """hPa of water vapour that air can hold (Magnus formula)."""
    return 6.112 * math.exp(17.62 * temperature / (243.12 + temperature))
