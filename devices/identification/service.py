"""The parts of a node, put together; what its sites work on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from devices.identification.authority import Authority
from devices.identification.config import Cache, IdnNodeConfig, iso
from devices.identification.failure import Failure
from devices.identification.follower import Follower
from devices.identification.records import NO_VALUES, Records, Selection
from devices.identification.resolver import Dated, Found, Resolver
from devices.identification.store import Store, Stored
from devices.web.reasons import Reason
from lab import clock
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text
from lab.wire.handles import Code, Handle, Reference

DATABASE: Final = "handles.sqlite"
DELIVERED: Final = Text(zh="写入出厂标识 {handle}", en="{handle} written as delivered")
LEAKY_VERSIONS: Final = ("3.1.2",)
"""Those with training advisory IDN-SA-2026-01; see `Records.is_leaky`."""


def now_ms() -> int:
    return clock.now_ns() // 1_000_000


class Service:
    """Everything but the sockets."""

    def __init__(self, host: Host, config: IdnNodeConfig, file: Path | None, logs: Mapping[str, Log[Any]]) -> None:
        self.host, self.config = host, config
        self._is_in_memory = file is None
        self.store = Store(file)
        if file is None and (kept := host.disk.files.get(DATABASE)) is not None:
            self.store.restore(bytes(kept))
        self.queries, self.audit = logs["queries"], logs["audit"]
        self.codes: Counter[int] = Counter()
        """Answers to resolutions, by response code."""
        self.began = now_ms()
        self._used = 0
        """Bytes of the host's disk that the database takes."""
        self.authority = Authority(self.store, ())
        self.records = Records(self.store, self.authority, (), now_ms, self.has_room)
        self.resolver: Resolver | None = None
        if config.root is not None:
            loop = asyncio.get_running_loop()
            self.resolver = Resolver(host.name, config.root, config.cache or Cache(), config.timeout_s, loop.time)
        self.follower: Follower | None = None
        if config.follows is not None:
            self.follower = Follower(config.follows, self.store.restore, self.log)
            self.records.is_standby = True
        self.apply(config)

    def apply(self, config: IdnNodeConfig) -> None:
        """Take on all of a configuration that needs no socket and no other node."""
        self.config = config
        self.authority.admins = [Reference.parse(admin) for admin in config.admins]
        self.records.prefixes = list(config.prefixes)
        self.records.is_leaky = config.version in LEAKY_VERSIONS
        if self.records.is_standby:
            return
        records = [(Handle.parse(each.handle), [value.decoded() for value in each.values]) for each in config.handles]
        for handle in self.store.deliver(records, now_ms()):
            self.log(DELIVERED.say(handle=handle))

    async def stop(self) -> None:
        if self.follower is not None:
            await self.follower.stop()
        if self.resolver is not None:
            await self.resolver.stop()
        if self._is_in_memory:
            self.host.disk.files[DATABASE] = bytearray(self.store.backup())
        self.store.close()
        self.host.disk.give_back(self._used)

    # -- resolution ------------------------------------------------------------------------------------------------

    async def resolve(
        self,
        handle: Handle,
        wanted: Selection,
        who: Reference | None = None,
        *,
        public_only: bool | None = None,
        is_authoritative: bool = False,
        via: Sequence[str] = (),
    ) -> Found:
        """What this node says of a handle, of its own knowledge or that of others."""
        if self.config.answer_delay_s:
            await asyncio.sleep(self.config.answer_delay_s)
        if self.resolver is None:
            try:
                found = self.records.resolve(handle, wanted, who, public_only)
            except Failure as error:
                return Found(error.code, (), error.reason)
            return Found(Code.SUCCESS, tuple(map(_dated, found)))
        found_elsewhere = await self.resolver.resolve(handle, is_authoritative=is_authoritative, via=via)
        if found_elsewhere.code != Code.SUCCESS:
            return found_elsewhere
        values = tuple(each for each in found_elsewhere.values if wanted.has(each.value))
        if values:
            return Found(Code.SUCCESS, values, None, found_elsewhere.is_remembered)
        reason = Reason("VALUES_NOT_FOUND", NO_VALUES, {"handle": handle})
        return Found(Code.VALUES_NOT_FOUND, (), reason, found_elsewhere.is_remembered)

    # -- logs, disk ------------------------------------------------------------------------------------------------

    def log(self, line: str) -> None:
        """One line of the audit log."""
        self.audit.add(f"{clock.now().isoformat(timespec='milliseconds')} {line}")

    def has_room(self) -> bool:
        """Account for the database on the host's disk."""
        size, disk = self.store.size, self.host.disk
        if size < self._used:
            disk.give_back(self._used - size)
        elif not disk.take(size - self._used):
            return False
        self._used = size
        return disk.free > 0


def _dated(stored: Stored) -> Dated:
    return Dated(stored.value, iso(stored.at))
