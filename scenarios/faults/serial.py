"""Faults of serial lines and of what hangs on them."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from devices.serial.rtu_device import RtuConfig
from lab.model.frame import Port
from lab.model.plant import PortName, Strict
from lab.network.serial.line import Baud, Parity
from lab.network.serial.port import Rs485, SerialPort
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import CannotInject, Repair, configured, fault

NO_SERIAL_PORT: Final = Text(zh="{host} 没有 RS-485 端口", en="{host} has no RS-485 port")
NOT_RTU: Final = Text(zh="{host} 不是 RS-485 设备", en="{host} is no RS-485 device")
NO_WIRE: Final = Text(zh="{terminal} 没有接线", en="no wire ends in {terminal}")


class AtSerialPort(OnHost):
    """A device and, where it has several, the name of its serial port."""

    port: str | None = None


class AtTerminal(Strict):
    terminal: PortName
    """Such as th-1/A."""


def _port(plant: Plant, where: AtSerialPort) -> SerialPort:
    plant.network.hosts[where.host]
    for port in plant.network.serial.ports:
        is_meant = port.name.host == where.host and where.port in (None, port.name.name)
        if is_meant and isinstance(port.interface, Rs485):
            return port
    raise CannotInject(NO_SERIAL_PORT, host=where.host)


def _wires_at(plant: Plant, terminal: Port) -> list[tuple[Port, Port]]:
    return [wire for wire in plant.network.conductors.wires if terminal in wire]


@fault(
    "wire-broken",
    "physical",
    title=Text(zh="导线断", en="Broken wire"),
    symptom=Text(zh="这个端子以下的设备全部没有应答", en="Nothing beyond this terminal answers"),
)
def wire_broken(plant: Plant, where: AtTerminal) -> Repair:
    conductors = plant.network.conductors
    conductors.net(where.terminal)
    wires = _wires_at(plant, where.terminal)
    if not wires:
        raise CannotInject(NO_WIRE, terminal=where.terminal)
    for wire in wires:
        conductors.unwire(*wire)

    def mend() -> None:
        for wire in wires:
            if wire not in conductors.wires:
                conductors.wire(*wire)

    return mend


@fault(
    "ab-swapped",
    "physical",
    title=Text(zh="RS-485 的 A、B 接反", en="RS-485 wires A and B swapped"),
    symptom=Text(zh="这台设备从不应答，线上出现乱码", en="This device never answers, and garbage is on the line"),
)
def ab_swapped(plant: Plant, where: AtSerialPort) -> Repair:
    port = _port(plant, where)
    interface = port.interface
    a, b = (Port(port.name.host, terminal) for terminal in interface[:2])
    conductors = plant.network.conductors

    def swap() -> None:
        at_a, at_b = _wires_at(plant, a), _wires_at(plant, b)
        for own, other, wires in ((a, b, at_a), (b, a, at_b)):
            for wire in wires:
                far = wire[1] if wire[0] == own else wire[0]
                conductors.unwire(*wire)
                conductors.wire(other, far)

    swap()
    return swap


@fault(
    "terminator-missing",
    "physical",
    title=Text(zh="缺少终端电阻", en="Missing terminating resistor"),
    symptom=Text(
        zh="线路长、速率高时偶发校验错误和超时", en="On a long, fast line: wrong checksums and time-outs now and then"
    ),
)
def terminator_missing(plant: Plant, where: AtSerialPort) -> Repair:
    port = _port(plant, where)
    was = port.is_terminated
    port.equip(termination=False)
    return lambda: port.equip(termination=was)


class Noise(AtSerialPort):
    bit_errors: float = Field(0.01, gt=0, le=0.5)
    """Probability per bit"""


@fault(
    "serial-noise",
    "physical",
    title=Text(zh="串行线路受干扰", en="Noise on a serial line"),
    symptom=Text(zh="CRC 错误增多，轮询时断时续", en="CRC errors, and polls that fail now and then"),
)
def serial_noise(plant: Plant, where: Noise) -> Repair:
    port = _port(plant, where)
    port.disturb(where.bit_errors, "serial-noise")
    return lambda: port.disturb(0.0, "serial-noise")


async def _set_otherwise(plant: Plant, host: str, **changes: Any) -> Repair:
    before = plant.config.hosts[host]
    if not isinstance(before, RtuConfig):
        raise CannotInject(NOT_RTU, host=host)
    return await configured(plant, host, before.model_copy(update=changes))


def _line(plant: Plant, host: str) -> Any:
    config = plant.config.hosts[host]
    if not isinstance(config, RtuConfig):
        raise CannotInject(NOT_RTU, host=host)
    return config.line


class WrongBaud(OnHost):
    baud: Baud


@fault(
    "wrong-baud",
    "serial",
    title=Text(zh="波特率错", en="Wrong baud rate"),
    symptom=Text(zh="这台设备从不应答", en="This device never answers"),
)
async def wrong_baud(plant: Plant, where: WrongBaud) -> Repair:
    line = _line(plant, where.host).model_copy(update={"baud": where.baud})
    return await _set_otherwise(plant, where.host, line=line)


class WrongParity(OnHost):
    parity: Parity


@fault(
    "wrong-parity",
    "serial",
    title=Text(zh="校验位错", en="Wrong parity"),
    symptom=Text(zh="这台设备从不应答", en="This device never answers"),
)
async def wrong_parity(plant: Plant, where: WrongParity) -> Repair:
    line = _line(plant, where.host).model_copy(update={"parity": where.parity})
    return await _set_otherwise(plant, where.host, line=line)


class OtherUnit(OnHost):
    unit: int = Field(ge=1, le=247)


@fault(
    "duplicate-unit",
    "serial",
    title=Text(zh="从站地址重复", en="Unit id used twice"),
    symptom=Text(zh="两台设备同时应答，收到的是乱码", en="Two devices answer at once, and nobody can read it"),
)
async def duplicate_unit(plant: Plant, where: OtherUnit) -> Repair:
    return await _set_otherwise(plant, where.host, unit=where.unit)
