"""What a node keeps: records, the templates they are made by, and what it was delivered with."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from devices.web import sqlite_file
from devices.web.sqlite_file import Layout, transaction
from lab.wire.handles import Handle, HandleValue, decode_value
from lab.wire.malformed import Malformed

_SCHEMA: Final = """
CREATE TABLE handle_values (handle TEXT NOT NULL, idx INTEGER NOT NULL, written TEXT NOT NULL, document TEXT NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (handle, idx)) WITHOUT ROWID;
CREATE TABLE delivered (handle TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE templates (prefix TEXT NOT NULL, version TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (prefix, version)) WITHOUT ROWID;
"""
_FAULTS: Final = """
SELECT 1 FROM handle_values WHERE typeof(idx) != 'integer' OR typeof(at) != 'integer' OR NOT json_valid(document)
    OR typeof(handle) != 'text' OR instr(handle, '/') < 2 OR typeof(written) != 'text'
UNION ALL SELECT 1 FROM templates WHERE NOT json_valid(document)
LIMIT 1
"""
_LAYOUT: Final = Layout(0x49494F48, 1, _SCHEMA, _FAULTS)


class Stored(NamedTuple):
    """A value, and when it was written, in milliseconds since the Unix epoch."""

    value: HandleValue
    at: int


class Store:
    """Everything is synchronous, and done when it returns: SQLite answers in microseconds."""

    def __init__(self, path: Path | None) -> None:
        self._database = sqlite_file.opened(path, _LAYOUT)

    # -- records ---------------------------------------------------------------------------------------------------

    def record(self, handle: Handle) -> list[Stored]:
        """By index; none where there is no such handle."""
        rows = self._database.execute(
            "SELECT document, at FROM handle_values WHERE handle = ? ORDER BY idx", (handle.key,)
        )
        return [Stored(decode_value(json.loads(document)), at) for document, at in rows]

    def has(self, handle: Handle) -> bool:
        row = self._database.execute("SELECT 1 FROM handle_values WHERE handle = ? LIMIT 1", (handle.key,)).fetchone()
        return row is not None

    def replace(self, handle: Handle, values: Iterable[HandleValue], at: int) -> None:
        """The record is these values, from now on."""
        with transaction(self._database) as database:
            database.execute("DELETE FROM handle_values WHERE handle = ?", (handle.key,))
            self._write(handle, values, at)

    def change(self, handle: Handle, removed: Iterable[int], values: Iterable[HandleValue], at: int) -> None:
        """Take the values at some indices out of a record, and add others or put them in place of what is there."""
        with transaction(self._database) as database:
            gone = [(handle.key, index) for index in removed]
            database.executemany("DELETE FROM handle_values WHERE handle = ? AND idx = ?", gone)
            self._write(handle, values, at)

    def remove(self, handle: Handle) -> None:
        """The whole record."""
        self._database.execute("DELETE FROM handle_values WHERE handle = ?", (handle.key,))

    def handles(self, prefix: str, offset: int = 0, limit: int = -1) -> tuple[int, list[str]]:
        """How many there are under a prefix, and some of them, in order, written as they were registered."""
        # '/' is followed by '0': everything that begins with the prefix and a slash, by the index.
        prefix = Handle(prefix, "x").key[:-2]
        span = (f"{prefix}/", f"{prefix}0")
        total = self._database.execute(
            "SELECT count(DISTINCT handle) FROM handle_values WHERE handle >= ? AND handle < ?", span
        ).fetchone()[0]
        rows = self._database.execute(
            "SELECT min(written) FROM handle_values WHERE handle >= ? AND handle < ? GROUP BY handle ORDER BY handle "
            "LIMIT ? OFFSET ?",
            (*span, limit, offset),
        )
        return total, [written for (written,) in rows]

    def count(self) -> int:
        return int(self._database.execute("SELECT count(DISTINCT handle) FROM handle_values").fetchone()[0])

    def deliver(self, records: Iterable[tuple[Handle, Sequence[HandleValue]]], at: int) -> list[Handle]:
        """Write those of these records that are new or have changed since they were last delivered; says which."""
        before = dict(self._database.execute("SELECT handle, digest FROM delivered"))
        written = []
        for handle, values in records:
            digest = hashlib.sha256("\n".join(map(_document, values)).encode()).hexdigest()
            if before.get(handle.key) != digest:
                self.replace(handle, values, at)
                self._database.execute("INSERT OR REPLACE INTO delivered VALUES (?, ?)", (handle.key, digest))
                written.append(handle)
        return written

    def _write(self, handle: Handle, values: Iterable[HandleValue], at: int) -> None:
        rows = [(handle.key, value.index, str(handle), _document(value), at) for value in values]
        self._database.executemany("INSERT OR REPLACE INTO handle_values VALUES (?, ?, ?, ?, ?)", rows)

    # -- templates -------------------------------------------------------------------------------------------------

    def templates(self) -> list[Any]:
        rows = self._database.execute("SELECT document FROM templates ORDER BY prefix, version")
        return [json.loads(document) for (document,) in rows]

    def put_template(self, prefix: str, version: str, document: Any) -> None:
        row = (prefix, version, json.dumps(document, ensure_ascii=False))
        self._database.execute("INSERT OR REPLACE INTO templates VALUES (?, ?, ?)", row)

    # -- the file --------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes the database takes."""
        return sqlite_file.size(self._database)

    def is_sound(self) -> bool:
        return sqlite_file.is_sound(self._database)

    def backup(self) -> bytes:
        return sqlite_file.backup(self._database)

    def restore(self, backup: bytes) -> None:
        """Raises Refused, and then nothing has changed."""
        sqlite_file.restore(self._database, backup, _LAYOUT, _has_sense)

    def close(self) -> None:
        self._database.close()


def _document(value: HandleValue) -> str:
    document = value.encode("")
    del document["timestamp"]
    return json.dumps(document, ensure_ascii=False)


def _has_sense(database: sqlite3.Connection) -> bool:
    """Whether every value is one that we would have taken."""
    try:
        for handle, document in database.execute("SELECT handle, document FROM handle_values"):
            Handle.parse(handle)
            decode_value(json.loads(document))
    except (Malformed, RecursionError):
        return False
    return True
