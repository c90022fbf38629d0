"""`variables:` of a general controller: what is declared there is what its clients find, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from devices.modbus_plc import ModbusControllerConfig
from devices.plc.machines import INPUTS, MACHINES, Machine
from devices.registers import WORD_ORDERS, Form, WordOrder, width
from devices.signals.input_card import Channels
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

Table = Literal["coil", "discrete", "input", "holding"]
VariableType = Literal["bool"] | Form
BIT_TABLES: Final = ("coil", "discrete")
WRITABLE_TABLES: Final = ("coil", "holding")

TYPE_MISSING = Text(zh="寄存器中的变量要写 type", en="a variable in registers needs a type")
BITS_ONLY = Text(
    zh="{table} 只有位，type 应为 bool，而不是 {type}", en="{table} holds bits, so the type is bool, not {type}"
)
BIT_MISSING = Text(
    zh="寄存器中的 bool 要写 bit（0 到 15，0 为最低位）",
    en="a bool in a register needs bit, 0 to 15, 0 the least significant",
)
BIT_WITHOUT_BOOL = Text(zh="只有寄存器中的 bool 才有 bit", en="only a bool in a register has a bit")
NO_ORDER = Text(zh="{type} 没有字节序", en="a {type} has no byte order")
NOT_SCALABLE = Text(zh="{type} 不能用 scale", en="a {type} has no scale")
PAST_THE_END = Text(
    zh="变量 {name} 占地址 {first} 到 {last}，超出 65535", en="{name} would lie on {first} to {last}, beyond 65535"
)
READ_ONLY_TABLE = Text(zh="{table} 表只读，变量不可写", en="nothing in the {table} table can be written")
RANGE_OF_16_BITS = Text(
    zh="range 只用于可写的 16 位整数变量", en="only a writable variable of 16 bits, u16 or i16, has a range"
)
EMPTY_RANGE = Text(zh="范围 {low} … {high} 是空的", en="the range {low} … {high} is empty")
NAME_TWICE = Text(zh="变量名 {name} 用了两次", en="there are two variables {name}")
OVERLAP = Text(
    zh="变量 {name} 与 {other} 重叠：{table} 表地址 {address}",
    en="{name} and {other} overlap: both lie on address {address} of the {table} table",
)
MIXED_BITS = Text(
    zh="变量 {name} 与 {other} 同在一个寄存器，可写性必须一致",
    en="{name} and {other} are in one register, so both are writable or neither is",
)
UNKNOWN_SOURCE = Text(zh="没有信号源 {source}", en="there is no source {source}")
NOT_A_SETPOINT = Text(zh="{source} 不是设定值，变量不可写", en="{source} is no set-point, so it cannot be written")
SETPOINT_TWICE = Text(
    zh="变量 {name} 与 {other} 写同一个设定值 {source}", en="{name} and {other} both write the set-point {source}"
)

Claims = dict[tuple[Table, int], "PlcVariable"]


class PlcVariable(Strict):
    """A variable: `{name: level, table: holding, address: 1, type: u16, source: clear_well_level}`."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,47}$")] = Field(
        description="变量名。Its name."
    )
    table: Table = Field(
        description="数据表：coil（FC1）、discrete（FC2）、input（FC4）、holding（FC3）。Its Modbus table."
    )
    address: int = Field(ge=0, le=65535, description="从 0 起的地址。Its address on the wire, from 0.")
    type: VariableType | None = Field(None, description="数据类型；位表为 bool。Its type; bool in the bit tables.")
    order: WordOrder | None = Field(
        None, description="32 位数的字节序，A 为最高字节，缺省 ABCD。Byte order of 32 bits, ABCD unless given."
    )
    bit: int | None = Field(None, ge=0, le=15, description="寄存器中的第几位，0 为最低位。Bit of a register.")
    source: str | None = Field(
        None,
        description="信号源：过程量，或 ai0、ai0.raw、ai0.status、di0、di0.count；缺省为控制器内部变量。"
        "A process value or an input; without one it is memory of the controller's own.",
    )
    scale: float = Field(1.0, gt=0, description="整数一个单位的值。What one step of an integer is worth.")
    writable: bool = Field(False, description="客户端可写。Whether clients may write it.")
    range: tuple[float, float] | None = Field(
        None, description="允许写入的范围，其它值答异常 3。What may be written; anything else is exception 3."
    )
    initial: float = Field(0.0, description="内部变量的初值。What memory holds at first.")

    @model_validator(mode="after")
    def _consistent(self) -> PlcVariable:
        table, kind = self.table, self.type
        if table in BIT_TABLES:
            if kind not in (None, "bool"):
                raise KnownValueError(BITS_ONLY, table=table, type=kind)
        elif kind is None:
            raise KnownValueError(TYPE_MISSING, known=("bool", "u16", "i16", "u32", "i32", "f32"))
        elif kind == "bool" and self.bit is None:
            raise KnownValueError(BIT_MISSING)
        if self.bit is not None and (table in BIT_TABLES or kind != "bool"):
            raise KnownValueError(BIT_WITHOUT_BOOL)
        if self.order is not None and self.size != 2:
            raise KnownValueError(NO_ORDER, type=self.kind, known=WORD_ORDERS)
        if self.scale != 1.0 and self.kind in ("bool", "f32"):
            raise KnownValueError(NOT_SCALABLE, type=self.kind)
        if self.address + self.size > 0x10000:
            last = self.address + self.size - 1
            raise KnownValueError(PAST_THE_END, name=self.name, first=self.address, last=last)
        if self.writable and table not in WRITABLE_TABLES:
            raise KnownValueError(READ_ONLY_TABLE, table=table, known=WRITABLE_TABLES)
        if self.range is not None:
            low, high = self.range
            if not self.writable or kind not in ("u16", "i16"):
                raise KnownValueError(RANGE_OF_16_BITS)
            if not low <= high:
                raise KnownValueError(EMPTY_RANGE, low=low, high=high)
        return self

    @property
    def kind(self) -> VariableType:
        return self.type or "bool"

    @property
    def size(self) -> int:
        """Addresses that it takes."""
        return 1 if self.kind == "bool" else width(self.kind)


class PlcConfig(ModbusControllerConfig):
    firmware: Literal["V2.0", "V2.1", "V2.4"] = "V2.0"
    machine: Machine = Field("none", description="控制器所控制的设备。What it is put on.")
    channels: Channels = Field(default_factory=Channels, description="模拟量和开关量输入。Its inputs.")
    variables: list[PlcVariable] = Field(
        default_factory=list, max_length=2000, description="变量表。The variables that clients find."
    )

    @model_validator(mode="after")
    def _variables_fit(self) -> PlcConfig:
        problems = [
            InitErrorDetails(type="value_error", loc=("variables", place, key), input=wrong, ctx={"error": error})
            for place, key, wrong, error in self._problems()
        ]
        if problems:
            raise ValidationError.from_exception_data("variables", problems)
        return self

    def _problems(self) -> Iterator[tuple[int, str, object, KnownValueError]]:
        names: dict[str, PlcVariable] = {}
        writers: dict[str, PlcVariable] = {}
        claims: Claims = {}
        for place, variable in enumerate(self.variables):
            if names.setdefault(variable.name, variable) is not variable:
                yield place, "name", variable.name, KnownValueError(NAME_TWICE, name=variable.name)
            if (error := self._wrong_source(variable, writers)) is not None:
                yield place, "source", variable.source, error
            if (error := _collision(variable, claims)) is not None:
                yield place, "address", variable.address, error

    def _wrong_source(self, variable: PlcVariable, writers: dict[str, PlcVariable]) -> KnownValueError | None:
        source, process = variable.source, MACHINES[self.machine]
        if source is None:
            return None
        known = (*process.points, *INPUTS)
        if source not in known:
            return KnownValueError(UNKNOWN_SOURCE, wrong=source, known=known, source=source)
        if not variable.writable:
            return None
        if source not in process.setpoints:
            return KnownValueError(NOT_A_SETPOINT, known=process.setpoints, source=source)
        other = writers.setdefault(source, variable)
        if other is variable:
            return None
        return KnownValueError(SETPOINT_TWICE, name=variable.name, other=other.name, source=source)


def _collision(variable: PlcVariable, claims: Claims) -> KnownValueError | None:
    """Claim the addresses of a variable; the bits of one register may be claimed by several."""
    for address in range(variable.address, variable.address + variable.size):
        place = variable.table, 16 * address + (variable.bit or 0)
        whole = range(16 * address, 16 * address + 16)
        taken = [claims[variable.table, bit] for bit in whole if (variable.table, bit) in claims]
        for other in taken:
            if variable.bit is None or other.bit in (None, variable.bit):
                return KnownValueError(
                    OVERLAP, name=variable.name, other=other.name, table=variable.table, address=address
                )
            if variable.writable is not other.writable:
                return KnownValueError(MIXED_BITS, name=variable.name, other=other.name)
        claims[place] = variable
    return None
