"""A CNC machining centre that makes the same part over and over."""

from __future__ import annotations

from enum import IntEnum
from random import Random
from typing import ClassVar, NamedTuple

from devices.process.process import Process, approach, clamp


class State(IntEnum):
    IDLE = 0
    RUNNING = 1
    HOLD = 2
    ALARM = 3


class _Cut(NamedTuple):
    until: float
    """Seconds into the program, at 100 % feed."""
    speed: float
    """rpm"""
    feed: float
    """mm/min"""
    load: float
    """% of the spindle's power with a sharp tool."""


PROGRAM = (
    _Cut(6.0, 0.0, 6000.0, 0.0),
    _Cut(20.0, 4200.0, 900.0, 46.0),
    _Cut(24.0, 4200.0, 6000.0, 6.0),
    _Cut(34.0, 6000.0, 1200.0, 31.0),
    _Cut(40.0, 1200.0, 240.0, 58.0),
    _Cut(45.0, 0.0, 6000.0, 0.0),
)
"""Load the blank, rough, reposition, finish, tap, unload."""
TOOL_LIFE = 1500.0
"""Seconds of cutting."""


class MachiningCentre(Process):
    points: ClassVar[tuple[str, ...]] = (
        "state",
        "spindle_speed",
        "spindle_load",
        "feed_rate",
        "part_count",
        "alarm_code",
        "tool_wear",
        "program",
        "feed_override",
        "spindle_override",
    )

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.state = int(State.RUNNING)
        self.spindle_speed = 0.0
        """rpm"""
        self.spindle_load = 0.0
        """%"""
        self.feed_rate = 0.0
        """mm/min"""
        self.part_count = random.randrange(100, 5000)
        self.alarm_code = 0
        self.tool_wear = random.uniform(5.0, 60.0)
        """%; the tool is changed at 100."""
        self.program = f"O{random.randrange(1000, 9000)}"
        self.feed_override = 100.0
        """% of the programmed feed, 0 to 150; at 0 the machine is on feed hold."""
        self.spindle_override = 100.0
        """% of the programmed speed, 50 to 120."""
        self._elapsed = random.uniform(0.0, 40.0)
        """Seconds into the program."""

    def advance(self, dt: float) -> None:
        feed = clamp(self.feed_override, 0.0, 150.0) / 100.0
        spindle = clamp(self.spindle_override, 50.0, 120.0) / 100.0
        if self.alarm_code:
            self.state = State.ALARM.value
        else:
            self.state = State.RUNNING.value if feed else State.HOLD.value
        running = self.state == State.RUNNING
        if running:
            self._elapsed += dt * feed
            while self._elapsed >= PROGRAM[-1].until:
                self._elapsed -= PROGRAM[-1].until
                self.part_count = (self.part_count + 1) & 0xFFFFFFFF
        cut = next(cut for cut in PROGRAM if self._elapsed < cut.until)
        turning = 0.0 if self.state == State.ALARM else cut.speed * spindle
        self.spindle_speed = approach(self.spindle_speed, turning, dt, 0.6)
        self.feed_rate = cut.feed * feed if running else 0.0
        load = cut.load * feed * (1.0 + self.tool_wear / 250.0) if running else 0.0
        self.spindle_load = clamp(
            approach(self.spindle_load, load, dt, 0.8) + load * self.random.gauss(0.0, 0.01), 0.0, 150.0
        )
        if running and cut.load > 10.0:
            self.tool_wear += 100.0 * dt / TOOL_LIFE
        if self.tool_wear >= 100.0:
            self.tool_wear = 0.0
