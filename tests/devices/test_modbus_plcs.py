"""The boiler's and the moulding machine's controllers in a plant: maps, truth, force, reconfiguration."""

from __future__ import annotations

from itertools import pairwise

import pytest
from device_kit import Lab, in_lab
from modbus_kit import Reader, f32, i16, u32
from pydantic import ValidationError

from devices.boiler_plc import BoilerPlc
from devices.imm_plc import ImmPlc
from devices.registry import KINDS
from lab.network.appliance import Value


async def boiler_as_read(reader: Reader) -> dict[str, Value]:
    words = await reader.inputs(0, 9)
    bits = await reader.discrete(0, 3)
    setpoints = await reader.holding(100, 2)
    return {
        "pressure": round(i16(words[0]) * 0.01, 9),
        "drum_level": i16(words[1]),
        "flue_gas_temperature": round(i16(words[2]) * 0.1, 9),
        "oxygen": round(words[3] * 0.1, 9),
        "gas_flow": f32(words[4:6]),
        "gas_total": round(u32(words[6:8]) * 0.1, 9),
        "feed_water_temperature": round(i16(words[8]) * 0.1, 9),
        "flame": bits[0],
        "low_water_trip": bits[1],
        "high_pressure": bits[2],
        "pressure_setpoint": round(i16(setpoints[0]) * 0.01, 9),
        "level_setpoint": i16(setpoints[1]),
        "burner_enable": (await reader.coils(10, 1))[0],
    }


def test_a_perfect_reader_of_the_boiler_gets_the_truth() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(7.25)
        read = await boiler_as_read(Reader(lab, unit=7))
        assert read == lab.device.points()
        assert read == {point: lab.told(point)[-1] for point in read}

    in_lab("boiler-plc", story, unit=7)


def test_truth_is_told_when_the_registers_change_and_only_then() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(30.25)
        assert len(lab.told("pressure_setpoint")) == 1
        changes = lab.told("flue_gas_temperature")
        assert len(changes) > 5
        assert all(one != two for one, two in pairwise(changes))
        assert {round(at % 0.5, 4) for at, _, _ in lab.truth} == {0.0}, "scans are every half second, without drift"

    in_lab("boiler-plc", story)


def test_a_forced_value_shows_at_once_and_stays() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(3.1)
        lab.device.force("pressure", 0.637)
        assert lab.truth[-1][1:] == ("pressure", 0.64)
        reader = Reader(lab, unit=1)
        assert await reader.inputs(0, 1) == [64]
        await lab.until(20)
        assert await reader.inputs(0, 1) == [64]
        lab.device.force("pressure", None)
        await lab.until(60)
        assert await reader.inputs(0, 1) != [64]

    in_lab("boiler-plc", story)


def test_a_setpoint_written_moves_the_process_and_the_truth() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        assert await reader.write(100, 70)
        assert lab.truth[-1][1:] == ("pressure_setpoint", 0.7)
        assert await reader.write(101, 0x10000 - 25)
        assert lab.truth[-1][1:] == ("level_setpoint", -25)
        assert await reader.write_coil(10, False)
        await lab.until(20)
        assert await reader.discrete(0, 1) == [False]
        assert lab.device.points()["flame"] is False

    in_lab("boiler-plc", story)


def test_what_is_not_a_setpoint_cannot_be_written() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        assert not await reader.write(99, 1)
        assert not await reader.write(0, 1)
        assert not await reader.write_coil(0, True)

    in_lab("boiler-plc", story)


async def imm_as_read(reader: Reader, base: int, swapped: bool) -> dict[str, Value]:
    words = await reader.holding(base, 14)
    setpoints = await reader.holding(base + 20, 4)
    cycle, pressure = words[2:4], words[10:12]
    if swapped:
        cycle.reverse()
    else:
        pressure.reverse()
    return {
        "state": words[0],
        "mould_number": words[1],
        "cycle_time": f32(cycle),
        "shot_count": u32(words[4:6]),
        **{f"zone_{zone}": round(i16(words[5 + zone]) * 0.1, 9) for zone in range(1, 5)},
        "injection_pressure": f32(pressure),
        "clamp_force": words[12],
        "alarm_code": words[13],
        **{f"zone_{zone}_setpoint": round(i16(setpoints[zone - 1]) * 0.1, 9) for zone in range(1, 5)},
        "remote_stop": (await reader.coils(0, 1))[0],
    }


@pytest.mark.parametrize(("base", "swapped"), [(0, False), (100, True), (1000, False)])
def test_a_perfect_reader_of_the_moulding_machine_gets_the_truth(base: int, swapped: bool) -> None:
    async def story(lab: Lab) -> None:
        await lab.until(22.75)
        assert await imm_as_read(Reader(lab, unit=12), base, swapped) == lab.device.points()
        assert lab.device.points()["injection_pressure"] > 0

    in_lab("imm-plc", story, unit=12, base=base, swap_words=swapped)


def test_a_new_unit_id_takes_effect_and_the_process_goes_on() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(10.25)
        before = lab.device.points()
        config = BoilerPlc.Config.model_validate({**lab.device.config.model_dump(), "unit": 9})
        await lab.host.spawn(lab.device.apply(config))
        assert lab.device.points() == before
        assert (await boiler_as_read(Reader(lab, unit=9)))["gas_total"] == before["gas_total"]
        with pytest.raises(Exception, match="No response"):
            await Reader(lab, unit=1).inputs(0, 1)

    in_lab("boiler-plc", story)


def test_a_direct_device_also_answers_to_0_and_255() -> None:
    async def story(lab: Lab) -> None:
        for unit in (0, 3, 255):
            assert len(await Reader(lab, unit).inputs(0, 9)) == 9

    in_lab("boiler-plc", story, unit=3, direct=True)


@pytest.mark.parametrize("wrong", [{"unit": 0}, {"unit": 248}, {"base": -1}, {"swap": True}])
def test_a_configuration_that_no_device_could_have_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ImmPlc.Config.model_validate(wrong)


def test_every_kind_is_listed_by_its_own_name() -> None:
    assert all(kind == appliance.kind for kind, appliance in KINDS.items())
    assert {"boiler-plc", "imm-plc", "cnc-plc", "workstation"} <= set(KINDS)
