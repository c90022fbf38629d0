"""A screw compressor that loads and unloads to keep the air net between two pressures."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from random import Random
from typing import ClassVar

from devices.process.process import Process, approach, clamp

LOAD_BELOW, UNLOAD_ABOVE = 0.62, 0.72
"""MPa"""
SAFETY_VALVE = 0.90
"""MPa at which it blows off."""
HOT, TOO_HOT = 105.0, 110.0
"""°C at the outlet: warning, and shutdown."""
COOLED_DOWN = 80.0
"""°C below which it starts again after a shutdown."""


class State(IntEnum):
    STOPPED = 0
    LOADED = 1
    UNLOADED = 2
    FAULT = 3


class Alarm(IntEnum):
    NONE = 0
    HIGH_TEMPERATURE = 1
    TEMPERATURE_SHUTDOWN = 2
    HIGH_PRESSURE = 3


class Compressor(Process):
    points: ClassVar[tuple[str, ...]] = (
        "state",
        "outlet_pressure",
        "outlet_temperature",
        "load_rate",
        "run_hours",
        "load_hours",
        "current",
        "alarm",
    )
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {
        "outlet_pressure": (0.50, 0.85),
        "outlet_temperature": (0.0, HOT),
    }

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.state = int(State.LOADED)
        self.outlet_pressure = random.uniform(0.64, 0.70)
        """MPa above atmosphere."""
        self.outlet_temperature = random.uniform(78.0, 86.0)
        """°C"""
        self.load_rate = 70.0
        """% of the last minutes in which it was loaded."""
        self.run_hours = float(random.randrange(4_000, 30_000))
        self.load_hours = self.run_hours * random.uniform(0.6, 0.8)
        self.current = 130.0
        """A"""
        self.alarm = int(Alarm.NONE)
        self._demand = random.uniform(0.5, 0.8)
        """Air drawn, as a share of what the compressor delivers."""
        self._halted = False
        """Whether it stands because its controller does."""

    def advance(self, dt: float) -> None:
        self._supervise()
        self._demand = clamp(self.wander(self._demand, 0.65, 0.1, dt, 120.0), 0.1, 0.95)
        loaded = self.state == State.LOADED
        running = loaded or self.state == State.UNLOADED
        self.outlet_pressure = clamp(self.outlet_pressure + 0.01 * (loaded - self._demand) * dt, 0.0, SAFETY_VALVE)
        warmth = 88.0 if loaded else 74.0 if running else 25.0
        self.outlet_temperature = clamp(
            approach(self.outlet_temperature, warmth, dt, 240.0) + self.random.gauss(0.0, 0.05), 0.0, 140.0
        )
        self.load_rate = clamp(approach(self.load_rate, 100.0 * loaded, dt, 300.0), 0.0, 100.0)
        drawn = 150.0 if loaded else 62.0
        self.current = drawn * (1.0 + self.random.gauss(0.0, 0.008)) if running else 0.0
        self.run_hours = (self.run_hours + running * dt / 3600.0) % 2**32
        self.load_hours = (self.load_hours + loaded * dt / 3600.0) % 2**32

    def _supervise(self) -> None:
        if not self.controlled:
            self.state, self._halted = State.STOPPED.value, True
            return
        if self._halted:
            self.state, self._halted = State.UNLOADED.value, False
        if self.state == State.FAULT and self.outlet_temperature > COOLED_DOWN:
            return
        if self.outlet_temperature >= TOO_HOT:
            self.state, self.alarm = State.FAULT.value, Alarm.TEMPERATURE_SHUTDOWN.value
            return
        if self.state == State.FAULT:
            self.state = State.UNLOADED.value
        if self.outlet_temperature >= HOT:
            self.alarm = Alarm.HIGH_TEMPERATURE.value
        elif self.outlet_pressure >= SAFETY_VALVE:
            self.alarm = Alarm.HIGH_PRESSURE.value
        else:
            self.alarm = Alarm.NONE.value
        if self.state != State.STOPPED:
            if self.outlet_pressure < LOAD_BELOW:
                self.state = State.LOADED.value
            elif self.outlet_pressure > UNLOAD_ABOVE:
                self.state = State.UNLOADED.value
