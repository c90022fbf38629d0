"""A device's database: one SQLite file on its host's disk, or in memory where the host has none.

Backups are files of SQLite that somebody else may have written: they are looked at in memory, with everything that a
database can do by itself switched off, before anything of them is believed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devices.web.reasons import refusal
from lab.text import Text

NOT_A_DATABASE: Final = Text(zh="不是本系统的备份：{why}", en="is no backup of this system: {why}")
OTHER_VERSION: Final = Text(zh="版本 {version}，应为 {expected}", en="version {version} instead of {expected}")
OTHER_TABLES: Final = Text(zh="表结构不同", en="its tables are different")
DAMAGED: Final = Text(zh="文件损坏", en="the file is damaged")

_HEADER: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Layout:
    """What a database of ours looks like."""

    application: int
    """SQLite's application id, by which the file is known."""
    version: int
    schema: str
    """The statements that make its tables."""
    faults: str
    """A query that finds what we would never have written, in tables that are sound as far as SQLite knows."""


def opened(path: Path | None, layout: Layout) -> sqlite3.Connection:
    """The database of this file, made where there is none yet; in memory without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(":memory:" if path is None else path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    # With a write-ahead log this is safe against a crash of the program.
    database.execute("PRAGMA synchronous = NORMAL")
    if _pragma(database, "application_id") != layout.application:
        _create(database, layout)
    return database


def size(database: sqlite3.Connection) -> int:
    """Bytes it takes."""
    return _pragma(database, "page_count") * _pragma(database, "page_size")


def is_sound(database: sqlite3.Connection) -> bool:
    try:
        return bool(database.execute("SELECT 1").fetchone()[0] == 1)
    except sqlite3.Error:
        return False


def backup(database: sqlite3.Connection) -> bytes:
    """A consistent copy, as a file of SQLite."""
    copy = sqlite3.connect(":memory:")
    try:
        database.backup(copy)
        return _without_log(copy.serialize())
    finally:
        copy.close()


def restore(
    database: sqlite3.Connection,
    file: bytes,
    layout: Layout,
    has_sense: Callable[[sqlite3.Connection], bool] = lambda _: True,
) -> None:
    """Become what was backed up; raises Refused where it is anything else, and then nothing has changed.

    `has_sense` looks at what queries cannot judge.
    """
    uploaded = sqlite3.connect(":memory:", isolation_level=None)
    try:
        try:
            why = _why_no_backup(uploaded, file, layout)
            if why is None and not has_sense(uploaded):
                why = DAMAGED
        except (sqlite3.Error, OverflowError, ValueError):
            why = DAMAGED
        if why is not None:
            raise refusal("not-a-backup", NOT_A_DATABASE, why=why)
        uploaded.backup(database)
    finally:
        uploaded.close()


class transaction:  # noqa: N801 - reads as a statement
    """Commits at the end, or takes everything back."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("BEGIN")
        return self._database

    def __exit__(self, kind: object, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _why_no_backup(database: sqlite3.Connection, file: bytes, layout: Layout) -> Text | None:
    if not file.startswith(_HEADER):
        return DAMAGED
    database.deserialize(_without_log(file))
    # A database can carry triggers and views: statements of others, which must never run here.
    database.execute("PRAGMA trusted_schema = OFF")
    version = _pragma(database, "user_version")
    if _pragma(database, "application_id") != layout.application or version != layout.version:
        return Text(**OTHER_VERSION.both(version=version, expected=layout.version))
    expected = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _create(expected, layout)
        if _tables(database) != _tables(expected):
            return OTHER_TABLES
    finally:
        expected.close()
    if (
        database.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok"
        or database.execute(layout.faults).fetchone()
    ):
        return DAMAGED
    return None


def _without_log(file: bytes) -> bytes:
    """The same database, to be opened without a write-ahead log, which there is none of in memory.

    SQLite's file format, section 1.3.3: the read and write versions are 2 with a log and 1 without.
    """
    return file[:18] + b"\1\1" + file[20:]


def _create(database: sqlite3.Connection, layout: Layout) -> None:
    database.executescript(layout.schema)
    database.execute(f"PRAGMA application_id = {layout.application}")
    database.execute(f"PRAGMA user_version = {layout.version}")


def _tables(database: sqlite3.Connection) -> list[Any]:
    return database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
