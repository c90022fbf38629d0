"""An agent is asked by pysnmp's manager, hears nonsense, and reports by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pysnmp.carrier.asyncio import dispatch  # type: ignore[import-untyped]
from pysnmp.hlapi.v3arch import asyncio as hlapi  # type: ignore[import-untyped]
from service_kit import Site, dissect, tell
from snmp_kit import MAC, OTHER, agent_on
from snmp_manager import Manager, community

from devices.snmp import messages
from devices.snmp.agent import Agent
from devices.snmp.config import SnmpConfig
from devices.snmp.device import Oid
from devices.snmp.host_view import HostView
from devices.snmp.messages import Community, Operation, Pdu
from devices.snmp.mib import ErrorStatus, Kind, Missing, Value
from lab.model.frame import Port
from lab.network.containment import PlantTime

MIB_2 = (1, 3, 6, 1, 2, 1)
UP_TIME = (*MIB_2, 1, 3, 0)
CONTACT = (*MIB_2, 1, 4, 0)
ADMIN_2 = (*MIB_2, 2, 2, 1, 7, 2)
READER = hlapi.UsmUserData(
    "reader",
    "maplesyrup",
    "sugarcane",
    authProtocol=hlapi.usmHMACSHAAuthProtocol
    if hasattr(hlapi, "usmHMACSHAAuthProtocol")
    else hlapi.USM_AUTH_HMAC96_SHA,
    privProtocol=hlapi.USM_PRIV_CFB128_AES,
)
WRITER = hlapi.UsmUserData(
    "writer",
    "auth-writer",
    "priv-writer",
    authProtocol=hlapi.USM_AUTH_HMAC192_SHA256,
    privProtocol=hlapi.USM_PRIV_CFB128_AES,
)


@pytest.fixture(autouse=True)
def the_manager_lives_in_plant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "time", PlantTime.time)


@pytest.mark.parametrize("who", [community("public"), READER, WRITER], ids=["v2c", "sha", "sha256"])
def test_a_manager_reads_the_system_in_plant_time(who: Any) -> None:
    async def story(site: Site) -> tuple[bytes, int, int]:
        agent_on(site)
        manager = Manager(site.host("nms", "10.0.0.9/24"), who)
        name = bytes(await manager.value((*MIB_2, 1, 5, 0)))
        first = int(await manager.value(UP_TIME))
        await asyncio.sleep(3600)
        second = int(await manager.value(UP_TIME))
        manager.close()
        return name, first, second

    name, first, second = tell(story)
    assert name == b"switch"
    assert first < 100
    assert 360_000 <= second - first < 360_100


def test_a_walk_finds_every_object_in_order_and_ends() -> None:
    async def story(site: Site) -> list[Oid]:
        agent_on(site)
        manager = Manager(site.host("nms", "10.0.0.9/24"), community("public"))
        found = await manager.walk((1, 0))
        manager.close()
        return found

    found = tell(story)
    assert found == sorted(found)
    assert len(found) == len(set(found))
    for present in (
        UP_TIME,
        (*MIB_2, 2, 1, 0),
        (*MIB_2, 31, 1, 1, 1, 6, 4),
        (*MIB_2, 17, 4, 3, 1, 2, *OTHER),
        (*MIB_2, 17, 7, 1, 2, 2, 1, 2, 20, *OTHER),
        (*MIB_2, 17, 7, 1, 4, 5, 1, 1, 2),
        (*MIB_2, 17, 2, 15, 1, 3, 1),
        (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1, 9, 0, 4, 1),
    ):
        assert present in found


def test_counters_vlans_and_neighbours_are_what_the_device_says_now() -> None:
    async def story(site: Site) -> list[Any]:
        _, device, _ = agent_on(site)
        manager = Manager(site.host("nms", "10.0.0.9/24"), community("public"))
        device.octets = 2**32 + 7
        seen = [
            int(await manager.value((*MIB_2, 2, 2, 1, 10, 1))),
            int(await manager.value((*MIB_2, 31, 1, 1, 1, 6, 1))),
            bytes(await manager.value((*MIB_2, 17, 7, 1, 4, 3, 1, 2, 20))),
            int(await manager.value((*MIB_2, 17, 7, 1, 4, 5, 1, 1, 2))),
            bytes(await manager.value((1, 0, 8802, 1, 1, 2, 1, 4, 1, 1, 11, 0, 4, 1))),
            bytes(await manager.value((*MIB_2, 17, 1, 1, 0))),
        ]
        manager.close()
        return seen

    # A 32-bit counter wraps; ports 2 and 4 are the second and fourth bit; a bridge is the third.
    assert tell(story) == [7, 2**32 + 7, b"\x50", 20, b"\x20\0", MAC]


def test_who_may_write_writes_and_who_may_not_is_told() -> None:
    async def story(site: Site) -> tuple[list[int], str, bool, int]:
        agent, device, _ = agent_on(site)
        host = site.host("nms", "10.0.0.9/24")
        reading, writing = Manager(host, READER), Manager(host, WRITER)
        statuses = []
        for manager, oid, value in (
            (writing, CONTACT, hlapi.OctetString("night shift")),
            (writing, ADMIN_2, hlapi.Integer32(2)),
            (writing, ADMIN_2, hlapi.Integer32(3)),
            (writing, ADMIN_2, hlapi.OctetString("2")),
            (writing, (*MIB_2, 2, 2, 1, 7, 99), hlapi.Integer32(2)),
            (writing, CONTACT, hlapi.OctetString("x" * 256)),
            (writing, UP_TIME, hlapi.TimeTicks(0)),
            (reading, CONTACT, hlapi.OctetString("me")),
        ):
            error, status, _, _ = await manager.ask(hlapi.set_cmd, (oid, value))
            assert not error, error
            statuses.append(int(status))
        for manager in (reading, writing):
            manager.close()
        return statuses, agent.identity.contact, device.up[2], device.up[1]

    statuses, contact, two, one = tell(story)
    assert statuses == [
        ErrorStatus.NO_ERROR,
        ErrorStatus.NO_ERROR,
        ErrorStatus.WRONG_VALUE,
        ErrorStatus.WRONG_TYPE,
        ErrorStatus.NO_CREATION,
        ErrorStatus.WRONG_LENGTH,
        ErrorStatus.NOT_WRITABLE,
        ErrorStatus.NO_ACCESS,
    ]
    assert (contact, two, one) == ("night shift", False, True)


def test_a_wrong_password_an_unknown_user_and_an_unknown_community_get_nothing() -> None:
    async def story(site: Site) -> tuple[list[str], Agent]:
        agent, _, _ = agent_on(site)
        host = site.host("nms", "10.0.0.9/24")
        said = []
        for who in (
            hlapi.UsmUserData(
                "reader",
                "wrong-password",
                "sugarcane",
                authProtocol=hlapi.USM_AUTH_HMAC96_SHA,
                privProtocol=hlapi.USM_PRIV_CFB128_AES,
            ),
            hlapi.UsmUserData(
                "stranger",
                "maplesyrup",
                "sugarcane",
                authProtocol=hlapi.USM_AUTH_HMAC96_SHA,
                privProtocol=hlapi.USM_PRIV_CFB128_AES,
            ),
            community("secret"),
            hlapi.CommunityData("public", mpModel=0),
        ):
            manager = Manager(host, who)
            error, _, _, _ = await manager.ask(hlapi.get_cmd, UP_TIME)
            said.append(type(error).__name__)
            manager.close()
        return said, agent

    said, agent = tell(story)
    assert said == ["WrongDigest", "UnknownUserName", "RequestTimedOut", "RequestTimedOut"]
    assert agent.statistics.bad_communities == agent.statistics.bad_versions == 2  # each was asked twice


def test_a_manager_finds_its_way_back_into_the_time_window_after_a_restart() -> None:
    async def story(site: Site) -> tuple[int, int]:
        agent, _, _ = agent_on(site)
        manager = Manager(site.host("nms", "10.0.0.9/24"), READER)
        await manager.value(UP_TIME)
        agent.stop()
        await asyncio.sleep(10)
        agent.start()
        await manager.value(UP_TIME)
        manager.close()
        return agent.boots, agent.statistics.outside_window

    assert tell(story) == (2, 1)


def test_a_user_without_encryption_is_not_authorized() -> None:
    async def story(site: Site) -> int:
        agent_on(site)
        user = hlapi.UsmUserData("reader", "maplesyrup", authProtocol=hlapi.USM_AUTH_HMAC96_SHA)
        manager = Manager(site.host("nms", "10.0.0.9/24"), user)
        _, status, _, _ = await manager.ask(hlapi.get_cmd, UP_TIME)
        manager.close()
        return int(status)

    assert tell(story) == ErrorStatus.AUTHORIZATION


def test_notifications_tell_of_starts_links_and_strangers() -> None:
    async def story(site: Site) -> list[tuple[Oid, list[Any]]]:
        heard: list[bytes] = []
        nms = site.host("nms", "10.0.0.9/24")

        class Receiver(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                heard.append(data)

        with nms.current():
            nms.open_datagrams(Receiver, ("0.0.0.0", 162), None)
        agent, device, _ = agent_on(site, traps=[{"host": "10.0.0.9", "community": "alarm"}])
        await asyncio.sleep(1)
        device.enable(2, False)
        device.enable(2, True)
        agent.answer(messages.encode_community(Community(b"guess", Pdu(Operation.GET, 1, [(UP_TIME, None)]))))
        await asyncio.sleep(1)
        decoded = [messages.decode_community(each) for each in heard]
        assert {each.community for each in decoded} == {b"alarm"}
        return [
            (each.pdu.bindings[1][1].data, [value.data for _, value in each.pdu.bindings[2:]])  # type: ignore[union-attr, misc]
            for each in decoded
        ]

    traps = (1, 3, 6, 1, 6, 3, 1, 1, 5)
    assert tell(story) == [
        ((*traps, 1), []),
        ((*traps, 3), [2, 2, 2]),
        ((*traps, 4), [2, 1, 1]),
        ((*traps, 5), []),
    ]


def ask(agent: Agent, operation: Operation, *oids: Oid, first: int = 0, second: int = 0) -> Pdu:
    request = Pdu(operation, 7, [(oid, None) for oid in oids], first, second)
    reply = agent.answer(messages.encode_community(Community(b"public", request)))
    assert reply is not None
    assert len(reply) <= 1472
    return messages.decode_community(reply).pdu


def test_what_is_not_there_is_said_by_its_exception() -> None:
    async def story(site: Site) -> list[Any]:
        agent, _, _ = agent_on(site)
        raw = agent.answer(
            messages.encode_community(
                Community(b"public", Pdu(Operation.GET, 7, [((1, 3, 9), None), ((*MIB_2, 2, 2, 1, 7, 99), None)]))
            )
        )
        assert raw is not None
        end = ask(agent, Operation.NEXT, (2, 5))
        return [raw.count(bytes.fromhex("8000")), raw.count(bytes.fromhex("8100")), end.bindings[0][0]]

    assert tell(story) == [1, 1, (2, 5)]


def test_a_bulk_answer_is_as_long_as_a_frame_and_a_get_that_is_longer_is_too_big() -> None:
    async def story(site: Site) -> tuple[int, Pdu]:
        agent, _, _ = agent_on(site)
        bulk = ask(agent, Operation.BULK, (1, 0), (1, 3, 6, 1, 2, 1, 2), first=0, second=2**31 - 1)
        agent.identity.contact = "x" * 255
        return len(bulk.bindings), ask(agent, Operation.GET, *[CONTACT] * 10)

    count, large = tell(story)
    assert 30 < count < 128
    assert (large.first, large.bindings) == (ErrorStatus.TOO_BIG, [])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_garbage_and_broken_requests_never_take_the_agent_down(data: st.DataObject) -> None:
    valid = (
        messages.encode_community(Community(b"public", Pdu(Operation.GET, 1, [(UP_TIME, None)]))),
        messages.encode_community(
            Community(b"private", Pdu(Operation.SET, 1, [(CONTACT, Value(Kind.OCTETS, b"x")), (ADMIN_2, Missing.END)]))
        ),
        messages.encode_secured(
            messages.Secured(
                1, 1472, 7, AGENT.engine, 1, 1, b"reader", bytes(12), bytes(8), b"whatever is encrypted here"
            )
        ),
        messages.encode_secured(
            messages.Secured(
                1,
                1472,
                4,
                b"",
                0,
                0,
                b"",
                scoped=messages.encode_scoped(messages.Scoped(b"", b"", Pdu(Operation.GET, 1, []))),
            )
        ),
    )
    kind = data.draw(st.sampled_from(("garbage", "flipped", "cut")))
    if kind == "garbage":
        message = data.draw(st.binary(max_size=400))
    else:
        message = data.draw(st.sampled_from(valid))
        at = data.draw(st.integers(0, len(message) - 1))
        message = message[:at] + (
            data.draw(st.binary(min_size=1, max_size=1)) + message[at + 1 :] if kind == "flipped" else b""
        )
    AGENT.answer(message)


def _bench_agent() -> Agent:
    async def story(site: Site) -> Agent:
        return agent_on(site)[0]

    return tell(story)


AGENT = _bench_agent()


def test_an_oversized_datagram_is_counted_and_forgotten() -> None:
    async def story(site: Site) -> tuple[int, int]:
        agent, _, _ = agent_on(site)
        nms = site.host("nms", "10.0.0.9/24")
        with nms.current():
            transport, _ = nms.open_datagrams(asyncio.DatagramProtocol, None, ("10.0.0.2", 161))
        manager = Manager(nms, community("public"))
        await manager.value(UP_TIME)
        transport.sendto(b"\x30\x82\xff\xff\x04" + bytes(60_000))
        await asyncio.sleep(1)
        await manager.value(UP_TIME)
        manager.close()
        return agent.statistics.parse_errors, agent.statistics.received

    assert tell(story) == (1, 3)


def test_a_plain_host_shows_its_interfaces_and_its_links() -> None:
    async def story(site: Site) -> tuple[list[Oid], list[int]]:
        host = site.host("plc", "10.0.0.2/24")
        view = HostView(host, "PLC")
        Agent(host, view, SnmpConfig.model_validate({"v2c": [{"community": "public"}]})).start()
        manager = Manager(site.host("nms", "10.0.0.9/24"), community("public"))
        found = await manager.walk((*MIB_2, 2))
        changes: list[int] = []
        view.watch(lambda index, up: changes.append(index if up else -index))
        site.network.unplug(Port("plc", "eth0"))
        site.network.plug(Port("plc", "eth0"), Port("sw", "p9"))
        manager.close()
        return found, changes

    found, changes = tell(story)
    assert (*MIB_2, 2, 2, 1, 8, 1) in found
    assert (*MIB_2, 2, 2, 1, 10, 1) not in found  # hosts do not count
    assert changes == [-1, 1]


@pytest.mark.parametrize(
    "config",
    [
        {"v2c": [{"community": "public"}, {"community": "public"}]},
        {"v3": [{"user": "x", "auth_password": "short", "priv_password": "long enough"}]},
        {"v1": []},
    ],
)
def test_a_configuration_that_means_nothing_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SnmpConfig.model_validate(config)


@pytest.mark.foreign
def test_wireshark_finds_nothing_malformed(tshark: str, tmp_path: Path) -> None:
    async def story(site: Site) -> Site:
        agent_on(site, traps=[{"host": "10.0.0.9"}])
        host = site.host("nms", "10.0.0.9/24")
        for who in (community("public"), READER):
            manager = Manager(host, who)
            await manager.walk((1, 0))
            manager.close()
        return site

    site = tell(story)
    assert dissect(tshark, site.frames, tmp_path, "frame.number", choose="snmp")
    assert not dissect(tshark, site.frames, tmp_path, "frame.number", choose="_ws.malformed")
