"""What a trainee writes about a Modbus device, on TCP or on a serial line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gateway.fields import Aging, HostName, Milliseconds, Name, PortNumber, Redialling, Reported, unique
from gateway.modbus.address import BIT_TABLES, Table, parse_reference
from gateway.modbus.registers import DeviceOrder
from gateway.modbus.tag import ModbusTag, UnitId
from lab.model.document import KnownValueError
from lab.text import Text
from lab.wire.modbus.rtu import MAX_UNIT

__all__ = [
    "AnyModbusDevice",
    "ModbusConnection",
    "ModbusDevice",
    "ModbusGroup",
    "ModbusLimits",
    "ModbusLineConnection",
    "ModbusLineDevice",
    "ModbusTag",
    "Table",
    "parse_reference",
    "unit_of",
]

RESERVED_UNIT = Text(
    zh="站号 {unit} 不能用：248 到 254 是保留的", en="unit id {unit} is reserved, as are all from 248 to 254"
)
NOT_ON_A_LINE = Text(
    zh="站号 {unit} 不能用：串行线路上的站号为 1 到 247（0 为广播，248 到 255 保留）",
    en="unit id {unit} cannot be: on a serial line they are 1 to 247, 0 being for broadcasts and 248 to 255 reserved",
)
TOO_WIDE = Text(
    zh="变量 {tag} 占 {size} 个寄存器，超过 max_registers = {limit}",
    en="the tag {tag} takes {size} registers, more than max_registers = {limit}",
)


class ModbusGroup(Reported):
    """Tags read together."""

    name: Name = Field(description="组名。 Name of the group.")
    period_ms: Milliseconds = Field(1000, description="轮询周期，毫秒。 Poll period in milliseconds.")
    unit_id: UnitId | None = Field(
        None, description="站号，默认为连接的 unit。 Unit identifier; that of the connection unless given."
    )
    tags: list[ModbusTag] = Field(min_length=1, description="变量。 The tags.")


class ModbusLimits(Redialling):
    """How much a device takes at once, and how patient one is with it."""

    unit: UnitId = Field(1, description="单元标识（站号）。 Unit identifier.")
    timeout_ms: Milliseconds = Field(1000, description="等待应答的时间，毫秒。 How long to wait for an answer, in ms.")
    max_registers: int = Field(125, ge=1, le=125, description="一次请求最多的寄存器数。 Most registers in one request.")
    max_bits: int = Field(2000, ge=1, le=2000, description="一次请求最多的位数。 Most bits in one request.")
    max_gap: int = Field(
        0,
        ge=0,
        le=124,
        description="为合并请求可多读的空闲地址数；设备拒绝的空隙会被记住。 "
        "Addresses nobody asked for that may be read to merge two requests; gaps that the device refuses are learned.",
    )
    unit_timeouts: int = Field(
        2,
        ge=1,
        le=100,
        description="一条连接上有多个站时，连续多少次无应答后对该站放慢。 "
        "Where several units share a connection: unanswered requests after which one is asked more rarely.",
    )
    unit_retry_max_ms: Milliseconds = Field(
        30_000, description="对无应答的站重试的最长间隔，毫秒。 Longest pause between attempts at a silent unit, in ms."
    )
    probe_timeout_ms: Milliseconds = Field(
        250,
        description="重试无应答的站时等待的时间，毫秒；其他站的轮询因此几乎不受影响。 "
        "How long an attempt at a silent unit waits, in ms, so that the others are hardly held up.",
    )


class ModbusConnection(ModbusLimits):
    """How to reach the device and how much it takes at once."""

    host: HostName = Field(description="设备地址或主机名。 Address or name of the device.")
    port: PortNumber = Field(502, description="TCP 端口。 TCP port.")
    pause_ms: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="应答与下一请求之间的停顿，毫秒；RTU over TCP 默认 20，因为线路上须静默 3.5 个字符。 "
        "Between an answer and the next request, in ms; 20 for RTU over TCP, where the line must be silent for 3.5 "
        "characters, and else 0.",
    )


class ModbusLineConnection(ModbusLimits):
    """The serial port a device is at, and how much it takes at once."""

    serial: Literal["1", "2"] = Field(
        "1", description="网关的串口，其参数见 serial。 Serial port of the gateway, set under serial."
    )


class AnyModbusDevice(Aging):
    """What all devices that speak Modbus have."""

    name: Name = Field(description="设备名，主题的一级。 Name of the device, one level of its topic.")
    order: DeviceOrder = Field(
        "ABCD",
        description="设备的字节序，以 32 位值表示；16 位和 64 位值与之对应。 "
        "Byte order of the device, told by its 32-bit values; those of 16 and 64 bits follow.",
    )
    groups: list[ModbusGroup] = Field(default_factory=list, description="采集组。 What to read, and how often.")


class ModbusDevice(AnyModbusDevice):
    """A device that speaks Modbus TCP, or RTU over TCP behind a serial server."""

    driver: Literal["modbus-tcp", "modbus-rtu-tcp"] = Field(
        description="协议；modbus-rtu-tcp 为 TCP 上的 RTU 帧（透明串口服务器）。 "
        "The protocol; modbus-rtu-tcp is RTU frames on TCP, for a transparent serial server."
    )
    connection: ModbusConnection = Field(description="连接参数。 How to connect.")

    @model_validator(mode="after")
    def _consistent(self) -> ModbusDevice:
        _check(self, self.connection, on_a_line=self.driver == "modbus-rtu-tcp")
        return self


class ModbusLineDevice(AnyModbusDevice):
    """A device on a serial line of the gateway."""

    driver: Literal["modbus-rtu"] = Field(description="协议。 The protocol.")
    connection: ModbusLineConnection = Field(
        default_factory=ModbusLineConnection, description="连接参数。 How to connect."
    )

    @model_validator(mode="after")
    def _consistent(self) -> ModbusLineDevice:
        _check(self, self.connection, on_a_line=True)
        return self


def unit_of(limits: ModbusLimits, group: ModbusGroup, tag: ModbusTag) -> int:
    """The unit that has a tag."""
    return next(unit for unit in (tag.unit_id, group.unit_id, limits.unit) if unit is not None)


def _check(device: AnyModbusDevice, limits: ModbusLimits, *, on_a_line: bool) -> None:
    unique(group.name for group in device.groups)
    unique(tag.name for group in device.groups for tag in group.tags)
    for group in device.groups:
        for tag in group.tags:
            most = limits.max_bits if tag.address.table in BIT_TABLES else limits.max_registers
            if tag.size > most:
                raise KnownValueError(TOO_WIDE, tag=tag.name, size=tag.size, limit=most)
    named = [group.unit_id for group in device.groups]
    named += [tag.unit_id for group in device.groups for tag in group.tags]
    for unit in (limits.unit, *(unit for unit in named if unit is not None)):
        if on_a_line and not 1 <= unit <= MAX_UNIT:
            raise KnownValueError(NOT_ON_A_LINE, unit=unit)
        if MAX_UNIT < unit < 255:
            raise KnownValueError(RESERVED_UNIT, unit=unit)
