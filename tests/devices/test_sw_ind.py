"""Managed switches: VLANs, trunks, mirrors, loops with and without a protocol, and what a power cut leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig, Wiring
from lab.network.bridge.bridge import CPU, TABLE_LIMIT, Bridge
from lab.network.bridge.ports import PortVlans, access, trunk
from lab.network.fabric import Jack, Network
from lab.network.loop import PlantLoop
from lab.wire import ethernet
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

T = TypeVar("T")
KINDS = {"sw-1": "sw-ind-8", "sw-2": "sw-ind-8", "sw-3": "sw-ind-8"} | {f"h{n}": "workstation" for n in range(1, 5)}
CABLES = [("h1/eth0", "sw-1/p1"), ("h2/eth0", "sw-1/p2"), ("h3/eth0", "sw-2/p1"), ("sw-1/p8", "sw-2/p8")]
VLAN_10 = {"mode": "access", "vlan": 10}
TRUNK = {"mode": "trunk", "allowed": [10, 20]}


class Site:
    def __init__(self, plant: Plant) -> None:
        self.plant, self.network = plant, plant.network
        self.frames: list[Frame] = []
        self.network.taps.append(self._see)

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))

    async def reaches(self, a: str, b: str) -> bool:
        address = f"10.0.0.{b[1:]}"
        return any([await self.network.hosts[a].ping(address, timeout=1.0) is not None for _ in range(2)])

    async def configure(self, switch: str, **given: Any) -> None:
        await self.plant.configure(switch, APPLIANCES["sw-ind-8"].Config.model_validate(given))

    def crossings(self, seen_at: str) -> list[bytes]:
        return [frame.data for frame in self.frames if frame.tap.seen_at == Port.parse(seen_at)]

    def status(self, switch: str) -> dict[str, Any]:
        return dict(self.plant.appliances[switch].status())


def run(story: Callable[[Site], Awaitable[T]], cables: list[tuple[str, str]] = CABLES, **switches: dict[str, Any]) -> T:
    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None)
        site = Site(plant)
        hosts: dict[str, HostConfig] = {}
        for name, kind in KINDS.items():
            given: dict[str, Any] = {"interfaces": {"eth0": {"address": f"10.0.0.{name[1:]}/24"}}}
            if kind == "sw-ind-8":
                given = switches.get(name.replace("-", ""), {})
            hosts[name] = APPLIANCES[kind].Config.model_validate(given)
        try:
            await plant.boot(PlantConfig(Wiring.model_validate({"cables": cables}), hosts))
            await asyncio.sleep(5)  # edge ports open
            return await story(site)
        finally:
            await plant.stop()

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())


def test_as_delivered_it_is_one_network() -> None:
    async def story(site: Site) -> None:
        assert await site.reaches("h1", "h2")
        assert await site.reaches("h1", "h3")

    run(story)


def test_ports_of_different_vlans_do_not_hear_each_other() -> None:
    async def story(site: Site) -> None:
        assert not await site.reaches("h1", "h2")
        site.frames.clear()
        assert await site.reaches("h1", "h3"), "through the trunk"
        tagged = {ethernet.decode(data).tags[0].vid for data in site.crossings("sw-2/p8")}
        assert tagged == {10}
        assert all(not ethernet.decode(data).tags for data in site.crossings("h3/eth0"))
        assert not [data for data in site.crossings("h2/eth0") if data[12:14] != b"\x88\xcc"]
        await site.configure("sw-1", ports={"p1": VLAN_10, "p2": VLAN_10, "p8": TRUNK})
        await asyncio.sleep(1)
        assert await site.reaches("h1", "h2"), "from the moment it is applied"

    sw = {"ports": {"p1": VLAN_10, "p8": TRUNK}}
    run(story, sw1=sw, sw2=sw)


def test_a_vlan_that_a_trunk_does_not_carry_ends_there() -> None:
    async def story(site: Site) -> None:
        assert not await site.reaches("h1", "h3")
        await site.configure("sw-2", ports={"p1": VLAN_10, "p8": TRUNK})
        await asyncio.sleep(5)
        assert await site.reaches("h1", "h3")

    run(
        story,
        sw1={"ports": {"p1": VLAN_10, "p8": TRUNK}},
        sw2={"ports": {"p1": VLAN_10, "p8": {"mode": "trunk", "allowed": [20]}}},
    )


def test_a_port_that_is_shut_down_is_dark_at_both_ends() -> None:
    async def story(site: Site) -> None:
        await site.configure("sw-1", ports={"p1": {"enabled": False}})
        assert not site.network.jack(Port("h1", "eth0")).is_connected
        assert not await site.reaches("h1", "h2")
        await site.configure("sw-1")
        await asyncio.sleep(5)
        assert await site.reaches("h1", "h2")

    run(story)


def test_a_mirror_port_shows_what_others_say_and_says_nothing_itself() -> None:
    async def story(site: Site) -> None:
        await site.reaches("h1", "h3")
        site.frames.clear()
        assert await site.reaches("h1", "h3")
        pings = [data for data in site.crossings("h2/eth0") if data[12:14] == b"\x08\x00"]
        assert len(pings) == 4, "two questions and two answers"
        assert not await site.reaches("h2", "h1"), "nobody works from a mirror port"

    run(story, sw1={"mirror": {"to": "p2", "from": ["p1"]}})


RING = [*CABLES[:3], ("sw-1/p8", "sw-2/p8"), ("sw-2/p7", "sw-3/p7"), ("sw-3/p8", "sw-1/p7")]


def test_a_ring_with_rstp_carries_traffic_and_heals() -> None:
    async def story(site: Site) -> None:
        assert await site.reaches("h1", "h3")
        site.network.unplug(Port("sw-1", "p8"))
        await asyncio.sleep(0.5)
        assert await site.network.hosts["h1"].ping("10.0.0.3", timeout=0.5) is not None
        roles = [site.plant.appliances[name].bridge.stp_of(p)[0].value for name in ("sw-1", "sw-2") for p in ("p7",)]
        assert "alternate" not in roles

    run(story, RING)


def test_a_ring_without_a_protocol_is_a_storm() -> None:
    async def story(site: Site) -> None:
        site.frames.clear()
        await site.network.hosts["h1"].ping("10.0.0.77", timeout=0.02)
        assert len(site.crossings("h2/eth0")) > 100, "one question, again and again"
        site.network.unplug(Port("sw-3", "p8"))
        await asyncio.sleep(1)
        site.frames.clear()
        await site.network.hosts["h1"].ping("10.0.0.77", timeout=0.02)
        assert len(site.crossings("h2/eth0")) < 5

    off = {"rstp": {"enabled": False}, "lldp": False}
    run(story, RING, sw1=off, sw2=off, sw3=off)


def test_storm_control_keeps_a_storm_small() -> None:
    async def story(site: Site) -> None:
        site.frames.clear()
        await site.network.hosts["h1"].ping("10.0.0.77", timeout=0.02)
        assert len(site.crossings("h2/eth0")) <= 45

    ports = {name: {"storm_limit": 10} for name in ("p1", "p7", "p8")}
    off = {"rstp": {"enabled": False}, "lldp": False, "ports": ports}
    run(story, RING, sw1=off, sw2=off, sw3=off)


def test_neighbours_are_known_by_name_and_forgotten_with_the_cable() -> None:
    async def story(site: Site) -> None:
        assert site.status("sw-1")["neighbours"] == ["p8 sw-2 p8"]
        site.network.unplug(Port("sw-1", "p8"))
        assert site.status("sw-1")["neighbours"] == []

    run(story)


def test_it_is_managed_from_its_management_vlan_only() -> None:
    async def story(site: Site) -> None:
        assert await site.network.hosts["h1"].ping("10.0.0.200") is not None
        await site.configure(
            "sw-1", interfaces={"mgmt": {"address": "10.0.0.200/24"}}, management_vlan=60, ports={"p1": {"vlan": 1}}
        )
        await asyncio.sleep(1)
        assert await site.network.hosts["h1"].ping("10.0.0.200") is None

    run(story, sw1={"interfaces": {"mgmt": {"address": "10.0.0.200/24"}}})


def test_what_was_not_saved_is_gone_after_a_power_cut() -> None:
    async def story(site: Site) -> None:
        await site.configure("sw-1", ports={"p1": VLAN_10}, saved=False)
        assert not await site.reaches("h1", "h2")
        assert not site.status("sw-1")["saved"]
        site.network.power("sw-1", False)
        assert not site.network.jack(Port("h1", "eth0")).is_connected
        site.network.power("sw-1", True)
        await asyncio.sleep(5)
        assert await site.reaches("h1", "h2"), "the configuration before"
        await site.configure("sw-1", ports={"p1": VLAN_10})
        site.network.power("sw-1", False)
        site.network.power("sw-1", True)
        await asyncio.sleep(5)
        assert not await site.reaches("h1", "h2")

    run(story)


@pytest.mark.parametrize(
    "given",
    [
        {"ports": {"p9": {}}},
        {"ports": {"p1": {"mode": "access", "native": 3}}},
        {"ports": {"p1": {"vlan": 4095}}},
        {"mirror": {"to": "p1", "from": ["p1"]}},
        {"rstp": {"priority": 1}},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 – each says something of its own
        APPLIANCES["sw-ind-8"].Config.model_validate(given)


# -- properties ---------------------------------------------------------------------------------------------------------

_VIDS = st.sampled_from([1, 10, 20, 30])
_PORT = st.one_of(
    _VIDS.map(access),
    st.builds(trunk, st.frozensets(_VIDS), st.none() | _VIDS),
    st.builds(PortVlans, st.none() | _VIDS, st.frozensets(_VIDS), st.frozensets(_VIDS)).map(
        lambda each: PortVlans(each.pvid, each.tagged - each.untagged, each.untagged)
    ),
)
_MAC = st.integers(1, 5).map(lambda number: bytes((2, 0, 0, 0, 0, number)))
_FRAME = st.tuples(
    st.integers(1, 4), st.one_of(_MAC, st.just(b"\xff" * 6)), _MAC, st.none() | st.sampled_from([0, 1, 10, 20, 30, 40])
)


@settings(deadline=None, max_examples=150)
@given(st.lists(_PORT, min_size=4, max_size=4), st.lists(_FRAME, max_size=30))
def test_no_frame_leaves_its_vlan_or_goes_back_where_it_came_from(
    ports: list[PortVlans], frames: list[tuple[int, bytes, bytes, int | None]]
) -> None:
    loop = PlantLoop(fast=True)
    network = Network(loop)
    bridge = Bridge(network, "sw", ("p1", "p2", "p3", "p4"))
    heard: list[tuple[int, bytes]] = []
    ends: list[Jack] = []
    for number in range(1, 5):
        jack = network.add_jack(Port(f"h{number}", "e"), lambda data, number=number: heard.append((number, data)))  # type: ignore[misc]
        network.plug(Port(f"h{number}", "e"), Port("sw", f"p{number}"))
        ends.append(jack)
    bridge.set_vlans({f"p{number}": each for number, each in enumerate(ports, 1)} | {CPU: access(4000)})
    bridge.switch_on()
    try:
        for number, destination, source, tag in frames:
            heard.clear()
            tags = () if tag is None else (ethernet.Tag(tag),)
            ends[number - 1].send(ethernet.Ethernet(destination, source, 0x0800, bytes(46), tags).encode())
            loop.run_until_complete(asyncio.sleep(0.01))
            came = ports[number - 1]
            vid = came.pvid if not tag else tag if tag in came.members else None
            for place, data in heard:
                assert place != number
                goes, said = ports[place - 1], ethernet.decode(data)
                assert vid is not None
                assert vid in goes.members
                assert (said.tags == (ethernet.Tag(vid),)) == (vid in goes.tagged)
    finally:
        loop.close()


def test_a_flood_of_addresses_fills_the_table_and_no_more() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        network = Network(loop)
        bridge = Bridge(network, "sw", ("p1", "p2"))
        jack = network.add_jack(Port("h", "e"), lambda data: None)
        network.plug(Port("h", "e"), Port("sw", "p1"))
        bridge.switch_on()
        for number in range(TABLE_LIMIT + 500):
            source = b"\x02\x01" + number.to_bytes(4, "big")
            jack.send(ethernet.Ethernet(b"\xff" * 6, source, 0x0800, bytes(46)).encode())
            if number % 1000 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(bridge.fdb()) == TABLE_LIMIT
        await asyncio.sleep(700)
        assert bridge.fdb() == [], "and all of it ages"

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        runner.run(main())
