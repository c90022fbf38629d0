"""What a trainee writes about one value of a Modbus device."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from gateway.fields import Name, Reported, Scaled, Writable
from gateway.modbus.address import ADDRESS_SCHEMA, BIT_TABLES, ModbusAddress, Table, parse_reference
from gateway.modbus.registers import (
    DATA_TYPES,
    ENCODINGS,
    TEXTS,
    WHOLE,
    DataType,
    DeviceOrder,
    Encoding,
    Order,
    order_on,
    orders_of,
    width,
)
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

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
LENGTH_MISSING = Text(zh="{kind} 要写 length（字节数）", en="a {kind} needs its length in bytes")
LENGTH_WITHOUT_STRING = Text(zh="只有 string 和 bytes 才有 length", en="only a string or bytes has a length")
BITS_WITHOUT_NUMBER = Text(zh="bits 只用于整数类型，不用于 {kind}", en="bits are for whole numbers, and {kind} is none")
BITS_TOO_WIDE = Text(
    zh="bits 从第 {start} 位起取 {length} 位，超出 {kind} 的 {size} 位",
    en="bits from {start}, {length} of them, do not fit the {size} bits of {kind}",
)
WRONG_ENCODING = Text(zh="{kind} 不能用编码 {encoding}", en="the encoding {encoding} does not fit {kind}")
READ_ONLY_TABLE = Text(zh="{table} 只读，不能有 write", en="{table} can only be read, so there is no write")
WRONG_FUNCTION = Text(
    zh="功能码 {code} 写不了 {table} 的 {size} 个地址", en="function {code} does not write {size} addresses of {table}"
)
WRONG_ORDER = Text(zh="{kind} 不能用字节序 {order}", en="the order {order} does not fit {kind}")
PAST_THE_END = Text(zh="变量超出地址 65535", en="the tag reaches beyond address 65535")
NOT_SCALABLE = Text(zh="{kind} 不能用 scale 和 range 等换算", en="a {kind} has no scale, range or decimals")


class BitField(Strict):
    """Some bits of a whole number."""

    start: int = Field(ge=0, le=63, description="最低位的编号，从 0 起。 The lowest bit, counted from 0.")
    length: int = Field(ge=1, le=64, description="位数。 How many bits.")


UnitId = Annotated[int, Field(ge=0, le=255)]


class ModbusTag(Scaled, Reported, Writable):
    """One value of a device."""

    name: Name = Field(description="变量名，即上报数据中的键。 The key under which the value is published.")
    table: Table | None = Field(
        None, description="数据表，与从 0 起的 address 合用。 Data table, when address is a plain zero-based number."
    )
    address: Annotated[ModbusAddress, WithJsonSchema(ADDRESS_SCHEMA)] = Field(
        description="{table, offset}；或与 table 合用的从 0 起的地址；或从 1 起的编号 40001、400001。 "
        "{table, offset}; or zero-based beside table; or a reference such as 40001 or 400001, counted from 1."
    )
    unit_id: UnitId | None = Field(
        None, description="站号，默认为组或连接的。 Unit identifier; that of the group or the connection unless given."
    )
    type: DataType | None = Field(
        None, description="数据类型；位表默认为 bool。 Data type; bool in the two bit tables unless given."
    )
    order: Order | None = Field(
        None,
        description="字节序，A 为最高字节；默认为设备的 order。 Byte order, A most significant; that of the device.",
    )
    bit: int | None = Field(
        None, ge=0, le=15, description="寄存器中的第几位，0 为最低位。 Bit of a register, 0 the lowest."
    )
    bits: BitField | None = Field(
        None, description="整数中的若干位，如 {start: 4, length: 3}。 Some bits of a number, as {start: 4, length: 3}."
    )
    length: int | None = Field(
        None, ge=1, le=250, description="string 或 bytes 的字节数。 Bytes of a string or of bytes."
    )
    encoding: Encoding | None = Field(
        None,
        description="string 的编码（默认 utf-8），或 bytes 的写法（默认 hex）。 "
        "Of a string, utf-8 unless given; or how bytes are written, hex unless given.",
    )

    write_function: Literal[5, 6, 15, 16] | None = Field(
        None,
        description="写入用的功能码；默认位为 5，单寄存器为 6，多寄存器为 16。 "
        "Function code to write with; 5 for a bit, 6 for one register and 16 for more unless given.",
    )

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
        return {"table": table, **value} if isinstance(value, dict) and table is not None else value

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
        self._check_form()
        known = orders_of(self.kind) if table not in BIT_TABLES else ()
        if self.order is not None and self.order not in known:
            raise KnownValueError(WRONG_ORDER, wrong=self.order, known=known, kind=self.kind, order=self.order)
        if self.kind in ("bool", *TEXTS) and self.is_scaled:
            raise KnownValueError(NOT_SCALABLE, kind=self.kind)
        if self.address.offset + self.size > 65536:
            raise KnownValueError(PAST_THE_END)
        self._check_writing()
        return self

    def _check_writing(self) -> None:
        table = self.address.table
        if (self.write or self.write_function is not None) and table not in ("coil", "holding"):
            raise KnownValueError(READ_ONLY_TABLE, table=table)
        fitting = (5, 15) if table == "coil" else (6, 16) if self.size == 1 else (16,)
        if self.write_function not in (None, *fitting):
            known = [str(code) for code in fitting]
            raise KnownValueError(WRONG_FUNCTION, known=known, code=self.write_function, table=table, size=self.size)

    def _check_form(self) -> None:
        if self.kind in TEXTS and self.length is None:
            raise KnownValueError(LENGTH_MISSING, kind=self.kind)
        if self.length is not None and self.kind not in TEXTS:
            raise KnownValueError(LENGTH_WITHOUT_STRING)
        fitting = ENCODINGS.get(self.kind, ())
        if self.encoding is not None and self.encoding not in fitting:
            raise KnownValueError(WRONG_ENCODING, known=fitting, kind=self.kind, encoding=self.encoding)
        if self.bits is not None:
            start, length, size = self.bits.start, self.bits.length, 16 * self.size
            if self.kind not in WHOLE:
                raise KnownValueError(BITS_WITHOUT_NUMBER, kind=self.kind)
            if start + length > size:
                raise KnownValueError(BITS_TOO_WIDE, start=start, length=length, kind=self.kind, size=size)

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
    def function_to_write(self) -> int:
        """The function code of a command."""
        if self.write_function is not None:
            return self.write_function
        return 5 if self.address.table == "coil" else 6 if self.size == 1 else 16

    def order_on(self, device: DeviceOrder) -> Order:
        """The order of its bytes on a device that keeps to one unless told otherwise."""
        return self.order or order_on(device, self.kind)
