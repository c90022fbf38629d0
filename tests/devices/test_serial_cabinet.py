"""RS-485 devices behind a serial server: what works, and what each mistake at the screws does."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rs485_kit import LINE, SERVER, Cabinet, daisy, run

from lab.capture.recorder import AtOnce, Recorder
from lab.wire import modbus
from lab.wire.modbus import ExceptionCode
from lab.wire.modbus.rtu import RtuAdu

Devices = dict[str, tuple[str, dict[str, Any]]]
TWO: Devices = {
    "th-1": ("th485", {"unit": 11, "line": LINE}),
    "m-1": ("meter", {"unit": 12, "line": LINE, "termination": True}),
}
BUS = daisy("ser", "th-1", "m-1")
NOBODY = ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND


def without(*gone: str) -> list[list[str]]:
    return [wire for wire in BUS if not any(end in gone for end in wire)]


def test_a_client_on_the_network_reads_what_the_sensors_measure() -> None:
    async def story(cabinet: Cabinet) -> None:
        points = cabinet.plant.appliances["th-1"].points()
        temperature, humidity = await cabinet.read(11)
        assert temperature == round(float(points["temperature"]) * 10)
        assert humidity == round(float(points["humidity"]) * 10)
        assert len(await cabinet.read(12, 0, 23, table="holding")) == 23
        assert await cabinet.read(12, 30, table="holding") == ExceptionCode.ILLEGAL_DATA_ADDRESS
        assert await cabinet.read(99) == NOBODY

    run(story, TWO, BUS)


def test_every_kind_of_device_answers_with_its_registers() -> None:
    devices: Devices = {
        "th": ("th485", {"unit": 1, "line": LINE}),
        "pt": ("pt100-8", {"unit": 2, "line": LINE, "channels": [1, 2]}),
        "vib": ("vib485", {"unit": 3, "line": LINE}),
        "meter": ("meter", {"unit": 4, "line": LINE}),
        "comp": ("comp-plc", {"unit": 5, "line": LINE, "termination": True}),
    }

    async def story(cabinet: Cabinet) -> None:
        assert len(await cabinet.read(1)) == 2
        channels = await cabinet.read(2, 0, 8)
        assert [value == 0x7FFF for value in channels] == [False, False] + [True] * 6
        assert len(await cabinet.read(3, 0, 3)) == 3
        assert len(await cabinet.read(4, 0, 23, table="holding")) == 23
        assert len(await cabinet.read(5, 0, 10, table="holding")) == 10

    run(story, devices, daisy("ser", *devices))


def test_requests_take_their_time_on_the_line_and_wait_for_one_another() -> None:
    async def story(cabinet: Cabinet) -> None:
        loop = cabinet.network.loop
        began = loop.time()
        await cabinet.read(12, 0, 23, table="holding")
        once = loop.time() - began
        # 8 characters out, 51 back, at 11 bits and 9600 baud, two silences and the device's own time.
        assert 0.070 < once < 0.090
        began = loop.time()
        await asyncio.gather(*(cabinet.read(12, 0, 23, table="holding") for _ in range(5)))
        assert loop.time() - began > 4.5 * once

    run(story, TWO, BUS)


def test_more_requests_than_the_queue_holds_are_refused_as_busy() -> None:
    async def story(cabinet: Cabinet) -> None:
        answers = await asyncio.gather(*(cabinet.read(12, 0, 23, table="holding") for _ in range(6)))
        assert [answer == ExceptionCode.SERVER_DEVICE_BUSY for answer in answers].count(True) == 3
        assert sum(isinstance(answer, tuple) for answer in answers) == 3

    run(story, TWO, BUS, {"1": {"line": LINE, "termination": True, "queue": 2}})


@pytest.mark.parametrize(
    ("name", "devices", "wires"),
    [
        ("A and B swapped", TWO, [*without("th-1/A", "th-1/B"), ["ser/A1", "th-1/B"], ["ser/B1", "th-1/A"]]),
        ("B not connected", TWO, [*without("th-1/B", "th-1/GND"), ["ser/B1", "m-1/B"], ["ser/GND1", "m-1/GND"]]),
        ("another baud", TWO | {"th-1": ("th485", {"unit": 11, "line": {"baud": 19200}})}, BUS),
        ("another parity", TWO | {"th-1": ("th485", {"unit": 11, "line": {**LINE, "parity": "odd"}})}, BUS),
        ("another unit", TWO | {"th-1": ("th485", {"unit": 21, "line": LINE})}, BUS),
    ],
)
def test_one_badly_connected_device_is_not_to_be_had(name: str, devices: Devices, wires: list[list[str]]) -> None:
    async def story(cabinet: Cabinet) -> None:
        assert await cabinet.read(11) == NOBODY, name

    run(story, devices, wires)


def test_two_devices_with_one_unit_id_spoil_each_others_answers() -> None:
    async def story(cabinet: Cabinet) -> None:
        assert await cabinet.read(11) == NOBODY
        garbled = dict(cabinet.plant.appliances["ser"].status())["port 1"]["garbled"]  # type: ignore[index]
        assert garbled > 0, "something was there, and nobody could read it"

    run(story, {"a": TWO["th-1"], "b": TWO["th-1"], "m-1": TWO["m-1"]}, daisy("ser", "a", "b", "m-1"))


def test_what_is_written_to_its_settings_holds_after_the_next_power_up() -> None:
    async def story(cabinet: Cabinet) -> None:
        await cabinet.ask(11, modbus.WriteSingleRegister(256, 33))
        assert len(await cabinet.read(11)) == 2, "until it is switched off"
        cabinet.network.power("th-1", False)
        cabinet.network.power("th-1", True)
        await asyncio.sleep(1)
        assert await cabinet.read(11) == NOBODY
        assert len(await cabinet.read(33)) == 2

    run(story, TWO, BUS)


def test_without_power_a_device_is_silent_and_its_resistor_stays() -> None:
    async def story(cabinet: Cabinet) -> None:
        cabinet.network.power("m-1", False)
        await asyncio.sleep(0.1)
        assert await cabinet.read(12, table="holding") == NOBODY
        assert len(await cabinet.read(11)) == 2

    run(story, TWO, BUS)


def test_units_are_routed_to_their_line_and_others_have_no_path() -> None:
    wires = [*daisy("ser", "th-1"), ["ser/A2", "m-1/A"], ["ser/B2", "m-1/B"]]

    async def story(cabinet: Cabinet) -> None:
        assert len(await cabinet.read(11)) == 2
        assert len(await cabinet.read(12, table="holding")) == 2
        assert await cabinet.read(13) == ExceptionCode.GATEWAY_PATH_UNAVAILABLE

    run(story, TWO, wires, {"1": {"line": LINE, "units": [11]}, "2": {"line": LINE, "units": [12]}})


def test_transparent_it_carries_rtu_frames_over_tcp() -> None:
    async def story(cabinet: Cabinet) -> bytes:
        async def there() -> bytes:
            reader, writer = await asyncio.open_connection(SERVER, 4001)
            writer.write(RtuAdu(11, modbus.ReadInputRegisters(0, 2).encode()).encode())
            heard = b""
            while len(heard) < 9:
                heard += await reader.read(100)
            writer.transport.abort()
            return heard

        heard: bytes = await cabinet.network.hosts["eng"].spawn(there())
        return heard

    serial = {"1": {"mode": "transparent", "tcp_port": 4001, "line": LINE, "termination": True}}
    heard = run(story, TWO, BUS, serial)
    assert heard[:3] == b"\x0b\x04\x04"


def test_pymodbus_reads_a_sensor_by_rtu_over_tcp() -> None:
    from pymodbus.client import AsyncModbusTcpClient
    from pymodbus.framer import FramerType

    async def story(cabinet: Cabinet) -> list[int]:
        async def there() -> list[int]:
            client = AsyncModbusTcpClient(SERVER, port=4001, framer=FramerType.RTU)
            await client.connect()
            answer = await client.read_input_registers(0, count=2, device_id=11)
            client.close()
            return list(answer.registers)

        registers: list[int] = await cabinet.network.hosts["eng"].spawn(there())
        return registers

    serial = {"1": {"mode": "transparent", "tcp_port": 4001, "line": LINE, "termination": True}}
    assert len(run(story, TWO, BUS, serial)) == 2


@pytest.mark.parametrize(
    "serial",
    [
        {"1": {"tcp_port": 4001, "mode": "transparent"}, "2": {"tcp_port": 4001}},
        {"1": {"units": [1, 2]}, "2": {"units": [2, 3]}},
        {"3": {}},
        {"1": {"line": {"baud": 9601}}},
    ],
)
def test_what_cannot_be_is_refused(serial: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        run(lambda cabinet: asyncio.sleep(0), TWO, BUS, serial)


@pytest.mark.foreign
def test_wireshark_reads_the_line_in_the_same_file_as_the_network(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    file = tmp_path / "cabinet.pcapng"

    async def story(cabinet: Cabinet) -> None:
        recorder = Recorder(AtOnce(file.open("wb")))
        recorder.attach(cabinet.network)
        await cabinet.read(11)
        await cabinet.read(12, 30, table="holding")
        recorder.detach(cabinet.network)
        recorder.close()

    run(story, TWO, BUS)
    fields = ["frame.number", "mbrtu.unit_id", "modbus.func_code", "modbus.exception_code", "frame.interface_name"]
    command = [tshark, "-r", str(file), "-Y", "mbrtu", "-T", "fields", *(part for f in fields for part in ("-e", f))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    seen = [line.split("\t")[1:] for line in lines]
    assert [each[:2] for each in seen] == [["11", "4"], ["11", "4"], ["12", "3"], ["12", "3"]]
    assert seen[3][2] == "2"
    assert {each[3] for each in seen} == {"bus/ser.1"}
    command = [tshark, "-r", str(file), "-Y", "_ws.malformed or mbrtu.crc16.status == 0"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""


def test_polling_again_and_again_costs_nothing_but_the_lines_time() -> None:
    async def story(cabinet: Cabinet) -> None:
        for _ in range(100):
            assert len(await cabinet.read(11)) == 2
        assert len(cabinet.serial) == 200, "each frame once"

    run(story, TWO, BUS)
