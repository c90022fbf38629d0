"""Faults of signals show as current and voltage at the module, and a repair takes them away."""

from __future__ import annotations

import asyncio

import pytest
from cabinet_kit import Cabinet, in_cabinet

from lab.network.signals.inputs import AnalogInput
from scenarios.faults import CannotInject, Injector

FED = "ps/L+ io/L+, ps/M io/M, lt/+ io/ai0+, lt/- io/ai0-"
LOOP = {"channels": {"ai0": {"type": "4-20mA", "wiring": "2w"}}}


def milliamperes(cell: Cabinet) -> float:
    return cell.network.circuit.part("io/ai0", AnalogInput).reading * 1000


async def booted(cell: Cabinet) -> Injector:
    await cell.boot(FED, io=LOOP, lt={"range": [0, 5]})
    await cell.force("lt", "level", 2.5)
    assert milliamperes(cell) == pytest.approx(12.0, abs=0.01)
    return Injector(cell.plant, lambda event, facts: None)


@pytest.mark.parametrize(
    ("name", "host", "least", "most"),
    [
        ("signal-open", "lt", -0.01, 0.01),
        ("signal-short", "lt", 20.6, 60.0),
        ("sensor-failed", "lt", 3.4, 3.6),
        ("supply-dead", "ps", -0.01, 0.01),
        ("supply-shorted", "ps", -0.01, 3.6),
    ],
)
def test_a_loop_shows_what_has_failed(name: str, host: str, least: float, most: float) -> None:
    async def story(cell: Cabinet) -> None:
        faults = await booted(cell)
        fault = await faults.inject(name, {"host": host})
        await asyncio.sleep(1)
        assert least <= milliamperes(cell) <= most
        await faults.repair(fault)
        await asyncio.sleep(20)  # a supply that was in overload tries again
        await cell.force("lt", "level", 2.5)
        await asyncio.sleep(1)
        assert milliamperes(cell) == pytest.approx(12.0, abs=0.01)

    in_cabinet(story, io="io-module", ps="psu-24", lt="lt-2w")


def test_a_transmitter_drifts_and_sticks_like_any_sensor() -> None:
    async def story(cell: Cabinet) -> None:
        faults = await booted(cell)
        drift = await faults.inject("sensor-drift", {"host": "lt", "point": "level", "per_hour": 1.0})
        await asyncio.sleep(3600)
        assert milliamperes(cell) == pytest.approx(12.0 + 16 / 5, abs=0.05)
        await faults.repair(drift)
        await asyncio.sleep(1)
        assert milliamperes(cell) == pytest.approx(12.0, abs=0.01)
        stuck = await faults.inject("sensor-stuck", {"host": "lt", "point": "level"})
        assert milliamperes(cell) == pytest.approx(12.0, abs=0.01)
        await cell.force("lt", "level", 5.0)
        assert milliamperes(cell) == pytest.approx(12.0, abs=0.01)
        await faults.repair(stuck)
        await asyncio.sleep(1)
        assert milliamperes(cell) == pytest.approx(20.0, abs=0.01)

    in_cabinet(story, io="io-module", ps="psu-24", lt="lt-2w")


def test_what_has_no_signal_and_no_supply_is_named() -> None:
    async def story(cell: Cabinet) -> None:
        faults = await booted(cell)
        for name, host in [("signal-open", "io"), ("supply-dead", "lt"), ("signal-open", "nobody")]:
            with pytest.raises(CannotInject):
                await faults.inject(name, {"host": host})

    in_cabinet(story, io="io-module", ps="psu-24", lt="lt-2w")
