"""What a sensor makes of the true value: nothing wrong, or one of the ways in which sensors go bad."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

FaultKind = Literal["drift", "stuck", "spike", "noise", "sensor", "open", "short"]


@dataclass(frozen=True, slots=True)
class SignalFault:
    """One of them, from the moment it is set.

    `drift` adds `amount` per hour; `stuck` keeps the last value; `spike` adds `amount` to single readings, one in
    `period` seconds on average; `noise` adds a deviation of `amount`. `sensor` is an element that has failed, which
    the transmitter knows; `open` and `short` are in its wires, where it does not.
    """

    kind: FaultKind
    amount: float = 0.0
    """In the unit of the value."""
    period: float = 60.0
    """Seconds"""


class Measurement:
    """The value as the sensor sees it; `time` is in seconds."""

    def __init__(self, time: Callable[[], float], random: Random) -> None:
        self._time = time
        self._random = random
        self._fault: SignalFault | None = None
        self._since = self._last = time()
        self._seen = 0.0

    @property
    def fault(self) -> SignalFault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: SignalFault | None) -> None:
        self._fault = fault
        self._since = self._last = self._time()

    def of(self, value: float) -> float:
        """A reading of the true value, now."""
        now, fault = self._time(), self._fault
        passed, self._last = now - self._last, now
        if fault is None:
            self._seen = value
        elif fault.kind == "drift":
            self._seen = value + fault.amount * (now - self._since) / 3600
        elif fault.kind == "spike":
            is_hit = self._random.random() < -math.expm1(-passed / fault.period)
            self._seen = value + fault.amount * is_hit
        elif fault.kind == "noise":
            self._seen = value + self._random.gauss(0.0, fault.amount)
        elif fault.kind != "stuck":
            self._seen = value
        return self._seen
