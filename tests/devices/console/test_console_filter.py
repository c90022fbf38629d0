"""Capture filters mean what tcpdump means by them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.console.capture_filter import FilterError, Predicate, UnknownName, compile_filter
from lab.model.frame import Port, Tap
from lab.wire import arp, ethernet, icmp, ipv4, pcapng
from lab.wire.ipv4 import IPv4
from lab.wire.tcp import Flag, Segment
from lab.wire.udp import Udp

TAP = Tap(Port("b", "eth0"), Port("a", "eth0"))
A, B, C = (bytes((10, 0, 0, last)) for last in (1, 2, 130))
MACS = {address: b"\x02\0\0\0\0" + address[3:] for address in (A, B, C)}
NAMES = {"plc": B}


def framed(ethertype: int, payload: bytes, source: bytes = A, destination: bytes = B, vlan: int | None = None) -> bytes:
    tags = (ethernet.Tag(vlan, priority=5),) if vlan is not None else ()
    mac = MACS.get(destination, ethernet.BROADCAST)
    return ethernet.Ethernet(mac, MACS[source], ethertype, payload, tags).encode().ljust(60, b"\0")


def tcp(source: bytes, sport: int, destination: bytes, dport: int, vlan: int | None = None) -> bytes:
    segment = Segment(sport, dport, 1, 1, Flag.ACK, 100, b"data").encode(source, destination)
    return framed(ethernet.IPV4, IPv4(source, destination, ipv4.TCP, segment).encode(), source, destination, vlan)


def udp(source: bytes, sport: int, destination: bytes, dport: int, **more: int) -> bytes:
    datagram = Udp(sport, dport, b"data" * 4).encode(source, destination)
    return framed(ethernet.IPV4, IPv4(source, destination, ipv4.UDP, datagram, **more).encode(), source, destination)


def asks(source: bytes, target: bytes) -> bytes:
    packet = arp.Arp(arp.Operation.REQUEST, MACS[source], source, bytes(6), target).encode()
    return framed(ethernet.ARP, packet, source, b"")


def ping(source: bytes, destination: bytes) -> bytes:
    echo = icmp.Echo(False, 1, 1, b"x" * 20).encode()
    return framed(ethernet.IPV4, IPv4(source, destination, ipv4.ICMP, echo).encode(), source, destination)


def ip6_tcp(sport: int, dport: int) -> bytes:
    segment = struct.pack("!HHIIBBHHH", sport, dport, 0, 0, 0x50, 2, 100, 0, 0)
    return framed(ethernet.IPV6, struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + bytes(32) + segment)


ZOO = [
    tcp(A, 40000, B, 502),
    tcp(B, 502, A, 40000),
    tcp(C, 502, B, 1883),
    tcp(A, 80, C, 81, vlan=20),
    tcp(A, 80, C, 81, vlan=30),
    udp(A, 53, B, 161),
    udp(B, 161, C, 502),
    udp(A, 53, B, 161, offset=8),
    udp(A, 502, B, 502, more_fragments=True),
    asks(A, B),
    asks(C, A),
    ping(A, B),
    ping(B, C),
    ip6_tcp(502, 40000),
    framed(ethernet.LLDP, bytes(40)),
    framed(ethernet.VLAN, struct.pack("!HH", 7, ethernet.ARP) + asks(A, C)[14:42], destination=b""),
]


def compiled(expression: str) -> Predicate:
    return compile_filter(expression, NAMES.__getitem__)


def chosen(expression: str) -> list[int]:
    test = compiled(expression)
    return [number for number, frame in enumerate(ZOO) if test(frame)]


def test_everything_passes_an_empty_filter() -> None:
    assert chosen("") == list(range(len(ZOO)))


def test_a_host_is_found_in_arp_and_by_name() -> None:
    assert chosen("host plc") == chosen("host 10.0.0.2")
    assert chosen("arp and host plc") == [9]
    assert chosen("src host plc") == [1, 6, 12]


def test_and_has_no_precedence_over_or() -> None:
    assert chosen("arp or icmp and src 10.0.0.2") == chosen("( arp or icmp ) and src 10.0.0.2") == [12]
    assert chosen("arp or ( icmp and src 10.0.0.2 )") == [9, 10, 12]


def test_an_identifier_alone_takes_the_keywords_before_it() -> None:
    assert chosen("tcp port 502 or 81") == chosen("tcp port 502 or tcp port 81")
    assert chosen("not (port 502 or 161)") == [3, 4, 7, 9, 10, 11, 12, 14, 15]


def test_after_vlan_the_rest_looks_behind_the_tag() -> None:
    assert chosen("port 80") == []
    assert chosen("vlan and port 80") == [3, 4]
    assert chosen("vlan 20 and port http and dst host 10.0.0.130") == [3]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("host", "something is missing"),
        ("port 502 and", "something is missing"),
        ("(port 502", "not closed"),
        ("port 502)", "cannot make sense of '\\)'"),
        ("prot 502", "known: host, net, port"),
        ("10.0.0.1", "cannot make sense"),
        ("tcp host 10.0.0.1", "cannot be used"),
        ("icmp port 5", "cannot be used"),
        ("port 70000", "no port"),
        ("port http-x", "no port"),
        ("net 10.0.0.1/24", "no network"),
        ("net 300.0.0.0/8", "no network"),
        ("host 10.0.0.300", "no address"),
        ("vlan 5000", "from 0 to 4095"),
        ("ether host 10.0.0.1", "no address"),
        ("and and", "cannot make sense of 'and'"),
        ("less x", "no number"),
        ("not " * 400 + "arp", "too long"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: str, why: str) -> None:
    with pytest.raises(FilterError, match=why):
        compiled(wrong)


def test_a_name_nobody_knows_can_be_looked_up_and_tried_again() -> None:
    with pytest.raises(UnknownName) as caught:
        compiled("tcp and host nobody")
    assert caught.value.name == "nobody"


# -- any expression, any frame -----------------------------------------------------------------------------------------

KEYWORDS = (
    "host net port portrange src dst ether ip ip6 arp icmp tcp udp vlan broadcast multicast less greater proto mask"
)
REST = "and or not ( ) ! && || 10.0.0.1 10.0.0 10.0.0.0/24 502 80-90 20 plc 02:00:00:00:00:01 0x0800"
WORDS = st.sampled_from([*KEYWORDS.split(" "), *REST.split(" ")])


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40), st.binary(max_size=80))
def test_any_expression_is_understood_or_refused_and_then_takes_any_frame(expression: str, frame: bytes) -> None:
    try:
        test = compiled(expression)
    except FilterError:
        return
    assert test(frame) in (True, False)


IDENTIFIED = st.sampled_from(
    [
        "host 10.0.0.2",
        "src host 10.0.0.1",
        "dst 10.0.0.130",
        "src or dst 10.0.0.1",
        "src and dst 10.0.0.1",
        "ip host 10.0.0.1",
        "arp host 10.0.0.1",
        "arp src 10.0.0.130",
        "net 10.0.0.128/25",
        "src net 10.0.0",
        "dst net 10.0.0.0 mask 255.255.255.128",
        "port 502",
        "src port 502",
        "tcp dst port 1883",
        "udp port 161",
        "portrange 80-81",
        "tcp src portrange 500-600",
        "ether host 02:00:00:00:00:01",
        "ether dst ff:ff:ff:ff:ff:ff",
        "ip proto 17",
        "ether proto 0x88cc",
        "port 502 or 81",
        "tcp",
        "udp",
        "icmp",
        "arp",
        "ip",
        "ip6",
        "vlan",
        "vlan 20",
        "broadcast",
        "multicast",
        "less 60",
        "greater 61",
    ]
)
EXPRESSIONS = st.recursive(
    IDENTIFIED,
    lambda inner: st.one_of(
        inner.map("not {}".format),
        inner.map("( {} )".format),
        st.tuples(inner, st.sampled_from(["and", "or", "&&", "||"]), inner).map(" ".join),
    ),
    max_leaves=6,
)


def capture(path: Path) -> Path:
    writer = pcapng.Writer()
    path.write_bytes(
        writer.section()
        + b"".join(writer.frame(TAP, number * 1_000_000_000, frame) for number, frame in enumerate(ZOO))
    )
    return path


@pytest.mark.foreign
def test_tcpdump_chooses_the_same_frames(tmp_path: Path) -> None:
    tcpdump = shutil.which("tcpdump") or shutil.which("tcpdump", path="/usr/sbin")
    if tcpdump is None:
        pytest.skip("tcpdump is not installed")
    path = capture(tmp_path / "zoo.pcapng")

    @settings(max_examples=150)
    @given(EXPRESSIONS)
    def judge(expression: str) -> None:
        command = [tcpdump, "-r", str(path), "-n", "-tt", "-q", expression]
        judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if judged.returncode != 0 and "expression rejects all packets" in judged.stderr:
            assert chosen(expression) == []
            return
        assert judged.returncode == 0, judged.stderr
        numbers = [int(line.partition(".")[0]) for line in judged.stdout.splitlines() if line[:1].isdigit()]
        assert chosen(expression) == numbers, expression

    judge()
