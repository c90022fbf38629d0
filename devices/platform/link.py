"""The connection to the MQTT broker, kept; on gmqtt's client, which is kept from reconnecting by itself.

The subscriptions are of QoS 1 and the session persists, so what is published while the platform is away waits at the
broker. A message is acknowledged once what it said is in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final

from gmqtt import Client, Subscription
from gmqtt import Message as Will

from devices.platform.config import BrokerLink
from devices.platform.ingest.ingest import Message
from devices.web.reasons import Reason
from lab import clock
from lab.network.mqtt_client import NotAccepted, connect, make_client, transport
from lab.text import Text
from lab.wire.sparkplug import State, state_topic

UNREACHABLE: Final = Text(zh="无法连接 {host}:{port}（{why}）", en="cannot connect to {host}:{port} ({why})")
NO_ANSWER: Final = Text(zh="{host}:{port} 没有应答", en="{host}:{port} does not answer")
NOT_SUBSCRIBED: Final = Text(zh="代理拒绝订阅 {topics}", en="the broker refuses subscriptions to {topics}")
LOST: Final = Text(zh="{host}:{port} 断开了连接", en="{host}:{port} closed the connection")

_PATIENCE: Final = 10.0
"""Seconds for CONNACK and SUBACK."""
_CLOSING: Final = 1.0
_FAILED: Final = 0x80

Hear = Callable[[str, bytes], Awaitable[None]]


class _Unusable(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(str(reason))


class BrokerConnection:
    """Connects, subscribes, hears; again and again, with growing pauses, until it is stopped."""

    def __init__(self, config: BrokerLink, name: str, random: Random, filters: Sequence[str], hear: Hear) -> None:
        self.config = config
        self.is_connected = False
        self.connections = 0
        self.last_error: Reason | None = None
        self._where = {"host": config.host, "port": config.port}
        self._filters = filters
        self._hear = hear
        self._random = random
        self._state_since = 0
        self._down = asyncio.Event()
        self._subscribed: asyncio.Future[Sequence[int]] | None = None
        self._keeper: asyncio.Task[None] | None = None
        # Without optimistic acknowledgement gmqtt says PUBACK when on_message returns.
        self._client = client = make_client(
            config.client_id or name, clean_session=False, optimistic_acknowledgement=False
        )
        client.on_message = self._heard
        client.on_disconnect = lambda *_: self._down.set()
        client.on_subscribe = self._granted
        if config.username is not None:
            client.set_auth_credentials(config.username, config.password)

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._say_state(is_online=False)
        self.is_connected = False
        made = transport(self._client)
        if made is None:
            return
        if not made.is_closing():
            try:
                async with asyncio.timeout(_CLOSING):
                    await self._client.disconnect()
            except TimeoutError:
                pass
        made.abort()

    def publish(self, message: Message) -> bool:
        """False where there is no connection."""
        if not self.is_connected:
            return False
        self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        return True

    async def _keep_connected(self) -> None:
        shortest = min(self.config.reconnect_min_ms, self.config.reconnect_max_ms) / 1000
        longest = self.config.reconnect_max_ms / 1000
        loop = asyncio.get_running_loop()
        pause = shortest
        while True:
            began = loop.time()
            try:
                await self._connect()
                await self._subscribe()
            except _Unusable as error:
                self.last_error = error.reason
            else:
                self.is_connected = True
                self.connections += 1
                self._say_state(is_online=True)
                self.last_error = None
                await self._down.wait()
                self.is_connected = False
                self.last_error = Reason("broker-lost", LOST, self._where)
            self._drop()
            if loop.time() - began >= longest:
                pause = shortest
            # With jitter, so that many clients do not return at once.
            await asyncio.sleep(pause * (0.5 + self._random.random() / 2))
            pause = min(longest, pause * 2)

    async def _connect(self) -> None:
        config = self.config
        self._down.clear()
        self._state_since = clock.now_ns() // 1_000_000
        if (will := self._state(is_online=False)) is not None:
            self._client._will_message = Will(will.topic, will.payload, qos=1, retain=True)
        try:
            await connect(
                self._client,
                self._down,
                config.host,
                config.port,
                tls=None,
                keep_alive=config.keep_alive,
                is_five=False,
                patience=_PATIENCE,
            )
        except NotAccepted as error:
            raise _Unusable(Reason("broker-refused", error.what, error.facts)) from error
        except TimeoutError as error:
            raise _Unusable(Reason("broker-silent", NO_ANSWER, self._where)) from error
        except OSError as error:
            why = error.strerror or str(error)
            raise _Unusable(Reason("broker-unreachable", UNREACHABLE, {**self._where, "why": why})) from error

    def _state(self, *, is_online: bool) -> Message | None:
        """tck-id-payloads-state-birth-payload: birth and will carry the time of the same CONNECT."""
        host = self.config.host_id
        if host is None:
            return None
        return Message(state_topic(host), State(is_online, self._state_since).encode(), retain=True)

    def _say_state(self, *, is_online: bool) -> None:
        if (message := self._state(is_online=is_online)) is not None:
            self.publish(message)

    async def _subscribe(self) -> None:
        self._subscribed = asyncio.get_running_loop().create_future()
        self._client.subscribe([Subscription(each, qos=1) for each in self._filters])
        down = asyncio.create_task(self._down.wait())
        try:
            await asyncio.wait((self._subscribed, down), timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
        if not self._subscribed.done():
            raise _Unusable(Reason("broker-silent", NO_ANSWER, self._where))
        refused = [
            each for each, code in zip(self._filters, self._subscribed.result(), strict=False) if code >= _FAILED
        ]
        if len(refused) == len(self._filters):
            raise _Unusable(Reason("not-subscribed", NOT_SUBSCRIBED, {"topics": ", ".join(refused)}))

    def _granted(self, _: Client, __: int, codes: Sequence[int], ___: Any) -> None:
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_result(codes)

    async def _heard(self, _: Client, topic: Any, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        await self._hear(topic if isinstance(topic, str) else topic.decode(errors="replace"), payload)
        return 0

    def _drop(self) -> None:
        made = transport(self._client)
        if made is not None and not made.is_closing():
            made.abort()
