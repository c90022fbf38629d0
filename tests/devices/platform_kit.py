"""A plant for stories about the platform: a foreign MQTT client, our broker, the platform, and somebody with a browser."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import gmqtt

from devices.platform.appliance import Platform
from devices.registry import KINDS as DEVICE_KINDS
from devices.web.passwords import hashed
from gateway.registry import KINDS as GATEWAY_KINDS
from lab.clock import EPOCH_NS
from lab.model.frame import Port
from lab.network.appliance import Appliance
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop

T = TypeVar("T")
KINDS = {**DEVICE_KINDS, **GATEWAY_KINDS}
NAMES = ("platform", "broker", "gw-1", "pc", "plc-1")
EPOCH_MS = EPOCH_NS // 1_000_000
PASSWORD = "correct horse"
_HASH: dict[str, str] = {}


def user(role: str) -> dict[str, str]:
    import random

    kept = _HASH.setdefault("", hashed(PASSWORD, random.Random(1), 100))
    return {"role": role, "password_hash": kept}


BOILER = {
    "id": "boiler",
    "name": "锅炉",
    "properties": {
        "pressure": {"type": "double", "unit": "MPa", "min": 0, "max": 4, "name": "压力"},
        "level": {"type": "int", "unit": "mm"},
        "flame": {"type": "bool"},
        "mode": {"type": "enum", "enum": {0: "stop", 1: "run"}},
        "note": {"type": "text", "length": 20},
        "setpoint": {"type": "double", "min": 0, "max": 2, "step": 0.5, "access": "rw"},
    },
    "events": {"trip": {"level": "error", "outputs": {"code": {"type": "int"}}}},
    "services": {"reset": {"inputs": {"delay": {"type": "int", "min": 0, "max": 60}}}},
}
GATEWAY = {"id": "gateway"}
DEVICES = [
    {"id": "gw-1", "product": "gateway", "site": "plant"},
    {"id": "boiler-1", "product": "boiler", "gateway": "gw-1"},
]
TOPIC = "v1/plant/gw-1/boiler-1/telemetry"


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Room:
    loop: PlantLoop
    network: Network
    hosts: dict[str, Host]
    appliances: dict[str, Appliance[Any]] = field(default_factory=dict)
    heard: list[tuple[str, Any]] = field(default_factory=list)
    """What the foreign client has heard: topic and document."""
    tokens: dict[str, str] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    def address(self, name: str) -> str:
        return f"10.0.0.{list(self.hosts).index(name) + 1}"

    @property
    def platform(self) -> Platform:
        made = self.appliances["platform"]
        assert isinstance(made, Platform)
        return made

    @property
    def service(self) -> Any:
        assert self.platform._running is not None
        return self.platform._running.service

    @property
    def now_ms(self) -> int:
        return self.loop.wall_ns() // 1_000_000

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

    async def switch_off(self, name: str) -> None:
        await self.hosts[name].spawn(self.appliances.pop(name).stop())

    def config(self, **more: Any) -> dict[str, Any]:
        """What the platform of most stories is configured as."""
        return {
            "users": {"root": user("admin"), "op": user("operator"), "eye": user("viewer")},
            "products": [BOILER, GATEWAY],
            "devices": DEVICES,
            **more,
        }

    async def with_broker(self, **more: Any) -> None:
        """The broker and the platform, connected."""
        await self.switch_on("broker", "broker", {})
        await self.switch_on("platform", "platform", self.config(broker={"host": self.address("broker")}, **more))
        await asyncio.sleep(1)

    # -- the foreign client ----------------------------------------------------------------------------------------

    async def client(self, *topics: str) -> gmqtt.Client:
        async def connect() -> gmqtt.Client:
            client = gmqtt.Client("foreign")
            client.on_message = self._hear
            await client.connect(self.address("broker"), version=gmqtt.constants.MQTTv311)
            for topic in topics:
                client.subscribe(topic, qos=1)
            await asyncio.sleep(0.5)
            return client

        client: gmqtt.Client = await self.hosts["gw-1"].spawn(connect())
        return client

    def _hear(self, _: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        self.heard.append((topic, json.loads(payload)))
        return 0

    async def say(self, client: gmqtt.Client, topic: str, document: Any) -> None:
        payload = document if isinstance(document, bytes) else json.dumps(document)
        client.publish(topic, payload, qos=1)
        await asyncio.sleep(0.5)

    # -- the browser -----------------------------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        by: str | None = "root",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """A request from the PC; `by` is logged in first where necessary."""
        if by is not None and by not in self.tokens:
            login = await self.ask("POST", "/api/login", {"user": by, "password": PASSWORD}, by=None)
            self.tokens[by] = login.body["token"]
        sent = {"Accept-Language": "en", **(headers or {})}
        if by is not None:
            sent["Authorization"] = f"Bearer {self.tokens[by]}"
        if document is not None:
            data = json.dumps(document).encode()

        async def fetch() -> Answer:
            url = f"http://{self.address('platform')}{path}"
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(method, url, data=data and io.BytesIO(data), headers=sent) as response,
            ):
                body: Any = await response.read()
                if response.content_type == "application/json":
                    body = json.loads(body)
                return Answer(response.status, body, dict(response.headers))

        answer: Answer = await self.hosts["pc"].spawn(fetch())
        return answer

    async def get(self, path: str, *, by: str | None = "root", status: int = 200) -> Any:
        answer = await self.ask("GET", path, by=by)
        assert answer.status == status, answer
        return answer.body

    async def latest(self, device: str = "boiler-1") -> dict[str, Any]:
        found = await self.get(f"/api/devices/{device}/latest")
        return {each["property"]: each["value"] for each in found["values"]}


def tell(story: Callable[[Room], Awaitable[T]], *, folder: Path | None = None) -> T:
    """A story in fast time; what the loop complains of fails the test."""
    return _told(story, folder, is_fast=True)


def live(story: Callable[[Room], Awaitable[T]]) -> T:
    """The same in live time, for programs of the computer."""
    return _told(story, None, is_fast=False)


def _told(story: Callable[[Room], Awaitable[T]], folder: Path | None, *, is_fast: bool) -> T:
    loop = PlantLoop(fast=is_fast)
    complaints: list[str] = []

    def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            complaints.append(repr(context))

    loop.set_exception_handler(complain)

    async def main() -> T:
        async with _room(loop, folder) as room, asyncio.timeout(100 * 24 * 3600):
            return await story(room)

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


@asynccontextmanager
async def _room(loop: PlantLoop, folder: Path | None) -> AsyncIterator[Room]:
    network = Network(loop, seed=1)
    network.add_switch("sw", 8)
    room = Room(loop, network, {name: network.add_host(name) for name in NAMES})
    for number, (name, host) in enumerate(room.hosts.items(), 1):
        host.configure(
            KINDS["workstation"].Config.model_validate(
                {"interfaces": {"eth0": {"address": room.address(name) + "/24"}}}
            )
        )
        host.disk.folder = folder and folder / name
        network.plug(Port(name, "eth0"), Port("sw", f"p{number}"))
    yield room
    for name in list(room.appliances):
        await room.switch_off(name)
    await asyncio.sleep(5 if loop.is_fast else 0.1)
