"""A plant for gateway stories: foreign Modbus and OPC UA servers, our broker, foreign MQTT clients, on one switch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import gmqtt
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.registry import KINDS
from lab.model.frame import Port
from lab.network.appliance import Appliance
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop

T = TypeVar("T")


@dataclass
class Received:
    topic: str
    payload: Any
    qos: int
    retain: bool
    at: float


@dataclass
class Room:
    """Hosts by name at 10.0.0.1, .2 …; `gw`, `broker`, `ear` and `plc-1` … are there."""

    loop: PlantLoop
    network: Network
    hosts: Mapping[str, Host]
    heard: list[Received] = field(default_factory=list)
    appliances: dict[str, Appliance[Any]] = field(default_factory=dict)

    def address(self, name: str) -> str:
        return f"10.0.0.{list(self.hosts).index(name) + 1}"

    async def switch_on(self, name: str, kind: str, config: Mapping[str, Any]) -> Appliance[Any]:
        """Start, or reconfigure, the appliance of a host."""
        host = self.hosts[name]
        interfaces = {"eth0": {"address": self.address(name) + "/24"}}
        model = KINDS[kind].Config.model_validate({"interfaces": interfaces, **config})
        host.configure(model)
        if name in self.appliances:
            await host.spawn(self.appliances[name].apply(model))
        else:
            self.appliances[name] = KINDS[kind](host, model, lambda point, value: None)
            await host.spawn(self.appliances[name].start())
        return self.appliances[name]

    async def listen(self, topic: str = "#", qos: int = 1) -> gmqtt.Client:
        """A client of another maker hears everything."""

        async def subscribe() -> gmqtt.Client:
            client = gmqtt.Client("ear")
            client.on_message = self._hear
            await client.connect(self.address("broker"), version=gmqtt.constants.MQTTv311)
            subscribed = asyncio.Event()
            client.on_subscribe = lambda *_: subscribed.set()
            client.subscribe(topic, qos=qos)
            await subscribed.wait()
            return client

        client: gmqtt.Client = await self.hosts["ear"].spawn(subscribe())
        return client

    def _hear(self, _: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        try:
            said = json.loads(payload)
        except ValueError:
            said = payload
        self.heard.append(Received(topic, said, qos, bool(properties.get("retain")), self.loop.time()))
        return 0

    def values(self, device: str) -> list[dict[str, Any]]:
        """What was said about a device, message by message."""
        return [each.payload for each in self.heard if each.topic.endswith(f"/{device}/telemetry")]

    async def modbus_server(self, name: str, registers: list[int], unit: int = 1) -> ModbusTcpServer:
        async def serve() -> ModbusTcpServer:
            device = SimDevice(unit, simdata=[SimData(0, values=registers, datatype=DataType.REGISTERS)])
            server = ModbusTcpServer(device, address=("0.0.0.0", 502))
            await server.serve_forever(background=True)
            return server

        server: ModbusTcpServer = await self.hosts[name].spawn(serve())
        return server


def tell(story: Callable[[Room], Awaitable[T]], plcs: int = 1) -> T:
    """A story in fast time; what the loop complains of fails the test."""
    loop = PlantLoop(fast=True)
    complaints: list[str] = []

    def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            complaints.append(repr(context))

    loop.set_exception_handler(complain)

    async def main() -> T:
        network = Network(loop)
        names = ["gw", "broker", "ear", *(f"plc-{number}" for number in range(1, plcs + 1))]
        network.add_switch("sw", 16)
        hosts = {name: network.add_host(name) for name in names}
        room = Room(loop, network, hosts)
        for number, (name, host) in enumerate(hosts.items(), 1):
            config = {"interfaces": {"eth0": {"address": room.address(name) + "/24"}}}
            host.configure(KINDS["broker"].Config.model_validate(config))
            network.plug(Port(name, "eth0"), Port("sw", f"p{number}"))
        async with asyncio.timeout(36_000):
            result = await story(room)
            for name, appliance in room.appliances.items():
                await hosts[name].spawn(appliance.stop())
            await asyncio.sleep(5)
        return result

    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert not complaints, complaints
    return result


def modbus_device(name: str, host: str, tags: list[dict[str, Any]], **connection: Any) -> dict[str, Any]:
    group = {"name": "g", "period_ms": 1000, "tags": tags}
    return {"name": name, "driver": "modbus-tcp", "connection": {"host": host, **connection}, "groups": [group]}


def north(host: str, **options: Any) -> list[dict[str, Any]]:
    return [{"name": "platform", "driver": "mqtt", "host": host, **options}]
