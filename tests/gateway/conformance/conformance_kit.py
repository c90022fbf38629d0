"""Statements of MQTT 3.1.1 put to a broker by a client of bytes: to ours in a plant in fast time, to others for real.

A statement is a coroutine that gets a `Site`; the decorator makes a test of it that runs against every broker. Nothing
waits to see that nothing comes: a PINGREQ is answered behind whatever was sent before (`Client.heard`).

Any broker can be examined: `IIOTLAB_MQTT_BROKER=host:port pytest tests/gateway/conformance` puts the same statements to
it. It must admit anonymous clients, allow everything, and have nothing retained under `conformance/`.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.broker.passwords import hash_password
from gateway.registry import KINDS
from lab.model.frame import Port
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.wire import mqtt
from lab.wire.mqtt import (
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
)

USER, PASSWORD = "operator", "let me in"
PASSWORD_HASH = hash_password(PASSWORD, b"twelve bytes")
PATIENCE = 10.0
"""Seconds for an answer that must come."""


class Client:
    """One connection, which says what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float) -> None:
        self._reader, self._writer, self._patience = reader, writer, patience
        self._decoder = Decoder()
        self._arrived: list[mqtt.Packet] = []

    def send(self, *packets: Any) -> None:
        """In one segment."""
        self._writer.write(b"".join(each if isinstance(each, bytes) else each.encode() for each in packets))

    async def next(self) -> mqtt.Packet:
        """The next packet; raises EOFError where the broker has closed."""
        while not self._arrived:
            try:
                data = await asyncio.wait_for(self._reader.read(65536), self._patience)
            except ConnectionError:
                raise EOFError from None
            if not data:
                raise EOFError
            self._arrived.extend(self._decoder.feed(data))
        return self._arrived.pop(0)

    async def expect(self, *packets: mqtt.Packet) -> None:
        for packet in packets:
            assert await self.next() == packet

    async def is_closed(self) -> bool:
        """Whether the broker closes the connection with nothing more to say."""
        try:
            said = await self.next()
        except EOFError:
            return True
        raise AssertionError(f"instead of closing it said {said}")

    async def is_cut_off(self) -> bool:
        """Whether the broker closes the connection, whatever it says before."""
        try:
            while True:
                await self.next()
        except EOFError:
            return True

    async def connect(self, client_id: str, **options: Any) -> Connack:
        self.send(Connect(client_id, **options))
        answer = await self.next()
        assert isinstance(answer, Connack)
        return answer

    async def subscribe(self, *filters: str, qos: int = 0, packet_id: int = 1) -> tuple[int, ...]:
        self.send(Subscribe(packet_id, tuple(Subscription(each, qos) for each in filters)))
        answer = await self.next()
        assert isinstance(answer, Suback)
        assert answer.packet_id == packet_id
        return tuple(map(int, answer.reasons))

    async def unsubscribe(self, *filters: str) -> None:
        self.send(Unsubscribe(2, filters))
        await self.expect(Unsuback(2))

    async def publish(self, topic: str, payload: bytes = b"x", qos: int = 1, *, retain: bool = False) -> None:
        """Until the broker has taken responsibility for it."""
        self.send(Publish(topic, payload, qos, retain, packet_id=99 if qos else 0))
        if qos == 1:
            await self.expect(Puback(99))
        elif qos == 2:
            await self.expect(Pubrec(99))
            self.send(Pubrel(99))
            await self.expect(Pubcomp(99))
        else:
            self.send(mqtt.Pingreq())
            await self.expect(mqtt.Pingresp())

    async def heard(self) -> list[Publish]:
        """The messages that have come, acknowledged; what comes before the answer to a PINGREQ."""
        self.send(mqtt.Pingreq())
        messages: list[Publish] = []
        while not isinstance(packet := await self.next(), mqtt.Pingresp):
            if isinstance(packet, Publish):
                messages.append(packet)
                self.acknowledge(packet)
            elif isinstance(packet, Pubrel):
                self.send(Pubcomp(packet.packet_id))
        return messages

    async def message(self) -> Publish:
        packet = await self.next()
        assert isinstance(packet, Publish), packet
        return packet

    def acknowledge(self, message: Publish) -> None:
        if message.qos:
            self.send((Puback if message.qos == 1 else Pubrec)(message.packet_id))

    async def leave(self) -> None:
        """DISCONNECT, and wait until the broker has taken note of it."""
        self.send(Disconnect())
        assert await self.is_cut_off()
        self._writer.close()

    def vanish(self) -> None:
        """Close the connection without a word."""
        self._writer.close()

    def break_off(self) -> None:
        """As when power fails: a reset and no goodbye."""
        self._writer.transport.abort()

    def half_close(self) -> None:
        self._writer.write_eof()


class Site(ABC):
    """Where a broker is to be reached."""

    tolerance = 0.1
    """Seconds a time-out may be late."""

    def __init__(self, prefix: str, patience: float) -> None:
        self.patience = patience
        self.prefix = prefix
        """Of the topics and client identifiers of one statement, so that none sees another's."""
        self._clients: list[Client] = []

    def topic(self, *levels: str) -> str:
        return "/".join(("conformance", self.prefix, *levels))

    def name(self, name: str) -> str:
        """A client identifier."""
        return f"{name}-{self.prefix}"

    async def open(self, *, guarded: bool = False) -> Client:
        """A connection, `guarded` where users need a password."""
        client = Client(*await self._connection(guarded=guarded), self.patience)
        self._clients.append(client)
        return client

    async def client(self, name: str = "client", **options: Any) -> Client:
        """A client that has been accepted."""
        client = await self.open()
        assert not (await client.connect(self.name(name), **options)).reason
        return client

    def end(self) -> None:
        for client in self._clients:
            client.break_off()

    @abstractmethod
    async def _connection(self, *, guarded: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...
    @abstractmethod
    def seconds(self) -> float:
        """A clock that time-outs can be measured with."""


Statement = Callable[[Site], Awaitable[None]]


class Ours(Site):
    """In a plant in fast time."""

    def __init__(self, prefix: str, network: Network) -> None:
        super().__init__(prefix, PATIENCE)
        self._network = network

    async def _connection(self, *, guarded: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = "10.0.0.2" if guarded else "10.0.0.1"
        return await self._network.hosts["clients"].spawn(asyncio.open_connection(address, 1883))

    def seconds(self) -> float:
        return self._network.loop.time()


OPEN = {"interfaces": {"eth0": {"address": "10.0.0.1/24"}}}
GUARDED = {
    "interfaces": {"eth0": {"address": "10.0.0.2/24"}},
    "allow_anonymous": False,
    "users": {USER: {"password": PASSWORD_HASH}},
    "acl": [{"user": USER, "topic": "allowed/#"}],
}


def examine_ours(statement: Statement, prefix: str, _: float) -> None:
    loop = PlantLoop(fast=True)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))

    async def main() -> None:
        network = Network(loop)
        network.add_switch("sw", 8)
        running = []
        for number, (name, config) in enumerate((("broker", OPEN), ("guarded", GUARDED), ("clients", OPEN)), 1):
            host = network.add_host(name)
            model = KINDS["broker"].Config.model_validate(
                config if name != "clients" else {"interfaces": {"eth0": {"address": "10.0.0.3/24"}}}
            )
            host.configure(model)
            network.plug(Port(name, "eth0"), Port("sw", f"p{number}"))
            if name != "clients":
                running.append((host, KINDS["broker"](host, model, lambda *_: None)))
        for host, appliance in running:
            await host.spawn(appliance.start())
        site = Ours(prefix, network)
        async with asyncio.timeout(3600):
            await statement(site)
        site.end()
        for host, appliance in running:
            await host.spawn(appliance.stop())
        await asyncio.sleep(5)

    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        asyncio.set_event_loop(None)
        loop.close()
    assert not complaints, complaints


class Real(Site):
    """Behind real sockets."""

    tolerance = 6.0
    """mosquitto looks for silent clients every five seconds."""

    def __init__(self, prefix: str, patience: float, host: str, port: int, guarded_port: int | None) -> None:
        super().__init__(prefix, patience)
        self._host, self._port, self._guarded_port = host, port, guarded_port

    async def _connection(self, *, guarded: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self._guarded_port if guarded else self._port
        if port is None:
            pytest.skip("no guarded broker to examine")
        return await asyncio.open_connection(self._host, port)

    def seconds(self) -> float:
        return asyncio.get_running_loop().time()


def examine_real(
    statement: Statement, prefix: str, patience: float, host: str, port: int, guarded_port: int | None
) -> None:
    async def main() -> None:
        site = Real(prefix, patience, host, port, guarded_port)
        try:
            async with asyncio.timeout(30):
                await statement(site)
        finally:
            site.end()
            await asyncio.sleep(0)

    with asyncio.Runner() as runner:
        runner.run(main())


Examine = Callable[[Statement, str, float], None]


def statement(*, mosquitto: str = "") -> Callable[[Statement], Callable[..., None]]:
    """A test of a statement; `mosquitto` says how that broker departs from it, where it does."""

    def test_of(story: Statement) -> Callable[..., None]:
        name = story.__name__

        def test(examine: Examine, request: pytest.FixtureRequest) -> None:
            departs = mosquitto and request.node.callspec.params["examine"] == "mosquitto"
            try:
                examine(story, name.removeprefix("test_mqtt_"), 0.3 if departs else PATIENCE)
            except (AssertionError, EOFError, TimeoutError):
                if departs:
                    pytest.xfail(mosquitto)
                raise
            assert not departs, "it departs no more"

        test.__name__ = test.__qualname__ = name
        test.__doc__ = inspect.getdoc(story)
        test.__module__ = story.__module__
        return test

    return test_of
