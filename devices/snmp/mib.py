"""A tree of managed objects: look-up, walk and change (RFC 3416 section 4.2), without a message in sight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple

from devices.snmp.device import Oid


class Kind(Enum):
    """Types of SMIv2 (RFC 2578 section 7.1)."""

    INTEGER = "Integer32"
    OCTETS = "OctetString"
    OID = "ObjectIdentifier"
    ADDRESS = "IpAddress"
    COUNTER32 = "Counter32"
    GAUGE = "Gauge32"
    TICKS = "TimeTicks"
    COUNTER64 = "Counter64"


class Value(NamedTuple):
    kind: Kind
    data: int | bytes | Oid


class Missing(Enum):
    """Exceptions in place of values (RFC 3416 section 3)."""

    OBJECT = "noSuchObject"
    INSTANCE = "noSuchInstance"
    END = "endOfMibView"


class ErrorStatus(IntEnum):
    """RFC 3416 section 3"""

    NO_ERROR = 0
    TOO_BIG = 1
    GENERAL = 5
    NO_ACCESS = 6
    WRONG_TYPE = 7
    WRONG_LENGTH = 8
    WRONG_VALUE = 10
    NO_CREATION = 11
    AUTHORIZATION = 16
    NOT_WRITABLE = 17


class Refused(Exception):
    """A variable cannot be set so."""

    def __init__(self, status: ErrorStatus) -> None:
        super().__init__(status.name)
        self.status = status


Binding = tuple[Oid, Value | Missing]
_WRAP: Final = {Kind.COUNTER32: 1 << 32, Kind.COUNTER64: 1 << 64, Kind.TICKS: 1 << 32}
_GAUGE_MAXIMUM: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Column:
    """One object type: how it is read from a row and, where it can be, written."""

    number: int
    kind: Kind
    read: Callable[[Any], Any]
    """int, bytes, str or Oid as the kind has it; None where this row has no such instance."""
    write: Callable[[Any, Any], None] | None = None
    """Called as write(row, data) after `check`."""
    check: Callable[[Any], ErrorStatus] = lambda data: ErrorStatus.NO_ERROR

    def value(self, row: Any) -> Value | None:
        data = self.read(row)
        if data is None:
            return None
        if isinstance(data, str):
            data = data.encode()
        elif self.kind in _WRAP:
            data = int(data) % _WRAP[self.kind]
        elif self.kind is Kind.GAUGE:
            data = min(int(data), _GAUGE_MAXIMUM)
        return Value(self.kind, data)


class Table:
    """A conceptual table; a group of scalars is one with a single row, whose index is 0."""

    def __init__(self, entry: Oid, columns: Iterable[Column], rows: Callable[[], Mapping[Oid, Any]]) -> None:
        self.entry = entry
        self.columns = {column.number: column for column in sorted(columns, key=lambda each: each.number)}
        self.rows = rows

    def next(self, oid: Oid) -> tuple[Oid, Value] | None:
        """The first instance behind `oid`, or None."""
        depth = len(self.entry)
        if oid[:depth] > self.entry:
            return None
        # A shorter oid stands before everything below it.
        column_after, index_after = (
            (oid[depth], oid[depth + 1 :]) if len(oid) > depth and oid[:depth] == self.entry else (-1, ())
        )
        rows = self.rows()
        indexes = sorted(rows)
        for number, column in self.columns.items():
            if number < column_after:
                continue
            start = bisect_right(indexes, index_after) if number == column_after else 0
            for index in indexes[start:]:
                value = column.value(rows[index])
                if value is not None:
                    return (*self.entry, number, *index), value
        return None


def scalars(group: Oid, columns: Iterable[Column], row: Callable[[], Any] = lambda: None) -> Table:
    """`row` gives what the columns read from; where it gives None nothing is read from it but the group exists."""
    return Table(group, columns, lambda: {(0,): row()})


class Mib:
    """All tables of one agent."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = sorted(tables, key=lambda table: table.entry)

    def _find(self, oid: Oid) -> tuple[Table, Column] | None:
        for table in reversed(self._tables):
            depth = len(table.entry)
            if oid[:depth] == table.entry and len(oid) > depth and oid[depth] in table.columns:
                return table, table.columns[oid[depth]]
        return None

    def get(self, oid: Oid) -> Value | Missing:
        found = self._find(oid)
        if found is None:
            return Missing.OBJECT
        table, column = found
        rows = table.rows()
        index = oid[len(table.entry) + 1 :]
        value = column.value(rows[index]) if index in rows else None
        return Missing.INSTANCE if value is None else value

    def next(self, oid: Oid) -> Binding:
        for table in self._tables:
            found = table.next(oid)
            if found is not None:
                return found
        return oid, Missing.END

    def bulk(self, oids: Sequence[Oid], non_repeaters: int, repetitions: int, most: int) -> list[Binding]:
        """RFC 3416 section 4.2.3, at most `most` variables."""
        single = min(max(non_repeaters, 0), len(oids))
        bindings = [self.next(oid) for oid in oids[:single]]
        current = list(oids[single:])
        for _ in range(max(repetitions, 0)):
            if not current or len(bindings) + len(current) > most:
                break
            row = [self.next(oid) for oid in current]
            bindings += row
            if all(value is Missing.END for _, value in row):
                break
            current = [oid for oid, _ in row]
        return bindings[:most]

    def set(self, bindings: Sequence[tuple[Oid, Value | None]]) -> tuple[ErrorStatus, int]:
        """All or nothing: (error status, index of the variable from 1). None is a value of a type nobody writes."""
        changes: list[tuple[Column, Any, Any]] = []
        for number, (oid, value) in enumerate(bindings, 1):
            try:
                changes.append(self._change(oid, value))
            except Refused as refused:
                return refused.status, number
        for column, row, data in changes:
            assert column.write is not None
            column.write(row, data)
        return ErrorStatus.NO_ERROR, 0

    def _change(self, oid: Oid, value: Value | None) -> tuple[Column, Any, Any]:
        found = self._find(oid)
        if found is None or found[1].write is None:
            raise Refused(ErrorStatus.NOT_WRITABLE)
        table, column = found
        if value is None or value.kind is not column.kind:
            raise Refused(ErrorStatus.WRONG_TYPE)
        if (status := column.check(value.data)) is not ErrorStatus.NO_ERROR:
            raise Refused(status)
        rows = table.rows()
        index = oid[len(table.entry) + 1 :]
        if index not in rows:
            raise Refused(ErrorStatus.NO_CREATION)
        return column, rows[index], value.data
