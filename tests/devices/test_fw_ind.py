"""The industrial firewall lets through what its policy allows, and nothing else."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from typing import Any

import pytest
from firewall_kit import Site, ask, attempt, echo, run
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.fw_ind import FwInd
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Impairment
from lab.wire import ethernet, icmp, udp
from lab.wire.checksum import checksum
from lab.wire.ipv4 import IPv4
from lab.wire.tcp import Flag, Segment

INTERFACES = {"wan": {"address": "10.1.30.1/24"}, "lan": {"address": "10.1.20.1/24"}}
UDP_TO_NTP = udp.Udp(40000, 123, bytes(48)).encode(b"\x0a\x01\x1e\x0a", b"\x0a\x01\x14\x0b")
ZONES = {"supervisory": ["wan"], "control": ["lan"]}
ALLOW_MODBUS = {
    "name": "scada-modbus",
    "from": "supervisory",
    "to": "control",
    "source": "SCADA",
    "destination": "PLC",
    "service": "modbus",
    "log": True,
}


def policy(*rules: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {
        "interfaces": INTERFACES,
        "zones": ZONES,
        "addresses": {"SCADA": "10.1.30.10", "PLC": ["10.1.20.11"]},
        "rules": list(rules),
        **rest,
    }


async def build(site: Site, config: dict[str, Any]) -> None:
    await site.switch_on(config)
    site.host("scada", "10.1.30.10/24", "10.1.30.1", "wan")
    plc = site.host("plc", "10.1.20.11/24", "10.1.20.1", "lan")
    for port in (502, 80):
        with plc.current():
            await asyncio.start_server(echo, port=port)


def test_what_a_rule_allows_passes_and_everything_else_meets_silence() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS))
        scada, plc = site.network.hosts["scada"], site.network.hosts["plc"]
        assert await scada.spawn(ask("10.1.20.11", 502, b"x" * 100_000)) == b"x" * 100_000
        assert await scada.spawn(attempt("10.1.20.11", 80)) == "silence"
        assert await scada.ping("10.1.20.11") is None
        with plc.current():
            assert await attempt("10.1.30.10", 502) == "silence"
        status = site.device.status()
        assert status["forwarded"] > 100  # type: ignore[operator]
        rules = [entry.rule for entry in site.device.log.entries]  # type: ignore[attr-defined]
        assert rules[0] == "scada-modbus"
        assert set(rules[1:]) == {"default"}

    run(FwInd, story)


def test_a_rejecting_rule_tells_the_sender() -> None:
    async def story(site: Site) -> None:
        rules = [
            {"name": "no-web", "service": "http", "action": "reject"},
            {"name": "no-ntp", "service": "ntp", "action": "reject"},
        ]
        await build(site, policy(*rules))
        scada = site.network.hosts["scada"]
        assert await scada.spawn(attempt("10.1.20.11", 80)) == "refused"
        heard: list[bytes] = []

        def hear(datagram: IPv4) -> bool:
            heard.append(datagram.payload)
            return True

        scada.watchers.append(hear)
        scada.send_ip(IPv4(b"\x0a\x01\x1e\x0a", b"\x0a\x01\x14\x0b", 17, UDP_TO_NTP))
        await asyncio.sleep(0.1)
        assert [payload[:2] for payload in heard] == [b"\x03\x0d"], "administratively prohibited"

    run(FwInd, story)


def test_a_policy_acts_on_running_traffic_at_once() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS))
        scada = site.network.hosts["scada"]
        with scada.current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            await site.apply(policy({**ALLOW_MODBUS, "comment": "still"}))
            writer.write(b"two")
            assert await reader.readexactly(3) == b"two"
            await site.apply(policy())
            writer.write(b"three")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await reader.readexactly(5)
            await site.apply(policy(ALLOW_MODBUS))
            with pytest.raises(TimeoutError):  # the connection is forgotten, and nobody picks one up in the middle
                async with asyncio.timeout(200):
                    await reader.readexactly(5)
        assert await scada.spawn(ask("10.1.20.11", 502, b"again")) == b"again"

    run(FwInd, story)


def test_an_idle_connection_is_forgotten_only_after_two_hours() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS))
        scada = site.network.hosts["scada"]
        with scada.current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            await asyncio.sleep(7000)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"
            assert site.device.status()["connections"] == 1
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(60)
        assert site.device.status()["connections"] == 0

    run(FwInd, story)


def test_a_schedule_that_ends_ends_what_it_allowed() -> None:
    # Virtual time begins at midnight on Thursday, 2026-01-01.
    at_night = {"nights": {"days": ["thu"], "from": "23:50", "to": "00:10"}, "mornings": {"to": "00:10"}}

    async def story(site: Site) -> None:
        await build(site, policy({**ALLOW_MODBUS, "schedule": "mornings"}, schedules=at_night))
        scada = site.network.hosts["scada"]
        with scada.current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            await asyncio.sleep(590)
            writer.write(b"early")
            assert await reader.readexactly(5) == b"early"
            await asyncio.sleep(20)
            writer.write(b"late")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await reader.readexactly(4)
            writer.transport.abort()
        assert await scada.spawn(attempt("10.1.20.11", 502)) == "silence"

    run(FwInd, story)


def test_a_closed_pair_of_ports_may_be_used_again() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS))
        with site.network.hosts["scada"].current():
            for _ in range(3):
                reader, writer = await asyncio.open_connection("10.1.20.11", 502, local_addr=("10.1.30.10", 40000))
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                writer.transport.abort()
                await asyncio.sleep(1)

    run(FwInd, story)


# -- content -----------------------------------------------------------------------------------------------------------

READS = {"modbus": {"units": [1], "read_only": True, "reads": {"holding": ["0-41"]}}}
GOOD = "000100000006010300000002"
FORBIDDEN = {
    "a write": ("000200000006010600280001", "function 6 Write Single Register"),
    "another unit": ("000200000006020300000002", "unit 2"),
    "beyond the range": ("0002000000060103002a0001", "read holding 42-42"),
    "diagnostics": ("000200000006010800000000", "function 8 Diagnostics"),
    "a foreign protocol": ("000200010006010300000002", "format: protocol identifier 1"),
    "a length too long": ("0002000000c8010300000002", "format: length 200 for function 3, which has 6"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("step", [1, 5, 100])
def test_a_request_against_the_profile_resets_the_connection_at_both_ends(what: str, step: int) -> None:
    message, reason = FORBIDDEN[what]

    async def story(site: Site) -> None:
        await build(site, policy({**ALLOW_MODBUS, "content": "reads"}, content={"reads": READS}))
        with site.network.hosts["scada"].current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            for _ in range(2):
                writer.write(bytes.fromhex(GOOD))
                assert await reader.readexactly(12) == bytes.fromhex(GOOD)
            stream = bytes.fromhex(message)
            for at in range(0, len(stream), step):
                writer.write(stream[at : at + step])
                await asyncio.sleep(0.1)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(len(stream))
        await asyncio.sleep(1)
        assert not site.network.hosts["plc"].connections, "the server has been told too"
        entries = [entry for entry in site.device.log.entries if entry.reason]  # type: ignore[attr-defined]
        assert [(entry.rule, entry.reason) for entry in entries] == [("scada-modbus", f"content: {reason}")]
        arrived = [frame[54:] for frame in site.seen_at("plc") if frame[23:24] == b"\x06"]
        assert stream not in b"".join(arrived)

    run(FwInd, story)


def test_a_violation_may_be_dropped_in_silence() -> None:
    profile = {**READS, "on_violation": "drop"}

    async def story(site: Site) -> None:
        await build(site, policy({**ALLOW_MODBUS, "content": "reads"}, content={"reads": profile}))
        with site.network.hosts["scada"].current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            writer.write(bytes.fromhex(FORBIDDEN["a write"][0]))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await reader.readexactly(12)
            writer.transport.abort()
        violations = [e for e in site.device.log.entries if e.reason]  # type: ignore[attr-defined]
        assert len(violations) == 1, "what is sent again and again is written down once"

    run(FwInd, story)


def test_requests_get_through_inspection_over_a_bad_cable() -> None:
    async def story(site: Site) -> None:
        await build(site, policy({**ALLOW_MODBUS, "content": "reads"}, content={"reads": READS}))
        for port in ("wan", "lan"):
            cable = site.network.cable_at(Port("middle", port))
            assert cable is not None
            cable.impair(Impairment(loss=0.05, duplicate=0.05, delay=0.001, jitter=0.02, overtaken=0.05))
        requests = b"".join(n.to_bytes(2, "big") + bytes.fromhex(GOOD)[2:] for n in range(3000))
        assert await site.network.hosts["scada"].spawn(ask("10.1.20.11", 502, requests)) == requests

    run(FwInd, story)


def test_a_profile_that_comes_later_reads_what_is_under_way() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS))
        with site.network.hosts["scada"].current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            writer.write(bytes.fromhex(FORBIDDEN["a write"][0]))
            await reader.readexactly(12)
            await site.apply(policy({**ALLOW_MODBUS, "content": "reads"}, content={"reads": READS}))
            writer.write(bytes.fromhex(GOOD))
            assert await reader.readexactly(12) == bytes.fromhex(GOOD)
            writer.write(bytes.fromhex(FORBIDDEN["a write"][0]))
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(12)

    run(FwInd, story)


# -- protection --------------------------------------------------------------------------------------------------------


def test_a_syn_flood_leaves_established_connections_and_bounded_state() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS, {"name": "any", "log": False}))
        scada = site.network.hosts["scada"]
        attacker = site.host("attacker", "10.1.40.9/24", "10.1.40.1", "dmz")
        interfaces = {**INTERFACES, "dmz": {"address": "10.1.40.1/24"}}
        config = policy(ALLOW_MODBUS, {"name": "any"})
        await site.apply({**config, "interfaces": interfaces, "zones": {**ZONES, "outside": ["dmz"]}})
        with scada.current():
            reader, writer = await asyncio.open_connection("10.1.20.11", 502)
            for number in range(10_000):
                source = b"\x0a\x01\x28" + bytes((10 + number % 200,))
                segment = Segment(1024 + number % 60_000, 502, number, 0, Flag.SYN, 1000)
                payload = segment.encode(source, b"\x0a\x01\x14\x0b")
                attacker.send_ip(IPv4(source, b"\x0a\x01\x14\x0b", 6, payload))
                if number % 1000 == 0:
                    await asyncio.sleep(0.1)
            writer.write(b"unharmed")
            assert await reader.readexactly(8) == b"unharmed"
            writer.close()
        status = site.device.status()
        assert 0 < status["connections"] <= 4096  # type: ignore[operator]
        assert await scada.spawn(ask("10.1.20.11", 502, b"new")) == b"new"

    run(FwInd, story)


def test_whoever_scans_is_kept_out_for_a_while_and_it_is_written_down() -> None:
    protection = {"scan_targets": 10, "scan_window": 5, "blocked_for": 60}

    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS, protection=protection))
        scada = site.network.hosts["scada"]
        assert await scada.spawn(ask("10.1.20.11", 502, b"before")) == b"before"
        for port in range(1000, 1012):
            await scada.spawn(attempt("10.1.20.11", port, 0.1))
        assert site.device.status()["blocked"] == ["10.1.30.10"]
        assert await scada.spawn(attempt("10.1.20.11", 502)) == "silence"
        reasons = [e.reason for e in site.device.log.entries if e.rule == "protection"]  # type: ignore[attr-defined]
        assert reasons == ["scan"]
        await asyncio.sleep(60)
        assert await scada.spawn(ask("10.1.20.11", 502, b"after")) == b"after"

    run(FwInd, story)


def test_a_ping_flood_is_stopped_though_it_is_one_flow() -> None:
    async def story(site: Site) -> None:
        rule = {"name": "ping", "service": "ping"}
        await build(site, policy(rule, protection={"icmp_per_source": 5, "blocked_for": 10}))
        scada = site.network.hosts["scada"]
        for sequence in range(50):
            echo_request = icmp.Echo(False, 7, sequence, b"x").encode()
            scada.send_ip(IPv4(b"\x0a\x01\x1e\x0a", b"\x0a\x01\x14\x0b", 1, echo_request))
        await asyncio.sleep(0.5)
        requests = [frame for frame in site.seen_at("plc") if frame[23:24] == b"\x01" and frame[34] == 8]
        assert len(requests) == 5

    run(FwInd, story)


# -- the firewall itself -----------------------------------------------------------------------------------------------


def test_it_answers_only_those_who_may_manage_it() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(management={"sources": ["SCADA"], "zones": ["supervisory"]}))
        assert await site.network.hosts["scada"].ping("10.1.30.1") is not None
        assert await site.network.hosts["plc"].ping("10.1.20.1") is None
        await site.apply(policy())
        assert await site.network.hosts["scada"].ping("10.1.30.1") is None

    run(FwInd, story)


def test_vlans_on_one_port_are_zones_of_their_own() -> None:
    async def story(site: Site) -> None:
        await site.switch_on(
            {
                "interfaces": {"lan.20": {"address": "10.1.20.1/24"}, "lan.30": {"address": "10.1.30.1/24"}},
                "zones": {"control": ["lan.20"], "supervisory": ["lan.30"]},
                "rules": [{"name": "r", "from": "supervisory", "to": "control", "service": "modbus"}],
            }
        )
        trunk = site.network.add_host("both")
        site.network.plug(Port("both", "eth0"), Port("middle", "lan"))
        interfaces = {"eth0.20": {"address": "10.1.20.11/24"}, "eth0.30": {"address": "10.1.30.10/24"}}
        trunk.configure(HostConfig.model_validate({"interfaces": interfaces}))
        heard: list[bytes] = []

        def hear(datagram: IPv4) -> bool:
            heard.append(datagram.payload)
            return True

        trunk.watchers.append(hear)
        far = bytes((10, 1, 20, 11))
        for port in (502, 80):
            payload = Segment(5000, port, 1, 0, Flag.SYN, 1000).encode(bytes((10, 1, 30, 10)), far)
            frame = ethernet.HEADER.pack(site.middle.nic("lan").mac, trunk.ports[0].mac, ethernet.IPV4)
            trunk.nic("eth0.30").jack.send(frame + IPv4(bytes((10, 1, 30, 10)), far, 6, payload).encode())
        await asyncio.sleep(0.1)
        assert [int.from_bytes(payload[2:4], "big") for payload in heard] == [502]

    run(FwInd, story)


# -- transparent -------------------------------------------------------------------------------------------------------


def transparent(*rules: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {
        "mode": "transparent",
        "bridge": ["wan", "lan"],
        "interfaces": {"eth4": {"address": "10.9.9.1/24"}},
        "zones": {"office": ["wan"], "control": ["lan"]},
        "rules": list(rules),
        "content": {"reads": READS},
        **rest,
    }


def test_a_transparent_firewall_filters_between_neighbours_who_do_not_see_it() -> None:
    async def story(site: Site) -> None:
        reading = {"name": "m", "from": "office", "to": "control", "service": "modbus", "content": "reads"}
        await site.switch_on(transparent(reading))
        office = site.host("office", "10.0.0.1/24", None, "wan")
        plc = site.host("plc", "10.0.0.2/24", None, "lan")
        with plc.current():
            for port in (502, 80):
                await asyncio.start_server(echo, port=port)
        assert await office.spawn(ask("10.0.0.2", 502, bytes.fromhex(GOOD))) == bytes.fromhex(GOOD)
        assert office.nic("eth0").neighbours.table == {plc.nic("eth0").address: plc.nic("eth0").mac}
        assert await office.spawn(attempt("10.0.0.2", 80)) == "silence"
        assert await office.ping("10.0.0.2") is None
        with office.current():
            reader, writer = await asyncio.open_connection("10.0.0.2", 502)
            writer.write(bytes.fromhex(FORBIDDEN["a write"][0]))
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(12)
        await asyncio.sleep(0.1)
        assert not plc.connections

    run(FwInd, story)


@pytest.mark.parametrize("ipv6", ["drop", "pass"])
def test_ipv6_is_stopped_unless_somebody_left_it_open(ipv6: str) -> None:
    async def story(site: Site) -> None:
        await site.switch_on(transparent(ipv6=ipv6))
        office = site.host("office", "10.0.0.1/24", None, "wan")
        site.host("plc", "10.0.0.2/24", None, "lan")
        frame = bytes.fromhex("333300000001") + office.ports[0].mac + bytes.fromhex("86dd6000") + bytes(46)
        office.ports[0].jack.send(frame)
        await asyncio.sleep(0.1)
        assert (frame in site.seen_at("plc")) == (ipv6 == "pass")

    run(FwInd, story)


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (policy({**ALLOW_MODBUS, "service": "modbuss"}), "unknown service 'modbuss'"),
        (policy({**ALLOW_MODBUS, "from": "office"}), "unknown zone 'office'"),
        (policy({**ALLOW_MODBUS, "source": "SCADDA"}), "no address, network or defined name"),
        (policy(ALLOW_MODBUS, ALLOW_MODBUS), "two rules are called"),
        (policy(content={"x": {"modbus": {"functions": [99]}}}), "no public function code 99"),
        (policy(content={"x": {}}), "either modbus or opcua"),
        (policy(content={"x": {"modbus": {"units": ["5-2"]}}}), "should look like"),
        (policy(addresses={"A": "B", "B": "A"}), "contains itself"),
        (policy(services={"x": {"protocol": "icmp", "ports": [1]}}), "only TCP and UDP have ports"),
        (policy(zones={"a": ["wan"], "b": ["wan"]}), "in two zones"),
        (policy(zones={"a": ["wlan"]}), "there is no interface"),
        (transparent(nat=[{"type": "masquerade", "to": "office"}]), "translates no addresses"),
        (transparent(bridge=["wan", "wan"]), "two different ports"),
    ],
)
def test_a_wrong_policy_is_refused_with_a_reason(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        FwInd.Config.model_validate(wrong)


def test_what_is_written_down_goes_to_the_collector_as_well() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS, syslog={"host": "10.1.30.10"}))
        scada = site.network.hosts["scada"]
        received: list[str] = []

        class Collector(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                received.append(data.decode())

        with scada.current():
            transport, _ = await site.loop.create_datagram_endpoint(Collector, local_addr=("0.0.0.0", 514))
            assert await attempt("10.1.20.11", 502) == "open"
            assert await attempt("10.1.20.11", 80, 0.5) == "silence"
            await asyncio.sleep(0.1)
            transport.close()
        assert "rule=scada-modbus verdict=allow from=supervisory to=control proto=tcp src=10.1.30.10" in received[0]
        assert "rule=default verdict=deny" in received[1]
        assert received[1].endswith("dst=10.1.20.11 dpt=80")

    run(FwInd, story)


def test_tagged_frames_and_fragments_go_through_the_cable_filtered() -> None:
    async def story(site: Site) -> None:
        await site.switch_on(transparent({"name": "u", "from": "office", "to": "control", "service": "syslog"}))
        office = site.network.add_host("office")
        plc = site.network.add_host("plc")
        for host, number, port in ((office, 1, "wan"), (plc, 2, "lan")):
            site.network.plug(Port(host.name, "eth0"), Port("middle", port))
            interfaces = {"eth0.20": {"address": f"10.0.0.{number}/24"}}
            host.configure(HostConfig.model_validate({"interfaces": interfaces}))
        heard: list[bytes] = []

        def hear(datagram: IPv4) -> bool:
            heard.append(datagram.payload)
            return True

        plc.watchers.append(hear)
        source, destination = b"\x0a\0\0\1", b"\x0a\0\0\2"
        for port, size in ((514, 10), (514, 4000), (69, 4000)):
            payload = udp.Udp(5000, port, bytes(size)).encode(source, destination)
            office.send_ip(IPv4(source, destination, 17, payload, identification=port + size))
            await asyncio.sleep(0.1)
        assert [len(payload) for payload in heard] == [18, 4008]

    run(FwInd, story)


def test_a_transparent_firewall_is_managed_by_a_port_of_its_own() -> None:
    async def story(site: Site) -> None:
        await site.switch_on(transparent({"name": "all"}, management={"sources": ["10.9.9.0/24"]}))
        admin = site.host("admin", "10.9.9.2/24", None, "eth4")
        site.host("office", "10.0.0.1/24", None, "wan")
        assert await admin.ping("10.9.9.1") is not None
        assert await admin.ping("10.0.0.1") is None
        frame = b"\xff" * 6 + admin.ports[0].mac + b"\x88\x92" + bytes(50)
        admin.ports[0].jack.send(frame)
        await asyncio.sleep(0.1)
        assert frame not in site.seen_at("office")

    run(FwInd, story)


@pytest.mark.parametrize("mode", ["routed", "transparent"])
def test_somebody_else_may_have_a_source_blocked(mode: str) -> None:
    async def story(site: Site) -> None:
        if mode == "routed":
            await build(site, policy(ALLOW_MODBUS))
            client, target = site.network.hosts["scada"], "10.1.20.11"
        else:
            await site.switch_on(transparent({"name": "all"}))
            client, target = site.host("scada", "10.0.0.1/24", None, "wan"), "10.0.0.2"
            with site.host("plc", "10.0.0.2/24", None, "lan").current():
                await asyncio.start_server(echo, port=502)
        assert isinstance(site.device, FwInd)
        with client.current():
            reader, writer = await asyncio.open_connection(target, 502)
            for _ in range(3):
                writer.write(b"ok")
                assert await reader.readexactly(2) == b"ok"
            address = IPv4Address(client.ports[0].address or b"")
            site.device.block(address, 30)
            assert site.device.status()["blocked"] == [str(address)]
            writer.write(b"ok")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(20):
                    await reader.readexactly(2)
            assert await reader.readexactly(2) == b"ok", "repeated until the half minute was over"
            writer.close()

    run(FwInd, story)


def test_a_change_of_mode_is_a_restart() -> None:
    async def story(site: Site) -> None:
        await build(site, policy(ALLOW_MODBUS))
        scada = site.network.hosts["scada"]
        assert await scada.spawn(ask("10.1.20.11", 502, b"routed")) == b"routed"
        await site.apply(transparent({"name": "all"}, zones=ZONES))
        scada.configure(HostConfig.model_validate({"interfaces": {"eth0": {"address": "10.1.20.10/24"}}}))
        assert await scada.spawn(ask("10.1.20.11", 502, b"bridged")) == b"bridged"
        await site.apply(transparent({"name": "none", "action": "reject"}, zones=ZONES))
        assert await scada.spawn(attempt("10.1.20.11", 502)) == "refused"
        assert await scada.ping("10.1.20.11") is None

    run(FwInd, story)


FUZZED = st.builds(
    lambda kind, head, tail: kind + head + tail,
    st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x81\x00\x00\x14\x08\x00", b"\x86\xdd", b"\x88\xcc", b""]),
    st.sampled_from([b"", b"\x45\x00", bytes.fromhex("4500002800004000400600000a011e0a0a01140b")]),
    st.binary(max_size=80),
)


@pytest.mark.parametrize("mode", ["routed", "transparent"])
@given(frames=st.lists(FUZZED, max_size=20), repaired=st.booleans())
def test_any_frame_is_taken_without_complaint(mode: str, frames: list[bytes], repaired: bool) -> None:
    async def story(site: Site) -> None:
        rules = {"name": "all", "log": True, "content": "reads"}, {"name": "rest", "action": "reject"}
        shared = {"content": {"reads": READS}, "protection": {"syn_per_source": 3, "scan_targets": 4}}
        await site.switch_on(policy(*rules, **shared) if mode == "routed" else transparent(*rules, **shared))
        sender = site.host("sender", "10.1.30.10/24", None, "wan")
        for frame in frames:
            mac = site.middle.nic("wan").mac if mode == "routed" else b"\x02\0\0\0\0\1"
            data = mac + sender.ports[0].mac + frame
            if repaired and len(data) >= 34 and data[12:15] == b"\x08\x00\x45":
                datagram = data[14:24] + b"\0\0" + data[26:]
                datagram = datagram[:2] + len(datagram).to_bytes(2, "big") + datagram[4:]
                total = checksum(datagram[:20]).to_bytes(2, "big")
                data = data[:14] + datagram[:10] + total + datagram[12:]
            sender.ports[0].jack.send(data)
        await asyncio.sleep(0.01)
        site.device.status()

    run(FwInd, story)
