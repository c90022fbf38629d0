"""A broker the gateway publishes to: the connection kept, reports queued while it is away."""

from __future__ import annotations

import asyncio
from random import Random

from gateway.mqtt.config import MqttDestination, StatusMessage
from gateway.mqtt.link import MqttLink
from gateway.mqtt.outbox import Outbox, Publication
from gateway.mqtt.payload import FORMATS
from gateway.samples import Reason, Report, Unreachable
from gateway.tasks import cancel, supervised
from gateway.timing import Backoff
from lab.network.loop import current_host
from lab.text import Text

DISK_FULL = Reason(Text(zh="磁盘已满，数据未能缓存", en="the disk is full: data could not be stored"))


class Destination:
    """Publishes every report as one message."""

    def __init__(self, config: MqttDestination, site: str, gateway: str, random: Random) -> None:
        self.made_from = (config, site, gateway)
        """What would make another one differ from this."""
        self._config = config
        self._names = {"site": site, "gateway": gateway}
        self._outbox = Outbox(config.buffer.max_messages, config.max_inflight)
        self._something_to_send = asyncio.Event()
        self._will = self._status_message(config.will)
        self._birth = self._status_message(config.birth)
        client_id = config.client_id or gateway
        self._link = MqttLink(config, client_id, self._will, self._acknowledged, self._outbox.forgotten)
        self._backoff = Backoff(random, config.reconnect_min_ms / 1000, config.reconnect_max_ms / 1000)
        self._encode = FORMATS[config.format]
        self._connected = False
        self._connections = 0
        self._last_error: Reason | str = ""
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = supervised(self._keep_connected())

    async def stop(self) -> None:
        """Say goodbye: the will's message, as a will is not published on a clean end, and DISCONNECT."""
        await cancel([self._keeper])
        if self._connected and self._will is not None:
            self._link.publish(self._will)
        self._connected = False
        await self._link.close()

    def publish(self, report: Report) -> None:
        topic = self._config.topic.format_map({**self._names, "device": report.device, "group": report.group})
        message = Publication(topic, self._encode(report), self._config.qos, self._config.retain)
        if not (self._connected and self._outbox.is_flowing) and not self._has_room(message):
            self._outbox.dropped += 1
            self._last_error = DISK_FULL
            return
        self._outbox.put(message)
        self._something_to_send.set()

    def _has_room(self, message: Publication) -> bool:
        """What cannot go out has to be stored."""
        here = current_host.get()
        return here is None or here.disk.free >= len(message.payload)

    def status(self) -> dict[str, object]:
        return {
            "driver": self._config.driver,
            "connected": self._connected,
            "connections": self._connections,
            "queued": len(self._outbox),
            "published": self._outbox.delivered,
            "dropped": self._outbox.dropped,
            "last_error": str(self._last_error),
        }

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._link.connect()
            except Unreachable as error:
                self._last_error = error.reason
            else:
                await self._publish_until_lost()
                self._last_error = self._link.why_lost()
                self._backoff.lasted(loop.time() - began)
            self._link.drop()
            await asyncio.sleep(self._backoff.pause())

    async def _publish_until_lost(self) -> None:
        self._connected = True
        self._connections += 1
        self._outbox.window = max(1, min(self._config.max_inflight, self._link.receive_maximum - 1))
        if self._birth is not None:
            self._link.publish(self._birth)
        pump = supervised(self._pump())
        try:
            await self._link.down.wait()
            self._connected = False
        finally:
            await cancel([pump])

    async def _pump(self) -> None:
        while True:
            message = self._outbox.next()
            if message is None:
                self._something_to_send.clear()
                await self._something_to_send.wait()
            else:
                self._outbox.sent(message, self._link.publish(message))
                await self._link.drain()

    def _acknowledged(self, identifier: int) -> None:
        self._outbox.acknowledged(identifier)
        self._something_to_send.set()

    def _status_message(self, config: StatusMessage | None) -> Publication | None:
        if config is None:
            return None
        topic = config.topic.format_map(self._names)
        return Publication(topic, config.payload.encode(), config.qos, config.retain)
