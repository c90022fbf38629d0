"""Variables of a general controller: what is declared is what is read, in every type and order, and nothing else is."""

from __future__ import annotations

import asyncio
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from cabinet_kit import Cabinet, address, in_cabinet
from cabinet_kit import f32 as float_of
from device_kit import Lab, in_lab
from hypothesis import given, settings
from hypothesis import strategies as st
from modbus_kit import Reader, f32, i16
from pydantic import ValidationError

from devices.plc.config import PlcConfig, PlcVariable
from devices.plc.machines import INPUTS, MACHINES
from devices.plc.plc import Plc
from devices.registers import WORD_ORDERS
from lab.model.document import FileError, load
from lab.wire import modbus

TABLES = ("coil", "discrete", "input", "holding")
SIZES = {"bool": 1, "u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2}
CODES = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f"}


async def declare(lab: Lab, *variables: dict[str, Any], **others: Any) -> None:
    known = {**lab.device.config.model_dump(), "variables": list(variables), **others}
    await lab.host.spawn(lab.device.apply(PlcConfig.model_validate(known)))


@st.composite
def variables(draw: st.DrawFn) -> dict[str, Any]:
    table = draw(st.sampled_from(TABLES))
    # Few addresses, so that neighbours and overlaps are common.
    variable: dict[str, Any] = {"table": table, "address": draw(st.integers(0, 40))}
    if table in ("input", "holding"):
        kind = variable["type"] = draw(st.sampled_from(sorted(SIZES)))
        if kind == "bool":
            variable["bit"] = draw(st.integers(0, 15))
        elif SIZES[kind] == 2:
            variable["order"] = draw(st.sampled_from(WORD_ORDERS))
    if variable.get("type") == "f32":
        variable["initial"] = draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    elif "type" in variable and variable["type"] != "bool":
        low, high = {"u16": (0, 2**16), "i16": (-(2**15), 2**15), "u32": (0, 2**32), "i32": (-(2**31), 2**31)}[
            variable["type"]
        ]
        variable["initial"] = draw(st.integers(low, high - 1))
    else:
        variable["initial"] = draw(st.integers(0, 1))
    return variable


def addresses_of(variable: dict[str, Any]) -> set[tuple[str, int, int]]:
    """(table, address, bit) of all that a variable covers."""
    size = SIZES[variable.get("type", "bool")]
    bits = (variable["bit"],) if "bit" in variable else range(16)
    first = variable["address"]
    return {(variable["table"], place, bit) for place in range(first, first + size) for bit in bits}


def as_a_manual_has_it(variable: dict[str, Any], words: list[int]) -> float:
    """The number in these registers, by somebody who never saw our code."""
    kind = variable["type"]
    data = b"".join(word.to_bytes(2, "big") for word in words)
    if len(data) == 4:
        data = bytes(data[variable["order"].index(letter)] for letter in "ABCD")
    value: float = struct.unpack(f">{CODES[kind]}", data)[0]
    return value


@settings(max_examples=25)
@given(drawn=st.lists(variables(), min_size=1, max_size=12))
def test_what_is_declared_is_what_is_read_and_nothing_else_is(drawn: list[dict[str, Any]]) -> None:
    declared: list[dict[str, Any]] = []
    covered: set[tuple[str, int, int]] = set()
    for number, variable in enumerate(drawn):
        if not covered & addresses_of(variable):
            covered |= addresses_of(variable)
            declared.append({**variable, "name": f"v{number}"})

    async def story(lab: Lab) -> None:
        unit = lab.device._modbus  # type: ignore[attr-defined]
        there = {(table, place) for table, place, _ in covered}
        for variable in declared:
            table, first, size = variable["table"], variable["address"], SIZES[variable.get("type", "bool")]
            answer = unit.answer(_READS[table](first, size))
            if table in ("coil", "discrete"):
                assert answer.values[0] == bool(variable["initial"])
            elif variable["type"] == "bool":
                assert answer.values[0] >> variable["bit"] & 1 == variable["initial"]
            else:
                assert as_a_manual_has_it(variable, list(answer.values)) == variable["initial"]
        for table in TABLES:
            for place in range(45):
                answer = unit.answer(_READS[table](place, 1))
                refused = isinstance(answer, modbus.ExceptionResponse)
                assert refused is ((table, place) not in there)
                assert not refused or answer.code == 2

    in_lab("plc", story, variables=declared)


_READS: dict[str, Any] = {
    "coil": modbus.ReadCoils,
    "discrete": modbus.ReadDiscreteInputs,
    "input": modbus.ReadInputRegisters,
    "holding": modbus.ReadHoldingRegisters,
}


@given(drawn=st.lists(variables(), min_size=2, max_size=8))
def test_overlaps_are_refused_and_only_overlaps(drawn: list[dict[str, Any]]) -> None:
    covered: set[tuple[str, int, int]] = set()
    overlap = False
    for variable in drawn:
        overlap |= bool(covered & addresses_of(variable))
        covered |= addresses_of(variable)
    declared = [{**variable, "name": f"v{number}"} for number, variable in enumerate(drawn)]
    if overlap:
        with pytest.raises(ValidationError, match="overlap"):
            PlcConfig.model_validate({"variables": declared})
    else:
        PlcConfig.model_validate({"variables": declared})


def test_process_values_stand_where_the_design_says() -> None:
    async def story(lab: Lab) -> None:
        await declare(
            lab,
            {"name": "p", "table": "input", "address": 100, "type": "f32", "order": "CDAB", "source": "pressure"},
            {"name": "p10", "table": "holding", "address": 5, "type": "i16", "scale": 0.001, "source": "pressure"},
            {"name": "fire", "table": "discrete", "address": 7, "source": "flame"},
            {"name": "word", "table": "holding", "address": 9, "type": "bool", "bit": 4, "source": "flame"},
            machine="boiler",
        )
        lab.device.force("pressure", 0.777)
        await lab.until(5)
        reader = Reader(lab, unit=1)
        low, high = await reader.inputs(100, 2)
        assert f32([high, low]) == pytest.approx(0.777)
        assert await reader.holding(5, 1) == [777]
        assert await reader.discrete(7, 1) == [True]
        assert await reader.holding(9, 1) == [0b10000]
        assert lab.told("pressure")[-1] == 0.777
        assert lab.told("unsafe.pressure") == [False]

    in_lab("plc", story)


def test_a_new_table_takes_effect_on_the_connection_there_is() -> None:
    async def story(lab: Lab) -> None:
        one = {"name": "a", "table": "holding", "address": 0, "type": "u16", "initial": 7, "writable": True}
        two = {"name": "b", "table": "holding", "address": 1, "type": "u16", "initial": 8}

        async def there() -> None:
            from pymodbus.client import AsyncModbusTcpClient

            async with AsyncModbusTcpClient("10.0.0.1", timeout=1, retries=0) as client:
                assert (await client.read_holding_registers(0)).exception_code == 2
                await declare(lab, one, two)
                assert (await client.read_holding_registers(0, count=2)).registers == [7, 8]
                await client.write_register(0, 99)
                await declare(lab, {**one, "address": 20})
                assert (await client.read_holding_registers(20)).registers == [99], "memory moves with its name"
                assert (await client.read_holding_registers(0)).exception_code == 2
                assert (await client.read_holding_registers(1)).exception_code == 2
                assert (await client.write_register(0, 1)).exception_code == 2
                await declare(lab, two)
                await declare(lab, one, two)
                assert (await client.read_holding_registers(0)).registers == [7], "a new variable of an old name"

        await lab.from_pc(there)

    in_lab("plc", story)


def test_a_setpoint_is_written_through_its_variable_and_only_when_it_changes() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await declare(
            lab,
            {
                "name": "dose",
                "table": "holding",
                "address": 0,
                "type": "u16",
                "source": "dosing_setpoint",
                "writable": True,
            },
            {
                "name": "hz",
                "table": "holding",
                "address": 1,
                "type": "f32",
                "source": "pump_frequency",
                "writable": True,
            },
            {"name": "p3", "table": "coil", "address": 2, "source": "pump_3", "writable": True},
            machine="waterworks",
        )
        assert await reader.holding(0, 1) == [1], "0.55 to the nearest 1"
        assert await reader.write_coil(2, True)
        points = lab.device.points()
        assert (points["dosing_setpoint"], points["pump_3"]) == (0.55, True), "nobody wrote the other one"
        words = list(struct.unpack("!HH", struct.pack("!f", 37.5)))
        assert not (await reader.ask("write_registers", 1, words)).isError()
        assert lab.device.points()["pump_frequency"] == 37.5
        for strange in ("7fc00000", "7f800000", "ff800000"):
            words = list(struct.unpack("!HH", bytes.fromhex(strange)))
            assert not (await reader.ask("write_registers", 1, words)).isError()
            assert lab.device.points()["pump_frequency"] == 37.5, "no number, no set-point"
        words = list(struct.unpack("!HH", struct.pack("!f", 3e38)))
        assert not (await reader.ask("write_registers", 1, words)).isError()
        await lab.until(60)
        assert math.isfinite(float(lab.device.points()["flow"]))

    in_lab("plc", story)


def test_a_range_is_held_by_the_controller() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        for value, taken in ((-50, True), (120, True), (-51, False), (121, False)):
            assert await reader.write(0, value & 0xFFFF) is taken
        assert i16((await reader.holding(0, 1))[0]) == 120

    variable = {"name": "t", "table": "holding", "address": 0, "type": "i16", "scale": 0.5}
    in_lab("plc", story, variables=[{**variable, "writable": True, "range": [-25, 60]}])


def test_stopped_it_keeps_its_registers_and_its_machine_stands() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await lab.until(20)
        (before,) = await reader.inputs(0, 1)
        assert before > 500
        config = PlcConfig.model_validate({**lab.device.config.model_dump(), "mode": "STOP"})
        await lab.host.spawn(lab.device.apply(config))
        await lab.until(60)
        assert await reader.inputs(0, 1) == [before]
        assert lab.told("unsafe.flow") == [False, True]

    variable = {"name": "q", "table": "input", "address": 0, "type": "u16", "source": "flow"}
    in_lab("plc", story, machine="waterworks", variables=[variable])


def test_declaring_variables_while_it_stands_moves_no_setpoint() -> None:
    """A dose of 0.55 shows as 1 in whole mg/L, and a new variable has never been written."""
    dose = {"name": "dose", "table": "holding", "address": 0, "source": "dosing_setpoint", "writable": True}
    fine, coarse = {**dose, "type": "f32"}, {**dose, "type": "u16"}
    spare = {"name": "spare", "table": "holding", "address": 8, "type": "u16", "initial": 3, "writable": True}

    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await declare(lab, fine, mode="STOP")
        await declare(lab, coarse, spare)
        assert await reader.holding(0, 1) == [1]
        assert await reader.holding(8, 1) == [3]
        assert await reader.write(8, 4)
        await declare(lab, coarse, spare, mode="RUN")
        assert lab.device.points()["dosing_setpoint"] == 0.55
        assert await reader.holding(8, 1) == [4]
        await declare(lab, coarse, spare, mode="STOP")
        assert await reader.write(0, 0)
        assert lab.device.points()["dosing_setpoint"] == 0.55
        await declare(lab, mode="RUN")
        assert lab.device.points()["dosing_setpoint"] == 0.0, "written, then run, then taken out of the table"

    in_lab("plc", story, machine="waterworks")


def test_another_machine_another_process() -> None:
    async def story(lab: Lab) -> None:
        flow = {"name": "q", "table": "input", "address": 0, "type": "f32", "source": "flow"}
        await declare(lab, flow, machine="waterworks", mode="STOP")
        await declare(lab, {**flow, "source": "pressure"}, machine="boiler", mode="RUN")
        assert f32(await Reader(lab, 1).inputs(0, 2)) == pytest.approx(0.8, abs=0.05)
        assert "flow" not in lab.device.points()

    in_lab("plc", story)


WIRES = "pt/+ plc/ai0+, pt/- plc/ai0-, plc/L+ px/BN, plc/M px/BU, px/BK plc/di0"


def test_a_transmitter_at_its_terminals_reaches_raw_and_engineering_variables() -> None:
    async def story(cell: Cabinet) -> None:
        plc = {
            **address("10.0.0.1"),
            "channels": {"ai0": {"type": "4-20mA", "wiring": "2w", "range": [0, 1.0], "unit": "MPa"}},
            "variables": [
                {"name": "raw", "table": "input", "address": 0, "type": "i16", "source": "ai0.raw"},
                {"name": "pressure", "table": "input", "address": 1, "type": "f32", "source": "ai0"},
                {"name": "wrong", "table": "input", "address": 3, "type": "u16", "source": "ai0.status"},
                {"name": "parts", "table": "input", "address": 4, "type": "u16", "source": "di0.count"},
                {"name": "part", "table": "input", "address": 5, "type": "bool", "bit": 0, "source": "di0"},
            ],
        }
        await cell.boot(WIRES, "pc/eth0 plc/eth0", plc=plc, pc=address("10.0.0.2"))
        for pressure in (0.0, 0.25, 1.0):
            await cell.force("pt", "pressure", pressure)
            words = await cell.read(0, 6)
            assert words[0] == pytest.approx(pressure * 27648, abs=0.002 * 27648)
            assert float_of(words[1:3]) == pytest.approx(pressure, abs=0.002)
            assert words[3] == 0
        assert cell.point("plc", "ai0") == pytest.approx(1.0, abs=0.002)
        for _ in range(3):
            await cell.force("px", "part", True)
            assert (await cell.read(5, 1)) == [1]
            await cell.force("px", "part", False)
        assert await cell.read(4, 2) == [3, 0]
        await cell.rewire(WIRES.replace("pt/- plc/ai0-, ", ""), "pc/eth0 plc/eth0")
        assert (await cell.read(0, 4))[::3] == [32767, 1], "wire break"
        cell.network.power("plc", False)
        await asyncio.sleep(1)
        assert await cell.read(0, 1) == []
        await cell.force("px", "part", True)
        cell.network.power("plc", True)
        await asyncio.sleep(1)
        assert await cell.read(5, 1) == [1]

    in_cabinet(story, plc="plc", pt="pt-2w", px="prox-pnp", pc="workstation")


def test_a_file_that_cannot_be_says_where_and_what_is_known(tmp_path: Path) -> None:
    file = tmp_path / "plc-1.yaml"
    file.write_text(
        "machine: boiler\n"
        "variables:\n"
        "  - {name: p, table: input, address: 0, type: f32, source: presure}\n"
        "  - {name: l, table: input, address: 1, type: i16, source: drum_level}\n"
        "  - name: p\n"
        "    table: holding\n"
        "    address: 3\n"
        "    type: i16\n"
        "    source: drum_level\n"
        "    writable: true\n"
    )
    with pytest.raises(FileError) as caught:
        load(file, PlcConfig, "config/plc-1.yaml")
    said = str(caught.value).splitlines()
    assert said[0].startswith("config/plc-1.yaml:3: there is no source presure; did you mean 'pressure'?; known:")
    assert said[1] == "config/plc-1.yaml:4: l and p overlap: both lie on address 1 of the input table"
    assert said[2] == "config/plc-1.yaml:5: there are two variables p"
    assert said[3].startswith("config/plc-1.yaml:9: drum_level is no set-point")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"table": "input", "address": 65535, "type": "u32"}, "beyond 65535"),
        ({"table": "input", "address": 65536, "type": "u16"}, "65535"),
        ({"table": "input", "address": -1, "type": "u16"}, "0"),
        ({"table": "input", "address": 0}, "needs a type"),
        ({"table": "coil", "address": 0, "type": "u16"}, "holds bits"),
        ({"table": "holding", "address": 0, "type": "bool"}, "needs bit"),
        ({"table": "coil", "address": 0, "bit": 3}, "has a bit"),
        ({"table": "holding", "address": 0, "type": "u16", "order": "CDAB"}, "no byte order"),
        ({"table": "holding", "address": 0, "type": "f32", "scale": 0.1}, "no scale"),
        ({"table": "input", "address": 0, "type": "u16", "writable": True}, "can be written"),
        ({"table": "holding", "address": 0, "type": "u16", "range": [0, 1]}, "has a range"),
        ({"table": "holding", "address": 0, "type": "u16", "writable": True, "range": [2, 1]}, "is empty"),
        ({"table": "holding", "address": 0, "type": "u64"}, "type"),
    ],
)
def test_a_variable_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PlcVariable.model_validate({"name": "v", **wrong})


def test_bits_of_one_register_are_alike_writable() -> None:
    one = {"name": "a", "table": "holding", "address": 0, "type": "bool", "bit": 0, "writable": True}
    two = {"name": "b", "table": "holding", "address": 0, "type": "bool", "bit": 1}
    with pytest.raises(ValidationError, match="in one register"):
        PlcConfig.model_validate({"variables": [one, two]})
    PlcConfig.model_validate({"variables": [one, {**two, "writable": True}]})


def test_two_variables_do_not_write_one_setpoint() -> None:
    one = {"table": "holding", "type": "u16", "source": "dosing_setpoint", "writable": True}
    both = [{"name": "a", "address": 0, **one}, {"name": "b", "address": 1, **one}]
    with pytest.raises(ValidationError, match="both write"):
        PlcConfig.model_validate({"machine": "waterworks", "variables": both})


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_source_of_every_machine_can_be_declared(machine: str) -> None:
    sources = (*MACHINES[machine].points, *INPUTS)  # type: ignore[index]
    declared = [
        {"name": f"v{number}", "table": "input", "address": 2 * number, "type": "f32", "source": source}
        for number, source in enumerate(sources)
    ]

    async def story(lab: Lab) -> None:
        await lab.until(2)
        assert len(await Reader(lab, 1).inputs(0, 2 * min(len(declared), 60))) > 0
        assert isinstance(lab.device, Plc)

    in_lab("plc", story, machine=machine, variables=declared)
