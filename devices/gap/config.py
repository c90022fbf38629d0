"""What `config/<gap>.yaml` may say: two sides, a direction, and the data sets that may cross."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.text import Text

ONE_END: Final = Text(zh="数据集的{end}必须且只能有一种", en="a data set has exactly one {end}")
TWO_NAMED: Final = Text(zh="有两个数据集都叫 {name!r}", en="two data sets are called {name!r}")
SAME_PORT: Final = Text(zh="两个数据集使用同一个端口 {port}", en="two data sets use the same port {port}")
NO_TEXT_IN_REGISTERS: Final = Text(
    zh="寄存器里放不下文本字段 {name!r}", en="the field {name!r} is text, which registers cannot hold"
)
TWICE: Final = Text(zh="有两个字段都叫 {name!r}", en="two fields are called {name!r}")
NOT_A_SIDE: Final = Text(
    zh="网闸只有 inner 和 outer 两侧，没有 {name!r}", en="a gap has the sides inner and outer, not {name!r}"
)

TOO_MANY: Final = Text(
    zh="{count} 个寄存器超过一次读取的上限 {most}", en="{count} registers, one read takes {most} at most"
)
BEYOND: Final = Text(
    zh="从 {address} 起的 {count} 个寄存器超出地址范围", en="{count} registers from {address} on end beyond 65535"
)
_MOST_REGISTERS: Final = 125

FieldType = Literal["u16", "i16", "u32", "i32", "f32", "bool", "text"]
SIZES: Final = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "bool": 1}
"""In registers."""
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class FieldConfig(Strict):
    """A value of a data set; registers hold them one after the other, most significant word first."""

    name: str = Field(min_length=1, max_length=64)
    type: FieldType
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = Field(default=64, ge=1, le=1024)
    """Characters of a text."""


class ModbusSource(Strict):
    """A Modbus server that is polled."""

    server: IPv4Address
    port: PortNumber = 502
    unit: int = Field(default=1, ge=0, le=255)
    table: Literal["holding", "input"] = "holding"
    address: int = Field(ge=0, le=65535)
    period: float = Field(default=1.0, ge=0.05, le=86_400)
    """Seconds"""


class Receiving(Strict):
    """Where a side takes in JSON documents: one per datagram, or one per TCP connection."""

    port: PortNumber
    sources: tuple[IPv4Address, ...] = ()
    """From whom; anybody where none is named."""


End = TypeVar("End", bound=Strict)


def _exactly_one(end: End, name: str) -> End:
    known = tuple(type(end).model_fields)
    if sum(getattr(end, each) is not None for each in known) != 1:
        raise KnownValueError(ONE_END, end=name, known=known)
    return end


class Source(Strict):
    """Exactly one of these."""

    modbus: ModbusSource | None = None
    udp: Receiving | None = None
    tcp: Receiving | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        return _exactly_one(self, "from")


class ModbusTarget(Strict):
    """Registers that others may read."""

    port: PortNumber = 502
    unit: int = Field(default=1, ge=0, le=255)
    address: int = Field(default=0, ge=0, le=65535)
    """Of the first field."""


class Delivery(Strict):
    """To whom a side sends JSON documents."""

    host: IPv4Address
    port: PortNumber


class Target(Strict):
    """Exactly one of these."""

    modbus: ModbusTarget | None = None
    udp: Delivery | None = None
    tcp: Delivery | None = None

    @model_validator(mode="after")
    def _one(self) -> Target:
        return _exactly_one(self, "to")


class DataSet(Strict):
    """What may cross: these fields and no others, in these types and limits, so large and so often."""

    name: str = Field(min_length=1, max_length=64)
    enabled: bool = True
    source: Source = Field(alias="from")
    target: Target = Field(alias="to")
    fields: tuple[FieldConfig, ...] = Field(min_length=1, max_length=120)
    max_size: int = Field(default=4096, ge=2, le=65_000)
    """Bytes of a document."""
    max_rate: float = Field(default=10.0, gt=0, le=1000)
    """Documents per second."""

    @model_validator(mode="after")
    def _fields_fit(self) -> DataSet:
        names: set[str] = set()
        in_registers = self.source.modbus is not None or self.target.modbus is not None
        for each in self.fields:
            if each.name in names:
                raise KnownValueError(TWICE, name=each.name)
            names.add(each.name)
            if each.type == "text" and in_registers:
                raise KnownValueError(NO_TEXT_IN_REGISTERS, name=each.name)
        if in_registers and self.registers > _MOST_REGISTERS:
            raise KnownValueError(TOO_MANY, count=self.registers, most=_MOST_REGISTERS)
        for end in (self.source.modbus, self.target.modbus):
            if end is not None and end.address + self.registers > 0x10000:
                raise KnownValueError(BEYOND, address=end.address, count=self.registers)
        return self

    @property
    def registers(self) -> int:
        """How many registers its fields take."""
        return sum(SIZES.get(each.type, 0) for each in self.fields)


class GapConfig(HostConfig):
    """The interfaces `inner` and `outer` belong to two computers that have no path between them."""

    direction: Literal["inner-to-outer", "outer-to-inner"] = "inner-to-outer"
    """The only way in which data cross."""
    datasets: tuple[DataSet, ...] = ()
    syslog: IPv4Address | None = None
    """A collector on the inner side, for the audit log."""

    @model_validator(mode="after")
    def _consistent(self) -> GapConfig:
        for name in self.interfaces:
            if name not in ("inner", "outer"):
                raise KnownValueError(NOT_A_SIDE, name=name, known=("inner", "outer"))
        names: set[str] = set()
        taken: set[tuple[str, int]] = set()
        for each in self.datasets:
            if each.name in names:
                raise KnownValueError(TWO_NAMED, name=each.name)
            names.add(each.name)
            if not each.enabled:
                continue
            ports = [(kind, getattr(each.source, kind).port) for kind in ("udp", "tcp") if getattr(each.source, kind)]
            if each.target.modbus is not None:
                ports.append(("modbus", each.target.modbus.port))
            for port in ports:
                if port in taken:
                    raise KnownValueError(SAME_PORT, port=port[1])
                taken.add(port)
        return self
