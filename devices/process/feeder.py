"""A three-phase low-voltage feeder with motors on it, as a power meter behind current transformers sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import ClassVar

from devices.process.process import Process, clamp

ENERGY_ROLLS = 2**32 * 0.01
"""kWh after which the register begins again at 0."""
_PHASES = "abc"


class Feeder(Process):
    points: ClassVar[tuple[str, ...]] = (
        "voltage_a",
        "voltage_b",
        "voltage_c",
        "current_a",
        "current_b",
        "current_c",
        "active_power",
        "reactive_power",
        "power_factor",
        "frequency",
        "energy",
        "ct_ratio",
    )
    setpoints: ClassVar[tuple[str, ...]] = ("ct_ratio",)
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {
        "voltage_a": (207.0, 253.0),
        "voltage_b": (207.0, 253.0),
        "voltage_c": (207.0, 253.0),
        "frequency": (49.5, 50.5),
    }
    """IEC 60038 (230 V, 10 % either way) and GB/T 15945."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.voltage_a, self.voltage_b, self.voltage_c = (random.uniform(228.0, 233.0) for _ in _PHASES)
        """V, phase to neutral."""
        self.current_a = self.current_b = self.current_c = 0.0
        """A on the primary side."""
        self.active_power = 0.0
        """kW"""
        self.reactive_power = 0.0
        """kvar"""
        self.power_factor = random.uniform(0.84, 0.92)
        self.frequency = 50.0
        """Hz"""
        self.energy = random.uniform(10_000.0, 400_000.0)
        """kWh"""
        self.ct_ratio = 40
        """Primary amperes for one secondary ampere, such as 40 for 200/5 A."""
        self._load = random.uniform(0.4, 0.7)
        """Share of the transformers' rated current."""
        self._lean = tuple(random.uniform(0.94, 1.06) for _ in _PHASES)
        """What each phase draws compared with the mean."""
        self._measure()

    def advance(self, dt: float) -> None:
        for phase in _PHASES:
            voltage = self.wander(getattr(self, f"voltage_{phase}"), 230.5, 1.2, dt, 120.0)
            setattr(self, f"voltage_{phase}", clamp(voltage, 0.0, 300.0))
        self._load = clamp(self.wander(self._load, 0.55, 0.12, dt, 180.0), 0.02, 1.2)
        self.power_factor = clamp(self.wander(self.power_factor, 0.88, 0.015, dt, 90.0), 0.5, 1.0)
        self.frequency = clamp(self.wander(self.frequency, 50.0, 0.015, dt, 30.0), 45.0, 55.0)
        self._measure()
        if self.controlled:  # a meter that is off counts nothing
            self.energy = (self.energy + self.active_power * dt / 3600.0) % ENERGY_ROLLS

    def _measure(self) -> None:
        # The meter knows the secondary current only: a wrong ratio makes everything behind it wrong.
        apparent = 0.0
        for phase, lean in zip(_PHASES, self._lean, strict=True):
            current = 5.0 * self._load * lean * self.ct_ratio
            setattr(self, f"current_{phase}", self._held_or(f"current_{phase}", current))
            apparent += getattr(self, f"voltage_{phase}") * getattr(self, f"current_{phase}") / 1000.0
        self.active_power = apparent * self.power_factor
        self.reactive_power = apparent * math.sqrt(1.0 - self.power_factor**2)

    def _held_or(self, point: str, value: float) -> float:
        """Power follows a current that is held, too."""
        held = self._held.get(point)
        return float(held) if held is not None else value
