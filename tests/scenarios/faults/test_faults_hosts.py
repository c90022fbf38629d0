"""Every fault of a device can be seen on the wire, and a repair takes it away."""

from __future__ import annotations

import asyncio

import pytest
from fault_kit import Broken, run

from lab.clock import now_ns
from lab.model.frame import Port
from lab.model.plant import Wiring
from lab.wire import ipv4
from lab.wire.tcp import Flag
from lab.wire.tcp import decode as decode_segment
from scenarios.format import FaultFile

HOST = {"host": "boiler"}


def resets(site: Broken, seen_at: str) -> int:
    segments = [
        decode_segment(each.payload, each.source, each.destination)
        for each in site.datagrams(seen_at)
        if each.protocol == ipv4.TCP
    ]
    return sum(Flag.RST in segment.flags for segment in segments)


def test_a_dead_device_is_dark_and_starts_anew_with_power() -> None:
    async def story(site: Broken) -> None:
        assert await site.reads("ws-1", "boiler") == "answered"
        fault = await site.faults.inject("dead-host", HOST)
        assert not site.network.jack(Port("sw-1", "p2")).is_connected
        assert await site.reads("ws-1", "boiler") in ("timeout", "unreachable")
        await site.faults.repair(fault)
        await asyncio.sleep(1)
        assert await site.reads("ws-1", "boiler") == "answered"

    run(story)


def test_a_device_that_reboots_again_and_again_is_gone_by_turns() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("reboot-loop", {**HOST, "down": 3, "up": 5})
        jack = site.network.jack(Port("sw-1", "p2"))
        seen = set()
        for _ in range(10):
            await asyncio.sleep(1)
            seen.add(jack.is_connected)
        assert seen == {True, False}
        await site.faults.repair(fault)
        await asyncio.sleep(5)
        assert await site.reads("ws-1", "boiler") == "answered"

    run(story)


def test_a_hung_service_accepts_and_never_answers() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("hung-service", {**HOST, "port": 502})
        site.frames.clear()
        assert await site.reads("ws-1", "boiler") == "timeout"
        carried = [each for each in site.datagrams("ws-1") if each.protocol == ipv4.TCP]
        assert carried, "the handshake is answered, the request acknowledged"
        assert all(len(decode_segment(e.payload, e.source, e.destination).payload) == 0 for e in carried)
        assert await site.answers("ws-1", "boiler")
        await site.faults.repair(fault)
        assert await site.reads("ws-1", "boiler") == "answered"

    run(story)


def test_what_was_asked_while_a_service_hung_is_answered_when_it_goes_on() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("hung-service", {**HOST, "port": 502})
        waiting = asyncio.ensure_future(site.reads("ws-1", "boiler", patience=30.0))
        await asyncio.sleep(10)
        assert not waiting.done()
        await site.faults.repair(fault)
        assert await waiting == "answered"

    run(story)


def test_a_stopped_service_refuses_while_the_device_answers_pings() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("stopped-service", HOST)
        assert await site.reads("ws-1", "boiler") == "refused"
        assert await site.answers("ws-1", "boiler")
        await site.faults.repair(fault)
        assert await site.reads("ws-1", "boiler") == "answered"

    run(story)


def test_a_forgotten_connection_is_reset_when_it_is_used_again() -> None:
    async def story(site: Broken) -> None:
        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("10.1.10.11", 502)

        reader, writer = await site.host("ws-1").spawn(connect())
        fault = await site.faults.inject("half-open-tcp", {**HOST, "every": 2})
        await asyncio.sleep(1)
        assert resets(site, "ws-1") == 0, "nobody has told it"
        assert not reader.at_eof()
        writer.write(b"\0\1\0\0\0\6\1\4\0\0\0\2")
        with pytest.raises(ConnectionResetError):
            await reader.read(10)
        assert resets(site, "ws-1") == 1
        writer.transport.abort()
        await site.faults.repair(fault)
        reader, writer = await site.host("ws-1").spawn(connect())
        await asyncio.sleep(10)
        writer.write(b"\0\1\0\0\0\6\1\4\0\0\0\2")
        assert len(await reader.read(100)) == 13
        writer.transport.abort()

    run(story)


def test_a_device_for_one_client_turns_the_second_away() -> None:
    async def story(site: Broken) -> None:
        async def hold() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("10.1.10.11", 502)

        fault = await site.faults.inject("single-connection", HOST)
        _, first = await site.host("ws-1").spawn(hold())
        assert await site.reads("ws-2", "boiler") in ("closed", "reset")
        await site.faults.repair(fault)
        _, again = await site.host("ws-1").spawn(hold())
        assert await site.reads("ws-2", "boiler") == "answered"
        first.transport.abort()
        again.transport.abort()

    run(story)


def test_a_blocked_port_is_silent_where_a_closed_one_would_refuse() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("port-blocked", {**HOST, "port": 502})
        site.frames.clear()
        assert await site.reads("ws-1", "boiler") == "timeout"
        assert not [each for each in site.datagrams("ws-1") if each.protocol == ipv4.TCP]
        assert await site.answers("ws-1", "boiler")
        await site.faults.repair(fault)
        assert await site.reads("ws-1", "boiler") == "answered"

    run(story)


def test_a_device_that_ignores_pings_still_works() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("ping-blocked", HOST)
        assert not await site.answers("ws-1", "boiler")
        assert await site.reads("ws-1", "boiler") == "answered"
        await site.faults.repair(fault)
        assert await site.answers("ws-1", "boiler")

    run(story)


def test_a_wrong_clock_shows_in_what_the_host_stamps() -> None:
    async def story(site: Broken) -> None:
        async def stamp() -> int:
            return now_ns()

        async def error() -> float:
            here: int = await site.host("ws-1").spawn(stamp())
            return (here - site.network.loop.wall_ns()) / 1e9

        fault = await site.faults.inject("clock-offset", {"host": "ws-1", "seconds": -3600})
        assert await error() == pytest.approx(-3600, abs=1)
        await site.faults.repair(fault)
        assert await error() == pytest.approx(0, abs=1)

    run(story)


def test_faults_come_and_go_by_schedule_and_the_journal_says_when() -> None:
    async def story(site: Broken) -> None:
        site.faults.schedule(
            [
                FaultFile(fault="cable-broken", at=5, until=10, where={"port": "boiler/eth0"}),
                FaultFile(fault="stopped-service", at=20, where={"host": "boiler"}),
            ]
        )
        seen = []
        for _ in range(6):
            seen.append(await site.reads("ws-1", "boiler", patience=1.0))
            await asyncio.sleep(5)
        assert seen[0] == "answered"
        assert seen[1] in ("timeout", "unreachable")
        assert seen[-1] == "refused"
        assert [name for name, _ in site.journal] == ["FaultInjected", "FaultRepaired", "FaultInjected"]
        assert site.journal[0][1]["where"] == {"port": ["boiler", "eth0"]}
        await site.faults.repair_all()
        assert await site.reads("ws-1", "boiler") == "answered"

    run(story)


def test_a_new_cable_has_not_the_old_ones_faults() -> None:
    async def story(site: Broken) -> None:
        fault = await site.faults.inject("frame-loss", {"port": "boiler/eth0", "share": 1})
        assert not await site.answers("ws-1", "boiler")
        wiring = site.plant.config.wiring
        others = [cable for cable in wiring.cables if cable.a.host != "boiler"]
        new = Wiring.model_validate({"cables": [("boiler/eth0", "sw-1/p6")]}).cables
        site.plant.rewire(Wiring(cables=[*others, *new]))
        assert await site.answers("ws-1", "boiler")
        await site.faults.repair(fault)
        assert await site.answers("ws-1", "boiler")

    run(story)


def test_a_cable_must_be_of_the_right_kind_and_not_too_long() -> None:
    def cabled(**cable: object) -> Wiring:
        return Wiring.model_validate(
            {"cables": [{"a": "boiler/eth0", "b": "sw-1/p2", **cable}, ("ws-1/eth0", "sw-1/p1")]}
        )

    async def story(site: Broken) -> None:
        for cable, lamp in (({"length": 90}, True), ({"length": 400}, False), ({"medium": "om3"}, False), ({}, True)):
            site.plant.rewire(cabled(**cable))
            assert site.network.jack(Port("boiler", "eth0")).is_connected == lamp, cable
            assert await site.answers("ws-1", "boiler") == lamp

    run(story)


def test_fibre_needs_a_transceiver_of_its_kind_at_either_end() -> None:
    async def story(site: Broken) -> None:
        config = site.plant.config.hosts["boiler"]
        wiring = {"cables": [{"a": "boiler/eth0", "b": "router/eth0", "medium": "os2", "length": 4000}]}
        site.plant.rewire(Wiring.model_validate(wiring))
        router = site.plant.config.hosts["router"]
        for here, there, lamp in (
            ({}, {}, False),
            ({"eth0": "1000BASE-LX"}, {"eth0": "1000BASE-LX"}, True),
            ({"eth0": "1000BASE-SX"}, {"eth0": "1000BASE-LX"}, False),
        ):
            await site.plant.configure("boiler", config.model_copy(update={"transceivers": here}))
            await site.plant.configure("router", router.model_copy(update={"transceivers": there}))
            assert site.network.jack(Port("boiler", "eth0")).is_connected == lamp, here

    run(story)
