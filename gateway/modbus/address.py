"""Where a value stands: the four tables of Modbus, and the ways in which manuals count."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from pydantic import Field

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


def reference_of(table: Table, offset: int) -> str:
    """An address as manuals write it, in six digits: 400001 is the first holding register."""
    digit = next(digit for digit, named in _REFERENCE_TABLES.items() if named == table)
    return f"{digit}{offset + 1:05d}"


ADDRESS_SCHEMA: dict[str, Any] = {
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
