"""Letting faults happen to a plant and taking them away again, now or by schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lab.model.plant import Strict, Wiring
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.fault import FAULTS, CannotInject, Fault, Repair, repair
from scenarios.folder import cables_of
from scenarios.format import FaultFile
from scenarios.problems import nearest

UNKNOWN_FAULT = Text(zh="没有故障 {wrong!r}{hint}", en="there is no fault {wrong!r}{hint}")
WRONG_PARAMETER = Text(zh="故障 {name}：{place}：{what}", en="fault {name}: {place}: {what}")

Note = Callable[[str, Mapping[str, Any]], None]
"""Called as note(event, facts) with what goes into the journal."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that a plant has."""

    number: int
    """Counted from 1 in this plant."""
    fault: Fault
    parameters: Strict
    undo: Repair


def read_fault(name: str, where: Mapping[str, Any]) -> tuple[Fault, Strict]:
    """A fault and its parameters by name; raises CannotInject, saying what is known."""
    fault = FAULTS.get(name)
    if fault is None:
        guess = nearest(name, FAULTS)
        raise CannotInject(UNKNOWN_FAULT, wrong=name, hint=f" – {guess}?" if guess else "")
    try:
        return fault, fault.Parameters.model_validate(where)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "where"
        raise CannotInject(WRONG_PARAMETER, name=name, place=place, what=first["msg"]) from None


def left_of(specs: Sequence[FaultFile], before: Wiring, after: Wiring) -> list[FaultFile]:
    """The faults that a plant still has after work on it: a fault of a cable has gone with the cable.

    Faults that last for a time only are over.
    """
    old, new = cables_of(before), cables_of(after)
    gone = {end for ends, cable in old.items() if new.get(ends) != cable for end in ends}
    left = []
    for spec in specs:
        _, parameters = read_fault(spec.fault, spec.where)
        if spec.until is None and getattr(parameters, "port", None) not in gone:
            left.append(spec)
    return left


class Injector:
    """The faults of one plant; all its methods are called on the plant's loop."""

    def __init__(self, plant: Plant, note: Note) -> None:
        self._plant = plant
        self._note = note
        self._injected: dict[int, Injected] = {}
        self._count = 0
        self._scheduled: list[asyncio.Task[None]] = []

    @property
    def active(self) -> tuple[Injected, ...]:
        """What is wrong now, oldest first."""
        return tuple(self._injected.values())

    async def inject(self, name: str, where: Mapping[str, Any]) -> Injected:
        """Let a fault happen; raises CannotInject."""
        fault, parameters = read_fault(name, where)
        undo = await fault.inject(self._plant, parameters)
        self._count += 1
        injected = self._injected[self._count] = Injected(self._count, fault, parameters, undo)
        self._note("FaultInjected", self._facts(injected))
        return injected

    async def repair(self, injected: Injected) -> None:
        """Take a fault away; one that is gone already stays gone."""
        if self._injected.pop(injected.number, None) is not None:
            await repair(injected.undo)
            self._note("FaultRepaired", self._facts(injected))

    async def repair_all(self) -> None:
        """Latest first, so that faults in the same place unwind in order."""
        for injected in reversed(self.active):
            await self.repair(injected)

    def schedule(self, specs: Sequence[FaultFile]) -> None:
        """Let faults come and go at their times, counted from now."""
        for spec in specs:
            self._scheduled.append(self._plant.loop.create_task(self._follow(spec), name=f"fault {spec.fault}"))

    def close(self) -> None:
        """Schedule nothing any more; faults stay as they are."""
        for task in self._scheduled:
            task.cancel()
        self._scheduled.clear()

    async def _follow(self, spec: FaultFile) -> None:
        await asyncio.sleep(spec.at)
        injected = await self.inject(spec.fault, spec.where)
        if spec.until is not None:
            await asyncio.sleep(max(0.0, spec.until - spec.at))
            await self.repair(injected)

    @staticmethod
    def _facts(injected: Injected) -> Mapping[str, Any]:
        return {
            "number": injected.number,
            "fault": injected.fault.name,
            "where": injected.parameters.model_dump(mode="json"),
        }
