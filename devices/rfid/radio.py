"""The transmitter of the reader: inventory rounds one after another, antenna by antenna, while somebody wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devices.rfid.air import AirInterface, Heard, Round
from devices.rfid.population import TagPopulation
from devices.rfid.tags import Tag
from lab.clock import now_ns


@dataclass(frozen=True, slots=True)
class Plan:
    """What to transmit."""

    power: Mapping[int, float]
    """dBm by antenna, in the order in which they take turns."""
    session: int = 1
    selects: Callable[[Tag], bool] | None = None
    """Which tags are asked at all; None asks all."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An answer of a tag, and when on the clock of the plant it was heard."""

    at: int
    """Nanoseconds since the Unix epoch."""
    heard: Heard


class Radio:
    """Rounds are timers, and there are some only while it transmits and tags are about: silence needs no counting."""

    def __init__(self, air: AirInterface, population: TagPopulation, clock: Callable[[], float]) -> None:
        self._air, self._population, self._clock = air, population, clock
        self._plan: Plan | None = None
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting = False
        """Whether the timer is that of the next arrival, and not of the end of a round."""
        self._ended: Callable[[Round, list[Observation]], None] = _nobody
        self.rounds = 0
        """Since the field went on."""

    def start(self, plan: Plan, ended: Callable[[Round, list[Observation]], None]) -> None:
        """Transmit from now on; `ended` is called with what each round brought."""
        self.stop()
        self._plan, self._ended = plan, ended
        self._turn = self.rounds = 0
        self._air.begin()
        self._next()

    def stop(self) -> None:
        """Field off; a round that is not over brings nothing."""
        self._plan = None
        self._is_waiting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def disturbed(self) -> None:
        """Somebody held a tag into the field, or sent a pallet, that nobody had announced."""
        if self._plan is not None and self._is_waiting:
            if self._timer is not None:
                self._timer.cancel()
            self._next_turn()

    def _next(self) -> None:
        plan = self._plan
        if plan is None or not plan.power:
            return
        loop, now = asyncio.get_running_loop(), self._clock()
        present = self._population.present(now)
        tags = [each for each in present if plan.selects is None or plan.selects(each[0])]
        if not tags:
            change = self._population.next_change(now)
            self._is_waiting = True
            self._timer = None if change is None else loop.call_later(change - now, self._next_turn)
            return
        antennas = tuple(plan.power)
        number = antennas[self._turn % len(antennas)]
        self._turn += 1
        began = now_ns()
        result = self._air.inventory(number, plan.power[number], tags, now, plan.session)
        heard = [Observation(began + round(each.after * 1e9), each) for each in result.heard]
        self._timer = loop.call_later(result.seconds, self._end, result, heard)

    def _next_turn(self) -> None:
        self._timer = None
        self._is_waiting = False
        self._next()

    def _end(self, result: Round, heard: list[Observation]) -> None:
        self._timer = None
        self.rounds += 1
        plan = self._plan
        self._ended(result, heard)
        if self._plan is plan and self._timer is None:
            self._next()


def _nobody(result: Round, heard: list[Observation]) -> None:
    """Nobody listens."""
