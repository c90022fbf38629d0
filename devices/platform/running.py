"""A platform at work: its sockets, and what it does from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devices.platform.config import PlatformConfig
from devices.platform.http import application
from devices.platform.ingest.registry import formats
from devices.platform.link import BrokerConnection
from devices.platform.routes.registry import ROUTES
from devices.platform.service import Service, now_ms
from devices.platform.store import Store
from devices.web.site import Site
from lab import clock
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

TRIMMED: Final = Text(zh="清理了 {count} 个过期值", en="{count} old values were deleted")
BACKED_UP: Final = Text(zh="自动备份 {name}", en="backup {name}")
NO_BACKUP: Final = Text(zh="自动备份失败：{why}", en="no backup could be made: {why}")

_TRIM_EVERY: Final = 3600.0
_DAY_MS: Final = 86_400_000


class Running:
    """From start to stop."""

    def __init__(self, host: Host, config: PlatformConfig, file: Path | None, logs: Mapping[str, Log[Any]]) -> None:
        self._host, self._file = host, file
        self._store = Store(file)
        self._used = 0
        """Bytes of the host's disk that the database takes."""
        self.service = Service(host, config, self._store, logs["audit"], logs["ingest"], logs["alarms"])
        self.service.hub.has_room = self._has_room
        self._site: Site | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def start(self) -> None:
        config = self.service.config
        try:
            await self._open_site(config)
        except BaseException:
            self._store.close()
            raise
        self._open_link(config)
        self._later("trim", _TRIM_EVERY)
        self._plan_backup(config)

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._close_link()
        await self._close_site()
        self.service.desk.stop()
        self.service.hub.flush()
        self._store.close()
        self._host.disk.give_back(self._used)
        self._used = 0

    async def apply(self, config: PlatformConfig) -> None:
        before = self.service.config
        self.service.apply(config)
        if config.broker != before.broker:
            await self._close_link()
            self._open_link(config)
        if config.port != before.port:
            await self._close_site()
            await self._open_site(config)
        self._plan_backup(config)

    def status(self) -> Mapping[str, object]:
        service, link = self.service, self.service.link
        shown: dict[str, object] = {
            "port": service.config.port,
            "devices": len(service.registry.devices),
            "messages": service.hub.counts["messages"],
            "values": service.hub.counts["values"],
            "refused": sum(service.hub.refusals.values()),
            "alarms": sum(1 for _ in service.desk.raised),
            "database bytes": self._store.size,
        }
        if link is not None:
            shown["broker"] = link.is_connected
            shown["last error"] = str(link.last_error or "")
        return shown

    # -- sockets ---------------------------------------------------------------------------------------------------

    async def _open_site(self, config: PlatformConfig) -> None:
        self._site = Site(application(self.service, ROUTES))
        await self._site.open(config.port)

    async def _close_site(self) -> None:
        if self._site is not None:
            await self._site.close()
            self._site = None

    def _open_link(self, config: PlatformConfig) -> None:
        hub, broker = self.service.hub, config.broker
        hub.formats = formats(broker.me if broker is not None else None)
        if broker is None:
            return
        filters = [each for ingest in hub.formats for each in ingest.filters]
        link = BrokerConnection(broker, self._host.name, self._host.random, filters, hub.hear)
        self.service.link = link
        hub.publish = link.publish
        link.start()

    async def _close_link(self) -> None:
        link, self.service.link = self.service.link, None
        self.service.hub.publish = lambda message: False
        if link is not None:
            self.service.hub.flush()
            await link.stop()

    # -- from time to time -----------------------------------------------------------------------------------------

    def _later(self, what: str, seconds: float) -> None:
        if (timer := self._timers.pop(what, None)) is not None:
            timer.cancel()
        work = self._trim if what == "trim" else self._back_up
        self._timers[what] = asyncio.get_running_loop().call_later(seconds, work)

    def _trim(self) -> None:
        kept = self.service.config.retention
        now = now_ms()
        gone = self._store.trim(round(now - kept.history_days * _DAY_MS), round(now - kept.event_days * _DAY_MS))
        if gone:
            self.service.log(TRIMMED.say(count=gone))
        self._later("trim", _TRIM_EVERY)

    def _plan_backup(self, config: PlatformConfig) -> None:
        if config.retention.backup_hours is not None:
            self._later("backup", config.retention.backup_hours * 3600)
        elif (timer := self._timers.pop("backup", None)) is not None:
            timer.cancel()

    def _back_up(self) -> None:
        """Write a backup beside the database, and delete the oldest ones. In memory there is nowhere to put it."""
        config = self.service.config
        if self._file is not None:
            folder = self._file.parent
            name = f"backup-{clock.now():%Y%m%dT%H%M%SZ}.sqlite"
            try:
                (folder / name).write_bytes(self._store.backup())
                for old in sorted(folder.glob("backup-*.sqlite"))[: -config.retention.backups]:
                    old.unlink()
                self.service.log(BACKED_UP.say(name=name))
            except OSError as error:
                self.service.log(NO_BACKUP.say(why=error.strerror or error))
        self._plan_backup(config)

    def _has_room(self) -> bool:
        """Account for the database on the host's disk."""
        size = self._store.size
        disk = self._host.disk
        if size < self._used:
            disk.give_back(self._used - size)
        elif not disk.take(size - self._used):
            return False
        self._used = size
        return disk.free > 0
