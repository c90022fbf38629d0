"""tcpdump: one line for a frame, a file that Wireshark reads, and nothing of what is filtered out."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
from console_kit import Site, console_at, tell
from hypothesis import given
from hypothesis import strategies as st

from devices.boiler_plc import BoilerPlc
from devices.console.frame_line import line
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.wire import arp, ethernet, icmp, ipv4, modbus, mqtt
from lab.wire.ipv4 import IPv4
from lab.wire.tcp import Flag, Segment
from lab.wire.udp import Udp

A, B = b"\n\0\0\1", b"\n\0\0\2"
A_MAC, B_MAC = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"


def in_ip(protocol: int, payload: bytes, **more: int) -> bytes:
    return ethernet.HEADER.pack(B_MAC, A_MAC, ethernet.IPV4) + IPv4(A, B, protocol, payload, **more).encode()


def in_tcp(port: int, payload: bytes, source: int = 50000) -> bytes:
    return in_ip(ipv4.TCP, Segment(source, port, 7, 9, Flag.PSH | Flag.ACK, 100, payload).encode(A, B))


READ = modbus.Adu(5, 1, modbus.ReadHoldingRegisters(100, 2)).encode()
REFUSED = modbus.Adu(5, 1, modbus.ExceptionResponse(3, 2)).encode()
ASKING = arp.Arp(arp.Operation.REQUEST, A_MAC, A, bytes(6), B).encode()
OFFER = arp.Arp(arp.Operation.REPLY, A_MAC, A, B_MAC, B).encode()
ARP_HEAD = ethernet.HEADER.pack(ethernet.BROADCAST, A_MAC, ethernet.ARP)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (ARP_HEAD + ASKING, "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"),
        (ARP_HEAD + OFFER, "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28"),
        (
            in_ip(ipv4.ICMP, icmp.Echo(False, 3, 4, b"xx").encode()),
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 3, seq 4, length 10",
        ),
        (in_ip(ipv4.UDP, Udp(50000, 161, b"abc").encode(A, B)), "IP 10.0.0.1.50000 > 10.0.0.2.161: UDP, length 3"),
        (
            in_ip(ipv4.TCP, Segment(50000, 502, 7, 0, Flag.SYN, 100).encode(A, B)),
            "IP 10.0.0.1.50000 > 10.0.0.2.502: Flags [S], seq 7, win 100, length 0",
        ),
        (
            in_tcp(502, READ),
            "IP 10.0.0.1.50000 > 10.0.0.2.502: Flags [P.], seq 7:19, ack 9, win 100, length 12: "
            "Modbus #5 unit 1 ReadHoldingRegisters(address=100, quantity=2)",
        ),
        (
            in_tcp(50000, REFUSED, 502),
            "IP 10.0.0.1.502 > 10.0.0.2.50000: Flags [P.], seq 7:16, ack 9, win 100, length 9: "
            "Modbus #5 unit 1 ExceptionResponse(function=3, code=2)",
        ),
        (
            in_tcp(1883, mqtt.Publish("plant/a", b"hello", 1, True, packet_id=3).encode()),
            "IP 10.0.0.1.50000 > 10.0.0.2.1883: Flags [P.], seq 7:25, ack 9, win 100, length 18: "
            "MQTT PUBLISH 'plant/a' (q1, retain, 5 bytes)",
        ),
        (in_ip(ipv4.UDP, bytes(16), offset=1480), "IP 10.0.0.1 > 10.0.0.2: frag 1480:16, ip-proto-17"),
        (in_ip(47, b"xyz"), "IP 10.0.0.1 > 10.0.0.2: ip-proto-47, length 3"),
        (ethernet.HEADER.pack(B_MAC, A_MAC, 0x88CC) + bytes(10), "LLDP, length 10"),
        (b"short", "[|ether] (an Ethernet header has 14 bytes, here are 5), length 5"),
    ],
)
def test_a_frame_is_one_line(frame: bytes, text: str) -> None:
    assert line(frame, numeric=True) == text


def test_ports_have_names_and_tags_are_told() -> None:
    assert "10.0.0.2.modbus: Flags" in line(in_tcp(502, READ))
    frame = in_ip(ipv4.ICMP, icmp.TimeExceeded(bytes(28)).encode())
    tagged = frame[:12] + ethernet.TAG.pack(ethernet.VLAN, 3 << 13 | 20) + frame[12:]
    head = "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 74: vlan 20, p 3, "
    assert line(tagged, link=True) == f"{head}IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded in-transit, length 36"


@given(
    st.binary(max_size=120)
    | st.tuples(
        st.sampled_from([in_tcp(502, READ), in_tcp(1883, b"\x30\x10"), ARP_HEAD + ASKING]), st.integers(0, 60)
    ).map(lambda cut: cut[0][: cut[1]])
    | st.tuples(st.sampled_from([502, 1883]), st.binary(max_size=60)).map(lambda said: in_tcp(*said))
)
def test_any_frame_is_one_line(frame: bytes) -> None:
    assert "\n" not in line(frame, link=True)


# -- at work -----------------------------------------------------------------------------------------------------------


def test_a_poll_is_watched_and_counted() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await site.device(BoilerPlc, "boiler", {"interfaces": {"eth0": {"address": "10.0.0.2/24"}}})
        site.plug("boiler")
        watching = at.begin("tcpdump -n tcp port 502 and greater 60")
        other = at.begin("tcpdump -c 2 -e arp")
        await asyncio.sleep(0.5)
        await at.run("ping -c 1 10.0.0.2; modbus read 10.0.0.2 30001")
        assert await other.end() == 0
        assert other.said.count("ARP, ") == 2
        assert re.search(r"[0-9a-f:]{17} > ff:ff:ff:ff:ff:ff, ethertype ARP", other.said)
        said = (await watching.stop()).splitlines()
        assert said[0] == "listening on eth0, link-type EN10MB (Ethernet)"
        assert "ReadInputRegisters(address=0, quantity=1)" in said[1]
        assert re.match(r"08:00:00\.\d{6} IP 10\.0\.0\.9\.\d+ > 10\.0\.0\.2\.502: Flags \[P\.\]", said[1])
        assert len(site.network.taps) == 1, "only the site's own listener is left"
        assert said[-3:] == ["2 packets captured", "2 packets received by filter", "0 packets dropped by kernel"]

    tell(story)


def test_names_are_looked_up_and_mistakes_named() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        config = {"interfaces": {"eth0": {"address": "10.0.0.9/24"}}, "hosts": {"plc": "10.0.0.2"}}
        at.host.configure(HostConfig.model_validate(config))
        site.host("boiler", "10.0.0.2/24")
        watching = at.begin("tcpdump -c 1 -x icmp and dst plc")
        await at.run("ping -c 1 plc")
        assert await watching.end() == 0
        assert "\t0x0000:  4500 0054" in watching.said
        assert "known: host, net, port" in await at.run("tcpdump hots plc")
        assert at.status == 2
        assert "nosuch: Name or service not known" in await at.run("tcpdump host nosuch")
        assert "no such device exists; known: eth0, any" in await at.run("tcpdump -i eth9")
        assert "no folder" in await at.run("tcpdump -w x.pcapng")

    tell(story)


def test_a_sub_interface_shows_its_vlan_only_and_without_tags() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        interfaces = {"eth0": {"address": "10.0.0.9/24"}, "eth0.20": {"address": "10.0.20.9/24"}}
        at.host.configure(HostConfig.model_validate({"interfaces": interfaces}))
        watching = at.begin("tcpdump -i eth0.20 -e")
        await at.run("ping -c 1 -W 1 10.0.0.77; ping -c 1 -W 1 10.0.20.77")
        return await watching.stop()

    said = tell(story)
    assert "who-has 10.0.20.77" in said
    assert "vlan" not in said
    assert "10.0.0.77" not in said


@pytest.mark.foreign
def test_wireshark_reads_the_file(tshark: str, tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        at = console_at(site, folder=tmp_path)
        site.host("plc", "10.0.0.2/24")
        at.host.clock_offset = 100.0
        writing = at.begin("tcpdump -w ping.pcapng icmp")
        await asyncio.sleep(0.5)
        await at.run("ping -c 3 10.0.0.2")
        site.network.unplug(Port("plc", "eth0"))
        await writing.stop()
        assert "6 packets captured" in writing.said

    tell(story)
    command = [tshark, "-r", str(tmp_path / "ping.pcapng"), "-T", "fields", "-e", "icmp.type", "-e", "frame.time_epoch"]
    rows = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert rows[::2] == ["8", "0"] * 3
    assert "2026-01-01T00:01:40" in rows[1] or float(rows[1]) == pytest.approx(1767225700.5, abs=0.1)
