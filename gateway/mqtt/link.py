"""The connection to a broker, on gmqtt's client, which is kept from reconnecting and queueing by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from gmqtt import Client, Message
from gmqtt.mqtt import connection, handler, protocol
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.storage import PersistentStorage

from gateway.driver import CLOSED_BY_PEER, why_not_connected
from gateway.mqtt.config import MqttDestination
from gateway.mqtt.outbox import Publication
from gateway.samples import Reason, Unreachable
from lab.network.containment import contain
from lab.text import Text

# Keep-alive looks at the time of the latest packets.
contain(connection, handler, protocol)
# What goes wrong is shown by status(); without a handler Python would print it over the screen.
logging.getLogger("gmqtt").addHandler(logging.NullHandler())

NO_CONNACK = Text(zh="{host}:{port} 没有应答 CONNECT", en="{host}:{port} did not answer CONNECT")
CLOSED_BEFORE_CONNACK = Text(
    zh="{host}:{port} 未应答 CONNECT 就关闭了连接",
    en="{host}:{port} closed the connection instead of answering CONNECT",
)
REFUSED = Text(zh="{host}:{port} 拒绝登录：{why}（{code}）", en="{host}:{port} refused CONNECT: {why} ({code})")
# MQTT 3.1.1, table 3.1; MQTT 5, table 3-1
REFUSALS = {
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
}
OTHER_REFUSAL = Text(zh="其他原因", en="another reason")

CLOSING = 1.0
"""Seconds a broker has to acknowledge what it was sent last, and as many to take our DISCONNECT."""
_NEVER_RECONNECT = {"reconnect_retries": -2}  # -1 is for ever, and 0 still once


class Unacknowledged(PersistentStorage):
    """gmqtt's store of packets of QoS 1 and 2, which tells what became of them."""

    def __init__(self, acknowledged: Callable[[int], None], forgotten: Callable[[], None]) -> None:
        super().__init__()
        self._acknowledged = acknowledged
        self._forgotten = forgotten
        self.newest: int | None = None
        self.free: Callable[[int], None] = lambda _: None

    def push_message(self, mid: int, raw_package: bytes) -> None:
        super().push_message(mid, raw_package)
        self.newest = mid

    def remove_message_by_mid(self, mid: int) -> None:
        super().remove_message_by_mid(mid)
        self._acknowledged(mid)

    async def wait_empty(self) -> None:
        """gmqtt would not be connected before everything old is acknowledged; our window takes care of that."""

    async def drained(self) -> None:
        """Wait until everything sent has been acknowledged."""
        await super().wait_empty()

    def clear(self) -> None:
        """The broker has no session, so these identifiers are free and their messages are sent anew."""
        for mid, _ in super().get_all():
            self.free(mid)
        super().clear()
        self._forgotten()

    def get_all(self) -> list[tuple[int, bytes]]:
        """What is to be sent again. MQTT-3.3.1-1: a PUBLISH sent again has DUP set."""
        return [
            (mid, bytes([packet[0] | 0x08, *packet[1:]]) if packet[0] >> 4 == 3 else packet)
            for mid, packet in super().get_all()
        ]


class MqttLink:
    """One client of one broker, to be connected again and again."""

    def __init__(
        self,
        config: MqttDestination,
        client_id: str,
        will: Publication | None,
        acknowledged: Callable[[int], None],
        forgotten: Callable[[], None],
    ) -> None:
        self._config = config
        self._where = {"host": config.host, "port": config.port}
        self._unacknowledged = Unacknowledged(acknowledged, forgotten)
        self.down = asyncio.Event()
        self.receive_maximum = 65_535
        """How many messages of QoS 1 and 2 the broker wants in flight at most."""
        lasting = config.version == "5" and not config.clean_session
        self._client = client = Client(
            client_id,
            clean_session=config.clean_session,
            will_message=will and Message(will.topic, will.payload, qos=will.qos, retain=will.retain),
            persistent_storage=self._unacknowledged,
            **({"session_expiry_interval": config.session_expiry} if lasting else {}),
        )
        client.set_config(_NEVER_RECONNECT)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        if config.username is not None:
            client.set_auth_credentials(config.username, config.password)
        self._unacknowledged.free = client._package_handler.id_generator.free_id

    async def connect(self) -> None:
        """CONNECT and be accepted; raises Unreachable."""
        config = self._config
        self.down.clear()
        accepted = asyncio.create_task(
            self._client.connect(
                config.host,
                config.port,
                keepalive=config.keep_alive,
                version=MQTTv50 if config.version == "5" else MQTTv311,
            )
        )
        # gmqtt waits for a CONNACK even where the connection has gone.
        down = asyncio.create_task(self.down.wait())
        try:
            async with asyncio.timeout(config.timeout_ms / 1000):
                await asyncio.wait((accepted, down), return_when=asyncio.FIRST_COMPLETED)
            if not accepted.done():
                raise self._closed_before_connack()
            accepted.result()
        except MQTTConnectError as error:
            why = REFUSALS.get(error._code, OTHER_REFUSAL)
            if self._transport is not None:
                self._transport.close()
            raise Unreachable(Reason(REFUSED, {**self._where, "why": why, "code": error._code})) from error
        except OSError as error:
            if isinstance(error, TimeoutError) and self._transport is not None:
                raise Unreachable(Reason(NO_CONNACK, self._where)) from error
            raise Unreachable(why_not_connected(error, config.host, config.port, config.timeout_ms)) from error
        finally:
            accepted.cancel()
            down.cancel()
            await asyncio.gather(accepted, down, return_exceptions=True)

    def _closed_before_connack(self) -> Unreachable:
        if self._config.version == "5" and self._client._connection_state.protocol_version != MQTTv50:
            # gmqtt took a broker's "not MQTT 5" as a call to fall back, which nobody configured.
            return Unreachable(Reason(REFUSED, {**self._where, "why": REFUSALS[1], "code": 1}))
        return Unreachable(Reason(CLOSED_BEFORE_CONNACK, self._where))

    def publish(self, message: Publication) -> int | None:
        """Send a message; returns the packet identifier under which it will be acknowledged, None for QoS 0."""
        self._unacknowledged.newest = None
        self._client.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)
        return self._unacknowledged.newest

    async def drain(self) -> None:
        """Wait while the broker takes less than we send; returns at once where the connection has gone."""
        connected = self._client._connection
        assert connected is not None
        try:
            await connected._protocol._drain_helper()
        except ConnectionResetError:
            pass

    def why_lost(self) -> Reason:
        return Reason(CLOSED_BY_PEER, self._where)

    async def close(self) -> None:
        """Say DISCONNECT once everything is acknowledged, where somebody may hear it, and be gone."""
        transport = self._transport
        if transport is None:
            return
        if not transport.is_closing():
            # An acknowledgement that comes to a closed socket is answered with a reset.
            for step in (self._unacknowledged.drained, self._client.disconnect):
                try:
                    async with asyncio.timeout(CLOSING):
                        await step()
                except TimeoutError:
                    pass
        transport.abort()

    def drop(self) -> None:
        """Be gone without a word, so that the broker publishes the will; what already closes may do so in peace."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    @property
    def _transport(self) -> asyncio.Transport | None:
        connection = self._client._connection
        return None if connection is None else connection._transport

    def _on_connect(self, _client: Client, _flags: int, _code: int, properties: dict[str, Any]) -> None:
        self.receive_maximum = properties.get("receive_maximum", [65_535])[0]

    def _on_disconnect(self, *_: Any) -> None:
        self.down.set()
