"""Devices on RS-485: their settings registers really set them, and controllers among them run, stop and take firmware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError
from pymodbus.client import AsyncModbusTcpClient
from rs485_kit import LINE, SERVER, Cabinet, daisy, run

from devices.serial.settings import BAUD_CODES, SettableConfig
from lab.wire import modbus
from lab.wire.modbus import ExceptionCode
from scenarios.kinds import APPLIANCES

NOBODY = ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND
DEVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "one": ("th485", {"unit": 11, "line": LINE}),
    "other": ("comp-plc", {"unit": 12, "line": LINE, "termination": True}),
}


def with_kind(kind: str) -> dict[str, tuple[str, dict[str, Any]]]:
    return {**DEVICES, "one": (kind, {"unit": 11, "line": LINE})}


async def cycle_power(cabinet: Cabinet, name: str) -> None:
    cabinet.network.power(name, False)
    cabinet.network.power(name, True)
    await asyncio.sleep(1)


async def configure(cabinet: Cabinet, name: str, **config: Any) -> None:
    kind = next(kind for each, (kind, _) in DEVICES.items() if each == name)
    await cabinet.plant.configure(name, APPLIANCES[kind].Config.model_validate({**DEVICES[name][1], **config}))


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ("comp-plc", (b"Lab Air Systems", b"GA-75C", b"V4.0")),
        ("meter", (b"Lab Metering", b"PM-3R", b"V3.2")),
        ("pt100-8", (b"Lab Sensors", b"PT100-8", b"V2.0")),
        ("th485", (b"Lab Sensors", b"TH-485", b"V1.4")),
        ("vib485", (b"Lab Sensors", b"VIB-485", b"V1.1")),
    ],
)
def test_pymodbus_is_told_who_it_is(kind: str, identity: tuple[bytes, ...]) -> None:
    async def story(cabinet: Cabinet) -> dict[int, bytes]:
        async def there() -> dict[int, bytes]:
            async with AsyncModbusTcpClient(SERVER, timeout=3, retries=0) as client:
                return dict((await client.read_device_information(read_code=1, object_id=0, device_id=11)).information)

        told: dict[int, bytes] = await cabinet.network.hosts["eng"].spawn(there())
        return told

    told = run(story, with_kind(kind), daisy("ser", *DEVICES))
    assert tuple(told[number] for number in range(3)) == identity


@pytest.mark.parametrize("kind", ["th485", "pt100-8", "vib485"])
def test_address_speed_and_parity_are_set_over_the_bus(kind: str) -> None:
    async def story(cabinet: Cabinet) -> None:
        assert await cabinet.read(11, 256, 3, table="holding") == (11, 2, 2), "9600 baud, even"
        await cabinet.ask(11, modbus.WriteMultipleRegisters(256, (33, 2, 2)))
        assert await cabinet.read(11, 256, 3, table="holding") == (33, 2, 2)
        assert len(await cabinet.read(11)) == 2, "until it is switched off"
        await cycle_power(cabinet, "one")
        assert await cabinet.read(11) == NOBODY
        assert len(await cabinet.read(33)) == 2
        await cabinet.ask(33, modbus.WriteMultipleRegisters(257, (3, 0)))
        await cycle_power(cabinet, "one")
        assert await cabinet.read(33) == NOBODY, "19200 8N1 at a master that speaks 9600 8E1"
        assert "19200 8N1" in str(cabinet.plant.appliances["one"].status()["line"])
        assert len(await cabinet.read(12, table="holding")) == 2, "it disturbs nobody"

    run(story, with_kind(kind), daisy("ser", *DEVICES))


@pytest.mark.parametrize(("register", "value"), [(256, 0), (256, 248), (257, 6), (258, 3)])
def test_settings_that_are_none_are_exception_3(register: int, value: int) -> None:
    async def story(cabinet: Cabinet) -> None:
        answer = await cabinet.ask(11, modbus.WriteSingleRegister(register, value))
        assert answer == modbus.ExceptionResponse(6, ExceptionCode.ILLEGAL_DATA_VALUE)
        assert await cabinet.read(11, 259, 1, table="holding") == ExceptionCode.ILLEGAL_DATA_ADDRESS

    run(story, DEVICES, daisy("ser", *DEVICES))


def test_a_speed_without_a_code_is_refused() -> None:
    for baud in BAUD_CODES:
        SettableConfig.model_validate({"line": {"baud": baud}})
    with pytest.raises(ValidationError, match="14400"):
        SettableConfig.model_validate({"line": {"baud": 14400}})


def test_the_compressor_shows_what_it_does_in_its_registers() -> None:
    async def story(cabinet: Cabinet) -> None:
        await asyncio.sleep(30)
        before = cabinet.plant.appliances["other"].points()
        words = await cabinet.read(12, 0, 10, table="holding")
        assert words[0] == before["state"]
        assert words[1] == pytest.approx(float(before["outlet_pressure"]) * 100, abs=2)
        assert words[2] == pytest.approx(float(before["outlet_temperature"]) * 10, abs=3)
        assert words[4] << 16 | words[5] == before["run_hours"]
        assert words[6] << 16 | words[7] == before["load_hours"]
        assert await cabinet.read(12, 10, 1, table="holding") == ExceptionCode.ILLEGAL_DATA_ADDRESS

    run(story, DEVICES, daisy("ser", *DEVICES))


def test_a_stopped_compressor_lets_the_air_go_and_shows_what_it_showed() -> None:
    async def story(cabinet: Cabinet) -> None:
        await configure(cabinet, "other", mode="STOP")
        before = await cabinet.read(12, 0, 10, table="holding")
        await asyncio.sleep(300)
        assert await cabinet.read(12, 0, 10, table="holding") == before
        assert cabinet.plant.appliances["other"].process.outlet_pressure < 0.3  # type: ignore[attr-defined]
        await configure(cabinet, "other", mode="RUN")
        await asyncio.sleep(600)
        assert (await cabinet.read(12, 1, 1, table="holding"))[0] > 55

    run(story, DEVICES, daisy("ser", *DEVICES))


def test_on_the_bus_too_new_firmware_is_a_silence_and_another_revision() -> None:
    async def story(cabinet: Cabinet) -> None:
        async def revision() -> Any:
            answer = await cabinet.ask(12, modbus.ReadDeviceIdentification(1, 0))
            objects = getattr(answer, "objects", None)
            return objects[2].value if objects else getattr(answer, "code", None)

        assert await revision() == b"V4.0"
        await configure(cabinet, "other", firmware="V4.1")
        assert await revision() == NOBODY
        await asyncio.sleep(31)
        assert await revision() == b"V4.1"

    run(story, DEVICES, daisy("ser", *DEVICES))
