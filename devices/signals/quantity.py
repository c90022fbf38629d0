"""What transmitters and switches measure: one physical quantity each, moving as its kind does."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from devices.process.process import Process, approach, clamp


class Quantity(Process):
    """Hovers around a mean."""

    mean: ClassVar[float]
    deviation: ClassVar[float]
    correlation: ClassVar[float]
    """Seconds over which it remembers where it was."""
    limits: ClassVar[tuple[float, float]]
    """What is physically possible."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.value = self.around = random.uniform(0.9, 1.1) * self.mean

    @property
    def value(self) -> float:
        value: float = getattr(self, self.points[0])
        return value

    @value.setter
    def value(self, value: float) -> None:
        setattr(self, self.points[0], clamp(value, *self.limits))

    def advance(self, dt: float) -> None:
        homeward = approach(self.value, self.around, dt, self.correlation)
        self.value = self.wander(homeward, self.around, self.deviation, dt, self.correlation)


class Level(Quantity):
    """Of a tank, in metres."""

    points = ("level",)
    mean, deviation, correlation, limits = 1.4, 0.05, 600.0, (0.0, 3.0)


class Pressure(Quantity):
    """In a pipe, in MPa."""

    points = ("pressure",)
    mean, deviation, correlation, limits = 0.62, 0.015, 60.0, (0.0, 4.0)


class Temperature(Quantity):
    """Of a medium, in °C."""

    points = ("temperature",)
    mean, deviation, correlation, limits = 78.0, 1.5, 900.0, (-200.0, 850.0)


class Flow(Quantity):
    """In a pipe, in m³/h."""

    points = ("flow",)
    mean, deviation, correlation, limits = 42.0, 1.2, 30.0, (0.0, 500.0)


class Parts(Process):
    """Something passes in front of a switch, so many times a minute; without that, nothing does."""

    points: ClassVar[tuple[str, ...]] = ("part",)
    _IN_FRONT: ClassVar[float] = 0.4
    """Share of the time."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.part = False
        self.per_minute = 0.0
        self._phase = random.random()

    def advance(self, dt: float) -> None:
        self._phase = (self._phase + dt * self.per_minute / 60) % 1.0
        self.part = self.per_minute > 0 and self._phase < self._IN_FRONT


class Gate(Process):
    """Open or closed as somebody left it."""

    points: ClassVar[tuple[str, ...]] = ("closed",)

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.closed = False

    def advance(self, dt: float) -> None:
        """It does not move by itself."""
