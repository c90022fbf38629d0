"""A broker the gateway publishes to: the connection kept, reports queued while it is away, commands passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.formats.format import AS_IS, Heard, Publication
from gateway.formats.json_text import encode
from gateway.formats.registry import format_for
from gateway.mqtt.config import MqttDestination, StatusMessage
from gateway.mqtt.link import WITH_WILL, MqttLink
from gateway.mqtt.pace import Pace
from gateway.north import Destination, Here
from gateway.orders import Orders
from gateway.samples import Reason, Report, Unreachable
from gateway.store.log import Entry
from gateway.tasks import cancel, supervised
from gateway.timing import Backoff, Schedule
from lab.clock import now_ns
from lab.text import Text
from lab.wire.mqtt.reasons import ReasonCode

NOT_TAKEN = Text(zh="代理服务器不接收：{why}", en="the broker does not take it: {why}")
NO_USE = Reason(
    Text(zh="磁盘上的数据不是当前格式的", en="what was on the disk was not in the format that is configured now")
)


class BrokerDestination(Destination):
    """Publishes every report as one message or more."""

    def __init__(self, config: MqttDestination, here: Here) -> None:
        super().__init__(config, here, format_for(config, here.names), config.max_inflight)
        self._config = config
        self._loop = asyncio.get_running_loop()
        has_status = config.has_status
        self._will = self._status_message(config.will if has_status or "will" in config.model_fields_set else None)
        self._birth = self._status_message(config.birth if has_status or "birth" in config.model_fields_set else None)
        self._link = MqttLink(config, config.client_id or here.names.gateway, self)
        self._backoff = Backoff(here.random, config.reconnect_min_ms / 1000, config.reconnect_max_ms / 1000)
        self._pace = Pace(config.buffer.replay_rate)
        self._orders = Orders(here.write, self._say)
        self._leaving: asyncio.Event = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = supervised(self._keep_connected())

    async def stop(self) -> None:
        """Say goodbye, and leave on the disk what has not arrived."""
        await cancel([self._keeper])
        await self._orders.stop()
        await self._say_goodbye()
        self._outbox.close()

    def publish(self, report: Report) -> None:
        if self.is_connected and self._outbox.is_idle and self._format.is_ready and not self._link.is_clogged:
            messages = self._format.direct(report)
            if messages is not None:
                for message in messages:
                    self._link.publish(message)
                self._outbox.delivered += 1
                return
        super().publish(report)

    def publish_event(self, reader: str, payload: bytes) -> None:
        self._keep(self._config.events.format_map({**self._here.names._asdict(), "reader": reader}), payload, AS_IS)

    def _keep(self, topic: str, payload: bytes, form: int | None = None) -> None:
        if self.is_connected:
            self._pace.earn()
        super()._keep(topic, payload, form)

    def status(self) -> dict[str, object]:
        commands = {"commands": self._orders.done, "commands_failed": self._orders.failed}
        return super().status() | (commands if self._config.commands else {})

    # -- the connection ------------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        while True:
            began = self._loop.time()
            try:
                await self._link.connect(self._format.will() or self._will)
            except Unreachable as error:
                self._last_error = error.reason
            else:
                await self._publish_until_lost()
                self._backoff.lasted(self._loop.time() - began)
            self._link.drop()
            await asyncio.sleep(self._backoff.pause())

    async def _publish_until_lost(self) -> None:
        self._connected_since = now_ns()
        self._connections += 1
        self._leaving.clear()
        self._pace.begin(self._loop.time())
        self._outbox.window = max(1, min(self._config.max_inflight, self._link.receive_maximum - 1))
        self._link.subscribe(self._format.filters)
        for message in (*self._format.connected(), *([self._birth] if self._birth else [])):
            self._link.publish(message)
        tasks = [supervised(self._pump()), *([supervised(self._tell())] if self._config.metrics else [])]
        ends = [asyncio.create_task(self._link.down.wait()), asyncio.create_task(self._leaving.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel([*tasks, *ends])
        if self._link.down.is_set():
            self._connected_since = None
            self._last_error = self._link.why_lost()
        else:
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """A will is not published on a clean end, so what it says is said now."""
        code = 0
        if self.is_connected:
            if self._config.format == "sparkplug" and self._config.version == "5":
                # tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50
                code = WITH_WILL
            else:
                for message in (*self._format.farewell(), *([self._will] if self._will else [])):
                    self._link.publish(message)
        self._connected_since = None
        await self._link.close(code)

    async def _pump(self) -> None:
        box = self._outbox
        while True:
            if pause := self._pace.pause(self._loop.time()):
                await asyncio.sleep(pause)
            entry = box.next() if self._format.is_ready else None
            if entry is None:
                self._something_to_send.clear()
                await self._something_to_send.wait()
                continue
            self._pace.spend()
            messages = self._going(entry)
            if messages:
                for message in messages[:-1]:
                    self._link.publish(message)
                box.sent(entry, self._link.publish(messages[-1]))
                await self._link.drain()
            else:
                self._give_up(NO_USE)
                box.discard(entry)

    def _going(self, entry: Entry) -> Sequence[Publication]:
        """What to send for a stored message."""
        config = self._config
        if entry.form == AS_IS and config.format != "sparkplug":
            return (Publication(entry.topic, entry.payload, config.qos, config.retain),)
        if entry.form == AS_IS and not entry.topic.startswith("spBv1.0/"):
            return (Publication(entry.topic, entry.payload, 1, False),)
        return self._format.going(entry) if entry.form == self._format.form else ()

    async def _tell(self) -> None:
        metrics = self._config.metrics
        assert metrics is not None
        topic = metrics.topic.format_map(self._here.names._asdict())
        schedule = Schedule(metrics.period_s)
        while True:
            said = {"ts": now_ns() // 1_000_000, **self._here.counters()}
            self._link.publish(Publication(topic, encode(said).encode(), 0, False))
            await schedule.next_tick()

    def _say(self, message: Publication) -> None:
        if self.is_connected:
            self._link.publish(message)

    def _status_message(self, config: StatusMessage | None) -> Publication | None:
        if config is None:
            return None
        topic = config.topic.format_map(self._here.names._asdict())
        return Publication(topic, config.payload.encode(), config.qos, config.retain)

    # -- what the link tells -------------------------------------------------------------------------------------------

    def acknowledged(self, identifier: int) -> None:
        self._outbox.acknowledged(identifier)
        if self._outbox.waiting:
            self._something_to_send.set()

    def refused(self, identifier: int, code: int) -> None:
        if self._outbox.refused(identifier) is not None:
            known = code in ReasonCode._value2member_map_
            why = ReasonCode(code).name.lower().replace("_", " ") if known else f"0x{code:02x}"
            self._give_up(Reason(NOT_TAKEN, {"why": why}))

    def forgotten(self) -> None:
        self._outbox.forgotten()

    def complain(self, reason: Reason) -> None:
        self._last_error = reason

    def heard(self, topic: str, payload: bytes, retained: bool) -> None:
        if not self.is_connected:
            return
        heard: Heard = self._format.hear(topic, payload, retained)
        if heard.complaint is not None:
            self._last_error = heard.complaint
        for message in heard.publish:
            self._link.publish(message)
        for command in heard.commands:
            self._orders.obey(command)
        if heard.leave is not None:
            self._last_error = heard.leave
            self._leaving.set()
        self._something_to_send.set()
