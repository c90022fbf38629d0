"""Values reach the registers of an I/O station by its terminals, through the range it is set to, and by no other way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cabinet_kit import SETTLING, Cabinet, address, f32, in_cabinet, signed
from hypothesis import given
from hypothesis import strategies as st

from devices.signals.channel import OVERFLOW, UNDERFLOW, AnalogChannel, Status
from devices.signals.io_module import IoModuleConfig
from lab.model.document import FileError, load
from lab.model.frame import Port
from lab.network.signals.fault import SignalFault
from lab.network.signals.pt100 import ohms_at
from lab.network.signals.sources import SignalSource

POWER = "ps/L+ io/L+, ps/M io/M"
CELL = {"io": "io-module", "ps": "psu-24", "pt": "pt-2w", "px": "prox-pnp", "te": "te-pt100", "pc": "workstation"}
CABLE = "pc/eth0 io/eth0"
WIRES = (
    f"{POWER}, pt/+ io/ai0+, pt/- io/ai0-, ps/L+ px/BN, ps/M px/BU, px/BK io/di0, "
    "te/1 io/ai1i+, te/2 io/ai1+, te/3 io/ai1-, te/4 io/ai1i-"
)
AI0 = {"type": "4-20mA", "wiring": "2w", "range": [0, 1.0], "unit": "MPa"}
CHANNELS: dict[str, Any] = {"ai0": AI0, "ai1": {"type": "pt100", "wiring": "4w"}}


async def boot(cell: Cabinet, wires: str = WIRES, **channels: Any) -> None:
    io = {**address("10.0.0.1"), "channels": channels or CHANNELS}
    await cell.boot(wires, CABLE, io=io, pc=address("10.0.0.2"), te={"lead_resistance": 2.0})


def test_injected_values_come_out_of_the_registers() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell)
        for pressure in (0.0, 0.25, 0.777, 1.0):
            await cell.force("pt", "pressure", pressure)
            raw, status = (await cell.read(0, 1))[0], (await cell.read(4, 1))[0]
            assert raw == pytest.approx(pressure * 27648, abs=0.002 * 27648)
            assert f32(await cell.read(10, 2)) == pytest.approx(pressure, abs=0.002)
            assert status == Status.GOOD
        for temperature in (-50.0, 0.0, 86.4):
            await cell.force("te", "temperature", temperature)
            assert signed((await cell.read(1, 1))[0]) == pytest.approx(temperature * 10, abs=2)

    in_cabinet(story, **CELL)


def test_three_parts_pass_the_switch() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell)
        before = (await cell.read(20, 1))[0]
        for _ in range(3):
            await cell.force("px", "part", True)
            await cell.force("px", "part", False)
        assert (await cell.read(20, 1))[0] - before == 3
        assert [value for host, point, value in cell.told if (host, point) == ("io", "di0")][-6:] == [True, False] * 3

    in_cabinet(story, **CELL)


def test_a_channel_left_as_delivered_measures_volts_where_there_is_a_current() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell, ai1={"type": "pt100"})
        await cell.force("pt", "pressure", 0.5)
        assert signed((await cell.read(0, 1))[0]) == pytest.approx(0, abs=50), "nothing feeds the loop"
        await cell.rewire(WIRES.replace("pt/+ io/ai0+, pt/- io/ai0-", "ps/L+ pt/+, pt/- io/ai0+, io/ai0- ps/M"), CABLE)
        raw, status = (await cell.read(0, 1))[0], (await cell.read(4, 1))[0]
        assert (raw, status) == (OVERFLOW, Status.OVER_RANGE), "14 V on an input for 10 V"

    in_cabinet(story, **CELL)


def test_a_four_wire_channel_finds_no_current_in_a_two_wire_loop() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell, ai0={**AI0, "wiring": "4w"})
        assert (await cell.read(0, 1), await cell.read(4, 1)) == ([OVERFLOW], [Status.WIRE_BREAK])
        await cell.set("io", **address("10.0.0.1"), channels=CHANNELS)
        assert await cell.read(4, 1) == [Status.GOOD]

    in_cabinet(story, **CELL)


def test_faults_of_a_sensor_as_the_station_sees_them() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell)
        await cell.force("pt", "pressure", 0.5)
        source = cell.network.circuit.part("pt", SignalSource)

        async def after(fault: SignalFault | None, seconds: float = SETTLING) -> tuple[float, int]:
            source.fault = fault
            await asyncio.sleep(seconds)
            return f32(await cell.read(10, 2)), (await cell.read(4, 1))[0]

        assert await after(SignalFault("drift", 0.1), 7200) == (pytest.approx(0.7, abs=0.003), Status.GOOD)
        assert (await after(SignalFault("open")))[1] == Status.WIRE_BREAK
        assert (await after(SignalFault("short")))[1] == Status.OVER_RANGE
        assert (await after(SignalFault("sensor")))[1] == Status.WIRE_BREAK
        await after(None, 1.0)
        await after(SignalFault("stuck"), 1.0)
        await cell.force("pt", "pressure", 0.9)
        assert f32(await cell.read(10, 2)) == pytest.approx(0.5, abs=0.003)
        assert cell.point("pt", "pressure") == 0.9, "the truth is what it is"
        assert (await after(None, 1.0))[0] == pytest.approx(0.9, abs=0.003)

    in_cabinet(story, **CELL)


def test_without_its_supply_the_station_is_not_there() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell)
        assert await cell.read(0, 4)
        await cell.rewire(WIRES.replace("ps/M io/M, ", ""), CABLE)
        assert await cell.read(0, 4) == []
        assert not cell.network.jack(Port("pc", "eth0")).is_connected
        await cell.rewire(WIRES, CABLE)
        assert await cell.read(0, 4)
        assert cell.status("io")["power"] is True

    in_cabinet(story, **CELL)


def test_a_station_has_no_values_of_its_own_to_force() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell)
        with pytest.raises(KeyError):
            cell.plant.force("io", "ai0", 1.0)

    in_cabinet(story, **CELL)


def test_a_display_says_what_is_wrong() -> None:
    async def story(cell: Cabinet) -> None:
        await boot(cell)
        await cell.force("pt", "pressure", 0.5)
        shown = cell.status("io")
        assert shown["ai0"] == "0.500 MPa (4-20mA, good)"
        assert shown["di0"] == "off"
        await cell.rewire(WIRES.replace("pt/+ io/ai0+, ", ""), CABLE)
        assert "wire break" in str(cell.status("io")["ai0"])

    in_cabinet(story, **CELL)


# -- conversion --------------------------------------------------------------------------------------------------------


@given(
    share=st.floats(0, 1),
    low=st.floats(-1000, 1000),
    span=st.floats(0.1, 10_000),
    resolution=st.integers(10, 16),
    raw=st.sampled_from([(0, 27648), (0, 4095), (5530, 27648), (27648, 0)]),
)
def test_a_value_survives_the_converter_within_its_resolution(
    share: float, low: float, span: float, resolution: int, raw: tuple[int, int]
) -> None:
    channel = AnalogChannel(type="4-20mA", wiring="2w", range=(low, low + span), raw=raw, resolution=resolution)
    reading = channel.convert(0.004 + 0.016 * share)
    step = max(abs(raw[1] - raw[0]) / 27648 * 2 ** (16 - resolution), 1.0) / abs(raw[1] - raw[0])
    assert reading.status is Status.GOOD
    assert reading.value == pytest.approx(low + share * span, abs=span * (step / 2 + 0.5 / abs(raw[1] - raw[0]) + 1e-9))


@pytest.mark.parametrize(
    ("kind", "measured", "raw", "status"),
    [
        ("4-20mA", 0.0, OVERFLOW, Status.WIRE_BREAK),
        ("4-20mA", 0.0035, OVERFLOW, Status.WIRE_BREAK),
        ("4-20mA", 0.0038, -346, Status.GOOD),
        ("4-20mA", 0.0205, 28512, Status.GOOD),
        ("4-20mA", 0.0215, 30240, Status.OVER_RANGE),
        ("4-20mA", 0.030, OVERFLOW, Status.OVER_RANGE),
        ("0-20mA", 0.0, 0, Status.GOOD),
        ("0-20mA", -0.012, UNDERFLOW, Status.UNDER_RANGE),
        ("0-10V", 5.0, 13824, Status.GOOD),
        ("0-10V", 14.0, OVERFLOW, Status.OVER_RANGE),
        ("pt100", 5000.0, OVERFLOW, Status.WIRE_BREAK),
        ("pt100", 0.05, UNDERFLOW, Status.UNDER_RANGE),
        ("pt100", ohms_at(120.0), 1200, Status.GOOD),
    ],
)
def test_what_registers_show_and_diagnose(kind: Any, measured: float, raw: int, status: Status) -> None:
    reading = AnalogChannel(type=kind).convert(measured)
    assert (reading.raw, reading.status) == (raw, status)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("channels: {ai4: {type: 4-20mA}}", "unknown key 'ai4'; did you mean 'di4'?; known: ai0, ai1"),
        ("channels: {ai0: {type: 4-20ma}}", "'4-20ma' is not one of the allowed values; did you mean '4-20mA'?"),
        ("channels: {ai0: {type: 0-10V, wiring: 2w}}", "a channel for 0-10V cannot be wired as 2w; known: 4w"),
        ("channels: {ai0: {type: 4-20mA, range: [1, 1]}}", "the range 1.0 … 1.0 begins where it ends"),
    ],
)
def test_mistakes_in_its_configuration(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "io.yaml"
    file.write_text(text)
    with pytest.raises(FileError) as caught:
        load(file, IoModuleConfig, "io.yaml")
    assert str(caught.value).startswith("io.yaml:1:")
    assert complaint in str(caught.value)
