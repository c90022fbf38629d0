"""The bearing of a machine: how it shakes, and how warm it gets."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import ClassVar

from devices.process.process import Process, approach, clamp

AMBIENT = 25.0


class Vibration(Process):
    points: ClassVar[tuple[str, ...]] = ("velocity", "temperature")
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {"velocity": (0.0, 7.1), "temperature": (0.0, 95.0)}
    """ISO 10816-3 calls more than 7.1 mm/s damage to a medium machine."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.velocity = random.uniform(1.0, 2.2)
        """mm/s RMS; ISO 10816-3 calls 4.5 the end of what is good for long in a medium machine."""
        self.temperature = random.uniform(45.0, 60.0)
        """°C"""
        self._smooth = self.velocity
        """mm/s of the new bearing."""
        self._wear = 0.0
        """mm/s that wear has added."""
        self._heat = self.temperature - AMBIENT
        """K above the room that the new bearing reaches."""

    def advance(self, dt: float) -> None:
        self._wear = min(self._wear + 0.02 * dt / 3600.0, 20.0)
        mean = self._smooth + self._wear
        self.velocity = clamp(self.wander(self.velocity, mean, 0.06 * mean, dt, 20.0), 0.0, 50.0)
        target = AMBIENT + self._heat * (0.7 + 0.3 * self.velocity / self._smooth)
        self.temperature = clamp(approach(self.temperature, target, dt, 600.0), AMBIENT, 150.0)
