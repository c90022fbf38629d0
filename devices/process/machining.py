"""A CNC machining centre that makes the same part over and over."""

from __future__ import annotations

from collections.abc import Mapping
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
OVERLOAD = 100.0
"""% of the spindle's power, above which a tool does not last."""
TOOL_BREAKS = 3.0
"""Seconds of overload."""
BROKEN_TOOL = 71
"""The alarm code."""


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

    setpoints: ClassVar[tuple[str, ...]] = ("feed_override", "spindle_override")
    safe: ClassVar[Mapping[str, tuple[float, float]]] = {"spindle_load": (0.0, OVERLOAD)}

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
        self._is_held = False
        """Whether somebody has pressed feed hold."""
        self._overloaded = 0.0
        """Seconds of overload so far."""

    def cycle_start(self) -> bool:
        """Go on after a feed hold; says whether it can, which it cannot in an alarm or without a controller."""
        if self.alarm_code or not self.controlled:
            return False
        self._is_held = False
        return True

    def feed_hold(self) -> bool:
        """Stop the feed, and let the spindle turn."""
        self._is_held = True
        return True

    def reset(self) -> bool:
        """Clear an alarm that is over, with a new tool in place of a broken one; says whether there was one."""
        if not self.alarm_code or "alarm_code" in self._held:
            return False
        if self.alarm_code == BROKEN_TOOL:
            self.set("tool_wear", 0.0)
        self.alarm_code, self._is_held, self._overloaded = 0, True, 0.0
        return True

    def advance(self, dt: float) -> None:
        feed = clamp(self.feed_override, 0.0, 150.0) / 100.0
        spindle = clamp(self.spindle_override, 50.0, 120.0) / 100.0
        if self.alarm_code:
            self.state = State.ALARM.value
        elif not self.controlled:
            self.state = State.IDLE.value
        else:
            self.state = State.RUNNING.value if feed and not self._is_held else State.HOLD.value
        running = self.state == State.RUNNING
        if running:
            self._elapsed += dt * feed
            while self._elapsed >= PROGRAM[-1].until:
                self._elapsed -= PROGRAM[-1].until
                self.part_count = (self.part_count + 1) & 0xFFFFFFFF
        cut = next(cut for cut in PROGRAM if self._elapsed < cut.until)
        turning = 0.0 if self.state in (State.ALARM, State.IDLE) else cut.speed * spindle
        self.spindle_speed = approach(self.spindle_speed, turning, dt, 0.6)
        self.feed_rate = cut.feed * feed if running else 0.0
        load = cut.load * feed * (1.0 + self.tool_wear / 250.0) if running else 0.0
        self.spindle_load = clamp(
            approach(self.spindle_load, load, dt, 0.8) + load * self.random.gauss(0.0, 0.01), 0.0, 150.0
        )
        self._overloaded = self._overloaded + dt if self.spindle_load > OVERLOAD else 0.0
        if self._overloaded >= TOOL_BREAKS and not self.alarm_code:
            self.alarm_code = BROKEN_TOOL
        if running and cut.load > 10.0:
            self.tool_wear += 100.0 * dt / TOOL_LIFE
        if self.tool_wear >= 100.0:
            self.tool_wear = 0.0
