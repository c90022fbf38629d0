"""An identification node as an appliance of the plant."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from devices.identification.config import IdnNodeConfig
from lab.network.appliance import Appliance, RecordTruth
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

if TYPE_CHECKING:
    from devices.identification.running import Running

INSTALLING: Final = Text(zh="正在安装 {version}", en="installing {version}")
_LIVE: Final = frozenset({"admins", "handles", "prefixes", "answer_delay_s", "interfaces", "routes", "hosts"})
"""Keys of the configuration that need no restart."""


class IdnNode(Appliance[IdnNodeConfig]):
    """A node of identification resolution: recursive, national top, secondary or enterprise."""

    kind: ClassVar[str] = "idn-node"
    title: ClassVar[Text] = Text(zh="标识解析节点", en="Identification node")
    Config = IdnNodeConfig
    reinstall: ClassVar[float] = 20.0
    """Seconds that it takes to install another version, during which it does not answer."""

    def __init__(self, host: Host, config: IdnNodeConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.logs |= {"queries": Log(), "audit": Log()}
        self._version = config.version
        """As delivered, or the last that was installed."""
        self._running: Running | None = None
        self._installing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self.config.version == self._version:
            await self._run()
        else:
            self._installing = asyncio.get_running_loop().create_task(self._install())

    async def stop(self) -> None:
        task, self._installing = self._installing, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    async def apply(self, config: IdnNodeConfig) -> None:
        """Take on a configuration; tokens and what a recursive node remembers outlast it where they can."""
        before, after = self.config.model_dump(exclude=set(_LIVE)), config.model_dump(exclude=set(_LIVE))
        if self._running is None or before != after:
            await super().apply(config)
            return
        self.config = config
        self._running.service.apply(config)

    def status(self) -> Mapping[str, object]:
        if self._running is None:
            if self._installing is not None and not self._installing.done():
                return {"state": INSTALLING.say(version=self.config.version)}
            return {"running": False}
        return self._running.status()

    async def _install(self) -> None:
        await asyncio.sleep(self.reinstall)
        self._version = self.config.version
        self.record("version", self._version)
        await self._run()

    async def _run(self) -> None:
        # Loads aiohttp, which takes a third of a second.
        from devices.identification.running import Running
        from devices.identification.service import DATABASE

        folder = self.host.disk.folder
        running = Running(self.host, self.config, None if folder is None else folder / DATABASE, self.logs)
        await running.start()
        self._running = running
