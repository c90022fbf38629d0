"""What every northbound destination has: a queue that outlasts the program, counters, and a place in the gateway."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple

from pydantic import Field

from gateway.formats.format import AS_IS, Format, Names, Write
from gateway.samples import Reason, Report
from gateway.store.log import Entry, Log
from gateway.store.outbox import Limits, Outbox
from gateway.store.volume import volume_for
from lab.clock import now_ns
from lab.model.plant import Strict
from lab.network.disk import Disk
from lab.text import Text

DISK_FULL = Reason(Text(zh="磁盘已满，数据未能缓存", en="the disk is full: data could not be stored"))
DAMAGED = Text(zh="磁盘上的缓存有 {bytes} 字节已损坏", en="{bytes} bytes of the queue on the disk are damaged")
_MS = 1_000_000


class Buffer(Strict):
    """What is kept until it has arrived."""

    max_messages: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="最多缓存的消息数；满时丢弃最旧的并计数。 Most messages kept; when full the oldest is dropped and counted.",
    )
    max_bytes: int = Field(
        64 << 20, ge=1024, le=1 << 40, description="最多缓存的字节数，同上。 Most bytes kept, likewise."
    )
    max_age_s: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="超过多少秒的数据不再补传，默认不限。 Seconds after which data is too old to send.",
    )
    persist: bool = Field(
        True, description="存到磁盘，程序重启后仍补传。 On the disk, so that a restart loses nothing."
    )
    spill_after_ms: int = Field(
        200,
        ge=10,
        le=60_000,
        description="多少毫秒未确认就写盘；程序被杀时最多丢失这么久的数据。"
        " Unacknowledged for so long, data goes to the disk: the most a killed program loses.",
    )
    replay_rate: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="补传速度：除新数据外每秒最多发多少条。 Stored messages sent per second, on top of new ones.",
    )

    @property
    def limits(self) -> Limits:
        return Limits(self.max_messages, self.max_bytes, self.max_age_s or float("inf"))


class Here(NamedTuple):
    """What a destination knows of the gateway it is in."""

    names: Names
    disk: Disk
    random: Random
    write: Write
    counters: Callable[[], Mapping[str, object]]
    """What the gateway would tell about itself."""


class Destination(ABC):
    """Somewhere reports go."""

    def __init__(self, config: Any, here: Here, form: Format, window: int) -> None:
        self.made_from = (config, here.names)
        """What would make another one differ from this."""
        self._here = here
        self._format = form
        buffer: Buffer = config.buffer
        log = Log(volume_for(here.disk, config.name), here.disk) if buffer.persist else None
        loop = asyncio.get_running_loop()
        self._outbox = Outbox(buffer.limits, window, log, loop, buffer.spill_after_ms / 1000)
        self._something_to_send = asyncio.Event()
        self._connected_since: int | None = None
        self._connections = 0
        self._dead_letters = 0
        self._last_dead_letter: Reason | str = ""
        self._last_error: Reason | str = ""
        if log is not None and log.damaged:
            self._last_error = Reason(DAMAGED, {"bytes": log.damaged})

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    @property
    def is_connected(self) -> bool:
        return self._connected_since is not None

    def publish(self, report: Report) -> None:
        """Take charge of a report."""
        for topic, payload in self._format.kept(report):
            self._keep(topic, payload)

    def publish_event(self, reader: str, payload: bytes) -> None:
        """Take charge of what says that a reader saw an identifier."""
        self._keep(reader, payload, AS_IS)

    def _keep(self, topic: str, payload: bytes, form: int | None = None) -> None:
        lost = self._outbox.not_stored
        self._outbox.put(Entry(self._format.form if form is None else form, topic, payload, now_ns()))
        if self._outbox.not_stored > lost:
            self._last_error = DISK_FULL
        self._something_to_send.set()

    def _give_up(self, why: Reason) -> None:
        """Nobody will ever take a message."""
        self._dead_letters += 1
        self._last_dead_letter = why

    def status(self) -> dict[str, object]:
        box = self._outbox
        return {
            "driver": self.made_from[0].driver,
            "connected": self.is_connected,
            "connected_since": None if self._connected_since is None else self._connected_since // _MS,
            "connections": self._connections,
            "queued": len(box),
            "oldest_s": round(box.oldest_age(), 3),
            "disk_bytes": box.on_disk,
            "published": box.delivered,
            "recovered": box.recovered,
            "dropped": box.dropped + box.not_stored,
            "not_stored": box.not_stored,
            "dead_letters": self._dead_letters,
            "last_dead_letter": str(self._last_dead_letter),
            "last_error": str(DISK_FULL if box.not_stored and not self._last_error else self._last_error),
        }
