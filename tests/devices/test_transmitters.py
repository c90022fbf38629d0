"""Sensors in the field: what they measure, what they show, what their faults make of it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from cabinet_kit import Cabinet, in_cabinet

from devices.registry import KINDS
from lab.network.signals.fault import SignalFault
from lab.network.signals.inputs import AnalogInput
from lab.network.signals.sources import SignalSource

TWO_WIRE = {"lt-2w": "level", "pt-2w": "pressure", "tt-pt100": "temperature"}
FED = "ps/L+ io/L+, ps/M io/M"


def milliamperes(cell: Cabinet, channel: str = "ai0") -> float:
    return cell.network.circuit.part(f"io/{channel}", AnalogInput).reading * 1000


def loop_fed(**settings: Any) -> dict[str, Any]:
    return {"channels": {"ai0": {"type": "4-20mA", "wiring": "2w", **settings}}}


@pytest.mark.parametrize(("kind", "point"), TWO_WIRE.items())
def test_two_wire_transmitters_signal_their_range(kind: str, point: str) -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(f"{FED}, t/+ io/ai0+, t/- io/ai0-", io=loop_fed(), t={"range": [10, 60]})
        for value, current in ((10.0, 4.0), (35.0, 12.0), (60.0, 20.0), (5.0, 3.8), (70.0, 20.5)):
            await cell.force("t", point, value)
            assert milliamperes(cell) == pytest.approx(current, abs=0.01)
            assert cell.status("t")["signal_mA"] == pytest.approx(current, abs=0.001)

    in_cabinet(story, io="io-module", ps="psu-24", t=kind)


def test_a_flow_meter_and_a_pressure_transmitter_with_supplies_of_their_own() -> None:
    wires = (
        f"{FED}, ps/L+ ft/L+, ps/M ft/M, ft/I+ io/ai0+, ft/I- io/ai0-, "
        "ps/L+ pt/L+, ps/M pt/M, pt/OUT io/ai1+, io/ai1- ps/M"
    )

    async def story(cell: Cabinet) -> None:
        channels = {"ai0": {"type": "4-20mA"}, "ai1": {"type": "0-10V", "range": [0, 1]}}
        await cell.boot(wires, io={"channels": channels}, pt={"output": "0-10V"})
        await cell.force("ft", "flow", 25.0)
        await cell.force("pt", "pressure", 0.8)
        assert milliamperes(cell) == pytest.approx(8.0, abs=0.01)
        assert cell.point("io", "ai1") == pytest.approx(0.8, abs=0.002)
        await cell.rewire(wires.replace("ps/L+ ft/L+, ", "").replace("ps/M pt/M, ", ""))
        assert milliamperes(cell) == pytest.approx(0.0, abs=0.01)
        assert cell.status("ft") == {"display": "dark"}
        assert cell.status("pt") == {"display": "dark"}

    in_cabinet(story, io="io-module", ps="psu-24", ft="ft-4w", pt="pt-3w")


def test_a_quantity_moves_by_itself_and_the_truth_says_how() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(lt={"around": 2.0})
        await asyncio.sleep(1800)
        levels = [value for host, point, value in cell.told if (host, point) == ("lt", "level")]
        assert len(set(levels)) > 50
        assert all(isinstance(level, float) and 1.0 < level < 2.5 for level in levels)
        assert cell.point("lt", "level") == levels[-1]

    in_cabinet(story, lt="lt-2w")


@pytest.mark.parametrize("kind", sorted(TWO_WIRE))
def test_what_is_not_a_number_is_no_reason_to_fail(kind: str) -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(f"{FED}, t/+ io/ai0+, t/- io/ai0-", io=loop_fed())
        await cell.force("t", TWO_WIRE[kind], math.nan)
        assert milliamperes(cell) == pytest.approx(3.8, abs=0.01)
        await cell.force("t", TWO_WIRE[kind], math.inf)
        assert milliamperes(cell) == pytest.approx(20.5, abs=0.01)

    in_cabinet(story, io="io-module", ps="psu-24", t=kind)


def test_faults_of_values() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(f"{FED}, t/+ io/ai0+, t/- io/ai0-", io=loop_fed(range=[0, 150]))
        source = cell.network.circuit.part("t", SignalSource)
        await cell.force("t", "temperature", 60.0)

        async def readings(fault: SignalFault, seconds: int) -> list[float]:
            source.fault = fault
            seen = []
            for _ in range(seconds):
                await asyncio.sleep(1)
                seen.append(cell.point("io", "ai0"))
            return seen

        drifting = await readings(SignalFault("drift", 3.0), 360)
        assert drifting[-1] == pytest.approx(60.3, abs=0.02)
        assert drifting[180] == pytest.approx(60.15, abs=0.02)
        noisy = await readings(SignalFault("noise", 2.0), 600)
        assert sum(noisy) / len(noisy) == pytest.approx(60, abs=0.5)
        assert 1.5 < math.sqrt(sum((each - 60) ** 2 for each in noisy) / len(noisy)) < 2.5
        spiky = await readings(SignalFault("spike", 40.0, period=30.0), 600)
        assert 3 < sum(each > 90 for each in spiky) < 40
        assert sum(abs(each - 60) < 0.1 for each in spiky) > 500

    in_cabinet(story, io="io-module", ps="psu-24", t="tt-pt100")


def test_every_part_of_a_cabinet_boots_alone_and_shows_something() -> None:
    for kind in (
        "te-pt100",
        "prox-pnp",
        "prox-npn",
        "contact",
        "terminal-block",
        "psu-24",
        *TWO_WIRE,
        "ft-4w",
        "pt-3w",
    ):

        async def story(cell: Cabinet) -> None:
            await cell.boot()
            cell.status("part")
            for point in cell.plant.appliances["part"].points():
                cell.plant.force("part", point, 1.0)
                cell.plant.force("part", point, None)
            with pytest.raises(KeyError):
                cell.plant.force("part", "nonsense", 1.0)

        assert kind in KINDS
        in_cabinet(story, part=kind)


def test_a_normally_closed_switch_tells_that_nothing_is_there() -> None:
    wires = f"{FED}, ps/L+ px/BN, ps/M px/BU, px/BK io/di3, ps/M ls/1, ls/2 io/di4"

    async def story(cell: Cabinet) -> None:
        await cell.boot(wires, io={"channels": {"di4": {"type": "sourcing"}}}, px={"function": "nc"})
        assert cell.point("io", "di3") is True
        assert cell.status("px") == {"power": True, "output": True}
        await cell.force("px", "part", True)
        assert cell.point("io", "di3") is False
        assert cell.point("io", "di4") is False
        await cell.force("ls", "closed", True)
        assert cell.point("io", "di4") is True

    in_cabinet(story, io="io-module", ps="psu-24", px="prox-pnp", ls="contact")


def test_parts_on_a_conveyor_are_counted() -> None:
    async def story(cell: Cabinet) -> None:
        await cell.boot(f"{FED}, ps/L+ px/BN, ps/M px/BU, px/BK io/di0", px={"parts_per_minute": 30})
        before = cell.point("io", "di0_count")
        await asyncio.sleep(600)
        assert cell.point("io", "di0_count") - before == pytest.approx(300, abs=1)

    in_cabinet(story, io="io-module", ps="psu-24", px="prox-pnp")
