"""A gas-fired steam boiler of about 4 t/h."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import ClassVar

from devices.process.process import Process, approach, clamp

LOW_WATER = -100.0
"""mm; the burner trips below, and may start again 20 mm above."""
HIGH_PRESSURE = 1.05
"""MPa; the burner trips above, and may start again 0.1 MPa below."""
RELIEF_OPENS, RELIEF_CLOSES = 1.20, 1.10
"""MPa of the safety valve, which knows no controller."""
PURGE = 15.0
"""Seconds of air through the furnace before a flame is lit."""
GAS_METER = 0xFFFFFFFF * 0.1
"""Nm³ at which the gas meter is full and begins again."""


class Boiler(Process):
    points: ClassVar[tuple[str, ...]] = (
        "pressure",
        "drum_level",
        "flue_gas_temperature",
        "oxygen",
        "gas_flow",
        "gas_total",
        "feed_water_temperature",
        "flame",
        "low_water_trip",
        "high_pressure",
        "pressure_setpoint",
        "level_setpoint",
        "burner_enable",
    )
    setpoints: ClassVar[tuple[str, ...]] = ("pressure_setpoint", "level_setpoint", "burner_enable")
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {"pressure": (0.50, 1.00), "drum_level": (-90.0, 90.0)}

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.pressure = 0.80
        """MPa above atmosphere."""
        self.drum_level = random.uniform(-10.0, 10.0)
        """mm from the middle of the gauge glass."""
        self.flue_gas_temperature = random.uniform(185.0, 205.0)
        """°C"""
        self.oxygen = 4.0
        """% in the flue gas."""
        self.gas_flow = 220.0
        """Nm³/h"""
        self.gas_total = random.uniform(100_000.0, 900_000.0)
        """Nm³"""
        self.feed_water_temperature = 104.0
        """°C"""
        self.flame = True
        self.low_water_trip = False
        self.high_pressure = False
        self.pressure_setpoint = 0.80
        """MPa"""
        self.level_setpoint = 0.0
        """mm"""
        self.burner_enable = True
        self._demand = random.uniform(0.4, 0.6)
        """Steam drawn, as a share of what the boiler can make."""
        self._integral = self._demand
        self._firing = self._demand
        self._swell = 0.0
        self._purged = 0.0
        self._relief_is_open = False

    def advance(self, dt: float) -> None:
        self._trip()
        self._light(dt)
        self._demand = clamp(self.wander(self._demand, 0.5, 0.08, dt, 90.0), 0.1, 0.9)
        error = clamp(self.pressure_setpoint, 0.0, 1.2) - self.pressure
        self._integral = clamp(self._integral + 0.08 * error * dt, 0.0, 1.0)
        wanted = clamp(self._integral + 5.0 * error, 0.1, 1.0) if self.flame else 0.0
        self._firing = approach(self._firing, wanted, dt, 4.0)
        self._relief_is_open = self.pressure > (RELIEF_CLOSES if self._relief_is_open else RELIEF_OPENS)
        steam = self._demand * min(self.pressure / 0.4, 1.0) + self._relief_is_open
        self.pressure = clamp(self.pressure + 0.004 * (self._firing - steam) * dt, 0.0, 1.4)
        self._swell = self.wander(self._swell, 0.0, 0.8, dt, 3.0)
        if self.controlled:
            level = approach(self.drum_level, clamp(self.level_setpoint, -150.0, 150.0), dt, 60.0)
        else:  # the feed-water valve is closed, and what is drawn as steam is gone
            level = self.drum_level - 0.3 * steam * dt
        self.drum_level = clamp(level + self._swell * min(dt, 1.0), -150.0, 150.0)
        flue_gas = 115.0 + 150.0 * self._firing
        self.flue_gas_temperature = self.wander(
            approach(self.flue_gas_temperature, flue_gas, dt, 60.0), flue_gas, 0.6, dt, 600.0
        )
        air = 3.0 + 2.0 * (1.0 - self._firing) if self.flame else 20.9
        self.oxygen = clamp(approach(self.oxygen, air, dt, 8.0) + self.random.gauss(0.0, 0.03), 0.0, 20.9)
        self.gas_flow = (30.0 + 380.0 * self._firing) * (1.0 + self.random.gauss(0.0, 0.002)) if self.flame else 0.0
        self.gas_total = (self.gas_total + self.gas_flow * dt / 3600.0) % GAS_METER
        self.feed_water_temperature = self.wander(self.feed_water_temperature, 104.0, 0.8, dt, 240.0)

    def _trip(self) -> None:
        self.low_water_trip = self.drum_level < LOW_WATER + 20.0 * self.low_water_trip
        self.high_pressure = self.pressure > HIGH_PRESSURE - 0.1 * self.high_pressure

    def _light(self, dt: float) -> None:
        if not self.controlled or not self.burner_enable or self.low_water_trip or self.high_pressure:
            self.flame = False
            self._purged = 0.0
        elif not self.flame:
            self._purged += dt
            self.flame = self._purged >= PURGE
