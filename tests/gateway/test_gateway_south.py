"""South of the gateway, when devices misbehave: nothing hangs, nothing lies, nobody else is held up."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from gateway_kit import Room, modbus_device, north, tell

from lab.model.frame import Port
from lab.network.containment import contain
from lab.network.opcua_identity import application_identity

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]

LEVEL = {"name": "level", "address": 40001, "type": "u16"}
FLOW = {"name": "flow", "address": {"table": "input", "offset": 0}, "type": "f32"}


def reply(request: bytes, pdu: bytes) -> bytes:
    """An answer to a request, whatever the PDU."""
    return request[:4] + struct.pack(">HB", len(pdu) + 1, request[6]) + pdu


def registers(*values: int, function: int = 3) -> bytes:
    return bytes([function, 2 * len(values)]) + struct.pack(f">{len(values)}H", *values)


async def odd_device(room: Room, answer: Answer, name: str = "plc-1") -> list[float]:
    """A Modbus server that answers as told; returns the times at which it was asked."""
    asked: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(12)
                asked.append(room.loop.time())
                await answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    await room.hosts[name].spawn(asyncio.start_server(serve, "0.0.0.0", 502))
    return asked


async def gateway(room: Room, *devices: dict[str, Any]) -> Any:
    await room.switch_on("broker", "broker", {})
    await room.listen()
    return await room.switch_on("gw", "gw-edge", {"south": devices, "north": north(room.address("broker"))})


def test_a_device_that_closes_instead_of_answering_is_noticed_at_once() -> None:
    async def story(room: Room) -> None:
        async def close(_: bytes, writer: asyncio.StreamWriter) -> None:
            writer.close()

        await odd_device(room, close)
        running = await gateway(room, modbus_device("plc", room.address("plc-1"), [LEVEL], timeout_ms=60_000))
        await asyncio.sleep(5)
        assert room.values("plc")[0]["q"] == {"level": "bad"}
        status = running.status()["south"]["plc"]
        assert "closed the connection" in status["tags"]["level"]["reason"] + status["last_error"]
        assert status["connections"] > 1, "it does not wait out its time"

    tell(story)


def test_a_device_that_does_not_answer_in_time_is_left_and_tried_again_ever_more_rarely() -> None:
    async def story(room: Room) -> list[float]:
        async def silence(_: bytes, __: asyncio.StreamWriter) -> None:
            pass

        asked = await odd_device(room, silence)
        device = modbus_device("plc", room.address("plc-1"), [LEVEL], timeout_ms=200, reconnect_max_ms=8000)
        running = await gateway(room, device)
        await asyncio.sleep(120)
        assert "no answer from unit 1 within 200 ms" in running.status()["south"]["plc"]["last_error"]
        assert len(room.values("plc")) == pytest.approx(120, abs=2), "every cycle says that the tag is bad"
        return asked

    asked = tell(story)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] < 2
    assert all(4 <= pause <= 10 for pause in pauses[6:])


def test_a_late_answer_is_not_taken_for_that_of_a_later_question() -> None:
    async def story(room: Room) -> set[int]:
        questions = 0

        async def second_answers_late(request: bytes, writer: asyncio.StreamWriter) -> None:
            nonlocal questions
            questions += 1
            number = questions
            if number == 2:
                await asyncio.sleep(0.7)
            writer.write(reply(request, registers(number)))

        await odd_device(room, second_answers_late)
        await gateway(room, modbus_device("plc", room.address("plc-1"), [LEVEL], timeout_ms=500))
        await asyncio.sleep(20)
        return {each["values"]["level"] for each in room.values("plc")}

    seen = tell(story)
    assert 2 not in seen
    assert {1, 3, 4} <= seen


@pytest.mark.parametrize(
    "pdu",
    [registers(1, 2), registers(1, function=4), b"\x03\x01\x00", b"\x83\x02"],
    ids=["more values than asked", "another function", "half a register", "an exception"],
)
def test_an_answer_that_does_not_fit_makes_the_tag_bad_and_says_why(pdu: bytes) -> None:
    async def story(room: Room) -> Any:
        async def misfit(request: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(reply(request, pdu))

        await odd_device(room, misfit)
        running = await gateway(room, modbus_device("plc", room.address("plc-1"), [LEVEL]))
        await asyncio.sleep(5)
        return running.status()["south"]["plc"]["tags"]["level"]

    tag = tell(story)
    assert (tag["value"], tag["quality"], tag["good"]) == (None, "bad", 0)
    assert tag["reason"]


def test_what_is_no_number_is_bad_not_nonsense_in_json() -> None:
    async def story(room: Room) -> dict[str, Any]:
        async def not_a_number(request: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(reply(request, registers(0x7FC0, 0, function=4)))

        await odd_device(room, not_a_number)
        await gateway(room, modbus_device("plc", room.address("plc-1"), [FLOW]))
        await asyncio.sleep(3)
        return room.values("plc")[-1]

    said = tell(story)
    assert (said["values"], said["q"]) == ({"flow": None}, {"flow": "bad"})


def test_a_cycle_that_takes_longer_than_its_period_skips_ticks_counts_them_and_never_overlaps() -> None:
    async def story(room: Room) -> tuple[list[float], Any]:
        async def slowly(request: bytes, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(1.3)
            writer.write(reply(request, registers(5)))

        asked = await odd_device(room, slowly)
        running = await gateway(room, modbus_device("plc", room.address("plc-1"), [LEVEL], timeout_ms=3000))
        await asyncio.sleep(60)
        return asked, running.status()["south"]["plc"]["groups"]["g"]

    asked, group = tell(story)
    assert all(later - earlier == pytest.approx(2, abs=0.01) for earlier, later in pairwise(asked[1:]))
    assert group["overruns"] == pytest.approx(30, abs=1)
    assert group["cycles"] == pytest.approx(30, abs=1)


def test_two_groups_of_one_device_share_its_connection_one_request_at_a_time() -> None:
    async def story(room: Room) -> Any:
        impatient: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    request = await reader.readexactly(12)
                    try:
                        async with asyncio.timeout(0.05):
                            impatient.append(await reader.read(1))
                    except TimeoutError:
                        writer.write(reply(request, registers(5)))
            except asyncio.IncompleteReadError:
                writer.close()

        await room.hosts["plc-1"].spawn(asyncio.start_server(serve, "0.0.0.0", 502))
        device = modbus_device("plc", room.address("plc-1"), [LEVEL])
        slow = {"name": "slow", "period_ms": 5000, "tags": [{**LEVEL, "name": "other", "address": 40100}]}
        device["groups"].append(slow)
        running = await gateway(room, device)
        await asyncio.sleep(19.5)
        assert not impatient
        return running.status()["south"]["plc"]

    status = tell(story)
    assert (status["connections"], status["errors"], status["requests"]) == (1, 0, 24)
    assert {name: group["cycles"] for name, group in status["groups"].items()} == {"g": 20, "slow": 4}


# -- OPC UA ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def keys_are_kept_for_this_run_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IIOTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Users:
    """Knows `acq` with the password `secret`, and nobody else."""

    def get_user(self, _: Any, username: str | None = None, password: str | None = None, **__: Any) -> Any:
        from asyncua.crypto.permission_rules import User, UserRole

        return User(role=UserRole.User) if (username, password) == ("acq", "secret") else None


async def opcua_server(room: Room, users: Users | None = None) -> tuple[Any, Any]:
    from asyncua import Server, ua
    from asyncua.server import internal_subscription

    contain(internal_subscription)

    async def serve() -> tuple[Any, Any]:
        server = Server(user_manager=users) if users else Server()
        await server.init()
        server.set_endpoint("opc.tcp://0.0.0.0:4840/")
        identity = await application_identity("urn:test:plc-1", "plc-1", "server")
        await server.set_application_uri("urn:test:plc-1")
        await server.load_certificate(identity.certificate_der)
        await server.load_private_key(identity.key_pem, format="pem")
        policies = ua.SecurityPolicyType
        server.set_security_policy(
            [policies.NoSecurity, policies.Basic256Sha256_Sign, policies.Basic256Sha256_SignAndEncrypt]
        )
        await server.register_namespace("urn:test")
        node = await server.nodes.objects.add_variable(ua.NodeId("Speed", 2), "Speed", 1200.0)
        await server.start()
        return server, node

    started: tuple[Any, Any] = await room.hosts["plc-1"].spawn(serve())
    return started


def opcua_device(room: Room, name: str, *tags: dict[str, Any], **connection: Any) -> dict[str, Any]:
    return {
        "name": name,
        "driver": "opcua",
        "connection": {"endpoint": f"opc.tcp://{room.address('plc-1')}:4840/", **connection},
        "groups": [{"name": "g", "period_ms": 1000, "tags": tags or [{"name": "speed", "node": "ns=2;s=Speed"}]}],
    }


def test_opc_ua_is_signed_and_encrypted_where_told_and_logs_in_where_told() -> None:
    async def story(room: Room) -> dict[str, Any]:
        server, _ = await opcua_server(room, Users())
        acq = {"username": "acq", "password": "secret"}
        secure = {"security_policy": "Basic256Sha256", **acq}
        running = await gateway(
            room,
            opcua_device(room, "plain", **acq),
            opcua_device(room, "signed", security_mode="Sign", **secure),
            opcua_device(room, "encrypted", **secure),
            opcua_device(room, "subscribed", mode="subscribe", **secure),
            opcua_device(room, "anonymous"),
            opcua_device(room, "mistyped", **{**secure, "password": "sceret"}),
        )
        await asyncio.sleep(30)
        status: dict[str, Any] = running.status()["south"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return status

    status = tell(story)
    for name in ("plain", "signed", "encrypted", "subscribed"):
        assert (status[name]["tags"]["speed"]["value"], status[name]["connections"]) == (1200.0, 1), name
    for name in ("anonymous", "mistyped"):
        assert status[name]["tags"]["speed"]["quality"] == "bad"
        assert "BadUserAccessDenied" in status[name]["last_error"]


def test_a_node_that_is_not_there_is_bad_and_its_neighbours_are_good() -> None:
    async def story(room: Room) -> dict[str, Any]:
        server, _ = await opcua_server(room)
        tags = [
            {"name": "speed", "node": "nsu=urn:test;s=Speed", "scale": 0.1},
            {"name": "typo", "node": "ns=2;s=Sped"},
            {"name": "foreign", "node": "nsu=urn:other;s=Speed"},
        ]
        modes = [opcua_device(room, mode, *tags, mode=mode) for mode in ("poll", "subscribe")]
        running = await gateway(room, *modes)
        await asyncio.sleep(10)
        status: dict[str, Any] = running.status()["south"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return status

    for mode, device in tell(story).items():
        tags = device["tags"]
        assert (tags["speed"]["value"], tags["speed"]["quality"]) == (120.0, "good"), mode
        assert "BadNodeIdUnknown" in tags["typo"]["reason"], mode
        assert "urn:other" in tags["foreign"]["reason"], mode


def test_a_subscription_to_what_never_changes_says_it_once_and_stays() -> None:
    async def story(room: Room) -> Any:
        server, _ = await opcua_server(room)
        running = await gateway(room, opcua_device(room, "cnc", mode="subscribe"))
        await asyncio.sleep(1200)
        status = running.status()["south"]["cnc"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        assert len(room.values("cnc")) == 1
        return status

    status = tell(story)
    assert (status["connections"], status["errors"], status["tags"]["speed"]["good"]) == (1, 0, 1)


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
def test_a_server_that_talks_rubbish_is_bad_and_disturbs_nobody(mode: str) -> None:
    rubbish = [
        b"HTTP/1.0 400 Bad Request\r\n\r\n",
        b"ACKF\x08\0\0\0",
        b"\xff" * 64,
        b"ERRF\x10\0\0\0\0\0\x7d\x80\xff\xff\xff\xff",
    ]

    async def story(room: Room) -> Any:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(rubbish[0])
            rubbish.append(rubbish.pop(0))
            await reader.read()
            writer.close()

        await room.hosts["plc-1"].spawn(asyncio.start_server(babble, "0.0.0.0", 4840))
        await room.modbus_server("plc-2", [7] * 8)
        running = await gateway(
            room,
            opcua_device(room, "cnc", mode=mode, timeout_ms=500),
            modbus_device("plc", room.address("plc-2"), [LEVEL]),
        )
        await asyncio.sleep(60)
        return running.status()["south"]

    status = tell(story, plcs=2)
    assert status["cnc"]["tags"]["speed"]["quality"] == "bad"
    assert status["cnc"]["errors"] > 4
    assert status["plc"]["tags"]["level"]["good"] == pytest.approx(60, abs=1)


def test_a_device_with_no_node_that_exists_is_not_hammered() -> None:
    async def story(room: Room) -> Any:
        server, _ = await opcua_server(room)
        nowhere = {"name": "x", "node": "nsu=urn:other;s=Speed"}
        modes = [opcua_device(room, mode, nowhere, mode=mode) for mode in ("poll", "subscribe")]
        running = await gateway(room, *modes)
        await asyncio.sleep(60)
        status = running.status()["south"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return status

    for device in tell(story).values():
        assert (device["connections"], device["tags"]["x"]["quality"]) == (1, "bad")


def test_a_server_that_vanishes_or_restarts_is_bad_meanwhile_and_good_again() -> None:
    async def story(room: Room) -> list[tuple[str, ...]]:
        server, _ = await opcua_server(room)
        running = await gateway(room, *(opcua_device(room, mode, mode=mode) for mode in ("poll", "subscribe")))
        said: list[tuple[str, ...]] = []

        async def after(seconds: float) -> None:
            await asyncio.sleep(seconds)
            south = running.status()["south"]
            said.append(tuple(device["tags"]["speed"]["quality"] for device in south.values()))

        await after(120)
        room.network.unplug(Port("plc-1", "eth0"))
        await after(30)
        room.network.plug(Port("plc-1", "eth0"), Port("sw", "p4"))
        await after(40)
        await room.hosts["plc-1"].spawn(server.stop())
        await after(30)
        server, _ = await opcua_server(room)
        await after(40)
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return said

    assert tell(story) == [(quality,) * 2 for quality in ("good", "bad", "good", "bad", "good")]
