"""Hosts of a plant that find out by themselves what they need: address, names, time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from lab.model.frame import Port
from lab.model.plant import Wiring
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

T = TypeVar("T")
KINDS = {"server": "server", "ws-1": "workstation", "ws-2": "workstation", "sw-1": "switch-8"}
SERVICES = {
    "interfaces": {"eth0": {"address": "10.1.10.2/24"}},
    "dhcp": {
        "subnets": [
            {
                "network": "10.1.10.0/24",
                "ranges": [{"first": "10.1.10.100", "last": "10.1.10.101"}],
                "router": "10.1.10.1",
                "dns": ["10.1.10.2"],
            }
        ]
    },
    "dns": {"records": [{"name": "plc.lab", "value": "10.1.10.11"}]},
}


def run(story: Callable[[Plant], Awaitable[T]], **ws: object) -> T:
    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None)
        cables = [["server/eth0", "sw-1/p1"], ["ws-1/eth0", "sw-1/p2"], ["ws-2/eth0", "sw-1/p3"]]
        given = {"server": SERVICES, "ws-1": ws or {"dhcp_client": ["eth0"]}, "ws-2": {}}
        hosts = {name: APPLIANCES[KINDS[name]].Config.model_validate(config) for name, config in given.items()}
        try:
            await plant.boot(PlantConfig(Wiring.model_validate({"cables": cables}), hosts))
            await asyncio.sleep(10)
            return await story(plant)
        finally:
            await plant.stop()

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())


def address_of(plant: Plant, host: str) -> str:
    address = plant.network.hosts[host].nics[0].address
    return socket.inet_ntoa(address) if address else ""


def test_a_host_gets_its_address_and_learns_names() -> None:
    async def story(plant: Plant) -> None:
        host = plant.network.hosts["ws-1"]
        assert address_of(plant, "ws-1").startswith("10.1.10.10")
        assert host.route(b"\x08\x08\x08\x08") is not None, "the router came with the lease"
        assert await host.resolve("plc.lab") == bytes((10, 1, 10, 11))
        with pytest.raises(socket.gaierror):
            await host.resolve("nobody.lab")

    run(story)


def test_a_fixed_address_with_name_servers_of_its_own() -> None:
    async def story(plant: Plant) -> None:
        assert await plant.network.hosts["ws-1"].resolve("plc.lab") == bytes((10, 1, 10, 11))

    run(story, interfaces={"eth0": {"address": "10.1.10.50/24"}}, name_servers=["10.1.10.2"])


def test_a_new_configuration_leaves_the_lease_alone_or_gives_it_back() -> None:
    async def story(plant: Plant) -> None:
        before = address_of(plant, "ws-1")
        config = plant.config.hosts["ws-1"]
        await plant.configure("ws-1", config.model_copy(update={"hosts": {}}))
        assert address_of(plant, "ws-1") == before
        await plant.configure("ws-1", config.model_copy(update={"dhcp_client": []}))
        assert address_of(plant, "ws-1") == ""
        await plant.configure("ws-2", config)
        await asyncio.sleep(10)
        assert address_of(plant, "ws-2")

    run(story)


def test_after_a_power_cut_an_address_is_asked_for_anew() -> None:
    async def story(plant: Plant) -> None:
        plant.network.power("ws-1", False)
        await asyncio.sleep(1)
        plant.network.power("ws-1", True)
        await asyncio.sleep(10)
        assert address_of(plant, "ws-1")
        assert await plant.network.hosts["ws-1"].ping("10.1.10.2") is not None

    run(story)


def test_who_is_plugged_in_late_gets_an_address_too() -> None:
    async def story(plant: Plant) -> None:
        plant.network.unplug(Port("ws-2", "eth0"))
        await plant.configure("ws-2", plant.config.hosts["ws-1"])
        await asyncio.sleep(100)
        assert address_of(plant, "ws-2") == ""
        plant.network.plug(Port("ws-2", "eth0"), Port("sw-1", "p3"))
        await asyncio.sleep(10)
        assert address_of(plant, "ws-2")

    run(story)
