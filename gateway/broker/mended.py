"""amqtt's broker with the defects mended that would spoil a lab: MQTT 3.1.1 where amqtt 0.12 departs from it.

- A silent client is disconnected after one and a half keep-alive periods, a packet that breaks the protocol ends the
  connection, and CONNECT has to come in time: all by the reader amqtt reads from.
- A second client of the same name ends the connection of the first, after having proved who it is.
- Messages are delivered with the lower of the published and the subscribed QoS, once to each client, in order, for as
  long as it takes, retained ones only to whoever subscribes, and those sent just before DISCONNECT, too.
- Everything a client can make grow has a limit.

What remains amqtt's: the life of the broker and its listeners, sessions with their identifiers and messages under way,
the table of subscriptions, retained messages, wills, the decoding of CONNECT, SUBSCRIBE and UNSUBSCRIBE and the
encoding of everything that is sent.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import amqtt.broker
from amqtt import session as amqtt_session
from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Server
from amqtt.contexts import ListenerConfig
from amqtt.mqtt import packet
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session

from gateway.broker.access import Access
from gateway.broker.config import BrokerConfig
from gateway.broker.handler import Handler, Turn, Writer
from gateway.broker.messages import MessageBroker
from gateway.broker.packets import Connect, PacketReader
from gateway.broker.store import Store
from lab.clock import now
from lab.network.containment import contain
from lab.network.tls_server import Peer, server_context
from lab.wire.malformed import Malformed

# A broker is not the screen's business; without a handler Python would print over it.
logging.getLogger("amqtt").addHandler(logging.NullHandler())

contain(amqtt.broker, amqtt_session, packet)

CONNECT_TIMEOUT = 10.0
"""Seconds a client has for its CONNECT; MQTT 3.1.1, 3.1.4 asks for a reasonable amount of time."""

_REFUSED_LEVEL = bytes.fromhex("20020001")
_REFUSED_LEVEL_5 = bytes.fromhex("2003008400")
"""The same in the form of MQTT 5, whose clients may not understand the older one: reason 0x84, no properties."""
_REFUSED_IDENTIFIER = bytes.fromhex("20020002")
_REFUSED_UNAVAILABLE = bytes.fromhex("20020003")
_REFUSED_NOT_AUTHORISED = bytes.fromhex("20020005")


@dataclass(eq=False)
class Connection:
    """One TCP connection to the broker."""

    reader: PacketReader
    address: str
    connect: Connect | None = None
    identity: str | None = None
    """The user its certificate names."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def username(self) -> str | None:
        return self.identity if self.identity is not None else self.connect.username if self.connect else None


class MendedBroker(MessageBroker):
    """A broker for one plain listener and one for TLS on all addresses of its host."""

    def __init__(self, config: BrokerConfig, *, folder: Path | None = None) -> None:
        """What outlasts the program lies in the folder, if there is one."""
        ports = {"default": config.port, "tls": config.tls and config.tls.port}
        listeners = {
            name: {"type": "tcp", "bind": f"0.0.0.0:{port}" if port else None, "ssl": name == "tls" and bool(port)}
            for name, port in ports.items()
        }
        super().__init__(config, {"listeners": listeners, "plugins": {}})
        self._tls = config.tls
        self._folder = folder if config.persistence else None
        self.denied = 0
        """Logins refused."""
        self.refused = 0
        """Connections for which there was no room."""
        self.connections: list[Connection] = []
        """In order of arrival: a set would end them in another order in every run."""
        self._named: dict[str, Connection] = {}
        self._turn = Turn()
        self._unnamed = count(1)

    # -- life --------------------------------------------------------------------------------------------------------

    async def _start_listeners(self) -> None:
        if self._folder is not None:
            store = self.postage.store = Store(self._folder)
            await self._restore(store)
            self._turn.before_sending, store.changed = store.commit, self._turn.begin
        self.sys.start()
        await super()._start_listeners()

    def _create_ssl_context(self, listener: ListenerConfig) -> ssl.SSLContext:  # type: ignore[override]
        tls = self._tls
        assert tls is not None
        return server_context(
            tls.certificate,
            tls.key,
            tls.ca,
            client_certificate=tls.client_certificate,
            min_version=tls.min_version,
        )

    async def _create_server_instance(
        self, listener_name: str, listener_type: Any, address: str | None, port: int, ssl_context: ssl.SSLContext | None
    ) -> Any:
        return await asyncio.start_server(
            lambda reader, writer: self.stream_connected(reader, writer, listener_name),
            address,
            port,
            ssl=ssl_context,
            ssl_handshake_timeout=CONNECT_TIMEOUT if ssl_context else None,
        )

    async def shutdown(self) -> None:
        self.sys.stop()
        connections = list(self.connections)
        for connection in connections:
            connection.reader.close("the broker stops")
        for connection in connections:
            await connection.ended.wait()
        for session, _ in self._sessions.values():
            self._is_back(session)
        if store := self.postage.store:
            # Before amqtt forgets everything.
            store.close()
            self.postage.store = None
        await super().shutdown()

    def admit_again(self, config: BrokerConfig) -> None:
        """Take on new rules and limits; clients they do not admit are disconnected."""
        self.access = access = Access(config)
        self.limits = self.postage.limits = config.limits
        self._receivers.clear()
        for connection in self.connections:
            connect = connection.connect
            if connect is None or connection.identity is not None:
                continue
            if not access.admits(connect.username, connect.password):
                connection.reader.close("no longer admitted")

    # -- connections -------------------------------------------------------------------------------------------------

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        peer = writer.get_extra_info("peername") or ("?", 0)
        connection = Connection(PacketReader(reader, self.limits.max_packet), f"{peer[0]}:{peer[1]}")
        if not self._make_room():
            self.refused += 1
            writer.transport.abort()
            return
        self.connections.append(connection)
        adapter = Writer(writer, self._turn)
        try:
            if await self._admitted(connection, adapter):
                await self._client_connected(listener_name, connection.reader, adapter)
        finally:
            connection.reader.release()
            await adapter.close()
            self.connections.remove(connection)
            if connection.connect and self._named.get(connection.connect.client_id) is connection:
                del self._named[connection.connect.client_id]
            connection.ended.set()

    def _make_room(self) -> bool:
        """Whether one more may come; for it the longest of those goes who have not said who they are."""
        if len(self.connections) < self.limits.max_connections:
            return True
        if len(self.connections) >= 2 * self.limits.max_connections:
            return False  # those on their way out
        mute = next((each for each in self.connections if each.connect is None and not each.reader.is_closed), None)
        if mute is not None:
            mute.reader.close("others wait")
        return mute is not None

    async def _admitted(self, connection: Connection, writer: Writer) -> bool:
        """Whether amqtt should see this client at all."""
        try:
            connect = await connection.reader.connect(CONNECT_TIMEOUT)
        except (Malformed, EOFError):
            return False
        if connect.level != 4 and connect.protocol in ("MQTT", "MQIsdp"):
            # MQTT-3.1.2-2
            writer.write(_REFUSED_LEVEL_5 if (connect.protocol, connect.level) == ("MQTT", 5) else _REFUSED_LEVEL)
            return False
        if connect.protocol != "MQTT":
            return False  # MQTT-3.1.2-1
        if not connect.client_id and not connect.clean_session:
            writer.write(_REFUSED_IDENTIFIER)  # MQTT-3.1.3-8
            return False
        if not self._knows(connection, connect, writer):
            self.denied += 1
            writer.write(_REFUSED_NOT_AUTHORISED)
            return False
        if not connect.client_id:
            connect = replace(connect, client_id=self._unused_name())  # MQTT-3.1.3-6
        # MQTT-3.1.4-2: the older client of this name goes. Only now, when the newer one has proved who it is.
        while (older := self._named.get(connect.client_id)) is not None:
            older.reader.close("taken over")
            await older.ended.wait()
        if connection.reader.is_closed:
            return False
        connection.connect = connect
        self._named[connect.client_id] = connection
        return True

    def _unused_name(self) -> str:
        names = (f"auto-{number}" for number in self._unnamed)
        return next(name for name in names if name not in self._sessions and name not in self._named)

    def _knows(self, connection: Connection, connect: Connect, writer: Writer) -> bool:
        tls, secured = self._tls, writer.get_ssl_info()
        if tls is not None and secured is not None:
            peer = Peer(secured)
            if peer.trouble(tls.ca, now()):
                return False
            if tls.use_identity_as_username:
                connection.identity = peer.common_name
                return connection.identity is not None
        return self.access.admits(connect.username, connect.password)

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        connection = next(each for each in self.connections if each.reader is reader)
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        assert connection.connect is not None
        session.client_id = connection.connect.client_id
        session.will_retain = connection.connect.will_retain  # amqtt leaves that of an older connection
        session.keep_alive = 0  # the reader sees to it
        session.username = connection.username
        return Handler(self.plugins_manager), session

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
        assert isinstance(handler, Handler)
        self._is_back(session)
        session.transitions.connect()
        handler.attach(session, reader, writer)
        handler.broker, handler.outbox = self, self._outbox(session)
        self._sessions[client_id] = (session, handler)
        self._receivers.clear()  # another user may have come for it
        if store := self.store_of(session):
            store.put_session(client_id, session.username, None)
        await handler.mqtt_connack_authorize(True)
        await handler.start()
        farewell = None
        try:
            farewell = await handler.run()
        finally:
            ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            ended.set_result(farewell)
            await self._handle_disconnect(session, handler, ended)
        if session.clean_session:
            await self._cleanup_session(client_id)
        else:
            self._leave(session)
