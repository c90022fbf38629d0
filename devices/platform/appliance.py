"""The platform as an appliance of the plant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from devices.platform.config import PlatformConfig
from lab.network.appliance import Appliance, RecordTruth
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

if TYPE_CHECKING:
    from devices.platform.running import Running

DATABASE: Final = "platform.sqlite"


class Platform(Appliance[PlatformConfig]):
    """An industrial internet platform: devices, values, alarms, and a page that shows them."""

    kind: ClassVar[str] = "platform"
    title: ClassVar[Text] = Text(zh="工业互联网平台", en="Industrial internet platform")
    Config = PlatformConfig

    def __init__(self, host: Host, config: PlatformConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.logs |= {"audit": Log(), "ingest": Log(), "alarms": Log()}
        self._running: Running | None = None

    async def start(self) -> None:
        from devices.platform.running import Running  # aiohttp takes a third of a second to load

        self._running = Running(self.host, self.config, self._file(), self.logs)
        await self._running.start()

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    async def apply(self, config: PlatformConfig) -> None:
        """Take on a configuration; logins, traces and the connection to the broker go on where they can."""
        self.config = config
        if self._running is not None:
            await self._running.apply(config)

    def status(self) -> Mapping[str, object]:
        return {"running": False} if self._running is None else self._running.status()

    def _file(self) -> Path | None:
        folder = self.host.disk.folder
        return None if folder is None else folder / DATABASE
