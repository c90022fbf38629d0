"""What a broker keeps on its disk: retained messages, sessions, and what they have under way with QoS 1 and 2.

Changes are collected and written in one transaction at the end of each turn of the loop, before anything that turn has
to say is sent: what was acknowledged is kept, even if the program is killed. (With `synchronous=NORMAL` SQLite leaves
the last moments before a power cut of the real computer to its operating system.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.text import Text

if TYPE_CHECKING:
    from amqtt.session import IncomingApplicationMessage

    from gateway.broker.outbox import Outgoing

FILE = "broker.sqlite3"

DAMAGED = Text(
    zh="存储文件已损坏，改名为 {name}，从空白开始",
    en="the file was damaged; it is now {name}, and the broker began anew",
)
NO_LONGER = Text(zh="无法写入存储，重启后数据将丢失：{reason}", en="cannot be written, a restart will forget: {reason}")
KEPT = Text(zh="保存在磁盘", en="kept on disk")

_VERSION = 1
_TABLES = """
CREATE TABLE retained (topic TEXT PRIMARY KEY, qos INTEGER, payload BLOB);
CREATE TABLE session (client TEXT PRIMARY KEY, username TEXT, left_at REAL);
CREATE TABLE subscription (client TEXT, filter TEXT, qos INTEGER, PRIMARY KEY (client, filter));
CREATE TABLE outgoing (
    number INTEGER PRIMARY KEY, client TEXT, packet_id INTEGER, is_received INTEGER,
    topic TEXT, qos INTEGER, retain INTEGER, payload BLOB
);
CREATE TABLE incoming (
    client TEXT, packet_id INTEGER, topic TEXT, retain INTEGER, payload BLOB, PRIMARY KEY (client, packet_id)
);
"""


@dataclass(frozen=True, slots=True)
class KeptSession:
    client: str
    username: str | None
    left_at: float | None
    """Seconds since the epoch on the plant's clock; None where it was connected to the last."""
    subscriptions: tuple[tuple[str, int], ...]


class Store:
    """One file of SQLite; where it can no longer be written the broker goes on without."""

    def __init__(self, folder: Path) -> None:
        self._changes: list[tuple[str, tuple[Any, ...]]] = []
        self.changed: Callable[[], None] = lambda: None
        """Called at every change: `commit` should follow soon."""
        self.trouble = ""
        """What people should know about it."""
        self._database: sqlite3.Connection | None = None
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._database = _open(path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = _set_aside(path)
                self._database = _open(path)
                self.trouble = DAMAGED.say(name=aside)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    # -- what was kept -----------------------------------------------------------------------------------------------

    def retained(self) -> Iterator[tuple[str, int, bytes]]:
        yield from self._rows("SELECT topic, qos, payload FROM retained ORDER BY rowid")

    def sessions(self) -> Iterator[KeptSession]:
        for client, username, left_at in self._rows(
            "SELECT client, username, left_at FROM session ORDER BY left_at IS NULL, left_at"
        ):
            filters = self._rows("SELECT filter, qos FROM subscription WHERE client = ? ORDER BY rowid", client)
            yield KeptSession(client, username, left_at, tuple(filters))

    def outgoing(self) -> Iterator[tuple[int, str, int | None, bool, str, int, bool, bytes]]:
        """number, client, packet identifier, whether it was received, topic, QoS, retain, payload; as they came."""
        yield from self._rows(
            "SELECT number, client, packet_id, is_received, topic, qos, retain, payload FROM outgoing ORDER BY number"
        )

    def incoming(self) -> Iterator[tuple[str, int, str, bool, bytes]]:
        """client, packet identifier, topic, retain, payload of messages with QoS 2 not yet released."""
        yield from self._rows("SELECT client, packet_id, topic, retain, payload FROM incoming ORDER BY rowid")

    def _rows(self, query: str, *values: Any) -> list[Any]:
        if self._database is None:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    # -- changes -----------------------------------------------------------------------------------------------------

    def put_retained(self, topic: str, qos: int, payload: bytes) -> None:
        self._change(
            "INSERT INTO retained VALUES (?, ?, ?)"
            " ON CONFLICT (topic) DO UPDATE SET qos = excluded.qos, payload = excluded.payload",
            topic, qos, payload,
        )  # fmt: skip

    def drop_retained(self, topic: str) -> None:
        self._change("DELETE FROM retained WHERE topic = ?", topic)

    def put_session(self, client: str, username: str | None, left_at: float | None) -> None:
        self._change(
            "INSERT INTO session VALUES (?, ?, ?)"
            " ON CONFLICT (client) DO UPDATE SET username = excluded.username, left_at = excluded.left_at",
            client, username, left_at,
        )  # fmt: skip

    def drop_session(self, client: str) -> None:
        for table in ("session", "subscription", "outgoing", "incoming"):
            self._change(f"DELETE FROM {table} WHERE client = ?", client)

    def put_subscription(self, client: str, topic_filter: str, qos: int) -> None:
        self._change("INSERT OR REPLACE INTO subscription VALUES (?, ?, ?)", client, topic_filter, qos)

    def drop_subscription(self, client: str, topic_filter: str) -> None:
        self._change("DELETE FROM subscription WHERE client = ? AND filter = ?", client, topic_filter)

    def put_outgoing(self, client: str, message: Outgoing) -> None:
        self._change(
            "INSERT OR REPLACE INTO outgoing VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            message.number, client, message.packet_id, message.pubrec_packet is not None,
            message.topic, message.qos, message.retain, message.data,
        )  # fmt: skip

    def drop_outgoing(self, number: int) -> None:
        self._change("DELETE FROM outgoing WHERE number = ?", number)

    def put_incoming(self, client: str, message: IncomingApplicationMessage) -> None:
        self._change(
            "INSERT OR REPLACE INTO incoming VALUES (?, ?, ?, ?, ?)",
            client, message.packet_id, message.topic, message.retain, message.data,
        )  # fmt: skip

    def drop_incoming(self, client: str, packet_id: int) -> None:
        self._change("DELETE FROM incoming WHERE client = ? AND packet_id = ?", client, packet_id)

    def _change(self, statement: str, *values: Any) -> None:
        if self._database is not None:
            self._changes.append((statement, values))
            self.changed()

    def commit(self) -> None:
        """Write what has changed."""
        if not self._changes or self._database is None:
            return
        changes, self._changes = self._changes, []
        try:
            with self._database:
                for statement, values in changes:
                    self._database.execute(statement, values)
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        self.commit()
        if self._database is not None:
            self._database.close()
            self._database = None

    def status(self) -> str:
        return self.trouble or KEPT.say()

    def _give_up(self, error: Exception) -> None:
        self.trouble = NO_LONGER.say(reason=error)
        self._changes.clear()
        if self._database is not None:
            self._database.close()
            self._database = None


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
        elif version != _VERSION or database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError(f"version {version}")
    except BaseException:
        database.close()
        raise
    return database


def _set_aside(path: Path) -> str:
    """Keep the file for whoever wants to look, under another name."""
    aside = path.with_suffix(".damaged")
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside.name
