"""Messages through the broker: plain amqtt against ours, in one process and one run.

    python tests/bench/bench_broker.py [messages]

CPU time per message of 200 bytes, first of the broker alone (its connections are in memory, the clients' bytes are made
beforehand), then of everything on a PlantLoop: broker, TCP, frames, switch and clients. Rounds alternate and medians
are compared, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from amqtt.broker import Broker, Server

from gateway.broker.config import BrokerConfig
from gateway.broker.mended import MendedBroker
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.wire import mqtt
from lab.wire.mqtt import Connect, Decoder, Puback, Pubcomp, Publish, Pubrec, Pubrel, Subscribe, Subscription

ROUNDS = 5
PAYLOAD = bytes(200)
WINDOW = 20
"""Messages a publisher has under way."""
PLUGINS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


def plain() -> Broker:
    listener = {"default": {"type": "tcp", "bind": "0.0.0.0:1883"}}
    return Broker({"listeners": listener, "plugins": PLUGINS})


def mended() -> Broker:
    return MendedBroker(BrokerConfig())


class Wire(asyncio.Transport):
    """The broker's end of a connection in memory: hands what is written to a client."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        super().__init__({"peername": ("10.0.0.9", 50_000)})
        self._hear = hear
        self.lost: Callable[[Exception | None], None]
        self._closing = False

    def write(self, data: Any) -> None:
        asyncio.get_running_loop().call_soon(self._hear, bytes(data))  # amqtt is not ready for an answer at once

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        asyncio.get_running_loop().call_soon(self.lost, None)

    abort = close


class Client:
    """Answers what a client has to; `send` is how its bytes reach the broker."""

    def __init__(self, send: Callable[[bytes], None], qos: int) -> None:
        self.send, self.qos = send, qos
        self._decoder = Decoder()
        self.heard = self.settled = 0
        self.changed = asyncio.Event()

    def receive(self, data: bytes) -> None:
        answers = []
        for packet in self._decoder.feed(data):
            match packet:
                case Publish(qos=qos, packet_id=identifier):
                    self.heard += 1
                    if qos:
                        answers.append((Puback if qos == 1 else Pubrec)(identifier).encode())
                case Pubrec(packet_id=identifier):
                    answers.append(Pubrel(identifier).encode())
                case Pubrel(packet_id=identifier):
                    answers.append(Pubcomp(identifier).encode())
                case Puback() | Pubcomp() | mqtt.Connack() | mqtt.Suback():
                    self.settled += 1
        if answers:
            self.send(b"".join(answers))
        self.changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self.changed.clear()
            await self.changed.wait()


async def talk(mouth: Client, ear: Client, messages: int) -> float:
    """Publish so many messages from one to the other; CPU microseconds for each."""
    for name, client in (("mouth", mouth), ("ear", ear)):
        client.send(Connect(name).encode())
        await client.until(lambda client=client: client.settled == 1)
    ear.send(Subscribe(1, (Subscription("bench/#", ear.qos),)).encode())
    await ear.until(lambda: ear.settled == 2)
    began = time.process_time()
    for first in range(0, messages, WINDOW):
        numbers = range(first, first + WINDOW)
        identifiers = [number % 60_000 + 1 if mouth.qos else 0 for number in numbers]
        mouth.send(b"".join(Publish("bench/t", PAYLOAD, mouth.qos, packet_id=each).encode() for each in identifiers))
        last = first + WINDOW
        await ear.until(lambda last=last: ear.heard >= last)
        if mouth.qos:
            await mouth.until(lambda last=last: mouth.settled > last)
    return (time.process_time() - began) / messages * 1e6


async def in_memory(make: Callable[[], Broker], qos: int, messages: int) -> float:
    broker = make()
    broker._start_listeners = _nothing  # type: ignore[method-assign]
    await broker.start()
    broker._servers["default"] = Server("default", None)  # type: ignore[arg-type]
    clients, readers, tasks = [], [], []
    for _ in range(2):
        reader = asyncio.StreamReader()
        client = Client(reader.feed_data, qos)
        wire = Wire(client.receive)
        protocol = asyncio.StreamReaderProtocol(reader)
        protocol.connection_made(wire)
        wire.lost = protocol.connection_lost
        writer = asyncio.StreamWriter(wire, protocol, reader, asyncio.get_running_loop())
        tasks.append(asyncio.create_task(broker.stream_connected(reader, writer, "default")))
        clients.append(client)
        readers.append(reader)
    took = await talk(clients[0], clients[1], messages)
    await asyncio.sleep(0.1)  # the last acknowledgments
    for reader in readers:
        reader.feed_eof()
    await asyncio.wait(tasks, timeout=1)
    await broker.shutdown()
    return took


async def _nothing() -> None:
    pass


class OverTcp(asyncio.Protocol):
    def __init__(self, qos: int) -> None:
        self.client = Client(self._send, qos)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def _send(self, data: bytes) -> None:
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.client.receive(data)


async def in_plant(make: Callable[[], Broker], qos: int, messages: int) -> float:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    network = Network(loop)
    network.add_switch("sw", 4)
    hosts = [network.add_host(name) for name in ("broker", "mouth", "ear")]
    for number, host in enumerate(hosts, 1):
        interface = {"address": f"10.0.0.{number}/24"}
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
        network.plug(Port(host.name, "eth0"), Port("sw", f"p{number}"))

    async def begin() -> Broker:
        broker = make()
        await broker.start()
        return broker

    broker = await hosts[0].spawn(begin())
    clients = []
    for host in hosts[1:]:
        _, protocol = await host.spawn(loop.create_connection(lambda: OverTcp(qos), "10.0.0.1", 1883))
        clients.append(protocol)
    took = await talk(clients[0].client, clients[1].client, messages)
    for protocol in clients:
        protocol.transport.close()
    await asyncio.sleep(0.1)
    await hosts[0].spawn(broker.shutdown())
    return took


def main(messages: int) -> None:
    print("CPU µs per message (median); plain amqtt, ours, ratio")
    for where, measure in (("broker alone", in_memory), ("whole plant", in_plant)):
        for qos in (0, 1, 2):
            took: dict[Callable[[], Broker], list[float]] = {plain: [], mended: []}
            for _ in range(ROUNDS):
                for make, results in took.items():
                    with asyncio.Runner(loop_factory=PlantLoop) as runner:
                        results.append(runner.run(measure(make, qos, messages)))
            before, after = (statistics.median(results) for results in took.values())
            print(f"{where}, QoS {qos}: {before:6.0f} {after:6.0f}   {before / after:.1f} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
