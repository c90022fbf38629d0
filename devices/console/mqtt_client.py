"""One connection to an MQTT broker, on gmqtt's client, which is kept from reconnecting."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gmqtt import Client, Subscription
from gmqtt.mqtt import connection, handler, protocol
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.storage import PersistentStorage

from devices.console import tls, words
from devices.console.process import Failure, Process
from lab.network.containment import contain
from lab.text import Text
from lab.wire.mqtt.reasons import ReasonCode

# Keep-alive looks at the time of the latest packets.
contain(connection, handler, protocol)
# What goes wrong is said by the program; without a handler Python would print it over the screen.
logging.getLogger("gmqtt").addHandler(logging.NullHandler())

NO_CONNACK = Text(zh="{host}:{port} 没有应答 CONNECT", en="{host}:{port} did not answer CONNECT")
CLOSED = Text(
    zh="{host}:{port} 未应答 CONNECT 就关闭了连接",
    en="{host}:{port} closed the connection instead of answering CONNECT",
)
REFUSED = Text(zh="{host}:{port} 拒绝登录：{why}（{code}）", en="{host}:{port} refused CONNECT: {why} ({code})")
REFUSALS: Final[Mapping[int, Text]] = {
    1: Text(zh="不支持的协议版本", en="unacceptable protocol version"),
    2: Text(zh="客户端标识被拒", en="client identifier rejected"),
    3: Text(zh="服务不可用", en="server unavailable"),
    4: Text(zh="用户名或口令错误", en="bad user name or password"),
    5: Text(zh="未授权", en="not authorised"),
    132: Text(zh="不支持的协议版本", en="unsupported protocol version"),
    133: Text(zh="客户端标识无效", en="client identifier not valid"),
    134: Text(zh="用户名或口令错误", en="bad user name or password"),
    135: Text(zh="未授权", en="not authorised"),
    136: Text(zh="服务不可用", en="server unavailable"),
    137: Text(zh="服务器忙", en="server busy"),
    138: Text(zh="客户端被禁止", en="banned"),
}
"""MQTT 3.1.1, table 3.1; MQTT 5, table 3-1."""
OTHER = Text(zh="其他原因", en="another reason")

_CONNECTING: Final = 10.0
_CLOSING: Final = 1.0
"""Seconds"""
_NEVER_RECONNECT: Final = {"reconnect_retries": -2}  # -1 is for ever, and 0 still once
_FAILED: Final = 0x80


class MqttClient:
    """Connect, use, close."""

    def __init__(self, process: Process, client_id: str, *, clean: bool, user: tuple[str, str | None] | None) -> None:
        self._process = process
        self._storage = PersistentStorage()
        self._client = client = Client(client_id, clean_session=clean, persistent_storage=self._storage)
        client.set_config(_NEVER_RECONNECT)
        client.on_disconnect = self._lost
        client.on_message = self._heard
        client.on_subscribe = self._subscribed
        if user is not None:
            client.set_auth_credentials(*user)
        self.down = asyncio.Event()
        self.hear: Callable[[str, bytes, dict[str, Any]], None] = lambda topic, payload, properties: None
        self.refusal: str | None = None
        """Why the broker did not take a message, where it said so."""
        self._answers: asyncio.Future[Sequence[int]] | None = None
        packets = client._package_handler
        for name in ("_handle_puback_packet", "_handle_pubrec_packet"):
            setattr(packets, name, self._noting_refusals(getattr(packets, name)))

    def _noting_refusals(self, handle: Callable[[int, bytes], None]) -> Callable[[int, bytes], None]:
        """gmqtt does not look at the reason codes of MQTT 5 in acknowledgements."""

        def noting(command: int, packet: bytes) -> None:
            code = packet[2] if len(packet) > 2 else 0
            if code >= _FAILED:
                known = code in ReasonCode._value2member_map_
                self.refusal = ReasonCode(code).name.lower().replace("_", " ") if known else f"0x{code:02x}"
            handle(command, packet)

        return noting

    async def connect(
        self, host: str, port: int, context: ssl.SSLContext | None, *, keep_alive: int, is_five: bool
    ) -> None:
        """CONNECT and be accepted; raises Failure."""
        version = MQTTv50 if is_five else MQTTv311
        where = {"host": host, "port": port}
        accepted = asyncio.create_task(
            self._client.connect(host, port, ssl=context or False, keepalive=keep_alive, version=version)
        )
        # gmqtt waits for a CONNACK even where the connection has gone.
        down = asyncio.create_task(self.down.wait())
        try:
            async with asyncio.timeout(_CONNECTING):
                await asyncio.wait((accepted, down), return_when=asyncio.FIRST_COMPLETED)
            if not accepted.done():
                if is_five and self._client._connection_state.protocol_version != MQTTv50:
                    # gmqtt took the broker's "not MQTT 5" as a call to fall back, which nobody asked for.
                    raise Failure(REFUSED, why=self._process.say(REFUSALS[1]), code=1, **where)
                raise Failure(CLOSED, **where)
            accepted.result()
        except MQTTConnectError as error:
            why = self._process.say(REFUSALS.get(error._code, OTHER))
            raise Failure(REFUSED, why=why, code=error._code, **where) from None
        except ssl.SSLError as error:
            raise tls.failure(self._process, error) from None
        except OSError as error:
            if isinstance(error, TimeoutError) and self._transport is not None:
                raise Failure(NO_CONNACK, **where) from None
            raise Failure(words.CONNECTING_FAILED, why=self._process.why(error), **where) from None
        finally:
            accepted.cancel()
            down.cancel()
            await asyncio.gather(accepted, down, return_exceptions=True)

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self.refusal = None
        self._client.publish(topic, payload, qos=qos, retain=retain)

    async def acknowledged(self, patience: float) -> bool:
        """Wait for what was published; False where it did not come, or the connection went first."""
        waiting = asyncio.create_task(self._storage.wait_empty())
        down = asyncio.create_task(self.down.wait())
        try:
            await asyncio.wait((waiting, down), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            return waiting.done()
        finally:
            waiting.cancel()
            down.cancel()

    async def subscribe(self, topics: Sequence[str], qos: int, patience: float) -> list[str]:
        """The topics that are refused; raises Failure where there is no answer."""
        self._answers = asyncio.get_running_loop().create_future()
        self._client.subscribe([Subscription(topic, qos=qos) for topic in topics])
        down = asyncio.create_task(self.down.wait())
        try:
            await asyncio.wait((self._answers, down), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
        if not self._answers.done():
            raise Failure(words.TIMED_OUT)
        return [topic for topic, code in zip(topics, self._answers.result(), strict=False) if code >= _FAILED]

    async def close(self) -> None:
        """DISCONNECT, where somebody may hear it, and be gone."""
        transport = self._transport
        if transport is None:
            return
        if not transport.is_closing():
            try:
                async with asyncio.timeout(_CLOSING):
                    await self._client.disconnect()
            except TimeoutError:
                pass
        transport.abort()

    @property
    def _transport(self) -> asyncio.Transport | None:
        made = self._client._connection
        return None if made is None else made._transport

    def _lost(self, *_: Any) -> None:
        self.down.set()

    def _heard(self, _: Client, topic: Any, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        self.hear(topic if isinstance(topic, str) else topic.decode(errors="replace"), payload, properties)
        return 0

    def _subscribed(self, _: Client, __: int, codes: Sequence[int], ___: Any) -> None:
        if self._answers is not None and not self._answers.done():
            self._answers.set_result(codes)
