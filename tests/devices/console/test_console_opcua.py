"""opcua: against the lab's CNC, a method server, a wrong password, and servers that speak something else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncua import Server, ua, uamethod
from console_kit import Console, Site, console_at, garbage_at, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.cnc_plc import CncPlc
from lab.network.appliance import Appliance

SPEED, OVERRIDE = "ns=2;s=CNC01.SpindleSpeed", "ns=2;s=CNC01.FeedOverride"


async def cnc(site: Site, **config: Any) -> tuple[Console, Appliance[Any]]:
    interfaces = {"eth0": {"address": "10.0.0.2/24"}}
    users = {"acq": "a1", "eng": "e1"}
    device = await site.device(CncPlc, "cnc", {"interfaces": interfaces, "users": users, **config})
    site.plug("cnc")
    return console_at(site), device


async def stop(device: Appliance[Any]) -> None:
    await device.host.spawn(device.stop())
    await asyncio.sleep(1)


def test_endpoints_are_listed_with_their_security() -> None:
    async def story(site: Site) -> None:
        at, device = await cnc(site)
        said = await at.run("opcua endpoints 10.0.0.2")
        assert at.status == 0
        assert said.splitlines() == [
            "opc.tcp://10.0.0.2:4840/  None  None  users: Anonymous, UserName",
            "opc.tcp://10.0.0.2:4840/  Basic256Sha256  SignAndEncrypt  users: Anonymous, UserName",
            "opc.tcp://10.0.0.2:4840/  Basic256Sha256  Sign  users: Anonymous, UserName",
        ]
        await stop(device)

    tell(story)


def test_nodes_are_browsed_and_read_by_those_who_may() -> None:
    async def story(site: Site) -> None:
        at, device = await cnc(site)
        with device.host.current():
            device.force("spindle_speed", 4200.0)
        said = await at.run("opcua browse 10.0.0.2")
        assert "CNC01  [Object]  ns=2;s=CNC01\n  State  [Variable]  ns=2;s=CNC01.State = " in said
        assert f"{SPEED} = BadUserAccessDenied" in said
        assert "5 nodes shown" in await at.run("opcua browse 10.0.0.2 --most 5")
        assert "BadNodeIdUnknown" in await at.run("opcua browse 10.0.0.2 ns=2;s=none")
        said = await at.run(f"opcua read 10.0.0.2 {SPEED}")
        assert said == f"{SPEED}: the server says BadUserAccessDenied: this user may not do that\n"
        assert at.status == 1
        said = await at.run(
            f"opcua read opc.tcp://10.0.0.2:4840 nsu=urn:lab:cnc;s=CNC01.SpindleSpeed {SPEED} -u acq -P a1"
        )
        assert said.count("= 4200.0  (Double, Good)  2026-01-01T00:00:0") == 2
        assert "(NodeId, Good)" in await at.run(f"opcua read 10.0.0.2 {SPEED} -a DataType")
        await stop(device)

    tell(story)


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_a_set_point_is_written_in_security(mode: str) -> None:
    async def story(site: Site) -> None:
        at, device = await cnc(site, policies=["Basic256Sha256"])
        secure = f"--policy Basic256Sha256 --mode {mode}"
        assert "written" in await at.run(f"opcua write 10.0.0.2 {OVERRIDE} 80 -u eng -P e1 {secure}")
        assert device.points()["feed_override"] == 80
        assert "may not do that" in await at.run(f"opcua write 10.0.0.2 {OVERRIDE} 70 -u acq -P a1 {secure}")
        assert device.points()["feed_override"] == 80
        assert "no endpoint with None" not in await at.run(f"opcua write 10.0.0.2 {OVERRIDE} 70 -u eng -P e1")
        assert at.status == 1, "there is no endpoint without security"
        assert "no endpoint with Aes128" in await at.run(f"opcua read 10.0.0.2 {SPEED} --policy Aes128Sha256RsaOaep")
        await stop(device)

    tell(story)


def test_wrong_values_and_wrong_people_are_refused() -> None:
    async def story(site: Site) -> None:
        at, device = await cnc(site)
        eng = "-u eng -P e1"
        assert "'x' is no Double" in await at.run(f"opcua write 10.0.0.2 {OVERRIDE} x {eng}")
        assert at.status == 2
        assert "BadTypeMismatch" in await at.run(f"opcua write 10.0.0.2 {OVERRIDE} 5 --type Int16 {eng}")
        assert "is no Int16" in await at.run(f"opcua write 10.0.0.2 {OVERRIDE} 99999 --type Int16 {eng}")
        assert "BadNotWritable" in await at.run(f"opcua write 10.0.0.2 {SPEED} 5 {eng}")
        assert "BadUserAccessDenied" in await at.run("opcua read 10.0.0.2 i=2258 -u eng -P wrong")
        assert "BadNodeIdUnknown" in await at.run("opcua read 10.0.0.2 ns=2;s=nothing")
        assert "no namespace urn:x" in await at.run("opcua read 10.0.0.2 nsu=urn:x;i=1")
        at.language = "zh"
        assert "这个用户没有权限" in await at.run("opcua read 10.0.0.2 i=2258 -u eng -P wrong")
        await stop(device)

    tell(story)


def test_changes_are_told_until_there_are_enough_or_the_server_goes() -> None:
    async def story(site: Site) -> None:
        at, device = await cnc(site)
        said = await at.run(f"opcua subscribe 10.0.0.2 {SPEED} -u acq -P a1 -n 3 -i 500")
        assert at.status == 0
        assert said.count(f"{SPEED} = ") == 3
        assert f"{SPEED} = " in await at.interrupted(f"opcua subscribe 10.0.0.2 {SPEED} -u acq -P a1", 3)
        assert await at.run("opcua subscribe 10.0.0.2 ns=2;s=CNC01.State -W 2") != ""
        assert "BadUserAccessDenied" in await at.run(f"opcua subscribe 10.0.0.2 {SPEED}")
        assert at.status == 1
        running = at.begin(f"opcua subscribe 10.0.0.2 {SPEED} -u acq -P a1")
        await asyncio.sleep(2)
        await stop(device)
        assert await running.end() == 1

    tell(story)


def test_a_method_is_called_with_its_own_types() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        host = site.host("server", "10.0.0.2/24")

        @uamethod
        def add(_: Any, a: float, b: int) -> float:
            return a + b

        async def serve() -> Server:
            server = Server()
            await server.init()
            server.set_endpoint("opc.tcp://0.0.0.0:4840/")
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            index = await server.register_namespace("urn:test")
            types = [ua.VariantType.Double, ua.VariantType.Int32]
            owner = await server.nodes.objects.add_object(ua.NodeId("calc", index), "calc")
            await owner.add_method(ua.NodeId("add", index), "add", add, types, [ua.VariantType.Double])
            await server.start()
            return server

        server: Server = await host.spawn(serve())
        assert await at.run("opcua call 10.0.0.2 ns=2;s=calc ns=2;s=add 1.5 2") == "3.5\n"
        assert at.status == 0
        assert "is no Int32" in await at.run("opcua call 10.0.0.2 ns=2;s=calc ns=2;s=add 1.5 x")
        assert "Bad" in await at.run("opcua call 10.0.0.2 ns=2;s=calc ns=2;s=nothing")
        assert at.status == 1
        await host.spawn(server.stop())

    tell(story)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("read 10.0.0.2 i=1", "Connection refused"),
        ("read 10.0.0.77 i=1", "No route to host"),
        ("read nosuch i=1", "Name or service not known"),
        ("read 10.0.0.2 state", "no node identifier"),
        ("read 'bad host' i=1", "no endpoint"),
        ("read 10.0.0.2:99999 i=1", "no endpoint"),
    ],
)
def test_what_cannot_be_reached(line: str, why: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        site.host("plc", "10.0.0.2/24")
        assert why in await at.run(f"opcua {line}")
        assert at.status in (1, 2)

    tell(story)


ACKNOWLEDGE = bytes.fromhex("41434b461c00000000000000ffff0000ffff00000000000000000000")


@settings(max_examples=60)
@given(
    st.sampled_from([b"", ACKNOWLEDGE, ACKNOWLEDGE + b"OPNF\x30\0\0\0", ACKNOWLEDGE + b"ERRF\x10\0\0\0"]),
    st.binary(max_size=60),
    st.sampled_from(["read 10.0.0.2 i=2258", "endpoints 10.0.0.2", "read 10.0.0.2 i=1 --policy Basic256Sha256"]),
)
def test_nonsense_from_a_server_is_survived(good: bytes, answer: bytes, line: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await garbage_at(site.host("plc", "10.0.0.2/24"), 4840, good + answer)
        assert await at.run(f"opcua {line} --timeout 1") != ""
        assert at.status == 1

    tell(story)
