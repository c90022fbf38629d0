"""`scanner`: a fixed or hand-held bar code scanner on a TCP stream (device library L11)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import ClassVar, Final, get_args

from devices.scanner.carrier import Carrier, Symbology, picture, read
from devices.scanner.config import Passing, ScannerConfig
from lab.model.document import KnownValueError
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

NOT_A_CARRIER = Text(
    zh="{value!r} 不是标签：写成“码制:内容”", en="{value!r} is no label: write it as symbology:content"
)
_RECONNECT: Final = 2.0
"""Seconds between attempts to reach a receiver."""
_LONGEST_COMMAND: Final = 64
_BACKLOG: Final = 65_536
"""Bytes a client may leave unread before readings pass it by."""


class Scanner(Appliance[ScannerConfig]):
    """What it sees is an image of a label; what it says depends on what it may read."""

    kind: ClassVar[str] = "scanner"
    title: ClassVar[Text] = Text(zh="条码扫描器", en="Bar code scanner")
    Config = ScannerConfig

    def __init__(self, host: Host, config: ScannerConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._loop = host.network.loop
        self._epoch = self._loop.time()
        self._seed = host.random.getrandbits(64)
        self._seen = 0
        """Labels so far; each lies in the light in its own way."""
        self._in_view: Carrier | None = None
        self._is_held = False
        """Whether somebody holds the label there, so that the belt shows no other."""
        self._is_on = False
        """Between LON and LOFF."""
        self._reported: tuple[str, float] | None = None
        """The latest reading and when it was said."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._clients: list[_Client] = []
        self._server: asyncio.Server | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.readings = self.failures = self.undelivered = 0
        self._log: Log[str] = Log()
        self.logs["scans"] = self._log

    async def start(self) -> None:
        if self.config.connect is None:
            self._server = await self._loop.create_server(lambda: _Client(self), None, self.config.port)
        else:
            self._connecting = self._loop.create_task(self._keep_connected(), name="scanner connects")
        self._wait_for_the_belt()
        self._look()

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
            self._connecting = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in tuple(self._clients):
            client.transport.abort()
        self._is_on = False

    async def apply(self, config: ScannerConfig) -> None:
        """Only who listens where needs a restart; everything else takes effect at the next label."""
        before, now = ((each.interfaces, each.port, each.max_clients, each.connect) for each in (self.config, config))
        if before != now:
            await super().apply(config)
            return
        self.config = config
        self._wait_for_the_belt()
        self._look()

    def points(self) -> Mapping[str, Value]:
        return {"carrier": _written(self._in_view), "reading": self._reported[0] if self._reported else ""}

    def force(self, point: str, value: Value | None) -> None:
        """Hold a label in view, written as `gs1-128:(01)…`, or take it away (None)."""
        if point != "carrier":
            raise KeyError(point)
        carrier = None if value is None else _parsed(str(value))
        self._is_held = carrier is not None
        with self.host.current():
            self._show(carrier)

    def status(self) -> Mapping[str, object]:
        return {
            "in view": _written(self._in_view),
            "readings": self.readings,
            "not read": self.failures,
            "undelivered": self.undelivered,
            "clients": len(self._clients),
            "latest": list(self._log.tail(3)),
        }

    # -- the belt ------------------------------------------------------------------------------------------------------

    def _wait_for_the_belt(self, after: float | None = None) -> None:
        """For what comes next, after the given second or from now on."""
        if timer := self._timers.pop("belt", None):
            timer.cancel()
        earliest = self._loop.time() - self._epoch if after is None else after
        coming = (each for each in self.config.belt if each.at > earliest or (after is None and each.at == earliest))
        following = min(coming, key=lambda each: each.at, default=None)
        if following is not None:
            self._timers["belt"] = self._loop.call_at(self._epoch + following.at, self._come, following)

    def _come(self, passing: Passing) -> None:
        if not self._is_held:
            self._show(passing.carrier)
            self._timers["gone"] = self._loop.call_later(passing.stays, self._show, None)
        self._wait_for_the_belt(passing.at)

    def _show(self, carrier: Carrier | None) -> None:
        if timer := self._timers.pop("gone", None):
            timer.cancel()
        self._in_view = carrier
        self._reported = None if carrier is not None else self._reported
        self._seen += carrier is not None
        self.record("carrier", _written(carrier))
        self._look()

    # -- reading -------------------------------------------------------------------------------------------------------

    def command(self, text: str) -> None:
        """LON and LOFF, as many makers have them."""
        self._is_on = {"LON": True, "LOFF": False}.get(text, self._is_on)
        if text == "LON":
            self._look()

    def _look(self) -> None:
        if timer := self._timers.pop("again", None):
            timer.cancel()
        config, carrier = self.config, self._in_view
        if carrier is None or (config.trigger == "command" and not self._is_on):
            return
        reading = read(picture(carrier, Random(self._seed + self._seen)), config.symbologies)
        if reading is None:
            self._fail()
            return
        text = (reading.aim if config.aim_id else "") + reading.text
        now = self._loop.time()
        pause = config.same_code_ms / 1000
        if self._reported is None or self._reported[0] != text or now - self._reported[1] >= pause - 1e-9:
            self._reported = (text, now)
            self.readings += 1
            self._log.add(text)
            self.record("reading", text)
            self._say(text)
        if config.trigger != "edge":
            self._timers["again"] = self._loop.call_at(self._reported[1] + pause, self._look)

    def _fail(self) -> None:
        self.failures += 1
        if self.config.no_read is not None:
            self._say(self.config.no_read)

    def _say(self, text: str) -> None:
        data = (self.config.prefix + text + self.config.suffix).encode()
        ready = [client for client in self._clients if client.has_room]
        for client in ready:
            client.transport.write(data)
        self.undelivered += not ready

    async def _keep_connected(self) -> None:
        receiver = self.config.connect
        assert receiver is not None
        while True:
            try:
                _, client = await self._loop.create_connection(lambda: _Client(self), str(receiver.host), receiver.port)
                await client.lost
            except OSError:
                pass
            await asyncio.sleep(_RECONNECT)

    def joined(self, client: _Client) -> bool:
        """Whether there is room for one more."""
        if len(self._clients) >= self.config.max_clients:
            return False
        self._clients.append(client)
        return True

    def left(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)


class _Client(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._heard = b""
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not self._scanner.joined(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._scanner.left(self)
        if not self.lost.done():
            self.lost.set_result(None)

    @property
    def has_room(self) -> bool:
        return not self.transport.is_closing() and self.transport.get_write_buffer_size() <= _BACKLOG

    def data_received(self, data: bytes) -> None:
        *lines, self._heard = (self._heard + data).replace(b"\n", b"\r").split(b"\r")
        for line in lines:
            if line:
                self._scanner.command(line[:_LONGEST_COMMAND].decode("latin-1"))
        self._heard = self._heard[-_LONGEST_COMMAND:]


def _written(carrier: Carrier | None) -> str:
    return f"{carrier.symbology}:{carrier.text}" if carrier is not None else ""


def _parsed(text: str) -> Carrier:
    symbology, _, content = text.partition(":")
    if symbology not in get_args(Symbology) or not content:
        raise KnownValueError(NOT_A_CARRIER, wrong=symbology, known=get_args(Symbology), value=text[:50])
    return Carrier.model_validate({"symbology": symbology, "text": content})
