"""The units behind one connection: who answers, and who is left alone for a while because it does not."""

from __future__ import annotations

from random import Random
from typing import Final

from gateway.modbus.config import ModbusLimits
from gateway.samples import Reason
from gateway.timing import Patience

FIRST_PAUSE: Final = 0.25
"""Seconds between the first attempts at a silent unit."""


class Unit:
    """One of them."""

    def __init__(self, limits: ModbusLimits, random: Random) -> None:
        self._most = limits.unit_timeouts
        self._patience = Patience(random, FIRST_PAUSE, limits.unit_retry_max_ms / 1000)
        self.missed = 0
        """Requests without an answer since its last one."""
        self.trouble: Reason | None = None

    @property
    def is_given_up(self) -> bool:
        return self.missed >= self._most

    def rests(self, now: float) -> bool:
        """Whether it had better not be asked just now."""
        return self.is_given_up and not self._patience.is_over(now)

    def answered(self) -> None:
        if self.missed:
            self.missed = 0
            self.trouble = None
            self._patience.succeeded()

    def was_silent(self, now: float, reason: Reason) -> None:
        self.missed += 1
        self.trouble = reason
        self._patience.failed(now)

    def hurry(self) -> None:
        """Ask it at the next occasion."""
        self._patience.hurry()
