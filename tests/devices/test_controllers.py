"""Controllers against the tables of the device library, running and stopped, and with new firmware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from device_kit import Lab, in_lab
from modbus_kit import Reader, f32, i16, u32
from pydantic import ValidationError
from pymodbus.client import AsyncModbusTcpClient

from devices.controller import Controller
from devices.registry import KINDS
from lab.model.frame import Port
from lab.network.appliance import Value

IDENTITIES = {
    "boiler-plc": ("Lab Thermal Works", "BLR-4", "V2.3"),
    "cold-plc": ("Lab Refrigeration", "CSC-12", "V1.6"),
    "imm-plc": ("Lab Plastics Machinery", "IMM-200", "V3.1"),
    "meter-tcp": ("Lab Metering", "PM-3E", "V3.2"),
    "pack-line": ("Lab Packaging", "PKL-60", "V6.2"),
    "plc": ("Lab Automation", "PLC-1200", "V2.0"),
    "rtu-old": ("Lab Water Systems", "RTU-1000", "V1.0"),
    "water-plc": ("Lab Water Systems", "WTP-6", "V5.0"),
}


async def apply(lab: Lab, **changes: Any) -> None:
    """A new configuration, as a trainee's file brings it."""
    config = lab.device.Config.model_validate({**lab.device.config.model_dump(), **changes})
    await lab.host.spawn(lab.device.apply(config))


async def waterworks_as_read(reader: Reader) -> dict[str, Value]:
    words = await reader.holding(0, 6)
    setpoints = await reader.holding(40, 2)
    pumps = await reader.coils(0, 4)
    return {
        "turbidity": round(words[0] * 0.01, 9),
        "clear_well_level": words[1],
        "residual_chlorine": round(words[2] * 0.01, 9),
        "ph": round(words[3] * 0.01, 9),
        "flow": f32(words[4:6]),
        "dosing_setpoint": round(setpoints[0] * 0.01, 9),
        "pump_frequency": round(setpoints[1] * 0.1, 9),
        **{f"pump_{number}": on for number, on in enumerate(pumps, 1)},
        "dosing_enable": (await reader.coils(8, 1))[0],
    }


async def cold_store_as_read(reader: Reader) -> dict[str, Value]:
    words = await reader.inputs(0, 16)
    bits = await reader.discrete(0, 5)
    state = await reader.holding(201, 4)
    pressures = zip(("suction_1", "discharge_1", "suction_2", "discharge_2"), words[12:], strict=True)
    return {
        **{f"store_{number}": round(i16(word) * 0.1, 9) for number, word in enumerate(words[:12], 1)},
        **{point: round(i16(word) * 0.01, 9) for point, word in pressures},
        **{f"compressor_{number}": on for number, on in enumerate(bits[:4], 1)},
        "defrost": bits[4],
        "scan_time": round(state[0] * 0.1, 9),
        "battery_low": state[1],
        "io_errors": state[2],
        "clock_offset": i16(state[3]),
    }


async def packaging_as_read(reader: Reader) -> dict[str, Value]:
    words = await reader.holding(0, 8)
    return {
        "state_current": words[0],
        "mach_speed": f32(words[1:3]),
        "prod_processed": u32(words[3:5]),
        "prod_defective": u32(words[5:7]),
        "stop_reason": words[7],
    }


@pytest.mark.parametrize(
    ("kind", "as_read"),
    [
        ("water-plc", waterworks_as_read),
        ("rtu-old", waterworks_as_read),
        ("cold-plc", cold_store_as_read),
        ("pack-line", packaging_as_read),
    ],
)
def test_a_perfect_reader_gets_the_truth(kind: str, as_read: Any) -> None:
    async def story(lab: Lab) -> None:
        await lab.until(33.15)
        reader = Reader(lab, unit=6)
        reader.pause = 0.3  # five connections in a second is all an old one takes
        before = lab.device.points()
        assert await as_read(reader) in (before, lab.device.points())

    in_lab(kind, story, unit=6)


def test_negative_temperatures_and_offsets_are_read_as_such() -> None:
    async def story(lab: Lab) -> None:
        lab.device.force("clock_offset", -3600)
        lab.device.force("io_errors", 0b101)
        read = await cold_store_as_read(Reader(lab, unit=1))
        assert read["clock_offset"] == -3600
        assert read["io_errors"] == 0b101
        assert -25.0 < float(read["store_7"]) < -15.0

    in_lab("cold-plc", story)


@pytest.mark.parametrize("kind", sorted(IDENTITIES))
def test_a_device_says_who_it_is(kind: str) -> None:
    async def story(lab: Lab) -> None:
        told = await Reader(lab, unit=1).identity()
        assert tuple(told[number].decode() for number in range(3)) == IDENTITIES[kind]

    in_lab(kind, story)


@pytest.mark.parametrize(
    ("kind", "gaps"),
    [
        ("water-plc", [("holding", 6, 1), ("holding", 0, 7), ("holding", 39, 1), ("holding", 42, 1), ("coils", 0, 5)]),
        (
            "cold-plc",
            [("inputs", 16, 1), ("holding", 199, 1), ("holding", 200, 6), ("discrete", 0, 6), ("coils", 0, 1)],
        ),
        ("pack-line", [("holding", 0, 9), ("inputs", 0, 1)]),
        ("boiler-plc", [("inputs", 0, 10), ("holding", 0, 1), ("coils", 9, 1)]),
    ],
)
def test_gaps_in_the_map_are_exception_2(kind: str, gaps: list[tuple[str, int, int]]) -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        deeds = {
            "holding": "read_holding_registers",
            "inputs": "read_input_registers",
            "coils": "read_coils",
            "discrete": "read_discrete_inputs",
        }
        for table, address, count in gaps:
            refused = await reader.ask(deeds[table], address, count=count)
            assert refused.exception_code == 2, (table, address)

    in_lab(kind, story)


def test_the_dosing_setpoint_takes_0_to_200_and_nothing_else() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        for value in (0, 80, 200):
            assert await reader.write(40, value)
            assert lab.device.points()["dosing_setpoint"] == value / 100
        for value in (201, 0xFFFF):
            assert (await reader.ask("write_register", 40, value)).exception_code == 3
            assert (await reader.ask("write_registers", 40, [value, 420])).exception_code == 3
        assert lab.device.points()["dosing_setpoint"] == 2.0
        assert lab.device.points()["pump_frequency"] == 42.0

    in_lab("water-plc", story)


def test_forced_to_listen_only_a_unit_is_silent_until_communications_restart() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)

        async def diagnose(sub_function: int) -> None:
            async def there() -> None:
                _, writer = await asyncio.open_connection("10.0.0.1", 502)
                writer.write(bytes.fromhex("0001 0000 0006 01 08") + sub_function.to_bytes(2, "big") + b"\0\0")
                await asyncio.sleep(0.1)
                writer.close()

            await lab.from_pc(there)

        await diagnose(4)
        with pytest.raises(Exception, match="No response"):
            await reader.holding(40, 1)
        with pytest.raises(Exception, match="No response"):
            await reader.write(40, 200)
        assert lab.device.points()["dosing_setpoint"] == 0.55, "it listens and does nothing"
        await diagnose(1)
        assert await reader.holding(40, 1) == [55]

    in_lab("water-plc", story)


def test_stopped_over_modbus_the_store_drifts_while_its_registers_stand() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await lab.until(60)
        assert await reader.holding(200, 1) == [1]
        before = (await reader.inputs(0, 12))[:]
        assert await reader.write(200, 0)
        assert lab.told("mode") == ["RUN", "STOP"]
        await lab.until(2 * 3600)
        assert await reader.inputs(0, 12) == before, "nobody measures any more"
        assert lab.told("unsafe.store_8") == [False, True]
        assert (await reader.ask("report_device_id")).status is False
        assert (await reader.ask("write_register", 200, 2)).exception_code == 3
        assert await reader.write(200, 1)
        warm = await reader.inputs(0, 12)
        assert i16(warm[7]) > i16(before[7]) + 50
        await lab.until(5 * 3600)
        assert lab.told("unsafe.store_8") == [False, True, False]
        assert lab.told("mode") == ["RUN", "STOP", "RUN"]

    in_lab("cold-plc", story)


def test_the_mode_in_the_file_wins_when_it_changes_and_keeps_connections() -> None:
    async def story(lab: Lab) -> None:
        async def there() -> None:
            async with AsyncModbusTcpClient("10.0.0.1", timeout=1, retries=0) as client:
                assert (await client.read_holding_registers(200)).registers == [1]
                await apply(lab, mode="STOP")
                assert (await client.read_holding_registers(200)).registers == [0]
                await client.write_register(200, 1)
                await apply(lab, mode="STOP", max_connections=8)
                assert (await client.read_holding_registers(200)).registers == [1], "the same file is no news"
                await apply(lab, mode="RUN")
                assert (await client.read_holding_registers(200)).registers == [1]

        await lab.from_pc(there)
        assert lab.told("mode") == ["RUN", "STOP", "RUN"]

    in_lab("cold-plc", story)


def test_what_is_written_to_a_stopped_controller_is_obeyed_when_it_runs() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await apply(lab, mode="STOP")
        assert await reader.write(100, 60)
        assert await reader.holding(100, 1) == [60]
        assert lab.device.process.pressure_setpoint == 0.8  # type: ignore[attr-defined]
        await lab.until(30)
        assert not lab.device.process.flame  # type: ignore[attr-defined]
        assert await reader.discrete(0, 1) == [True], "the last value it knew"
        await apply(lab, mode="RUN")
        assert lab.device.points()["pressure_setpoint"] == 0.6
        assert await reader.holding(100, 1) == [60]

    in_lab("boiler-plc", story)


def test_switched_on_in_stop_it_shows_what_it_had_and_forgets_no_setpoint() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        assert await reader.holding(100, 1) == [80]
        await apply(lab, mode="RUN")
        assert lab.device.points()["pressure_setpoint"] == 0.8

    in_lab("boiler-plc", story, mode="STOP")


def test_while_a_controller_is_off_its_plant_is_nobodys() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(60)
        assert lab.device.points()["store_2"] < 5
        await lab.stop()
        await lab.until(3 * 3600)
        await lab.start()
        assert lab.device.points()["store_2"] > 8
        assert lab.told("unsafe.store_2") == [False, True]
        await lab.until(6 * 3600)
        assert lab.told("unsafe.store_2") == [False, True, False]

    in_lab("cold-plc", story)


def test_a_meter_that_is_off_counts_nothing() -> None:
    async def story(lab: Lab) -> None:
        await lab.until(60)
        before = float(lab.device.points()["energy"])
        await lab.stop()
        await lab.until(3660)
        await lab.start()
        assert float(lab.device.points()["energy"]) == before
        await lab.until(7260)
        assert float(lab.device.points()["energy"]) > before + 10

    in_lab("meter-tcp", story)


def test_new_firmware_takes_the_device_off_the_network_and_changes_who_it_is() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await lab.until(100)
        await apply(lab, firmware="V5.1")
        jack = lab.network.jack(Port("device", "eth0"))
        assert not jack.is_connected
        assert "V5.1" in str(lab.device.status())
        with pytest.raises(Exception, match=r"."):
            await reader.identity()
        await lab.until(131)
        assert jack.is_connected
        assert (await reader.identity())[2] == b"V5.1"
        assert lab.told("firmware") == ["V5.1"]
        assert lab.told("unsafe.flow") == [False, True], "nobody held the pumps"
        await lab.until(200)
        assert lab.told("unsafe.flow") == [False, True, False]
        assert await reader.holding(40, 1) == [55]

    in_lab("water-plc", story)


def test_an_interrupted_installation_leaves_the_old_firmware_and_begins_again() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await apply(lab, firmware="V2.4")
        await lab.until(10)
        await lab.stop()
        await lab.until(60)
        assert lab.network.jack(Port("device", "eth0")).is_connected
        await lab.start()
        await lab.until(80)
        with pytest.raises(Exception, match=r"."):
            await reader.identity()
        await lab.until(95)
        assert (await reader.identity())[2] == b"V2.4"
        await apply(lab, firmware="V2.3")
        await lab.until(100)
        await apply(lab, firmware="V2.4")
        assert (await reader.identity())[2] == b"V2.4", "nothing was changed yet"

    in_lab("boiler-plc", story)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if issubclass(kind, Controller)])
def test_every_controller_knows_its_firmware_and_no_other(kind: type[Controller[Any]]) -> None:
    assert kind.Config.model_validate({}).firmware == kind.identity.revision  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="firmware"):
        kind.Config.model_validate({"firmware": "V99.9"})


def test_a_device_for_one_client_cuts_off_the_second() -> None:
    async def story(lab: Lab) -> None:
        async def there() -> None:
            read = bytes.fromhex("0001 0000 0006 01 03 0000 0001")
            reader, writer = await asyncio.open_connection("10.0.0.1", 502)
            writer.write(read)
            assert len(await reader.readexactly(11)) == 11
            with pytest.raises(ConnectionResetError):
                await asyncio.open_connection("10.0.0.1", 502)
            writer.write(read)
            assert len(await reader.readexactly(11)) == 11
            writer.close()
            await asyncio.sleep(1)
            third, third_writer = await asyncio.open_connection("10.0.0.1", 502)
            third_writer.write(read)
            assert len(await third.readexactly(11)) == 11
            third_writer.close()

        await lab.from_pc(there)

    in_lab("water-plc", story, max_connections=1)


def test_more_registers_than_a_device_takes_at_once_are_exception_3() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        assert len(await reader.inputs(0, 8)) == 8
        assert (await reader.ask("read_input_registers", 0, count=9)).exception_code == 3

    in_lab("cold-plc", story, max_registers=8)


def test_the_energy_of_a_meter_rolls_over() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        last = (2**32 - 1) / 100
        lab.device.force("energy", last)
        assert await reader.holding(20, 2) == [0xFFFF, 0xFFFF]
        lab.device.force("energy", None)
        await lab.until(600)
        energy = u32(await reader.holding(20, 2))
        assert 0 < energy < 10_000, "hundredths of a kWh since it began again at 0"

    in_lab("meter-tcp", story)


def test_the_ct_ratio_multiplies_what_the_meter_sees() -> None:
    async def story(lab: Lab) -> None:
        reader = Reader(lab, unit=1)
        await lab.until(10)
        assert await reader.write(22, 80)
        before = f32(await reader.holding(12, 2))
        assert await reader.write(22, 40)
        await lab.until(10.6)
        assert f32(await reader.holding(12, 2)) == pytest.approx(before, rel=0.02)
        assert await reader.write(22, 80)
        await lab.until(11.1)
        assert f32(await reader.holding(12, 2)) == pytest.approx(2 * before, rel=0.02)

    in_lab("meter-tcp", story)
