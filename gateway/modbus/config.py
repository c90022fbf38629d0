"""What a trainee writes about a Modbus TCP device."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from gateway.fields import HostName, Milliseconds, Name, PortNumber, Reconnecting, Scaled, unique
from gateway.modbus.registers import DATA_TYPES, DataType, Order, orders_of, width
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

Table = Literal["coil", "discrete", "input", "holding"]
TABLES: tuple[Table, ...] = get_args(Table)
BIT_TABLES = ("coil", "discrete")

NOT_A_REFERENCE = Text(
    zh="{value!r} 不是 Modbus 地址：写 {{table: holding, offset: 10}}，或从 1 起的编号 40011、400011、'00011'",
    en="{value!r} is no Modbus address: write {{table: holding, offset: 10}}, or a reference from 1: 40011, 400011, '00011'",
)
TABLE_TWICE = Text(
    zh="寄存器表写了两处，且不一致：{one} 和 {other}", en="the table is given twice and differs: {one} and {other}"
)
TYPE_MISSING = Text(zh="寄存器 {table} 的变量要写 type", en="a tag in {table} registers needs a type")
BITS_ONLY = Text(
    zh="{table} 只有位，type 应为 bool，而不是 {kind}", en="{table} holds bits, so the type is bool, not {kind}"
)
BIT_MISSING = Text(
    zh="寄存器中的 bool 要写 bit（0 到 15，0 为最低位）",
    en="a bool in a register needs bit, 0 to 15, 0 the least significant",
)
BIT_WITHOUT_BOOL = Text(zh="只有寄存器中的 bool 才有 bit", en="only a bool in a register has a bit")
LENGTH_MISSING = Text(zh="string 要写 length（字节数）", en="a string needs its length in bytes")
LENGTH_WITHOUT_STRING = Text(zh="只有 string 才有 length", en="only a string has a length")
WRONG_ORDER = Text(zh="{kind} 不能用字节序 {order}", en="the order {order} does not fit {kind}")
PAST_THE_END = Text(zh="变量超出地址 65535", en="the tag reaches beyond address 65535")
NOT_SCALABLE = Text(zh="{kind} 不能用 scale 和 offset", en="a {kind} has no scale and offset")
TOO_WIDE = Text(
    zh="变量 {tag} 占 {size} 个寄存器，超过 max_registers = {limit}",
    en="the tag {tag} takes {size} registers, more than max_registers = {limit}",
)

_REFERENCE_TABLES: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}


class ModbusAddress(Strict):
    """Where a value begins."""

    table: Table = Field(description="数据表：coil（FC1）、discrete（FC2）、input（FC4）、holding（FC3）。 Data table.")
    offset: int = Field(
        ge=0, le=65535, description="从 0 起的报文地址：手册的 40001 即 0。 Zero-based, as on the wire."
    )


def parse_reference(value: int | str) -> ModbusAddress:
    """Read 40001 or 400001: a digit for the table, then the number counted from 1; raises KnownValueError."""
    # A coil's reference begins with 0 and must be quoted: YAML reads 00011 as an octal number.
    digits = str(value)
    if re.fullmatch(r"[0134]\d{4,5}", digits) and 1 <= (number := int(digits[1:])) <= 65536:
        return ModbusAddress(table=_REFERENCE_TABLES[digits[0]], offset=number - 1)
    raise KnownValueError(NOT_A_REFERENCE, value=value)


_ADDRESS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "table": {"enum": list(TABLES)},
                "offset": {"type": "integer", "minimum": 0, "maximum": 65535},
            },
            "required": ["table", "offset"],
            "additionalProperties": False,
        },
        {"type": "integer", "minimum": 0, "maximum": 465536},
        {"type": "string", "pattern": "^[0134]\\d{4,5}$"},
    ]
}


class ModbusTag(Scaled):
    """One value of a device."""

    name: Name = Field(description="变量名，即上报数据中的键。 The key under which the value is published.")
    table: Table | None = Field(
        None, description="数据表，与从 0 起的 address 合用。 Data table, when address is a plain zero-based number."
    )
    address: Annotated[ModbusAddress, WithJsonSchema(_ADDRESS_SCHEMA)] = Field(
        description="{table, offset}；或与 table 合用的从 0 起的地址；或从 1 起的编号 40001、400001。 "
        "{table, offset}; or zero-based beside table; or a reference such as 40001 or 400001, counted from 1."
    )
    type: DataType | None = Field(
        None, description="数据类型；位表默认为 bool。 Data type; bool in the two bit tables unless given."
    )
    order: Order | None = Field(
        None,
        description="字节序，A 为最高字节；默认高字节、高字在前。 Byte order, A most significant; default big-endian.",
    )
    bit: int | None = Field(
        None, ge=0, le=15, description="寄存器中的第几位，0 为最低位。 Bit of a register, 0 the lowest."
    )
    length: int | None = Field(None, ge=1, le=250, description="string 的字节数。 Bytes of a string.")

    @field_validator("address", mode="before")
    @classmethod
    def _any_notation(cls, value: Any, info: ValidationInfo) -> Any:
        if "table" not in info.data:  # it was wrong, and has been complained about
            return ModbusAddress(table="coil", offset=0)
        table = info.data["table"]
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            # Beside a table the number is zero-based, quoted or not: holding 49152 exists, and is no reference.
            return parse_reference(value) if table is None else {"table": table, "offset": value}
        other = value.get("table", table) if isinstance(value, dict) else table
        if table not in (None, other):
            raise KnownValueError(TABLE_TWICE, one=table, other=other)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ModbusTag:
        table = self.address.table
        if table in BIT_TABLES:
            if self.type not in (None, "bool"):
                raise KnownValueError(BITS_ONLY, table=table, kind=self.type)
        elif self.type is None:
            raise KnownValueError(TYPE_MISSING, known=DATA_TYPES, table=table)
        elif self.type == "bool" and self.bit is None:
            raise KnownValueError(BIT_MISSING)
        if self.bit is not None and (table in BIT_TABLES or self.type != "bool"):
            raise KnownValueError(BIT_WITHOUT_BOOL)
        if self.type == "string" and self.length is None:
            raise KnownValueError(LENGTH_MISSING)
        if self.length is not None and self.type != "string":
            raise KnownValueError(LENGTH_WITHOUT_STRING)
        known = orders_of(self.kind) if table not in BIT_TABLES else ()
        if self.order is not None and self.order not in known:
            raise KnownValueError(WRONG_ORDER, wrong=self.order, known=known, kind=self.kind, order=self.order)
        if self.kind in ("bool", "string") and (self.scale, self.offset) != (1.0, 0.0):
            raise KnownValueError(NOT_SCALABLE, kind=self.kind)
        if self.address.offset + self.size > 65536:
            raise KnownValueError(PAST_THE_END)
        return self

    @property
    def kind(self) -> DataType:
        return self.type or "bool"

    @property
    def where(self) -> tuple[Table, int]:
        return self.address.table, self.address.offset

    @property
    def size(self) -> int:
        return 1 if self.address.table in BIT_TABLES else width(self.kind, self.length or 0)

    @property
    def byte_order(self) -> Order:
        return self.order or orders_of(self.kind)[0]


class ModbusGroup(Strict):
    """Tags read together."""

    name: Name = Field(description="组名。 Name of the group.")
    period_ms: Milliseconds = Field(1000, description="轮询周期，毫秒。 Poll period in milliseconds.")
    tags: list[ModbusTag] = Field(min_length=1, description="变量。 The tags.")


class ModbusConnection(Reconnecting):
    """How to reach the device and how much it takes at once."""

    host: HostName = Field(description="设备地址或主机名。 Address or name of the device.")
    port: PortNumber = Field(502, description="TCP 端口。 TCP port.")
    unit: int = Field(1, ge=0, le=255, description="单元标识（站号）。 Unit identifier.")
    timeout_ms: Milliseconds = Field(
        1000, description="等待连接或应答的时间，毫秒。 How long to wait for a connection or an answer, in ms."
    )
    max_registers: int = Field(125, ge=1, le=125, description="一次请求最多的寄存器数。 Most registers in one request.")
    max_gap: int = Field(
        0,
        ge=0,
        le=124,
        description="为合并请求可多读的空闲地址数。 Addresses nobody asked for that may be read to merge two requests.",
    )


class ModbusDevice(Strict):
    """A device that speaks Modbus TCP."""

    name: Name = Field(description="设备名，主题的一级。 Name of the device, one level of its topic.")
    driver: Literal["modbus-tcp"] = Field(description="协议。 The protocol.")
    connection: ModbusConnection = Field(description="连接参数。 How to connect.")
    groups: list[ModbusGroup] = Field(default_factory=list, description="采集组。 What to read, and how often.")

    @model_validator(mode="after")
    def _consistent(self) -> ModbusDevice:
        unique(group.name for group in self.groups)
        unique(tag.name for group in self.groups for tag in group.tags)
        for tag in (tag for group in self.groups for tag in group.tags):
            if tag.size > self.connection.max_registers:
                raise KnownValueError(TOO_WIDE, tag=tag.name, size=tag.size, limit=self.connection.max_registers)
        return self
