"""A physical process: numbers that move with time, whatever anybody reads of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from random import Random
from typing import ClassVar

from lab.network.appliance import Value


class Process(ABC):
    """Moves its attributes named in `points`; knows no clock, and of chance only the generator it is given."""

    points: ClassVar[tuple[str, ...]]
    """The attributes that can be measured or set, by the names scenarios use."""
    setpoints: ClassVar[tuple[str, ...]] = ()
    """Those that clients of its controller may write, and that the process obeys."""
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Lowest and highest value with which nobody and nothing comes to harm, by point."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.controlled = True
        """Whether a controller works; without one, everything it drives is in the position it takes without power."""
        self._held: dict[str, Value] = {}

    @abstractmethod
    def advance(self, dt: float) -> None:
        """Let `dt` seconds pass, as physics and its own controls would have it."""

    def step(self, dt: float) -> None:
        """Let `dt` seconds pass; points that are held stay as they are, and the rest answers to them."""
        self.advance(dt)
        for point, value in self._held.items():
            setattr(self, point, value)

    def force(self, point: str, value: Value | None) -> None:
        """Hold a point at a value, from now on, or let it go (None); raises KeyError for a foreign point."""
        if point not in self.points:
            raise KeyError(point)
        if value is None:
            self._held.pop(point, None)
            return
        self._held[point] = type(getattr(self, point))(value)
        setattr(self, point, self._held[point])

    def set(self, point: str, value: Value) -> None:
        """An operator or a client moves a set-point; one that is held does not move."""
        if point not in self._held:
            setattr(self, point, value)

    def values(self) -> Mapping[str, Value]:
        return {point: getattr(self, point) for point in self.points}

    def wander(self, value: float, mean: float, deviation: float, dt: float, correlation: float) -> float:
        """The next value of a random walk that keeps coming home (Ornstein-Uhlenbeck), whatever the step."""
        memory = math.exp(-dt / correlation)
        return mean + (value - mean) * memory + self.random.gauss(0.0, deviation) * math.sqrt(1 - memory * memory)


def approach(value: float, target: float, dt: float, time_constant: float) -> float:
    """First-order lag: two thirds of the way after one time constant, whatever the step."""
    return target + (value - target) * math.exp(-dt / time_constant)


def clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
