"""The `modbus` keyword, as Suricata documents it: function, access, address, value and unit of a request.

https://docs.suricata.io/en/latest/rules/modbus-keyword.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab.model.document import KnownValueError
from lab.text import Text

NOT_UNDERSTOOD: Final = Text(zh="modbus 选项 {given!r} 无法理解", en="the modbus option {given!r} is not understood")
OUT_OF_RANGE: Final = Text(zh="{what} {given} 超出范围", en="{what} {given} is out of range")
NO_WRITING: Final = Text(zh="{table} 是只读的", en="{table} cannot be written")
VALUE_NEEDS_WRITE: Final = Text(zh="value 只能用于写访问的地址", en="a value needs a write access to an address")
KNOWN: Final = ("function", "access", "address", "value", "unit", "subfunction", "read", "write")

DISCRETES, COILS, INPUT, HOLDING = "discretes", "coils", "input", "holding"
TABLES: Final = (DISCRETES, COILS, INPUT, HOLDING)
_WRITABLE: Final = (COILS, HOLDING)
_READS: Final = {1: COILS, 2: DISCRETES, 3: HOLDING, 4: INPUT, 23: HOLDING}
_WRITES: Final = {5: COILS, 15: COILS, 6: HOLDING, 16: HOLDING, 22: HOLDING, 23: HOLDING}
_PUBLIC: Final = frozenset((*range(1, 9), 11, 12, *range(15, 18), *range(20, 25), 43))
_RESERVED: Final = frozenset((9, 10, 13, 14, 41, 42, 90, 91, 125, 126, 127))
_USER: Final = frozenset((*range(65, 73), *range(100, 111)))
CATEGORIES: Final = ("assigned", "unassigned", "public", "user", "reserved", "all")


def category(function: int) -> frozenset[str]:
    """All the categories of a function code (Modbus Application Protocol V1.1b3, section 5); public is assigned or not."""
    names = {"all"}
    if function in _PUBLIC:
        names |= {"public", "assigned"}
    elif function in _RESERVED:
        names |= {"reserved"}
    elif function in _USER:
        names |= {"user"}
    else:
        names |= {"unassigned", "public"}
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class Range:
    """`10`, `<10`, `>10`, or `10<>20`; the bounds themselves are outside."""

    above: int | None = None
    below: int | None = None
    equal: int | None = None

    def __contains__(self, number: int) -> bool:
        if self.equal is not None:
            return number == self.equal
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)


@dataclass(frozen=True, slots=True)
class Access:
    """One run of addresses that a request reads or writes."""

    writes: bool
    table: str
    start: int
    """Zero-based, as on the wire."""
    count: int
    values: Sequence[int] | None = None
    """What is written, where the request says so."""


@dataclass(frozen=True, slots=True)
class ModbusKeyword:
    function: int | None = None
    subfunction: int | None = None
    category: str | None = None
    is_other_category: bool = False
    access: str | None = None
    """`read` or `write`"""
    table: str | None = None
    address: Range | None = None
    """In Suricata's count: the first one is 1."""
    value: Range | None = None
    unit: Range | None = None

    def matches(self, unit: int, pdu: bytes) -> bool:
        """Whether a request has all of this."""
        if not pdu or (self.unit is not None and unit not in self.unit):
            return False
        function = pdu[0]
        if self.function is not None and function != self.function:
            return False
        if self.subfunction is not None and not _has_subfunction(pdu, self.subfunction):
            return False
        if self.category is not None and (self.category in category(function)) == self.is_other_category:
            return False
        return self.access is None or any(self._allows(each) for each in accesses(pdu))

    def _allows(self, access: Access) -> bool:
        if access.writes != (self.access == "write") or self.table not in (None, access.table):
            return False
        if self.address is None:
            return True
        for offset in range(access.count):
            if access.start + offset + 1 not in self.address:
                continue
            if self.value is None or (access.values is not None and access.values[offset] in self.value):
                return True
        return False


def _has_subfunction(pdu: bytes, wanted: int) -> bool:
    """Diagnostics has two bytes of it, function 43 one: its MEI type."""
    if pdu[0] == 43:
        return pdu[1:2] == bytes((wanted & 0xFF,)) and wanted <= 0xFF
    return pdu[1:3] == wanted.to_bytes(2, "big")


def accesses(pdu: bytes) -> list[Access]:
    """What a request reads and writes; nothing where it is cut off."""
    function, body = pdu[0], pdu[1:]
    words = [int.from_bytes(body[at : at + 2], "big") for at in range(0, min(len(body), 8) - 1, 2)]
    if function in (1, 2, 3, 4) and len(words) >= 2:
        return [Access(False, _READS[function], words[0], words[1])]
    if function in (5, 6) and len(words) >= 2:
        value = int(words[1] == 0xFF00) if function == 5 else words[1]
        return [Access(True, _WRITES[function], words[0], 1, (value,))]
    if function == 22 and len(words) >= 3:
        return [Access(True, HOLDING, words[0], 1)]
    if function in (15, 16) and len(words) >= 2:
        return _written(_WRITES[function], words[0], words[1], body[5:])
    if function == 23 and len(words) >= 4:
        return [Access(False, HOLDING, words[0], words[1]), *_written(HOLDING, words[2], words[3], body[9:])]
    return []


def _written(table: str, start: int, count: int, data: bytes) -> list[Access]:
    if table == COILS:
        if len(data) * 8 < count:
            return []
        return [Access(True, table, start, count, [data[at // 8] >> at % 8 & 1 for at in range(count)])]
    if len(data) < count * 2:
        return []
    values = [int.from_bytes(data[at * 2 : at * 2 + 2], "big") for at in range(count)]
    return [Access(True, table, start, count, values)]


_RANGE: Final = r"(?:(?P<low>\d+)\s*<>\s*(?P<high>\d+)|(?P<sign>[<>]?)\s*(?P<number>\d+))"
_PART: Final = {
    "unit": re.compile(rf"unit\s+{_RANGE}"),
    "address": re.compile(rf"address\s+{_RANGE}"),
    "value": re.compile(rf"value\s+{_RANGE}"),
    "function": re.compile(r"function\s+(?P<negated>!?)\s*(?P<what>\w+)"),
    "subfunction": re.compile(r"subfunction\s+(?P<what>\d+)"),
    "access": re.compile(r"access\s+(?P<what>read|write)(?:\s+(?P<table>\w+))?"),
}
_MOST: Final = {"unit": 255, "address": 65_536, "value": 65_535, "function": 255, "subfunction": 65_535}


def parse(text: str) -> ModbusKeyword:
    """What stands behind `modbus:`; raises KnownValueError."""
    found: dict[str, re.Match[str]] = {}
    for part in (each.strip() for each in text.split(",")):
        name = part.split(None, 1)[0] if part else ""
        match = _PART[name].fullmatch(part) if name in _PART else None
        if match is None or name in found:
            raise KnownValueError(NOT_UNDERSTOOD, given=part, wrong=part, known=KNOWN)
        found[name] = match
    ranges = {name: _range(name, found[name]) for name in ("unit", "address", "value") if name in found}
    function, other, group = None, False, None
    if "function" in found:
        what, other = found["function"]["what"], bool(found["function"]["negated"])
        if what in CATEGORIES:
            group = what
        elif what.isdigit() and not other:
            function = _number("function", what)
        else:
            raise KnownValueError(NOT_UNDERSTOOD, given=what, wrong=what, known=CATEGORIES)
    access = found["access"]["what"] if "access" in found else None
    table = found["access"]["table"] if "access" in found else None
    if table is not None and table not in TABLES:
        raise KnownValueError(NOT_UNDERSTOOD, given=table, wrong=table, known=TABLES)
    if access == "write" and table not in (None, *_WRITABLE):
        raise KnownValueError(NO_WRITING, table=table, wrong=str(table), known=_WRITABLE)
    if ("value" in ranges and (access != "write" or "address" not in ranges)) or ("address" in ranges and not access):
        raise KnownValueError(VALUE_NEEDS_WRITE)
    if "subfunction" in found and function is None:
        raise KnownValueError(NOT_UNDERSTOOD, given="subfunction", wrong="subfunction", known=("function",))
    return ModbusKeyword(
        function,
        _number("subfunction", found["subfunction"]["what"]) if "subfunction" in found else None,
        group,
        other,
        access,
        table,
        ranges.get("address"),
        ranges.get("value"),
        ranges.get("unit"),
    )


def _number(name: str, text: str) -> int:
    number = int(text)
    if number > _MOST[name]:
        raise KnownValueError(OUT_OF_RANGE, what=name, given=text, wrong=text)
    return number


def _range(name: str, match: re.Match[str]) -> Range:
    if match["low"] is not None:
        low, high = _number(name, match["low"]), _number(name, match["high"])
        if low >= high:
            raise KnownValueError(OUT_OF_RANGE, what=name, given=f"{low}<>{high}")
        return Range(low, high)
    number = _number(name, match["number"])
    if match["sign"] == "<":
        return Range(below=number)
    return Range(above=number) if match["sign"] == ">" else Range(equal=number)
