"""An injection moulding machine of 200 t in automatic cycle."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from random import Random
from typing import ClassVar

from devices.process.process import Process, approach

COLD = 20.0
"""K below its set-point at which a zone stops the machine."""
ROOM = 20.0
"""°C to which a barrel without heating cools."""
ZONE_ALARM = 100
"""Alarm code of a zone that is too cold, plus the zone's number."""


class State(IntEnum):
    STOP = 0
    AUTO = 1
    MANUAL = 2
    ALARM = 3


class InjectionMachine(Process):
    points: ClassVar[tuple[str, ...]] = (
        "state",
        "mould_number",
        "cycle_time",
        "shot_count",
        "zone_1",
        "zone_2",
        "zone_3",
        "zone_4",
        "injection_pressure",
        "clamp_force",
        "alarm_code",
        "zone_1_setpoint",
        "zone_2_setpoint",
        "zone_3_setpoint",
        "zone_4_setpoint",
        "remote_stop",
    )
    setpoints: ClassVar[tuple[str, ...]] = (
        "zone_1_setpoint",
        "zone_2_setpoint",
        "zone_3_setpoint",
        "zone_4_setpoint",
        "remote_stop",
    )
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {
        "state": (State.AUTO, State.MANUAL),
        "zone_1": (180.0, 210.0),
        "zone_2": (195.0, 225.0),
        "zone_3": (205.0, 235.0),
        "zone_4": (210.0, 240.0),
    }
    """°C between which the melt flows and does not char; a stop lets it stand in the barrel."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.state = int(State.AUTO)
        self.mould_number = random.randrange(100, 400)
        self.cycle_time = round(random.uniform(17.5, 18.5), 2)
        """Seconds the last shot took."""
        self.shot_count = random.randrange(20_000, 900_000)
        self.zone_1_setpoint, self.zone_2_setpoint, self.zone_3_setpoint, self.zone_4_setpoint = (
            195.0,
            210.0,
            220.0,
            225.0,
        )
        """°C"""
        self.zone_1, self.zone_2, self.zone_3, self.zone_4 = 195.0, 210.0, 220.0, 225.0
        """°C of the barrel, from the hopper to the nozzle."""
        self.injection_pressure = 0.0
        """MPa"""
        self.clamp_force = 0
        """kN"""
        self.alarm_code = 0
        self.remote_stop = False
        self._elapsed = 0.0
        """Seconds since the mould began to close."""
        self._this_cycle = self._next_cycle()

    def advance(self, dt: float) -> None:
        self._heat(dt)
        self.alarm_code = self._alarm()
        if self.remote_stop or not self.controlled:
            self.state = State.STOP.value
        elif self.alarm_code:
            self.state = State.ALARM.value
        elif self.state != State.MANUAL:
            self.state = State.AUTO.value
        if self.state == State.AUTO:
            self._cycle(dt)
        else:
            self._elapsed = 0.0
            self.injection_pressure = 0.0
            self.clamp_force = 0

    def _heat(self, dt: float) -> None:
        for zone in range(1, 5):
            wanted = getattr(self, f"zone_{zone}_setpoint") if self.controlled else ROOM
            target = min(max(wanted, ROOM), 400.0)
            warmed = approach(getattr(self, f"zone_{zone}"), target, dt, 120.0)
            setattr(self, f"zone_{zone}", self.wander(warmed, target, 0.5, dt, 900.0))

    def _alarm(self) -> int:
        for zone in range(1, 5):
            if getattr(self, f"zone_{zone}") < getattr(self, f"zone_{zone}_setpoint") - COLD:
                return ZONE_ALARM + zone
        return 0

    def _cycle(self, dt: float) -> None:
        self._elapsed += dt
        while self._elapsed >= self._this_cycle:
            self._elapsed -= self._this_cycle
            self.shot_count = (self.shot_count + 1) & 0xFFFFFFFF
            self.cycle_time = self._this_cycle
            self._this_cycle = self._next_cycle()
        self.injection_pressure = self._pressure_at(self._elapsed)
        self.clamp_force = 1800 + self.random.randrange(-6, 7) if 1.5 <= self._elapsed < 14.5 else 0

    def _pressure_at(self, elapsed: float) -> float:
        """MPa at the nozzle: injection, holding, plasticising against back pressure, then nothing."""
        if 2.0 <= elapsed < 3.5:
            return 40.0 + 40.0 * (elapsed - 2.0) + self.random.gauss(0.0, 0.4)
        if 3.5 <= elapsed < 7.0:
            return 62.0 + self.random.gauss(0.0, 0.3)
        if 7.0 <= elapsed < 12.0:
            return 8.0 + self.random.gauss(0.0, 0.1)
        return 0.0

    def _next_cycle(self) -> float:
        return round(self.random.gauss(18.0, 0.12), 2)
