"""The connection to a broker, on gmqtt's client, which is kept from reconnecting and queueing by itself."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from gmqtt import Client, Message, Subscription
from gmqtt.storage import PersistentStorage

from gateway.driver import CLOSED_BY_PEER, why_not_connected
from gateway.formats.format import Publication
from gateway.mqtt.config import MqttDestination
from gateway.samples import Reason, Unreachable
from lab.network.mqtt_client import CLOSED, NotAccepted, connect, make_client, note_refusals, transport, why_lost
from lab.network.tls import CLOSED_IN_HANDSHAKE, NO_TLS_THERE, client_context, why_not_secure
from lab.text import Text

MAYBE_TLS = Text(
    zh="{host}:{port} 未应答 CONNECT 就关闭了连接；8883 通常是 TLS 端口，是否缺少 tls？",
    en="{host}:{port} closed the connection instead of answering CONNECT; 8883 is usually for TLS: is tls missing?",
)
MAYBE_PLAIN = Text(
    zh="{host}:{port} 没有完成 TLS 握手；1883 通常是明文端口，TLS 通常用 8883",
    en="{host}:{port} does not seem to speak TLS: 1883 is usually plain, TLS is usually at 8883",
)
NOT_SUBSCRIBED = Text(zh="{host}:{port} 拒绝订阅 {topic}", en="{host}:{port} refuses the subscription to {topic}")

CLOSING: Final = 1.0
"""Seconds a broker has to acknowledge what it was sent last, and as many to take our DISCONNECT."""
WITH_WILL: Final = 0x04
"""MQTT 5 section 3.14.2.1: disconnect, and let the will be published."""
_FAILED: Final = 0x80


class Listener(Protocol):
    """Whoever uses a link."""

    def acknowledged(self, identifier: int) -> None:
        """The broker has a message."""

    def refused(self, identifier: int, code: int) -> None:
        """The broker will not take a message (MQTT 5)."""

    def forgotten(self) -> None:
        """The broker knows nothing of what was sent before."""

    def heard(self, topic: str, payload: bytes, retained: bool) -> None:
        """A message came."""

    def complain(self, reason: Reason) -> None:
        """Something is wrong that does not end the connection."""


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

    def __init__(self, config: MqttDestination, client_id: str, listener: Listener) -> None:
        self._config = config
        self._listener = listener
        self._where = {"host": config.host, "port": config.tcp_port}
        self._tls = None if config.tls is None else client_context(config.tls)
        self._unacknowledged = Unacknowledged(listener.acknowledged, listener.forgotten)
        self._subscribing: Sequence[str] = ()
        self.down = asyncio.Event()
        self.receive_maximum = 65_535
        """How many messages of QoS 1 and 2 the broker wants in flight at most."""
        lasting = config.version == "5" and not config.clean_session
        self._client = client = make_client(
            client_id,
            clean_session=config.clean_session,
            persistent_storage=self._unacknowledged,
            **({"session_expiry_interval": config.session_expiry} if lasting else {}),
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        note_refusals(client, listener.refused)
        if config.username is not None:
            client.set_auth_credentials(config.username, config.password)
        self._unacknowledged.free = client._package_handler.id_generator.free_id

    async def connect(self, will: Publication | None) -> None:
        """CONNECT and be accepted; raises Unreachable."""
        config = self._config
        self.down.clear()
        self._client._will_message = will and Message(will.topic, will.payload, qos=will.qos, retain=will.retain)
        try:
            await connect(
                self._client,
                self.down,
                config.host,
                config.tcp_port,
                tls=self._tls,
                keep_alive=config.keep_alive,
                is_five=config.version == "5",
                patience=config.timeout_ms / 1000,
            )
        except NotAccepted as error:
            maybe_tls = error.what is CLOSED and self._tls is None and config.tcp_port == 8883
            raise Unreachable(Reason(MAYBE_TLS if maybe_tls else error.what, error.facts)) from error
        except OSError as error:
            raise Unreachable(self._why(error)) from error

    def _why(self, error: OSError) -> Reason:
        config = self._config
        if config.tls is not None and not isinstance(error, ConnectionRefusedError):
            why = why_not_secure(error, config.host, config.tcp_port, config.tls)
            if why is not None:
                is_plain = why.what in (NO_TLS_THERE, CLOSED_IN_HANDSHAKE) and config.tcp_port == 1883
                return Reason(MAYBE_PLAIN if is_plain else why.what, why.facts)
        return why_not_connected(error, config.host, config.tcp_port, config.timeout_ms)

    def subscribe(self, filters: Sequence[str]) -> None:
        if filters:
            self._subscribing = filters
            self._client.subscriptions.clear()
            self._client.subscribe([Subscription(each, qos=1) for each in filters])

    def publish(self, message: Publication) -> int | None:
        """Send a message; returns the packet identifier under which it will be acknowledged, None for QoS 0."""
        self._unacknowledged.newest = None
        self._client.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)
        return self._unacknowledged.newest

    @property
    def is_clogged(self) -> bool:
        """Whether the broker takes less than we send."""
        connected = self._client._connection
        return connected is None or bool(connected._protocol._paused)

    async def drain(self) -> None:
        """Wait while the broker takes less than we send; returns at once where the connection has gone."""
        connected = self._client._connection
        assert connected is not None
        try:
            await connected._protocol._drain_helper()
        except ConnectionResetError:
            pass

    def why_lost(self) -> Reason:
        error = why_lost(self._client)
        return self._why(error) if isinstance(error, ssl.SSLError) else Reason(CLOSED_BY_PEER, self._where)

    async def close(self, reason_code: int = 0) -> None:
        """Say DISCONNECT once everything is acknowledged, where somebody may hear it, and be gone."""
        made = transport(self._client)
        if made is None:
            return
        if not made.is_closing():
            # An acknowledgement that comes to a closed socket is answered with a reset.
            for step in (self._unacknowledged.drained(), self._client.disconnect(reason_code=reason_code)):
                try:
                    async with asyncio.timeout(CLOSING):
                        await step
                except (TimeoutError, OSError):
                    pass
        made.abort()

    def drop(self) -> None:
        """Be gone without a word, so that the broker publishes the will; what already closes may do so in peace."""
        made = transport(self._client)
        if made is not None and not made.is_closing():
            made.abort()

    def _on_connect(self, _client: Client, _flags: int, _code: int, properties: dict[str, Any]) -> None:
        self.receive_maximum = properties.get("receive_maximum", [65_535])[0]

    def _on_disconnect(self, *_: Any) -> None:
        self.down.set()

    def _on_message(self, _: Client, topic: Any, payload: bytes, _qos: int, properties: dict[str, Any]) -> int:
        if isinstance(topic, str):
            # gmqtt would keep to itself what goes wrong in here.
            retained = bool(properties.get("retain"))
            asyncio.get_running_loop().call_soon(self._listener.heard, topic, bytes(payload), retained)
        return 0

    def _on_subscribe(self, _: Client, _mid: int, codes: Sequence[int], _properties: Any) -> None:
        for topic, code in zip(self._subscribing, codes, strict=False):
            if code >= _FAILED:
                self._listener.complain(Reason(NOT_SUBSCRIBED, {**self._where, "topic": topic}))
