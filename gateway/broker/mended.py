"""amqtt's broker with the defects mended that would spoil a lab: MQTT 3.1.1 where amqtt 0.12 departs from it.

- A silent client is disconnected after one and a half keep-alive periods, a packet that breaks the protocol ends the
  connection, and CONNECT has to come in time: all by the reader amqtt reads from.
- A second client of the same name ends the connection of the first, after having proved who it is.
- Messages are delivered with the lower of the published and the subscribed QoS, retained ones only to whoever
  subscribes, and those sent just before DISCONNECT, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import amqtt.broker
from amqtt import session as amqtt_session
from amqtt.adapters import ReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker, Server
from amqtt.contexts import Action, ListenerConfig
from amqtt.mqtt import packet
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import ApplicationMessage, OutgoingApplicationMessage, Session

from gateway.broker.access import Access
from gateway.broker.packets import Connect, PacketReader
from gateway.topics import matches
from lab.network.containment import contain
from lab.wire.malformed import Malformed

# A broker is not the screen's business; without a handler Python would print over it.
logging.getLogger("amqtt").addHandler(logging.NullHandler())

contain(amqtt.broker, amqtt_session, packet)

CONNECT_TIMEOUT = 10.0
"""Seconds a client has for its CONNECT; MQTT 3.1.1, 3.1.4 asks for a reasonable amount of time."""
CLOSING = 2.0
"""Seconds the other end has to take what was written before the connection is cut."""

_REFUSED_LEVEL = bytes.fromhex("20020001")
_REFUSED_NOT_AUTHORISED = bytes.fromhex("20020005")


@dataclass(eq=False)
class Connection:
    """One TCP connection to the broker."""

    reader: PacketReader
    address: str
    connect: Connect | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Writer(StreamWriterAdapter):
    """Closes without waiting for ever for a client that has gone."""

    async def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSING):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()


class Handler(BrokerProtocolHandler):
    """Remembers how a connection ended, even before anybody asks."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._farewell: asyncio.Future[DisconnectPacket | None] = asyncio.get_running_loop().create_future()

    async def handle_disconnect(self, disconnect: DisconnectPacket | None) -> None:
        if not self._farewell.done():
            self._farewell.set_result(disconnect)

    async def wait_disconnect(self) -> DisconnectPacket | None:
        return await self._farewell

    async def stop(self) -> None:
        await super().stop()
        await self.handle_disconnect(None)


class MendedBroker(Broker):
    """A broker for one plain TCP listener on all addresses of its host."""

    def __init__(self, port: int, access: Access) -> None:
        listener = {"default": {"type": "tcp", "bind": f"0.0.0.0:{port}"}}
        super().__init__({"listeners": listener, "plugins": {}})
        self.access = access
        self.received = 0
        """PUBLISH packets taken from clients."""
        self.delivered = 0
        """PUBLISH packets given to clients."""
        self.denied = 0
        """Logins refused."""
        self.connections: list[Connection] = []
        """In order of arrival: a set would end them in another order in every run."""
        self._deliveries: set[asyncio.Task[Any]] = set()

    async def shutdown(self) -> None:
        connections = list(self.connections)
        for connection in connections:
            connection.reader.close("the broker stops")
        for connection in connections:
            await connection.ended.wait()
        await super().shutdown()

    def admit_again(self, access: Access) -> None:
        """Take on new rules; clients they do not admit are disconnected."""
        self.access = access
        for connection in self.connections:
            connect = connection.connect
            if connect is not None and not access.admits(connect.username, connect.password):
                connection.reader.close("no longer admitted")

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        address = writer.get_extra_info("peername")
        connection = Connection(PacketReader(reader), f"{address[0]}:{address[1]}")
        self.connections.append(connection)
        adapter = Writer(writer)
        try:
            if await self._admitted(connection, adapter):
                await self._client_connected(listener_name, connection.reader, adapter)
        finally:
            await adapter.close()
            self.connections.remove(connection)
            connection.ended.set()

    async def _admitted(self, connection: Connection, writer: Writer) -> bool:
        """Whether amqtt should see this client at all."""
        try:
            connect = await connection.reader.connect(CONNECT_TIMEOUT)
        except (Malformed, EOFError):
            return False
        if connect.protocol != "MQTT":
            return False
        if connect.level != 4:
            writer.write(_REFUSED_LEVEL)  # MQTT-3.1.2-2
            return False
        if not self.access.admits(connect.username, connect.password):
            self.denied += 1
            writer.write(_REFUSED_NOT_AUTHORISED)
            return False
        # MQTT-3.1.4-2: the older client of this name goes. Only now, when the newer one has proved who it is.
        while older := self._connected_as(connect.client_id):
            older.reader.close("taken over")
            await older.ended.wait()
        connection.connect = connect
        return True

    def _connected_as(self, client_id: str) -> Connection | None:
        if not client_id:
            return None
        named = (each for each in self.connections if each.connect and each.connect.client_id == client_id)
        return next(named, None)

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        session.keep_alive = 0  # the reader sees to it
        return Handler(self.plugins_manager), session

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        return True  # or it would not have come this far

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        return self.access.permits(session.username, action.value, topic)

    async def _handle_client_session(
        self,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        client_session: Session,
        handler: BrokerProtocolHandler,
        server: Server,
        listener_name: str,
    ) -> None:
        session = client_session
        client_id = session.client_id
        assert client_id is not None
        session.transitions.connect()
        handler.attach(session, reader, writer)
        self._sessions[client_id] = (session, handler)
        await handler.mqtt_connack_authorize(True)
        await handler.start()
        while not session.retained_messages.empty():
            queued = session.retained_messages.get_nowait()
            self._deliver(handler, queued.topic, queued.data, queued.qos or 0, retain=False)
        await self._client_message_loop(session, handler)
        if session.clean_session:
            await self._cleanup_session(client_id)

    async def _client_message_loop(self, client_session: Session, handler: BrokerProtocolHandler) -> None:
        session = client_session
        workers = [
            asyncio.create_task(work)
            for work in (
                self._take_messages(session),
                self._take_subscriptions(session, handler),
                self._take_unsubscriptions(session, handler),
            )
        ]
        try:
            farewell = await handler.wait_disconnect()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        while not session.delivered_message_queue.empty():
            await self._take(session, session.delivered_message_queue.get_nowait())
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ended.set_result(farewell)
        await self._handle_disconnect(session, handler, ended)

    async def _take_messages(self, session: Session) -> None:
        while True:
            await self._take(session, await session.delivered_message_queue.get())

    async def _take_subscriptions(self, session: Session, handler: BrokerProtocolHandler) -> None:
        while True:
            request: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            request.set_result(await handler.get_next_pending_subscription())
            await self._handle_subscription(session, handler, request)

    async def _take_unsubscriptions(self, session: Session, handler: BrokerProtocolHandler) -> None:
        while True:
            request: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            request.set_result(await handler.get_next_pending_unsubscription())
            await self._handle_unsubscription(session, handler, request)

    async def _take(self, session: Session, message: ApplicationMessage) -> None:
        self.received += 1
        # MQTT-4.7.2-1: topics beginning with $ are the broker's own.
        if message.topic.startswith("$") or not self.access.permits(session.username, "publish", message.topic):
            return
        qos = message.qos or 0
        await self._broadcast_message(session, message.topic, message.data, qos)
        if message.retain:
            await self.retain_message(session, message.topic, message.data, qos)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        # MQTT-3.8.4-3: a second subscription to the same filter replaces the first.
        self._del_subscription(subscription[0], session)
        return await super().add_subscription(subscription, session)

    async def _run_broadcast(self, running_tasks: deque[asyncio.Task[OutgoingApplicationMessage]]) -> None:
        message = await self._broadcast_queue.get()
        topic, data = message["topic"], message["data"]
        receivers = [
            (session, min(message.get("qos", qos), qos))  # MQTT-3.8.4-6
            for topic_filter, subscriptions in self._subscriptions.items()
            if matches(topic_filter, topic)
            for session, qos in subscriptions
            if self.access.permits(session.username, "receive", topic)
        ]
        for session, qos in receivers:
            if session.transitions.state == "connected":
                if handler := self._get_handler(session):
                    self._deliver(handler, topic, data, qos, retain=False)
            elif qos and not session.clean_session:
                await self._retain_broadcast_message(message, qos, session)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        topic_filter, qos = subscription
        handler = self._get_handler(session)
        if handler is None:
            return
        for topic, retained in self._retained_messages.items():
            if matches(topic_filter, topic) and self.access.permits(session.username, "receive", topic):
                self._deliver(handler, topic, retained.data, min(qos, retained.qos or 0), retain=True)

    def _deliver(
        self, handler: BrokerProtocolHandler, topic: str, data: bytes | bytearray, qos: int, *, retain: bool
    ) -> None:
        """Send without waiting for the acknowledgement, so that one client does not hold up the others."""
        self.delivered += 1
        task = asyncio.create_task(handler.mqtt_publish(topic, data, qos, retain))
        self._deliveries.add(task)
        task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[Any]) -> None:
        self._deliveries.discard(task)
        if not task.cancelled():
            task.exception()  # it was not acknowledged in time; amqtt has given it up

    async def _session_monitor(self) -> None:
        """Nothing to look for every second: a clean session ends with its connection."""
