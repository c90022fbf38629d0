"""Every fault of the network can be seen on the wire, and a repair takes it away."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
from fault_kit import Broken, run

from lab.model.address import format_mac
from lab.model.frame import Port
from lab.wire import icmp, ipv4
from lab.wire.checksum import is_intact
from scenarios.faults import FAULTS, CannotInject

BOILER = {"port": "boiler/eth0"}


@pytest.mark.parametrize("name", ["cable-broken", "cable-unplugged", "port-disabled"])
def test_a_dead_link_answers_nobody_and_its_lamp_is_dark(name: str) -> None:
    async def story(site: Broken) -> None:
        assert await site.answers("ws-1", "boiler")
        fault = await site.faults.inject(name, BOILER)
        assert not site.network.jack(Port("sw-1", "p2")).is_connected
        site.frames.clear()
        assert not await site.answers("ws-1", "boiler")
        assert site.crossings("boiler/eth0") == 0
        await site.faults.repair(fault)
        assert site.network.jack(Port("sw-1", "p2")).is_connected
        assert await site.answers("ws-1", "boiler")

    run(story)


def test_a_flapping_cable_is_up_and_down_by_turns() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("cable-flapping", {**BOILER, "down": 2, "up": 5})
        jack = site.network.jack(Port("boiler", "eth0"))
        seen = []
        for _ in range(28):
            await asyncio.sleep(0.5)
            seen.append(jack.is_connected)
        changes = sum(a != b for a, b in itertools.pairwise(seen))
        assert changes >= 3
        await site.faults.repair(fault)
        await asyncio.sleep(20)
        assert jack.is_connected

    run(story)


def test_one_dead_fibre_lets_questions_arrive_and_no_answer_back() -> None:
    async def story(site: Broken) -> None:
        assert await site.answers("ws-1", "boiler")
        fault = await site.faults.inject("one-way-link", BOILER)
        site.frames.clear()
        assert not await site.answers("ws-1", "boiler")
        assert site.crossings("boiler/eth0") > 0
        assert site.crossings("sw-1/p2") == 0
        assert site.network.jack(Port("boiler", "eth0")).is_connected, "the lamp is on"
        await site.faults.repair(fault)
        assert await site.answers("ws-1", "boiler")

    run(story)


async def pings(site: Broken, count: int = 60) -> list[float | None]:
    return [await site.host("ws-1").ping("10.1.10.11", timeout=1.0) for _ in range(count)]


def test_lost_frames_are_missing_at_the_other_end() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("frame-loss", {**BOILER, "share": 0.3})
        lost = (await pings(site)).count(None)
        assert 10 < lost < 50
        await site.faults.repair(fault)
        assert None not in await pings(site)

    run(story)


def test_corrupted_frames_do_not_sum_up() -> None:
    async def story(site: Broken) -> None:
        def spoilt() -> int:
            frames = [frame.data for frame in site.frames if frame.data[12:14] == b"\x08\x00"]
            return sum(not is_intact(data[14:34]) or not is_intact(data[34:]) for data in frames)

        fault = await site.faults.inject("frame-corruption", {**BOILER, "share": 0.5})
        assert None in await pings(site)
        assert spoilt() > 10
        await site.faults.repair(fault)
        await asyncio.sleep(400)  # what ARP has learnt wrongly is forgotten
        await pings(site, 3)
        site.frames.clear()
        assert None not in await pings(site)
        assert spoilt() == 0

    run(story)


def test_duplicated_frames_arrive_twice() -> None:
    async def story(site: Broken) -> None:
        def twice() -> int:
            seen = Counter(
                (frame.tap, frame.data)
                for frame in site.frames
                if frame.tap.seen_at == Port("boiler", "eth0") and frame.data[12:14] == b"\x08\x00"
            )
            return sum(count > 1 for count in seen.values())

        fault = await site.faults.inject("frame-duplication", {**BOILER, "share": 0.5})
        await pings(site)
        assert twice() > 10
        await site.faults.repair(fault)
        site.frames.clear()
        await pings(site)
        assert twice() == 0

    run(story)


def test_reordered_frames_overtake_one_another() -> None:
    async def story(site: Broken) -> None:
        async def out_of_order() -> int:
            site.frames.clear()
            with site.host("ws-1").current():
                sender, _ = await site.network.loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=("10.1.10.11", 9999)
                )
            for number in range(100):
                sender.sendto(bytes((number,)))
                await asyncio.sleep(0.002)
            await asyncio.sleep(1)
            sender.close()
            order = [each.payload[8] for each in site.datagrams("boiler") if each.protocol == ipv4.UDP]
            return sum(a > b for a, b in itertools.pairwise(order))

        assert await out_of_order() == 0
        fault = await site.faults.inject("frame-reordering", {**BOILER, "share": 0.2, "hold": 0.02})
        assert await out_of_order() > 5
        await site.faults.repair(fault)
        assert await out_of_order() == 0

    run(story)


def test_delay_makes_round_trips_long_and_jitter_makes_them_differ() -> None:
    async def story(site: Broken) -> None:
        async def times() -> tuple[float, float]:
            each = [time for time in await pings(site, 20) if time is not None]
            return min(each), max(each) - min(each)

        await pings(site, 1)
        late = await site.faults.inject("delay", {**BOILER, "seconds": 0.2})
        least, spread = await times()
        assert least > 0.39
        assert spread < 0.01
        await site.faults.repair(late)
        shaky = await site.faults.inject("jitter", {**BOILER, "seconds": 0.2})
        least, spread = await times()
        assert spread > 0.1
        await site.faults.repair(shaky)
        least, spread = await times()
        assert least + spread < 0.01

    run(story)


def test_two_faults_of_one_cable_add_up_and_leave_one_by_one() -> None:
    async def story(site: Broken) -> None:
        late = await site.faults.inject("delay", {**BOILER, "seconds": 0.2})
        loss = await site.faults.inject("frame-loss", {**BOILER, "share": 0.3})
        await site.faults.repair(late)
        assert None in await pings(site)
        await site.faults.repair(loss)
        assert None not in await pings(site)

    run(story)


def test_a_loop_drowns_the_network_until_it_is_pulled() -> None:
    async def story(site: Broken) -> None:
        assert await site.answers("ws-1", "boiler-2")
        fault = await site.faults.inject("loop", {"a": "sw-1/p7", "b": "sw-2/p7"})
        site.frames.clear()
        await site.host("ws-2").ping("10.1.10.77", timeout=0.05)
        storm = site.crossings("boiler/eth0")
        assert storm > 200, "one question, asked over and over"
        await site.faults.repair(fault)
        await asyncio.sleep(5)
        site.frames.clear()
        await site.host("ws-2").ping("10.1.10.77", timeout=0.05)
        assert site.crossings("boiler/eth0") < 5
        assert await site.answers("ws-1", "boiler-2")

    run(story)


def test_swapped_cables_are_each_in_the_others_port() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("swapped-cables", {"a": "sw-1/p2", "b": "sw-1/p3"})
        cable = site.network.cable_at(Port("boiler", "eth0"))
        assert cable is not None
        assert cable.other(Port("boiler", "eth0")).port == Port("sw-1", "p3")
        site.frames.clear()
        await site.answers("ws-1", "boiler")
        assert {frame.tap.sent_from.name for frame in site.frames if frame.tap.seen_at.host == "boiler"} == {"p3"}
        await site.faults.repair(fault)
        site.frames.clear()
        assert await site.answers("ws-1", "boiler")
        assert {frame.tap.sent_from.name for frame in site.frames if frame.tap.seen_at.host == "boiler"} == {"p2"}

    run(story)


def test_two_hosts_with_one_address_both_claim_it() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("duplicate-ip", {"host": "ws-2", "address": "10.1.10.11"})
        await site.reads("ws-1", "boiler")
        assert len(site.arps("10.1.10.11")) == 2
        await site.faults.repair(fault)
        await asyncio.sleep(400)
        site.frames.clear()
        assert await site.reads("ws-1", "boiler") == "answered"
        assert len(site.arps("10.1.10.11")) == 1

    run(story)


def test_a_wrong_address_leaves_the_right_one_empty() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("wrong-address", {"host": "boiler", "address": "10.1.10.111"})
        assert not await site.answers("ws-1", "boiler")
        assert await site.host("ws-1").ping("10.1.10.111") is not None
        await site.faults.repair(fault)
        assert await site.answers("ws-1", "boiler")

    run(story)


def test_a_wrong_mask_hides_a_part_of_the_subnet() -> None:
    async def story(site: Broken) -> None:
        site.network.power("router", False)  # which would have helped out
        fault = await site.faults.inject("wrong-mask", {"host": "ws-1", "prefix": 27})
        site.frames.clear()
        assert not await site.answers("ws-1", "boiler")
        assert site.crossings("boiler/eth0") < 5
        assert await site.answers("ws-1", "ws-2"), "100 and 101 are in the same /27"
        await site.faults.repair(fault)
        assert await site.answers("ws-1", "boiler")

    run(story)


@pytest.mark.parametrize(
    ("name", "where"),
    [("wrong-gateway", {"host": "boiler", "gateway": "10.1.10.254"}), ("no-gateway", {"host": "boiler"})],
)
def test_without_its_gateway_a_device_answers_only_its_own_subnet(name: str, where: dict[str, Any]) -> None:
    async def story(site: Broken) -> None:
        assert await site.answers("office", "boiler")
        fault = await site.faults.inject(name, where)
        site.frames.clear()
        assert not await site.answers("office", "boiler")
        assert any(each.protocol == ipv4.ICMP for each in site.datagrams("boiler")), "the question arrives"
        assert await site.answers("ws-1", "boiler")
        await site.faults.repair(fault)
        assert await site.answers("office", "boiler")

    run(story)


def test_a_missing_route_is_reported_by_the_router() -> None:
    async def story(site: Broken) -> None:
        async def complaints() -> list[icmp.UnreachableCode]:
            site.frames.clear()
            await site.host("office").ping("10.9.1.1", timeout=1.0)
            messages = [icmp.decode(each.payload) for each in site.datagrams("office") if each.protocol == ipv4.ICMP]
            return [each.code for each in messages if isinstance(each, icmp.Unreachable)]

        assert await complaints() == []
        fault = await site.faults.inject("missing-route", {"host": "router", "to": "10.9.0.0/16"})
        assert await complaints() == [icmp.UnreachableCode.NETWORK]
        await site.faults.repair(fault)
        assert await complaints() == []

    run(story)


def test_a_wrong_name_leads_to_a_wrong_address() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("wrong-name", {"host": "ws-1", "name": "plc", "address": "10.1.10.99"})
        site.frames.clear()
        await site.host("ws-1").ping("plc", timeout=1.0)
        assert await site.answers("ws-1", "boiler")
        asked = {frame.data[38:42] for frame in site.frames if frame.data[12:14] == b"\x08\x06"}
        assert bytes((10, 1, 10, 99)) in asked
        await site.faults.repair(fault)
        with pytest.raises(OSError, match="plc"):
            await site.host("ws-1").ping("plc")

    run(story)


def test_a_small_mtu_cuts_datagrams_into_pieces() -> None:
    async def story(site: Broken) -> None:
        async def pieces() -> int:
            site.frames.clear()
            assert await site.answers("office", "boiler", size=1200)
            return sum(each.is_fragment for each in site.datagrams("boiler"))

        assert await pieces() == 0
        fault = await site.faults.inject("small-mtu", {"host": "router", "interface": "eth0", "mtu": 600})
        assert await pieces() > 0
        await site.faults.repair(fault)
        assert await pieces() == 0

    run(story)


def test_a_black_hole_swallows_what_is_long_and_says_nothing() -> None:
    async def story(site: Broken) -> None:
        async def long_one() -> tuple[int, int]:
            """How many arrived, how many complaints came back."""
            site.frames.clear()
            echo = icmp.Echo(False, 7, 7, bytes(1200)).encode()
            source, target = bytes((10, 1, 50, 5)), bytes((10, 1, 10, 11))
            site.host("office").send_ip(ipv4.IPv4(source, target, ipv4.ICMP, echo, dont_fragment=True))
            await asyncio.sleep(1)
            back = [icmp.decode(each.payload) for each in site.datagrams("office") if each.protocol == ipv4.ICMP]
            return len(site.datagrams("boiler")), sum(isinstance(each, icmp.Unreachable) for each in back)

        assert await site.answers("office", "boiler")
        assert await long_one() == (1, 0)
        fault = await site.faults.inject("mtu-black-hole", {"host": "router", "interface": "eth0"})
        assert await site.answers("office", "boiler"), "short ones pass"
        assert await long_one() == (0, 0)
        await site.faults.repair(fault)
        assert await long_one() == (1, 0)

    run(story)


def test_one_mac_twice_moves_about_in_the_switch() -> None:
    async def story(site: Broken) -> None:
        mac = format_mac(site.host("boiler").nics[0].mac)
        await site.answers("ws-1", "boiler")
        switch = site.network.switches["sw-1"]
        assert switch.table[mac] == "p2"
        fault = await site.faults.inject("duplicate-mac", {"host": "ws-2", "mac": mac})
        await site.answers("ws-2", "ws-1")
        assert switch.table[mac] == "p8", "frames for the boiler now go to the other switch"
        await site.faults.repair(fault)
        await site.answers("ws-2", "ws-1")
        await site.host("boiler").ping("10.1.10.100")
        assert switch.table[mac] == "p2"
        assert await site.answers("ws-1", "boiler")

    run(story)


def test_a_wrong_static_entry_cuts_one_host_off_from_one_other() -> None:
    async def story(site: Broken) -> None:
        where = {"host": "ws-1", "address": "10.1.10.11", "mac": "02:00:00:00:00:99"}
        fault = await site.faults.inject("static-arp", where)
        site.frames.clear()
        assert not await site.answers("ws-1", "boiler")
        assert {frame.data[:6].hex(":") for frame in site.frames if frame.tap.sent_from.host == "ws-1"} == {
            where["mac"]
        }
        assert await site.answers("ws-2", "boiler")
        await site.faults.repair(fault)
        assert await site.answers("ws-1", "boiler")

    run(story)


def test_a_place_that_does_not_exist_is_named() -> None:
    async def story(site: Broken) -> None:
        for name, where in [
            ("cable-broken", {"port": "boiler/eth7"}),
            ("cable-broken", {"port": "sw-1/p5"}),
            ("dead-host", {"host": "boilr"}),
            ("hung-service", {"host": "boiler", "port": 81}),
            ("cable-brokn", BOILER),
            ("frame-loss", {**BOILER, "share": 7}),
            ("frame-loss", {**BOILER, "chance": 0.5}),
            ("duplicate-mac", {"host": "ws-1", "mac": "pink"}),
            ("loop", {"a": "sw-1/p1", "b": "sw-2/p7"}),
        ]:
            with pytest.raises(CannotInject) as caught:
                await site.faults.inject(name, where)
            assert str(caught.value)
        assert site.faults.active == ()

    run(story)


def test_every_fault_tells_people_in_both_languages_what_they_would_see() -> None:
    for fault in FAULTS.values():
        for text in (fault.title, fault.symptom):
            assert text.zh
            assert text.en
            assert text.zh != text.en
