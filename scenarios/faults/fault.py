"""What a fault is: something that goes wrong with a plant, with a name, a layer and a way back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from lab.model.plant import HostConfig, Strict
from lab.text import Text
from scenarios.assembly import Plant

Layer = Literal["physical", "link", "network", "transport", "application", "signal", "serial", "power", "time"]
Repair = Callable[[], Awaitable[None] | None]
"""Takes the fault away again; does nothing where somebody has repaired it already."""

P = TypeVar("P", bound=Strict)


class CannotInject(Exception):
    """This plant cannot have this fault there; the message is for people."""

    def __init__(self, text: Text, **facts: object) -> None:
        super().__init__(text, facts)
        self.text, self.facts = text, facts

    def __str__(self) -> str:
        return self.text.say(**self.facts)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    name: str
    layer: Layer
    title: Text
    symptom: Text
    """What a person would notice first."""
    Parameters: type[Strict]
    begin: Callable[[Plant, Any], Repair | Awaitable[Repair]]

    async def inject(self, plant: Plant, parameters: Strict) -> Repair:
        """Let it happen; raises CannotInject where this plant has no such place."""
        try:
            begun = self.begin(plant, parameters)
            return await begun if inspect.isawaitable(begun) else begun
        except KeyError as error:
            raise CannotInject(NOWHERE, what=error.args[0]) from None


NOWHERE: Final = Text(zh="实训工厂中没有：{what}", en="this plant does not have it: {what}")

FAULTS: dict[str, Fault] = {}
"""Every kind of fault, by name; `scenarios.faults` fills it."""


def fault(
    name: str, layer: Layer, *, title: Text, symptom: Text
) -> Callable[[Callable[[Plant, P], Repair | Awaitable[Repair]]], Callable[[Plant, P], Repair | Awaitable[Repair]]]:
    """Enter a function `begin(plant, parameters) -> repair` into the catalogue; its annotation names the parameters."""

    def enter(
        begin: Callable[[Plant, P], Repair | Awaitable[Repair]],
    ) -> Callable[[Plant, P], Repair | Awaitable[Repair]]:
        if name in FAULTS:
            raise ValueError(f"there are two faults called {name!r}")
        parameters = inspect.signature(begin, eval_str=True).parameters["where"].annotation
        FAULTS[name] = Fault(name, layer, title, symptom, parameters, begin)
        return begin

    return enter


async def configured(plant: Plant, host: str, after: HostConfig) -> Repair:
    """Let a device run with another configuration; the repair leaves what somebody has configured since."""
    before = plant.config.hosts[host]
    await plant.configure(host, after)

    async def restore() -> None:
        if plant.config.hosts[host] is after:
            await plant.configure(host, before)

    return restore


def by_turns(plant: Plant, name: str, switch: Callable[[bool], object], down: float, up: float) -> Repair:
    """Let something be off for `down` seconds and on for `up`, again and again; the repair leaves it on."""

    async def alternate() -> None:
        while True:
            switch(False)
            await asyncio.sleep(down)
            switch(True)
            await asyncio.sleep(up)

    task = plant.loop.create_task(alternate(), name=name)

    def steady() -> None:
        task.cancel()
        switch(True)

    return steady


async def repair(undo: Repair) -> None:
    """Carry a repair out."""
    done = undo()
    if inspect.isawaitable(done):
        await done
