"""The gateway as a device: its log, its memory, its firmware, its commands, its trust."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from gateway_kit import Room, modbus_device, tell
from test_gateway_lines import Ear
from test_gateway_south import (  # noqa: F401
    keys_are_kept_for_this_run_only,
    odd_device,
    opcua_device,
    opcua_server,
    registers,
    reply,
)

from gateway.edge import BOOT_SECONDS, FACTORY
from gateway.registry import KINDS
from lab.clock import EPOCH_NS
from lab.network.opcua_identity import application_identity

LEVEL = {"name": "level", "address": 40001, "type": "u16", "write": True, "range": [0, 100]}
FLOW = {"name": "flow", "address": 40003, "type": "f32"}


async def small_plc(room: Room, name: str = "plc-1") -> list[int]:
    """Four holding registers that can be written."""
    words = [7, 0, 0x4048, 0xF5C3]

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        function, address, value = struct.unpack(">BHH", request[7:12])
        if function == 6:
            words[address] = value
            writer.write(reply(request, request[7:12]))
        else:
            writer.write(reply(request, registers(*words[address : address + value])))

    await odd_device(room, answer, name)
    return words


def test_a_command_goes_through_the_gateway_and_stays_in_its_books() -> None:
    async def story(room: Room) -> Any:
        words = await small_plc(room)
        device = modbus_device("plc", room.address("plc-1"), [LEVEL, FLOW])
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        await asyncio.sleep(2.5)
        host = room.hosts["gw"]
        done = await host.spawn(gateway.write("plc", "level", 42, who="mes"))
        too_much = await host.spawn(gateway.write("plc", "level", 420, who="mes"))
        never = await host.spawn(gateway.write("plc", "flow", 1.0, who="eve"))
        await asyncio.sleep(1)
        return words, (done, too_much, never), gateway.status(), gateway.logs["audit"].tail(9)

    words, entries, status, lines = tell(story)
    assert words[0] == 42
    assert [(entry.outcome, entry.before, entry.after) for entry in entries] == [
        ("done", 7, 42),
        ("refused", None, None),
        ("refused", None, None),
    ]
    assert status["south"]["plc"]["tags"]["level"]["value"] == 42
    assert [entry["who"] for entry in status["audit"]] == ["mes", "mes", "eve"]
    assert len(lines) == 3
    assert "7 -> 42" in lines[0]
    assert "100" in lines[1]


def test_a_command_to_a_device_that_is_not_there_fails_and_says_so() -> None:
    async def story(room: Room) -> Any:
        device = modbus_device("ghost", "10.0.0.99", [LEVEL])
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        await asyncio.sleep(2)
        return await room.hosts["gw"].spawn(gateway.write("ghost", "level", 1))

    entry = tell(story)
    assert (entry.outcome, entry.at > EPOCH_NS) == ("failed", True)
    assert "10.0.0.99" in str(entry.reason)


def test_diagnostics_show_registers_as_they_came_and_how_long_it_took() -> None:
    async def story(room: Room) -> Any:
        await small_plc(room)
        gateway = await room.switch_on(
            "gw", "gw-edge", {"south": [modbus_device("plc", room.address("plc-1"), [LEVEL, FLOW])]}
        )
        await asyncio.sleep(10)
        return gateway.status()["south"]["plc"]

    status = tell(story)
    assert status["tags"]["level"]["raw"] == "0007"
    assert status["tags"]["flow"]["raw"] == "4048 F5C3"
    assert status["tags"]["flow"]["value"] == pytest.approx(3.14)
    assert 0 < status["rtt_p50_ms"] <= status["rtt_p95_ms"] < 50


def test_what_changes_on_reload_is_said_and_what_did_not_keeps_its_connection() -> None:
    async def story(room: Room) -> Any:
        await small_plc(room)
        await small_plc(room, "plc-2")
        one, two = (modbus_device(f"d{n}", room.address(f"plc-{n}"), [LEVEL]) for n in (1, 2))
        gateway = await room.switch_on("gw", "gw-edge", {"south": [one, two]})
        await asyncio.sleep(3)
        changed = modbus_device("d1", room.address("plc-1"), [{**LEVEL, "range": [0, 50]}, FLOW])
        third = modbus_device("d3", room.address("plc-2"), [LEVEL], unit=4)
        await room.switch_on("gw", "gw-edge", {"south": [changed, third], "log": {"level": "debug"}})
        await asyncio.sleep(3)
        lines = gateway.status()["changes"]
        told = gateway.logs["gateway"].tail(200)
        await room.switch_on("gw", "gw-edge", {"south": [changed, third], "log": {"level": "debug"}})
        return lines, told, gateway.status()

    lines, told, status = tell(story, plcs=2)
    assert lines == [
        "~ gateway: log.level info -> debug",
        "~ device d1 / group g / tag level: range [0.0, 100.0] -> [0.0, 50.0]",
        "+ device d1 / group g / tag flow",
        "- device d2",
        "+ device d3",
    ]
    assert all(any(line in each for each in told) for line in lines)
    assert status["changes"] == []
    assert status["south"]["d1"]["connections"] == 1


def test_each_device_is_as_loud_in_the_log_as_it_is_set() -> None:
    async def story(room: Room) -> Any:
        await small_plc(room)
        south = [
            modbus_device("loud", room.address("plc-1"), [LEVEL]),
            modbus_device("quiet", room.address("plc-1"), [LEVEL]),
            modbus_device("ghost", "10.0.0.99", [LEVEL]),
        ]
        log = {"level": "warning", "devices": {"loud": "debug"}}
        gateway = await room.switch_on("gw", "gw-edge", {"south": south, "log": log})
        await asyncio.sleep(5)
        return gateway.logs["gateway"].tail(200)

    lines = tell(story)
    assert any("DEBUG loud" in line for line in lines)
    assert not any("quiet" in line for line in lines)
    assert len([line for line in lines if "WARNING ghost" in line]) == 1, "the same trouble is worth one line"
    assert lines[0].startswith("2026-01-01T00:00:0")


def image(payload: str = "new", model: str = "gw-edge") -> dict[str, str]:
    return {"model": model, "payload": payload, "sha256": hashlib.sha256(payload.encode()).hexdigest()}


def test_an_upgrade_restarts_the_gateway_which_then_has_what_was_saved() -> None:
    async def story(room: Room) -> list[Any]:
        await small_plc(room)
        device = modbus_device("plc", room.address("plc-1"), [LEVEL])
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        await asyncio.sleep(3)
        seen = [gateway.status()]
        upgrade = {"firmware": "V3.2.0", "images": {"V3.2.0": image()}, "saved": False}
        await room.switch_on("gw", "gw-edge", {"south": [], **upgrade})
        seen.append(gateway.status())
        await asyncio.sleep(BOOT_SECONDS + 3)
        seen.append(gateway.status())
        return seen

    before, booting, after = tell(story)
    assert (before["firmware"], before["saved"]) == (FACTORY, True)
    assert (booting["state"], booting["south"]) == ("booting", {})
    assert (after["firmware"], list(after["south"])) == ("V3.2.0", ["plc"]), "the device was in what was saved"
    assert after["south"]["plc"]["tags"]["level"]["quality"] == "good"


@pytest.mark.parametrize(
    ("images", "word"),
    [
        ({}, "no firmware image"),
        ({"V4": image(model="sw-ind-8")}, "sw-ind-8"),
        ({"V4": {**image(), "payload": "damaged"}}, "checksum"),
    ],
)
def test_firmware_that_does_not_fit_is_refused_and_the_gateway_goes_on(images: dict[str, Any], word: str) -> None:
    async def story(room: Room) -> Any:
        gateway = await room.switch_on("gw", "gw-edge", {})
        await room.switch_on("gw", "gw-edge", {"firmware": "V4", "images": images})
        await asyncio.sleep(1)
        return gateway.status()

    status = tell(story)
    assert status["firmware"] == FACTORY
    assert word in status["firmware refused"]


def test_what_was_not_saved_is_gone_after_a_power_cut() -> None:
    async def story(room: Room) -> Any:
        gateway = await room.switch_on("gw", "gw-edge", {"site": "one"})
        await room.switch_on("gw", "gw-edge", {"site": "two", "saved": False})
        boots_with = gateway.boots_with
        saved = gateway.status()["saved"]
        gateway.save()
        return boots_with, saved, gateway.boots_with

    boots_with, saved, later = tell(story)
    assert (boots_with.site, saved, later.site) == ("one", False, "two")


# -- OPC UA ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flaw", "trusted", "words"),
    [
        (None, True, ""),
        (None, False, "not trusted"),
        ("other-key", True, "not trusted"),
        ("expired", None, "expired on 2020-12-31"),
        ("wrong-name", None, "urn:test:plc-1:other"),
    ],
)
def test_a_server_is_believed_only_with_the_certificate_it_should_have(
    flaw: Any, trusted: bool | None, words: str
) -> None:
    async def story(room: Room) -> Any:
        identity = await room.hosts["plc-1"].spawn(application_identity("urn:test:plc-1", "plc-1", "server"))
        pinned = identity.certificate.fingerprint(hashes.SHA256()).hex()
        room.hosts["plc-1"].certificate_flaw = flaw
        server, _ = await opcua_server(room)
        secure: dict[str, Any] = {"security_policy": "Basic256Sha256"}
        if trusted is not None:
            secure["trusted"] = [pinned.upper() if trusted else "00" * 20]
        gateway = await room.switch_on("gw", "gw-edge", {"south": [opcua_device(room, "cnc", **secure)]})
        await asyncio.sleep(20)
        status = gateway.status()["south"]["cnc"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return status

    status = tell(story)
    if words:
        assert words in status["last_error"]
        assert status["tags"]["speed"]["quality"] == "bad"
        assert status["errors"] < 10, "nobody hammers where trust is missing"
    else:
        assert (status["connections"], status["tags"]["speed"]["value"]) == (1, 1200.0)


def test_values_bring_the_time_of_their_source_and_can_be_written() -> None:
    async def story(room: Room) -> Any:
        server, node = await opcua_server(room)
        await room.hosts["plc-1"].spawn(node.set_writable())
        tag = {"name": "speed", "node": "ns=2;s=Speed", "scale": 0.1, "write": True, "write_range": [0, 150]}
        gateway = await room.switch_on("gw", "gw-edge", {"south": [opcua_device(room, "cnc", tag)]})
        ear = Ear(room, gateway)
        await asyncio.sleep(5)
        entry = await room.hosts["gw"].spawn(gateway.write("cnc", "speed", 100.0, "mes"))
        wrong = await room.hosts["gw"].spawn(gateway.write("cnc", "speed", "fast", "mes"))
        await asyncio.sleep(2)
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return entry, wrong, [report.samples["speed"] for _, report in ear.heard]

    entry, wrong, samples = tell(story)
    assert (entry.outcome, entry.before, entry.after) == ("done", 120.0, 100.0)
    assert (wrong.outcome, "no number" in str(wrong.reason)) == ("failed", True)
    assert samples[-1].value == 100.0
    assert samples[0].source_at is not None, "the server stamped what it started with"
    assert samples[0].source_at > EPOCH_NS - 86_400 * 10**9


def test_what_is_subscribed_to_and_never_changes_gives_signs_of_life() -> None:
    async def story(room: Room) -> Any:
        server, _ = await opcua_server(room)
        tags = [{"name": "speed", "node": "ns=2;s=Speed", "report": "both", "max_silence_ms": 10_000}]
        gateway = await room.switch_on("gw", "gw-edge", {"south": [opcua_device(room, "cnc", *tags, mode="subscribe")]})
        ear = Ear(room, gateway)
        await asyncio.sleep(95)
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return [report.samples["speed"].value for _, report in ear.heard]

    values = tell(story)
    assert set(values) == {1200.0}
    assert 9 <= len(values) <= 11


def test_the_newest_policy_is_spoken_too() -> None:
    async def story(room: Room) -> Any:
        from asyncua import Server, ua

        async def serve() -> Any:
            server = Server()
            await server.init()
            server.set_endpoint("opc.tcp://0.0.0.0:4840/")
            identity = await application_identity("urn:test:plc-1", "plc-1", "server")
            await server.set_application_uri("urn:test:plc-1")
            await server.load_certificate(identity.certificate_der)
            await server.load_private_key(identity.key_pem, format="pem")
            server.set_security_policy([ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt])
            await server.register_namespace("urn:test")
            await server.nodes.objects.add_variable(ua.NodeId("Speed", 2), "Speed", 1200.0)
            await server.start()
            return server

        server = await room.hosts["plc-1"].spawn(serve())
        devices = [
            opcua_device(room, "new", security_policy="Aes256_Sha256_RsaPss"),
            opcua_device(room, "old", security_policy="Basic256Sha256"),
        ]
        gateway = await room.switch_on("gw", "gw-edge", {"south": devices})
        await asyncio.sleep(20)
        status = gateway.status()["south"]
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-1"].spawn(server.stop())
        return status

    status = tell(story)
    assert status["new"]["tags"]["speed"]["value"] == 1200.0
    assert "No matching endpoints" in status["old"]["last_error"]


def test_the_gateway_has_terminals_for_two_lines() -> None:
    assert {"A1", "B1", "GND1", "TX2", "RX2"} <= set(KINDS["gw-edge"].terminals)
