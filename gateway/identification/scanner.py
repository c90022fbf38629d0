"""A scanner on the network: it listens, the gateway connects and hears what is scanned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.driver import CLOSED_BY_PEER, Driver, Reader, why_not_connected
from gateway.identification.config import ScannerDevice
from gateway.identification.scans import Scan, ScanDecoder
from gateway.identification.sightings import Sightings
from gateway.samples import IdentifierEvent, Reason, Sample, Unreachable, good
from lab.clock import now_ns
from lab.text import Text

TOO_SILENT = Text(zh="扫码器 {silence_ms} ms 没有心跳", en="no heartbeat from the scanner for {silence_ms} ms")
_CHUNK = 4096


class ScannerDriver(Driver):
    """One TCP connection, on which only the scanner speaks."""

    subscribes = True

    def __init__(self, config: ScannerDevice) -> None:
        super().__init__()
        self._config = config
        self._connection = config.connection
        self._sightings = Sightings(config.repeat_after_ms)
        self._decoder = ScanDecoder(config.encoding)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._scans = self._misses = self._too_long = 0

    async def connect(self) -> None:
        host, port, patience = self._connection.host, self._connection.port, self._connection.connect_timeout_ms
        try:
            async with asyncio.timeout(patience / 1000):
                self._streams = await asyncio.open_connection(host, port)
        except OSError as error:
            raise Unreachable(why_not_connected(error, host, port, patience)) from None
        self._decoder = ScanDecoder(self._config.encoding)

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()

    def reader(self, group: Any) -> Reader:
        raise NotImplementedError  # it cannot be asked

    def status(self) -> Mapping[str, object]:
        return {"scans": self._scans, "no_reads": self._misses, "too_long": self._too_long}

    async def changes(self, group: Any) -> AsyncIterator[Mapping[str, Sample]]:
        while True:
            for scan in self._decoder.feed(await self._hear()):
                at = now_ns()
                self.answers += 1
                if scan.text == self._config.no_read:
                    self._misses += 1
                    continue
                self._scans += 1
                self._tell(scan, at)
                yield {"code": good(scan.text, at), "symbology": good(scan.symbology, at)}
            if self._decoder.too_long:
                self.errors += self._decoder.too_long
                self._too_long += self._decoder.too_long
                self._decoder.too_long = 0

    async def _hear(self) -> bytes:
        """The next bytes; raises Unreachable."""
        if self._streams is None:
            raise Unreachable(self.trouble)
        silence_ms = self._connection.silence_ms
        where = {"host": self._connection.host, "port": self._connection.port}
        try:
            async with asyncio.timeout(silence_ms / 1000 if silence_ms else None):
                data = await self._streams[0].read(_CHUNK)
        except TimeoutError:
            self.lose(Reason(TOO_SILENT, {"silence_ms": silence_ms}))
        except OSError:
            self.lose(Reason(CLOSED_BY_PEER, where))
        else:
            if data:
                return data
            self.lose(Reason(CLOSED_BY_PEER, where))
        raise Unreachable(self.trouble)

    def _tell(self, scan: Scan, at: int) -> None:
        count = self._sightings.see(scan.symbology + scan.text, at)
        if count is not None:
            self.saw(IdentifierEvent(self._config.name, at, scan.text, "barcode", scan.symbology, count=count))
