"""nc, portscan and iperf against hosts that answer, refuse or keep silent."""

from __future__ import annotations

import asyncio
import re

import pytest
from console_kit import Site, console_at, garbage_at, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.model.frame import Port
from lab.network.fabric import Impairment
from lab.network.host import Host
from lab.wire import ipv4


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100):
            writer.write(data.upper())
    except ConnectionResetError:
        pass
    writer.close()


async def plc(site: Site, *ports: int) -> Host:
    host = site.host("plc", "10.0.0.2/24")
    for port in ports:
        await host.spawn(asyncio.start_server(upper, "0.0.0.0", port))
    return host


def drops_tcp(host: Host, *ports: int) -> None:
    """A firewall that answers nothing."""
    host.guard = lambda nic, datagram: (
        not (datagram.protocol == ipv4.TCP and int.from_bytes(datagram.payload[2:4], "big") in ports)
    )


# -- portscan ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["-sT", "-sS"])
def test_a_scan_tells_open_closed_and_filtered_ports(kind: str) -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        drops_tcp(await plc(site, 502, 4840, 80), 80, 81)
        text = await at.run(f"portscan {kind} -p 80-82,modbus,4840 10.0.0.2")
        assert at.status == 0
        return text

    assert re.findall(r"^(\d+)/tcp +(\S+) +(\S+)$", tell(story), re.MULTILINE) == [
        ("80", "filtered", "http"),
        ("81", "filtered", "unknown"),
        ("82", "closed", "unknown"),
        ("502", "open", "modbus"),
        ("4840", "open", "opcua-tcp"),
    ]


def test_a_syn_scan_never_finishes_a_handshake() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        host = await plc(site, 502)
        await at.run("ping -c 1 10.0.0.2")
        site.frames.clear()
        await at.run("portscan -sS -p 502 10.0.0.2")
        flags = [frame.data[47] for frame in site.frames if frame.tap.seen_at.host != "sw"]
        assert flags == [0x02, 0x12, 0x04], "SYN, SYN-ACK, and the own stack's RST"
        assert host.connections == ()

    tell(story)


def test_udp_ports_are_closed_where_icmp_says_so_and_otherwise_who_knows() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        host = await plc(site)
        host.open_datagrams(asyncio.DatagramProtocol, ("0.0.0.0", 161), None)
        return await at.run("portscan -sU -p 53,161 10.0.0.2")

    assert re.findall(r"^(\d+)/udp +(\S+)", tell(story), re.MULTILINE) == [("53", "closed"), ("161", "open|filtered")]


@pytest.mark.parametrize("kind", ["-sT", "-sS"])
def test_a_network_is_scanned_and_who_is_not_there_is_down(kind: str) -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        await plc(site, 502)
        return await at.run(f"portscan {kind} -p 502 10.0.0.0/30")

    said = tell(story)
    assert "Host 10.0.0.1 does not answer ARP: it is down" in said
    assert "502/tcp    open" in said
    assert "addresses scanned: 2, hosts up: 1" in said


def test_no_scan_is_faster_than_its_limit() -> None:
    async def story(site: Site) -> float:
        at = console_at(site)
        await plc(site)
        began = site.loop.time()
        assert "1000 closed ports" in await at.run("portscan -sS -p 1-1000 --rate 100 10.0.0.2")
        assert "not between" in await at.run("portscan --rate 100000 10.0.0.2")
        assert "/24 is the most" in await at.run("portscan 10.0.0.0/8")
        return site.loop.time() - began

    assert 10 <= tell(story) < 11


def test_a_scan_that_is_stopped_says_what_it_knows() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        drops_tcp(await plc(site, 502), 600)
        return await at.interrupted("portscan -p 502,503,600 10.0.0.2", 1.0)

    said = tell(story)
    assert "502/tcp    open" in said
    assert "addresses scanned: 0" in said


# -- nc ----------------------------------------------------------------------------------------------------------------


def test_a_text_is_sent_and_the_answer_shown() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await plc(site, 7)
        assert await at.run("nc -w 1 10.0.0.2 7 hello there") == "HELLO THERE\n"
        assert at.status == 0
        assert "0000  41 42 " in await at.run("nc -w 1 -x 10.0.0.2 7 --hex 6162")
        assert "no bytes" not in await at.run("nc -z 10.0.0.2 7")

    tell(story)


def test_ports_are_tried_without_a_word() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        drops_tcp(await plc(site, 502), 504)
        assert await at.run("nc -z 10.0.0.2 502") == "Connection to 10.0.0.2 502 port [tcp/modbus] succeeded!\n"
        said = await at.run("nc -z -w 1 10.0.0.2 502-504")
        assert at.status == 1
        assert "port 503 (tcp) failed: Connection refused" in said
        assert "port 504 (tcp) failed: timed out" in said
        assert "refused" in await at.run("nc -zu 10.0.0.2 99")
        assert "-z" in await at.run("nc 10.0.0.2 1-5")

    tell(story)


@pytest.mark.parametrize("flag", ["", "-u "])
def test_two_workstations_talk(flag: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        other = await plc(site)
        there = type(at)(other)
        listening = there.begin(f"nc -l {flag}-w 2 5000 pong")
        await asyncio.sleep(0.1)
        assert await at.run(f"nc {flag}-w 1 10.0.0.2 5000 ping") == "pong\n"
        await listening.end()
        assert re.search(
            r"Listening on 0\.0\.0\.0 5000\nConnection received on 10\.0\.0\.9 \d+\nping\n$", listening.said
        )

    tell(story)


def test_a_port_that_is_taken_cannot_be_listened_on() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await at.host.spawn(asyncio.start_server(upper, "0.0.0.0", 5000))
        assert "Address already in use" in await at.run("nc -l 5000")
        assert "Address already in use" in await at.run("iperf -s -p 5000")
        await at.interrupted("nc -l 5001", 1)
        assert "Listening" in await at.run("nc -l -w 1 5001"), "Ctrl-C has freed the port"

    tell(story)


# -- iperf -------------------------------------------------------------------------------------------------------------


def test_tcp_is_as_fast_as_was_asked_and_reports_each_second() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        there = type(at)(await plc(site))
        serving = there.begin("iperf -s -1")
        await asyncio.sleep(0.1)
        said = await at.run("iperf -c 10.0.0.2 -t 3 -i 1 -b 8M")
        assert at.status == 0
        rates = [float(rate) for rate in re.findall(r"([\d.]+) Mbits/s", said)]
        assert len(rates) == 4
        assert rates == pytest.approx([8.0] * 4, rel=0.05)
        await serving.end()
        assert float(re.findall(r"([\d.]+) Mbits/s", serving.said)[-1]) == pytest.approx(8.0, rel=0.05)

    tell(story)


def test_udp_shows_jitter_and_loss_of_a_bad_cable() -> None:
    async def story(site: Site) -> str:
        at = console_at(site)
        there = type(at)(await plc(site))
        there.begin("iperf -s -u")
        await at.run("ping -c 1 10.0.0.2")
        cable = site.network.cable_at(Port("ws", "eth0"))
        assert cable is not None
        cable.impair_from(Port("ws", "eth0"), Impairment(loss=0.05, jitter=0.01))
        text = await at.run("iperf -c 10.0.0.2 -u -b 2M -t 10")
        assert at.status == 0
        return text

    match = re.search(r"jitter ([\d.]+) ms  lost (\d+)/(\d+) \(([\d.]+)%\)", tell(story))
    assert match is not None
    assert 1 < float(match[1]) < 10
    assert 1700 < int(match[3]) <= 1701
    assert 2 < float(match[4]) < 8


def test_without_a_server_there_is_no_report() -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await plc(site)
        assert "Connection refused" in await at.run("iperf -c 10.0.0.2 -t 1")
        assert "Connection refused" in await at.run("iperf -c 10.0.0.2 -u -t 1")
        assert "did not receive ack" in await at.run("iperf -c 10.0.0.77 -u -t 1")
        assert at.status == 1
        assert "either -s or -c" in await at.run("iperf")

    tell(story)


@settings(max_examples=60)
@given(st.binary(max_size=60), st.sampled_from(["nc -w 1", "nc -u -w 1", "iperf -t 0.2 -c", "iperf -u -t 0.2 -c"]))
def test_nonsense_from_the_other_end_is_survived(answer: bytes, line: str) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        await garbage_at(await plc(site), 5001, answer)
        suffix = " 5001 hello" if line.startswith("nc") else ""
        await at.run(f"{line} 10.0.0.2{suffix}")
        assert at.status in (0, 1)

    tell(story)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_nonsense_to_a_server_is_survived(datagrams: list[bytes]) -> None:
    async def story(site: Site) -> None:
        at = console_at(site)
        serving = at.begin("iperf -s -u -i 0.5")
        await asyncio.sleep(0.1)
        other = await plc(site)
        transport, _ = other.open_datagrams(asyncio.DatagramProtocol, None, ("10.0.0.9", 5001))
        for each in datagrams:
            transport.sendto(each)
        await asyncio.sleep(1)
        assert "listening" in await serving.stop()

    tell(story)
