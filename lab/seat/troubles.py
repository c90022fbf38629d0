"""What an instructor does to a running lab: faults injected and repaired by name, on its control socket.

faults    the catalogue, and what is wrong with the plant now
inject    let a fault happen: `fault`, and its parameters in `where`
repair    take one away by its number, or all of them
"""

from __future__ import annotations

from typing import Any, Final

from lab.seat.control import Call, Handler, Unwilling
from lab.text import Text
from scenarios.faults import FAULTS, CannotInject, Injected, Injector

NOT_INJECTED: Final = Text(
    zh="没有编号为 {number} 的故障；现有：{known}", en="there is no fault number {number}, only {known}"
)
NOTHING: Final = Text(zh="无", en="none")


class Troubles:
    """The handlers of one seat."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector

    def handlers(self) -> dict[str, Handler]:
        return {"faults": self._list, "inject": self._inject, "repair": self._repair}

    async def _list(self, call: Call) -> object:
        return {
            "known": [
                {
                    "name": fault.name,
                    "layer": fault.layer,
                    "title": fault.title.both(),
                    "symptom": fault.symptom.both(),
                    "parameters": _parameters(fault.Parameters.model_json_schema()),
                }
                for fault in FAULTS.values()
            ],
            "active": [_described(each) for each in self._injector.active],
        }

    async def _inject(self, call: Call) -> object:
        where = call.argument("where")
        try:
            injected = await self._injector.inject(call.text("fault"), where if isinstance(where, dict) else {})
        except CannotInject as error:
            raise Unwilling(error.text, **error.facts) from None
        return _described(injected)

    async def _repair(self, call: Call) -> object:
        number = call.argument("number")
        active = {each.number: each for each in self._injector.active}
        if number is None:
            await self._injector.repair_all()
            return [_described(each) for each in active.values()]
        if number not in active:
            raise Unwilling(NOT_INJECTED, number=str(number)[:20], known=", ".join(map(str, active)) or NOTHING.say())
        await self._injector.repair(active[number])
        return [_described(active[number])]


def _described(injected: Injected) -> dict[str, Any]:
    return {
        "number": injected.number,
        "fault": injected.fault.name,
        "title": injected.fault.title.both(),
        "where": injected.parameters.model_dump(mode="json"),
    }


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """Each parameter's default, or None where it must be given."""
    return {name: each.get("default") for name, each in schema.get("properties", {}).items()}
