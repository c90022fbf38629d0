"""24 V and who lives by it: budgets, redundancy, hiccups, bridges of terminals."""

from __future__ import annotations

import asyncio

import pytest
from cabinet_kit import Cabinet, in_cabinet

from lab.network.signals.power import Supply

STATIONS = tuple(f"io-{number}" for number in range(1, 5))
KINDS = {"ps": "psu-24", **{name.replace("-", "_"): "io-module" for name in STATIONS}}


def fed(*names: str, by: str = "ps") -> str:
    return ", ".join(f"{by}/L+ {name}/L+, {by}/M {name}/M" for name in names)


def alive(cell: Cabinet) -> list[str]:
    return [name for name in STATIONS if cell.network.has_power(name)]


def test_the_fourth_station_is_too_much_for_a_small_supply() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(fed(*STATIONS[:3]), ps={"current": 0.5})
        assert alive(cell) == list(STATIONS[:3])
        shown = cell.status("ps")
        assert (shown["dc_ok"], shown["overload"]) == (True, False)
        assert shown["load_percent"] == pytest.approx(91, abs=3), "three times 150 mA, and their lamps"
        await cell.rewire(fed(*STATIONS))
        assert alive(cell) == []
        shown = cell.status("ps")
        assert (shown["dc_ok"], shown["overload"], shown["load_percent"]) == (False, True, 100)
        await cell.set("ps", current=1.0)
        assert alive(cell) == list(STATIONS)

    in_cabinet(story, **KINDS)


def test_a_supply_that_hiccups_tries_again_until_the_short_circuit_is_gone() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(fed("io-1"), ps={"overload": "hiccup"})
        supply = cell.network.circuit.part("ps", Supply)
        await cell.rewire(f"{fed('io-1')}, ps/L+ ps/M")
        seen = []
        for _ in range(100):
            await asyncio.sleep(0.1)
            seen.append(supply.output[1] > 1)
        assert 2 <= sum(seen) <= 20, "most of the time it rests"
        assert alive(cell) == []
        await cell.rewire(fed("io-1"))
        await asyncio.sleep(3)
        assert alive(cell) == ["io-1"]

    in_cabinet(story, **KINDS)


def test_two_supplies_with_diodes_carry_a_rail_together() -> None:
    rail = f"{fed('io-1')}, ps-2/L+ ps/L+, ps-2/M ps/M"

    async def story(cell: Cabinet) -> None:
        await cell.boot(rail, ps={"decoupled": True}, **{"ps-2": {"decoupled": True}})
        for name in ("ps", "ps-2"):
            cell.network.power(name, False)
            await asyncio.sleep(1)
            assert alive(cell) == ["io-1"]
            assert cell.status(name)["dc_ok"] is False
            cell.network.power(name, True)
            await asyncio.sleep(1)
        cell.network.power("ps", False)
        cell.network.power("ps-2", False)
        await asyncio.sleep(1)
        assert alive(cell) == []

    in_cabinet(story, **KINDS, ps_2="psu-24")


def test_the_dc_ok_contact_tells_an_input() -> None:
    wires = f"{fed('io-1', by='ps-2')}, ps-2/L+ ps/13, ps/14 io-1/di0"

    async def story(cell: Cabinet) -> None:
        await cell.boot(wires)
        assert cell.point("io-1", "di0") is True
        cell.network.circuit.part("ps", Supply).fault = "no-output"
        await asyncio.sleep(0.5)
        assert cell.point("io-1", "di0") is False

    in_cabinet(story, **KINDS, ps_2="psu-24")


def test_a_device_that_lost_its_power_by_a_fault_stays_off_while_its_rail_is_well() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(fed("io-1"))
        cell.network.power("io-1", False)
        await cell.rewire(fed("io-1", "io-2"))
        assert alive(cell) == ["io-2"]
        cell.network.power("io-1", True)
        await asyncio.sleep(1)
        assert alive(cell) == ["io-1", "io-2"]

    in_cabinet(story, **KINDS)


def test_a_device_without_voltage_cannot_be_switched_on() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot()
        cell.network.power("io-1", True)
        await asyncio.sleep(1)
        assert alive(cell) == []

    in_cabinet(story, **KINDS)


def test_terminals_hand_the_rail_on_by_their_bridges() -> None:
    wires = "ps/L+ x/1, x/2 io-1/L+, x/3 io-2/L+, ps/M x/9, x/10 io-1/M, x/11 io-2/M"

    async def story(cell: Cabinet) -> None:
        await cell.boot(wires)
        assert alive(cell) == []
        await cell.set("x", bridges=[[1, 2, 3], [9, 10, 11]])
        assert alive(cell) == ["io-1", "io-2"]
        await cell.set("x", bridges=[[1, 2], [9, 10, 11]])
        assert alive(cell) == ["io-1"]
        assert cell.status("x") == {"bridges": "1–2; 9–10; 10–11"}

    in_cabinet(story, **KINDS, x="terminal-block")
