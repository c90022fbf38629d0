"""The gateway at work in a plant: what it reads from servers of other makers arrives at the broker, come what may."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import Room, modbus_device, north, tell

from lab.clock import EPOCH_NS
from lab.model.frame import Port, Tap
from lab.network.opcua_identity import application_identity

TAGS: list[dict[str, Any]] = [
    {"name": "level", "address": 40001, "type": "i16", "scale": 0.1},
    {"name": "flow", "address": {"table": "holding", "offset": 2}, "type": "f32", "order": "CDAB"},
]
REGISTERS = [0xFFF6, 0, 0x0000, 0x41C8, 0, 0, 0, 0]
"""-1.0 and 25.0"""


@pytest.fixture(autouse=True)
def gmqtt_is_old_fashioned() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


async def running(room: Room, **more: Any) -> None:
    await room.switch_on("broker", "broker", {})
    await room.listen()
    await room.modbus_server("plc-1", REGISTERS)
    south = [modbus_device("boiler", room.address("plc-1"), TAGS)]
    await room.switch_on("gw", "gw-edge", {"site": "s", "south": south, "north": north(room.address("broker"))} | more)


def test_values_arrive_in_engineering_units_with_their_time_and_quality() -> None:
    async def story(room: Room) -> None:
        await running(room)
        await asyncio.sleep(10)
        last = room.values("boiler")[-1]
        assert last["values"] == {"level": -1.0, "flow": 25.0}
        assert last["q"] == {"level": "good", "flow": "good"}
        assert EPOCH_NS / 1e6 < last["ts"] <= room.loop.wall_ns() / 1e6

    tell(story)


def test_ten_plant_minutes_are_one_message_a_second_without_drift() -> None:
    async def story(room: Room) -> list[float]:
        await running(room)
        await asyncio.sleep(600)
        return [each.at for each in room.heard if each.topic.endswith("telemetry")]

    times = tell(story)
    assert 599 <= len(times) <= 601
    assert all(later - earlier == pytest.approx(1, abs=0.01) for earlier, later in pairwise(times[2:]))
    assert times[-1] - times[2] == pytest.approx(len(times) - 3, abs=0.01)


def test_a_dead_device_is_reported_bad_and_delays_nobody() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("broker", "broker", {})
        await room.listen()
        await room.modbus_server("plc-1", REGISTERS)
        south = [
            modbus_device("boiler", room.address("plc-1"), TAGS),
            modbus_device("ghost", "10.0.0.99", TAGS),
            modbus_device("silent", room.address("plc-2"), TAGS),
        ]
        room.network.unplug(Port("plc-2", "eth0"))
        await room.switch_on("gw", "gw-edge", {"south": south, "north": north(room.address("broker"))})
        await asyncio.sleep(60)
        times = [each.at for each in room.heard if each.topic.endswith("/boiler/telemetry")]
        assert all(later - earlier == pytest.approx(1, abs=0.01) for earlier, later in pairwise(times[2:]))
        assert room.values("ghost")[-1]["q"] == {"level": "bad", "flow": "bad"}
        assert room.values("silent")[-1]["q"] == {"level": "bad", "flow": "bad"}

    tell(story, plcs=2)


def test_the_same_story_told_twice_is_the_same_to_the_byte() -> None:
    def frames() -> list[tuple[Tap, int, bytes]]:
        seen: list[tuple[Tap, int, bytes]] = []

        async def story(room: Room) -> None:
            room.network.taps.append(lambda tap, at, data: seen.append((tap, at, bytes(data))))
            ghost = modbus_device("ghost", "10.0.0.99", TAGS)
            await running(room)
            south = [modbus_device("boiler", room.address("plc-1"), TAGS), ghost]
            await room.switch_on("gw", "gw-edge", {"site": "s", "south": south, "north": north(room.address("broker"))})
            await asyncio.sleep(30)
            room.network.unplug(Port("gw", "eth0"))
            await asyncio.sleep(30)
            room.network.plug(Port("gw", "eth0"), Port("sw", "p1"))
            await asyncio.sleep(30)

        tell(story)
        return seen

    assert frames() == frames()


def test_switching_off_and_reconfiguring_close_connections_without_a_reset() -> None:
    async def story(room: Room) -> list[tuple[Tap, int]]:
        resets: list[tuple[Tap, int]] = []

        def look(tap: Tap, at: int, frame: bytes) -> None:
            if frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[47] & 0x04:
                resets.append((tap, at))

        room.network.taps.append(look)
        await running(room)
        await asyncio.sleep(10.5)
        other = {"south": [], "north": north(room.address("broker"), client_id="another")}
        await room.switch_on("gw", "gw-edge", other)
        await asyncio.sleep(10)
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await asyncio.sleep(10)
        return resets

    assert tell(story) == []


def test_a_device_that_comes_back_is_read_again() -> None:
    async def story(room: Room) -> None:
        await running(room)
        await asyncio.sleep(5)
        room.network.unplug(Port("plc-1", "eth0"))
        await asyncio.sleep(20)
        assert room.values("boiler")[-1]["q"]["level"] == "bad"
        room.network.plug(Port("plc-1", "eth0"), Port("sw", "p4"))
        await asyncio.sleep(20)
        assert room.values("boiler")[-1]["q"]["level"] == "good"

    tell(story)


def test_what_the_broker_missed_it_gets_later_in_order_with_original_times() -> None:
    async def story(room: Room) -> list[int]:
        await running(room)
        await asyncio.sleep(5)
        cable = room.network.cable_at(Port("broker", "eth0"))
        assert cable is not None
        room.network.unplug(Port("gw", "eth0"))
        await asyncio.sleep(90)
        room.network.plug(Port("gw", "eth0"), Port("sw", "p1"))
        await asyncio.sleep(60)
        return [each["ts"] for each in room.values("boiler")]

    stamps = list(dict.fromkeys(tell(story)))
    assert stamps == sorted(stamps)
    assert max(later - earlier for earlier, later in pairwise(stamps)) < 2500


def test_the_status_is_retained_and_the_will_says_when_the_gateway_is_gone() -> None:
    async def story(room: Room) -> list[object]:
        await running(room)
        await asyncio.sleep(5)
        room.network.unplug(Port("gw", "eth0"))
        await asyncio.sleep(200)
        return [each.payload for each in room.heard if each.topic == "v1/s/gw/status"]

    said = tell(story)
    assert said[0] == {"online": True}
    assert said[-1] == {"online": False}


def test_a_new_configuration_keeps_the_connections_it_does_not_change() -> None:
    async def story(room: Room) -> None:
        await running(room)
        await asyncio.sleep(5)
        more = [*TAGS, {"name": "raw", "address": 40001, "type": "u16"}]
        south = [modbus_device("boiler", room.address("plc-1"), more)]
        gateway = await room.switch_on(
            "gw", "gw-edge", {"site": "s", "south": south, "north": north(room.address("broker"))}
        )
        await asyncio.sleep(5)
        status: Any = gateway.status()
        assert status["south"]["boiler"]["connections"] == 1
        assert status["north"]["platform"]["connections"] == 1
        assert room.values("boiler")[-1]["values"]["raw"] == 0xFFF6

    tell(story)


def test_an_illegal_address_spoils_its_own_block_only() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("broker", "broker", {})
        await room.listen()
        await room.modbus_server("plc-1", REGISTERS)
        tags = [*TAGS, {"name": "nowhere", "address": {"table": "holding", "offset": 500}, "type": "u16"}]
        south = [modbus_device("boiler", room.address("plc-1"), tags)]
        gateway = await room.switch_on("gw", "gw-edge", {"south": south, "north": north(room.address("broker"))})
        await asyncio.sleep(5)
        assert room.values("boiler")[-1]["q"] == {"level": "good", "flow": "good", "nowhere": "bad"}
        status: Any = gateway.status()
        assert "exception" in status["south"]["boiler"]["tags"]["nowhere"]["reason"]

    tell(story)


@pytest.mark.parametrize("secure", [False, True], ids=["none", "Basic256Sha256"])
@pytest.mark.parametrize("mode", ["poll", "subscribe"])
def test_opc_ua_is_polled_or_subscribed(
    mode: str, secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asyncua import Server, ua

    monkeypatch.setenv("IIOTLAB_CACHE", str(tmp_path))

    async def story(room: Room) -> list[dict[str, Any]]:
        async def serve() -> tuple[Server, Any]:
            server = Server()
            await server.init()
            server.set_endpoint("opc.tcp://0.0.0.0:4840/")
            if secure:
                shown = await application_identity("urn:test", "plc-1", "server")
                await server.set_application_uri("urn:test")
                await server.load_certificate(shown.certificate_der)
                await server.load_private_key(shown.key_pem, format="pem")
                server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
            else:
                server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            await server.register_namespace("urn:test")
            node = await server.nodes.objects.add_variable(ua.NodeId("Speed", 2), "Speed", 1200.0)
            await server.start()
            return server, node

        server, node = await room.hosts["plc-1"].spawn(serve())
        await room.switch_on("broker", "broker", {})
        await room.listen()
        device = {
            "name": "cnc",
            "driver": "opcua",
            "connection": {
                "endpoint": f"opc.tcp://{room.address('plc-1')}:4840/",
                "mode": mode,
                **({"security_policy": "Basic256Sha256", "security_mode": "SignAndEncrypt"} if secure else {}),
            },
            "groups": [{"name": "g", "period_ms": 1000, "tags": [{"name": "speed", "node": "ns=2;s=Speed"}]}],
        }
        await room.switch_on("gw", "gw-edge", {"south": [device], "north": north(room.address("broker"))})
        await asyncio.sleep(10)
        await room.hosts["plc-1"].spawn(node.write_value(1500.0))
        await asyncio.sleep(10)
        said = room.values("cnc")
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return said

    said = tell(story)
    values = list(dict.fromkeys(each["values"].get("speed") for each in said if each["q"]["speed"] == "good"))
    assert values == [1200.0, 1500.0]
    assert len(said) >= (18 if mode == "poll" else 2)
