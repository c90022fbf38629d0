"""A plant to break: two workstations and two boilers on a switch, an office behind a router."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig, Wiring
from lab.network.host import Host
from lab.network.loop import PlantLoop
from lab.network.routing import Forwarding
from lab.wire import arp, ethernet, ipv4, modbus
from lab.wire.modbus import ReadInputRegisters
from scenarios.assembly import Plant
from scenarios.faults import Injector
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

T = TypeVar("T")

KINDS = {
    "ws-1": "workstation",
    "ws-2": "workstation",
    "boiler": "boiler-plc",
    "boiler-2": "boiler-plc",
    "office": "workstation",
    "router": "test-router",
    "sw-1": "switch-8",
    "sw-2": "switch-8",
}
ADDRESSES = {
    "ws-1": "10.1.10.100/24",
    "ws-2": "10.1.10.101/24",
    "boiler": "10.1.10.11/24",
    "boiler-2": "10.1.10.12/24",
    "office": "10.1.50.5/24",
}
GATEWAYS = {"office": "10.1.50.1"}
CABLES = [
    ("ws-1/eth0", "sw-1/p1"),
    ("boiler/eth0", "sw-1/p2"),
    ("sw-1/p8", "sw-2/p8"),
    ("ws-2/eth0", "sw-2/p1"),
    ("boiler-2/eth0", "sw-2/p2"),
    ("router/eth0", "sw-1/p3"),
    ("office/eth0", "router/eth1"),
]


class TestRouter(APPLIANCES["workstation"]):  # type: ignore[misc]
    kind = "test-router"
    ports = ("eth0", "eth1")

    async def start(self) -> None:
        self.host.forward = Forwarding(self.host).forward


class Broken:
    """The plant, its frames, and who breaks it."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.network = plant.network
        self.journal: list[tuple[str, Any]] = []
        self.faults = Injector(plant, lambda event, facts: self.journal.append((event, facts)))
        self.frames: list[Frame] = []
        self.network.taps.append(self._see)

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))

    def host(self, name: str) -> Host:
        return self.network.hosts[name]

    async def answers(self, source: str, target: str, *, size: int = 56) -> bool:
        """Whether a ping gets through; a few are tried, as people do."""
        address = ADDRESSES[target].split("/")[0]
        results = [await self.host(source).ping(address, timeout=2.0, size=size) for _ in range(2)]
        return any(result is not None for result in results)

    async def reads(self, source: str, target: str, *, port: int = 502, patience: float = 3.0) -> str:
        """One Modbus read on a connection of its own: `answered`, `refused`, `closed` or `timeout`."""
        address = ADDRESSES[target].split("/")[0]
        outcome: str = await self.host(source).spawn(_read(address, port, patience))
        return outcome

    def arps(self, address: str) -> set[str]:
        """The MACs that claimed an address so far."""
        claimed: set[str] = set()
        for frame in self.frames:
            if frame.data[12:14] == b"\x08\x06":
                packet = arp.decode(frame.data[14:])
                if packet.sender_ip == bytes(map(int, address.split("."))):
                    claimed.add(packet.sender_mac.hex(":"))
        return claimed

    def datagrams(self, seen_at: str) -> list[ipv4.IPv4]:
        """What arrived at a device by IPv4."""
        return [
            ipv4.decode(frame.data[14:])
            for frame in self.frames
            if frame.tap.seen_at.host == seen_at and ethernet.decode(frame.data).ethertype == ethernet.IPV4
        ]

    def crossings(self, seen_at: str) -> int:
        """Frames that arrived at a port."""
        return sum(frame.tap.seen_at == Port.parse(seen_at) for frame in self.frames)


async def _read(address: str, port: int, patience: float) -> str:
    decoder = modbus.ResponseDecoder()
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(modbus.Adu(1, 1, ReadInputRegisters(0, 2)).encode())
                while data := await reader.read(4096):
                    for _ in decoder.feed(data):
                        return "answered"
            finally:
                writer.transport.abort()
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "timeout"
    except OSError:
        return "unreachable"
    return "closed"


def configuration() -> PlantConfig:
    hosts: dict[str, HostConfig] = {}
    for name, address in ADDRESSES.items():
        interface = {"address": address, "gateway": GATEWAYS.get(name, "10.1.10.1")}
        hosts[name] = APPLIANCES[KINDS[name]].Config.model_validate({"interfaces": {"eth0": interface}})
    hosts["router"] = HostConfig.model_validate(
        {
            "interfaces": {"eth0": {"address": "10.1.10.1/24"}, "eth1": {"address": "10.1.50.1/24"}},
            "routes": [{"to": "10.9.0.0/16", "via": "10.1.10.100"}],
        }
    )
    return PlantConfig(Wiring.model_validate({"cables": CABLES}), hosts)


def run(story: Callable[[Broken], Awaitable[T]]) -> T:
    """Tell a story of a plant in fast time."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        complaints: list[str] = []
        loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
        plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None)
        broken = Broken(plant)
        try:
            await plant.boot(configuration())
            result = await story(broken)
        finally:
            broken.faults.close()
            await plant.stop()
        assert not [each for each in complaints if "CancelledError" not in each], complaints
        return result

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())
