"""Switches that are configured wrongly."""

from __future__ import annotations

import asyncio

import fault_kit
import pytest
from fault_kit import Broken, run

from lab.model.frame import Port
from lab.wire import ethernet
from scenarios.faults import CannotInject
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

TRUNK = {"mode": "trunk", "allowed": [1, 10]}


@pytest.fixture(autouse=True)
def _managed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both switches are managed ones, and joined by two cables."""
    monkeypatch.setattr(fault_kit, "KINDS", fault_kit.KINDS | {"sw-1": "sw-ind-8", "sw-2": "sw-ind-8"})
    monkeypatch.setattr(fault_kit, "CABLES", [*fault_kit.CABLES, ("sw-1/p7", "sw-2/p7")])
    before = fault_kit.configuration

    def configuration() -> PlantConfig:
        config = before()
        hosts = dict(config.hosts)
        for name in ("sw-1", "sw-2"):
            hosts[name] = APPLIANCES["sw-ind-8"].Config.model_validate({"ports": {"p7": TRUNK, "p8": TRUNK}})
        return PlantConfig(config.wiring, hosts)

    monkeypatch.setattr(fault_kit, "configuration", configuration)


def test_a_port_in_the_wrong_vlan_is_alone() -> None:
    async def story(site: Broken) -> None:
        await asyncio.sleep(5)
        assert await site.answers("ws-1", "boiler-2")
        fault = await site.faults.inject("wrong-vlan", {"host": "sw-2", "port": "p2", "vlan": 10})
        await asyncio.sleep(5)
        site.frames.clear()
        assert not await site.answers("ws-1", "boiler-2")
        assert not [f for f in site.frames if f.tap.seen_at.host == "boiler-2" and f.data[12:14] == b"\x08\x06"]
        await site.faults.repair(fault)
        await asyncio.sleep(5)
        assert await site.answers("ws-1", "boiler-2")

    run(story)


def test_a_vlan_that_one_end_of_a_trunk_does_not_carry_is_cut_in_two() -> None:
    async def story(site: Broken) -> None:
        site.network.unplug(Port("sw-1", "p7"))
        fault_10 = [
            await site.faults.inject("wrong-vlan", {"host": switch, "port": "p1", "vlan": 10})
            for switch in ("sw-1", "sw-2")
        ]
        await asyncio.sleep(5)
        assert await site.answers("ws-1", "ws-2")
        fault = await site.faults.inject("vlan-not-on-trunk", {"host": "sw-2", "port": "p8", "vlan": 10})
        await asyncio.sleep(5)
        site.frames.clear()
        assert not await site.answers("ws-1", "ws-2")
        arrived = [ethernet.decode(f.data) for f in site.frames if f.tap.seen_at == Port("sw-2", "p8")]
        assert any(frame.tags and frame.tags[0].vid == 10 for frame in arrived), "up to the switch, and not beyond"
        await site.faults.repair(fault)
        await asyncio.sleep(5)
        assert await site.answers("ws-1", "ws-2")
        assert len(fault_10) == 2

    run(story)


def test_without_the_protocol_the_second_cable_makes_a_storm() -> None:
    async def story(site: Broken) -> None:
        nobody = iter(range(70, 80))

        async def storm() -> int:
            site.frames.clear()
            await site.host("ws-2").ping(f"10.1.10.{next(nobody)}", timeout=0.05)
            return site.crossings("boiler/eth0")

        await asyncio.sleep(5)
        assert await storm() < 5
        faults = [await site.faults.inject("spanning-tree-off", {"host": name}) for name in ("sw-1", "sw-2")]
        assert await storm() > 100
        site.network.unplug(Port("sw-1", "p7"))  # in the storm nobody would get a word in
        for fault in faults:
            await site.faults.repair(fault)
        site.network.plug(Port("sw-1", "p7"), Port("sw-2", "p7"))
        await asyncio.sleep(10)
        assert await storm() < 5

    run(story)


def test_what_is_not_saved_does_not_outlast_a_power_cut() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("configuration-not-saved", {"host": "sw-2"})
        config = site.plant.config.hosts["sw-2"]
        in_vlan_10 = {**config.model_dump(exclude_unset=True), "ports": {"p2": {"vlan": 10}, "p8": TRUNK}}
        await site.plant.configure("sw-2", type(config).model_validate(in_vlan_10))
        await asyncio.sleep(5)
        assert not await site.answers("ws-1", "boiler-2")
        site.network.power("sw-2", False)
        site.network.power("sw-2", True)
        await asyncio.sleep(5)
        assert await site.answers("ws-1", "boiler-2"), "the old configuration is back"
        await site.faults.repair(fault)

    run(story)


def test_a_switch_without_management_has_no_such_faults() -> None:
    async def story(site: Broken) -> None:
        for name, where in [
            ("wrong-vlan", {"host": "boiler", "port": "p1", "vlan": 10}),
            ("wrong-vlan", {"host": "sw-1", "port": "p9", "vlan": 10}),
            ("vlan-not-on-trunk", {"host": "sw-1", "port": "p1", "vlan": 10}),
        ]:
            with pytest.raises(CannotInject):
                await site.faults.inject(name, where)

    run(story)
