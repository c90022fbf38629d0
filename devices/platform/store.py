"""The platform's database: one SQLite file on the host's disk, or in memory where the host has none.

Writes are gathered and committed together, so that ten thousand values a second are a few transactions; a message is
acknowledged to the broker only once what it said is committed. Every parameter is bound: no name that comes from
outside ever becomes part of a statement.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from devices.platform.model import Value
from devices.web import sqlite_file
from devices.web.sqlite_file import Layout, transaction

Quality = Literal["good", "uncertain", "bad"]
QUALITIES: Final[tuple[Quality, ...]] = ("good", "uncertain", "bad")
NUMBER, BOOL, TEXT, STRUCT = range(4)
"""Kinds of values, as SQLite knows neither bool nor struct."""

_MOST_WAITING: Final = 200_000
"""Rows that wait while the database cannot be written."""
_SCHEMA: Final = """
CREATE TABLE series (id INTEGER PRIMARY KEY, device TEXT NOT NULL, property TEXT NOT NULL, UNIQUE (device, property));
CREATE TABLE history (series INTEGER NOT NULL, at INTEGER NOT NULL, value, kind INTEGER NOT NULL,
    quality INTEGER NOT NULL, PRIMARY KEY (series, at)) WITHOUT ROWID;
CREATE INDEX history_by_time ON history (at);
CREATE TABLE latest (series INTEGER PRIMARY KEY, at INTEGER NOT NULL, value, kind INTEGER NOT NULL,
    quality INTEGER NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, device TEXT NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
    level TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX events_by_device ON events (device, at);
CREATE TABLE alarms (id INTEGER PRIMARY KEY, rule TEXT NOT NULL, device TEXT NOT NULL, property TEXT NOT NULL,
    severity TEXT NOT NULL, message TEXT NOT NULL, raised_at INTEGER NOT NULL, raised_value TEXT,
    cleared_at INTEGER, cleared_by TEXT, acknowledged_at INTEGER, acknowledged_by TEXT, assignee TEXT);
CREATE INDEX alarms_by_time ON alarms (raised_at);
CREATE TABLE entities (kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, id))
    WITHOUT ROWID;
"""

_FAULTS: Final = """
SELECT 1 FROM (SELECT at, value, kind, quality FROM history UNION ALL SELECT at, value, kind, quality FROM latest)
    WHERE typeof(at) != 'integer' OR kind NOT IN (0, 1, 2, 3) OR quality NOT IN (0, 1, 2) OR typeof(value) = 'blob'
    OR (kind = 3 AND value IS NOT NULL AND NOT json_valid(value))
UNION ALL SELECT 1 FROM entities WHERE NOT json_valid(document)
UNION ALL SELECT 1 FROM events WHERE typeof(at) != 'integer' OR NOT json_valid(document)
UNION ALL SELECT 1 FROM alarms WHERE typeof(raised_at) != 'integer' OR typeof(cleared_at) NOT IN ('integer', 'null')
    OR severity NOT IN ('critical', 'major', 'minor', 'warning', 'indeterminate') OR raised_value IS NULL
LIMIT 1
"""
_LAYOUT: Final = Layout(0x49494F54, 1, _SCHEMA, _FAULTS)


class Point(NamedTuple):
    """A value at a time."""

    at: int
    """Milliseconds since the Unix epoch."""
    value: Value | None
    quality: Quality


@dataclass(frozen=True, slots=True)
class Bucket:
    """The numbers of one interval."""

    start: int
    count: int
    average: float
    least: float
    greatest: float
    total: float


class Store:
    """See the module. Everything is synchronous: SQLite answers in microseconds."""

    def __init__(self, path: Path | None) -> None:
        self._database = sqlite_file.opened(path, _LAYOUT)
        self._series: dict[tuple[str, str], int] = {
            (device, name): number
            for number, device, name in self._database.execute("SELECT id, device, property FROM series")
        }
        self._next_series = max(self._series.values(), default=0) + 1
        self._history: list[tuple[int, int, Any, int, int]] = []
        self._latest: dict[int, tuple[int, int, Any, int, int]] = {}
        self._events: list[tuple[str, int, str, str, str]] = []
        self._newcomers: list[tuple[int, str, str]] = []
        """Series that are not in the database yet."""
        self._statements: list[tuple[str, Sequence[Any]]] = []
        self.lost = 0
        """Rows given up because the database could not be written for too long."""

    # -- writing ---------------------------------------------------------------------------------------------------

    def add(self, device: str, name: str, point: Point, *, is_latest: bool) -> None:
        """Note a value; it is in the database after the next `flush`. The same time again replaces the value."""
        series = self._series.get((device, name))
        if series is None:
            series = self._new_series(device, name)
        value, kind = _stored(point.value)
        row = (series, point.at, value, kind, QUALITIES.index(point.quality))
        self._history.append(row)
        if is_latest:
            self._latest[series] = row

    def add_event(self, device: str, at: int, event: str, level: str, document: Any) -> None:
        self._events.append((device, at, event, level, json.dumps(document, ensure_ascii=False)))

    def later(self, statement: str, parameters: Sequence[Any]) -> None:
        """One statement of our own making, to be committed with the next `flush`."""
        self._statements.append((statement, parameters))

    @property
    def waiting(self) -> int:
        return len(self._history) + len(self._events) + len(self._statements)

    def flush(self) -> None:
        """Commit what was noted; raises sqlite3.Error and keeps all of it, as far as there is room."""
        if not self.waiting:
            return
        database = self._database
        try:
            database.execute("BEGIN")
            database.executemany("INSERT INTO series VALUES (?, ?, ?)", self._newcomers)
            database.executemany("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?)", self._history)
            database.executemany("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?)", self._latest.values())
            database.executemany(
                "INSERT INTO events (device, at, event, level, document) VALUES (?, ?, ?, ?, ?)", self._events
            )
            for statement, parameters in self._statements:
                database.execute(statement, parameters)
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            excess = len(self._history) - _MOST_WAITING
            if excess > 0:
                del self._history[:excess]
                self.lost += excess
            del self._events[:-_MOST_WAITING]
            del self._statements[:-_MOST_WAITING]
            raise
        self._forget_what_waits()

    def _forget_what_waits(self) -> None:
        for waiting in (self._history, self._latest, self._events, self._newcomers, self._statements):
            waiting.clear()

    def _new_series(self, device: str, name: str) -> int:
        series = self._series[device, name] = self._next_series
        self._next_series += 1
        self._newcomers.append((series, device, name))
        return series

    def forget_device(self, device: str) -> None:
        """Everything a device has said, once it is deleted."""
        self.flush()
        gone = [(number,) for (owner, _), number in self._series.items() if owner == device]
        with transaction(self._database) as database:
            database.executemany("DELETE FROM history WHERE series = ?", gone)
            database.executemany("DELETE FROM latest WHERE series = ?", gone)
            database.executemany("DELETE FROM series WHERE id = ?", gone)
            database.execute("DELETE FROM events WHERE device = ?", (device,))
        self._series = {key: number for key, number in self._series.items() if key[0] != device}

    def trim(self, history_before: int, events_before: int) -> int:
        """Delete what is older; returns how many values that were."""
        self.flush()
        with transaction(self._database) as database:
            gone = database.execute("DELETE FROM history WHERE at < ?", (history_before,)).rowcount
            database.execute("DELETE FROM events WHERE at < ?", (events_before,))
            database.execute("DELETE FROM alarms WHERE cleared_at < ?", (events_before,))
        return gone

    # -- reading ---------------------------------------------------------------------------------------------------

    def latest(self) -> Iterable[tuple[str, str, Point]]:
        """The last known value of everything, as of the last flush."""
        rows = self._database.execute(
            "SELECT device, property, at, value, kind, quality FROM latest JOIN series ON series.id = latest.series"
        )
        return [(device, name, _point(*row)) for device, name, *row in rows]

    def history(
        self, device: str, name: str, start: int, end: int, limit: int, offset: int = 0, *, newest_first: bool = False
    ) -> list[Point]:
        """Values from `start` to before `end`."""
        self.flush()
        series = self._series.get((device, name), -1)
        order = "DESC" if newest_first else "ASC"
        rows = self._database.execute(
            "SELECT at, value, kind, quality FROM history WHERE series = ? AND at >= ? AND at < ? "
            f"ORDER BY at {order} LIMIT ? OFFSET ?",
            (series, start, end, limit, offset),
        )
        return [_point(*row) for row in rows]

    def count(self, device: str, name: str, start: int, end: int) -> int:
        self.flush()
        series = self._series.get((device, name), -1)
        row = self._database.execute(
            "SELECT count(*) FROM history WHERE series = ? AND at >= ? AND at < ?", (series, start, end)
        ).fetchone()
        return int(row[0])

    def aggregate(self, device: str, name: str, start: int, end: int, interval: int, limit: int) -> list[Bucket]:
        """Numbers by interval, counted from `start`; bools count as 0 and 1, intervals without numbers are left out."""
        self.flush()
        series = self._series.get((device, name), -1)
        # The sum of doubles cannot overflow, where that of integers would be an error.
        rows = self._database.execute(
            "SELECT (at - ?) / ? AS bucket, count(value), avg(value), min(value), max(value), total(value) FROM history "
            "WHERE series = ? AND at >= ? AND at < ? AND kind <= ? AND value IS NOT NULL "
            "GROUP BY bucket ORDER BY bucket LIMIT ?",
            (start, interval, series, start, end, BOOL, limit),
        )
        return [Bucket(start + bucket * interval, *rest) for bucket, *rest in rows]

    def events(self, device: str, limit: int, offset: int) -> tuple[int, list[dict[str, Any]]]:
        """How many there are, and one page of them, newest first."""
        self.flush()
        total = self._database.execute("SELECT count(*) FROM events WHERE device = ?", (device,)).fetchone()[0]
        rows = self._database.execute(
            "SELECT id, at, event, level, document FROM events WHERE device = ? ORDER BY at DESC, id DESC LIMIT ? OFFSET ?",
            (device, limit, offset),
        )
        found = [
            {"id": number, "at": at, "event": event, "level": level, "data": json.loads(document)}
            for number, at, event, level, document in rows
        ]
        return total, found

    # -- what REST added -------------------------------------------------------------------------------------------

    def entities(self, kind: str) -> dict[str, Any]:
        rows = self._database.execute("SELECT id, document FROM entities WHERE kind = ? ORDER BY id", (kind,))
        return {identifier: json.loads(document) for identifier, document in rows}

    def put_entities(self, kind: str, documents: Iterable[tuple[str, Any]]) -> None:
        rows = [(kind, identifier, json.dumps(document, ensure_ascii=False)) for identifier, document in documents]
        with transaction(self._database) as database:
            database.executemany("INSERT OR REPLACE INTO entities VALUES (?, ?, ?)", rows)

    def delete_entity(self, kind: str, identifier: str) -> None:
        self._database.execute("DELETE FROM entities WHERE kind = ? AND id = ?", (kind, identifier))

    # -- statements of others --------------------------------------------------------------------------------------

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """One statement of our own making, committed at once."""
        return self._database.execute(statement, parameters)

    # -- the file --------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes the database takes."""
        return sqlite_file.size(self._database)

    def is_sound(self) -> bool:
        return sqlite_file.is_sound(self._database)

    def backup(self) -> bytes:
        """A consistent copy, as a file of SQLite."""
        self.flush()
        return sqlite_file.backup(self._database)

    def restore(self, backup: bytes) -> None:
        """Become what was backed up; raises Refused where it is anything else, and then nothing has changed."""
        sqlite_file.restore(self._database, backup, _LAYOUT)
        self._forget_what_waits()
        rows = self._database.execute("SELECT id, device, property FROM series")
        self._series = {(device, name): number for number, device, name in rows}
        self._next_series = max(self._series.values(), default=0) + 1

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._database.close()


def _stored(value: Value | None) -> tuple[Any, int]:
    if isinstance(value, bool):
        return int(value), BOOL
    if isinstance(value, str):
        return value, TEXT
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False), STRUCT
    return value, NUMBER


def _point(at: int, value: Any, kind: int, quality: int) -> Point:
    if value is not None and kind == BOOL:
        value = bool(value)
    elif value is not None and kind == STRUCT:
        value = json.loads(value)
    return Point(at, value, QUALITIES[quality])
