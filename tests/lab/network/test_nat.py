"""Address translation: who gets which address and port, and that answers find their way back."""

from __future__ import annotations

from typing import Any

from filter_kit import (
    INSIDE,
    OUTSIDE,
    PA,
    RA,
    SA,
    A,
    Bench,
    R,
    S,
    address,
    echo,
    passed,
    policy,
    sent,
    tcp,
    udp_packet,
)
from hypothesis import given
from hypothesis import strategies as st

from lab.network.firewall import packet
from lab.network.firewall.decide import Interface
from lab.network.firewall.packet import Packet
from lab.wire import icmp, ipv4
from lab.wire.ipv4 import IPv4

OUTWARD = {"name": "out", "from": "in", "to": "out"}
INWARD = {"name": "in", "from": "out", "to": "in", "service": "modbus"}
MASQUERADE = {"type": "masquerade", "to": "out"}
OWN = "10.0.1.1"
"""The firewall's address outside."""


def bench_with(*nat: dict[str, Any], **rest: Any) -> Bench:
    return Bench(policy(OUTWARD, INWARD, nat=list(nat), **rest))


def out(bench: Bench, whole: Packet) -> Packet:
    decision = bench.outward(whole)
    assert passed(decision), decision
    return sent(whole, decision)


def back(bench: Bench, whole: Packet) -> Packet:
    decision = bench.inward(whole)
    assert passed(decision), decision
    return sent(whole, decision)


def test_a_source_keeps_its_port_until_somebody_else_has_it() -> None:
    bench = bench_with(MASQUERADE)
    first = out(bench, tcp("10.0.2.5:4000", "10.0.1.9:80", S, 1))
    second = out(bench, tcp("10.0.2.6:4000", "10.0.1.9:80", S, 1))
    elsewhere = out(bench, tcp("10.0.2.6:4000", "10.0.1.10:80", S, 1))
    assert str(first) == "10.0.1.1:4000>10.0.1.9:80"
    assert second.source_port != 4000
    assert str(elsewhere) == "10.0.1.1:4000>10.0.1.10:80", "another server tells them apart"
    answer = back(bench, tcp("10.0.1.9:80", f"10.0.1.1:{second.source_port}", SA, 7, 2))
    assert str(answer) == "10.0.1.9:80>10.0.2.6:4000"


def test_only_the_named_sources_are_translated() -> None:
    bench = bench_with({**MASQUERADE, "source": "10.0.2.128/25"})
    assert str(out(bench, udp_packet("10.0.2.5:1", "10.0.1.9:2"))) == "10.0.2.5:1>10.0.1.9:2"
    assert str(out(bench, udp_packet("10.0.2.200:1", "10.0.1.9:2"))) == "10.0.1.1:1>10.0.1.9:2"


def test_pings_with_the_same_identifier_are_told_apart() -> None:
    bench = bench_with(MASQUERADE)
    first, second = (out(bench, echo(source, "10.0.1.9")) for source in ("10.0.2.5", "10.0.2.6"))
    assert first.source_port == 7
    assert second.source_port != 7
    for asked, whose in ((first, "10.0.2.5"), (second, "10.0.2.6")):
        answer = back(bench, echo("10.0.1.9", OWN, reply=True, identifier=asked.source_port))
        assert (answer.destination, answer.destination_port) == (address(whose), 7)


def test_when_every_port_is_taken_a_newcomer_is_refused() -> None:
    bench = bench_with(MASQUERADE)
    bench.filter.connections.is_free = lambda key: False  # type: ignore[method-assign]
    assert bench.outward(tcp("10.0.2.6:4000", "10.0.1.9:80", S)).reason == "no free port"


def test_a_fixed_source_address() -> None:
    bench = bench_with({"type": "source", "to": "out", "address": "10.0.1.77"})
    assert str(out(bench, udp_packet("10.0.2.5:1", "10.0.1.9:2"))) == "10.0.1.77:1>10.0.1.9:2"
    assert str(back(bench, udp_packet("10.0.1.9:2", "10.0.1.77:1"))) == "10.0.1.9:2>10.0.2.5:1"


def test_a_forwarded_port_is_judged_by_where_it_leads() -> None:
    forward = {"type": "port-forward", "from": "out", "port": 8502, "to": "10.0.2.9", "to_port": 502}
    bench = bench_with(forward, {**forward, "port": 8080, "to_port": 80})
    question = tcp("10.0.1.5:40000", "10.0.1.1:8502", S, 1)
    assert bench.filter.aim(question, OUTSIDE, bench.now).destination == (address("10.0.2.9"), 502)
    assert str(back(bench, question)) == "10.0.1.5:40000>10.0.2.9:502"
    assert str(out(bench, tcp("10.0.2.9:502", "10.0.1.5:40000", SA, 5, 2))) == "10.0.1.1:8502>10.0.1.5:40000"
    assert bench.inward(tcp("10.0.1.5:40000", "10.0.1.1:8080", S)).rule == "default", "port 80 has no rule"
    assert str(tcp("10.0.1.5:1", "10.0.1.1:8503", S)) == "10.0.1.5:1>10.0.1.1:8503"
    assert bench.filter.aim(tcp("10.0.1.5:1", "10.0.1.1:8503", S), OUTSIDE, bench.now).destination == (
        address(OWN),
        8503,
    )


def test_a_forwarded_port_of_another_address() -> None:
    forward = {"type": "port-forward", "from": "out", "destination": "10.0.1.80", "port": 502, "to": "10.0.2.9"}
    bench = bench_with(forward)
    assert str(back(bench, tcp("10.0.1.5:4", "10.0.1.80:502", S))) == "10.0.1.5:4>10.0.2.9:502"


def test_one_to_one_in_both_directions() -> None:
    pair = {"type": "one-to-one", "zone": "out", "inside": "10.0.2.0/24", "outside": "10.11.0.0/24"}
    bench = bench_with(pair)
    assert str(back(bench, tcp("10.0.1.5:4", "10.11.0.9:502", S))) == "10.0.1.5:4>10.0.2.9:502"
    assert str(out(bench, udp_packet("10.0.2.8:1", "10.0.1.5:2"))) == "10.11.0.8:1>10.0.1.5:2"
    assert str(back(bench, udp_packet("10.0.1.5:2", "10.11.0.8:1"))) == "10.0.1.5:2>10.0.2.8:1"


def test_an_error_about_a_translated_datagram_quotes_the_original() -> None:
    bench = bench_with(MASQUERADE)
    went = out(bench, udp_packet("10.0.2.5:5000", "10.0.1.9:9"))
    complaint = icmp.Unreachable(icmp.UnreachableCode.PORT, went.datagram.encode()[:28]).encode()
    arrived = back(bench, packet.decode(IPv4(address("10.0.1.254"), address(OWN), ipv4.ICMP, complaint)))
    assert arrived.destination == address("10.0.2.5")
    assert arrived.source == address("10.0.1.254"), "the router that complained is who it is"
    assert arrived.about is not None
    assert str(arrived.about) == "10.0.2.5:5000>10.0.1.9:9"


def test_an_error_from_inside_hides_who_is_inside() -> None:
    forward = {"type": "port-forward", "from": "out", "port": 502, "to": "10.0.2.9"}
    bench = bench_with(forward)
    inside = back(bench, tcp("10.0.1.5:40000", "10.0.1.1:502", S, 1))
    complaint = icmp.Unreachable(icmp.UnreachableCode.HOST_PROHIBITED, inside.datagram.encode()[:28]).encode()
    left = out(bench, packet.decode(IPv4(address("10.0.2.9"), address("10.0.1.5"), ipv4.ICMP, complaint)))
    assert left.source == address(OWN)
    assert left.about is not None
    assert str(left.about) == "10.0.1.5:40000>10.0.1.1:502"


def test_a_new_translation_ends_what_went_by_the_old_one() -> None:
    bench = bench_with(MASQUERADE)
    out(bench, tcp("10.0.2.5:4000", "10.0.1.9:80", S, 1))
    bench.filter.apply(policy(OUTWARD, INWARD))
    assert len(bench.filter.connections) == 0


def test_a_mere_router_lets_pass_what_it_need_not_translate() -> None:
    bench = bench_with({**MASQUERADE, "source": "10.0.2.5/32"})
    bench.filter.is_strict = False
    stray = tcp("10.0.2.6:4000", "10.0.1.9:80", A, 1, 1)
    assert str(out(bench, stray)) == str(stray)
    assert bench.outward(tcp("10.0.2.5:4000", "10.0.1.9:80", A, 1, 1)).reason == "no connection"
    assert bench.outward(tcp("10.0.2.5:4000", "10.0.1.9:80", RA, 1, 1)).reason == "no connection"


hosts = st.integers(2, 6).map(lambda number: f"10.0.2.{number}")
ports = st.integers(1000, 1003)


@given(st.lists(st.tuples(hosts, ports, st.integers(7, 8), st.sampled_from(["tcp", "udp"])), max_size=30))
def test_every_answer_comes_back_to_who_asked(questions: list[tuple[str, int, int, str]]) -> None:
    bench = bench_with(MASQUERADE)
    asked: dict[str, str] = {}
    for source, port, server, protocol in questions:
        here, there = f"{source}:{port}", f"10.0.1.{server}:80"
        went = out(bench, tcp(here, there, S, 1) if protocol == "tcp" else udp_packet(here, there))
        assert went.source == address(OWN)
        name = f"{protocol} {went}"
        assert asked.setdefault(name, here) == here, "nobody else looks the same outside"
    for name, here in asked.items():
        protocol, went_ = name.split()
        own, there = went_.split(">")
        answer = back(bench, tcp(there, own, SA, 9, 2) if protocol == "tcp" else udp_packet(there, own))
        assert str(answer) == f"{there}>{here}"


def test_translated_packets_have_right_checksums() -> None:
    bench = bench_with(MASQUERADE)
    for data in (b"", b"odd", b"even"):
        whole = (
            tcp("10.0.2.5:4000", "10.0.1.9:80", S, 1)
            if not data
            else tcp("10.0.2.5:4000", "10.0.1.9:80", PA, 2, 8, data)
        )
        out(bench, whole)
        if not data:
            back(bench, tcp("10.0.1.9:80", "10.0.1.1:4000", SA, 7, 2))
            out(bench, tcp("10.0.2.5:4000", "10.0.1.9:80", A, 2, 8))
    assert passed(bench.inward(tcp("10.0.1.9:80", "10.0.1.1:4000", R, 8)))
    assert not passed(bench.decide(tcp("10.0.1.9:80", OWN + ":4000", S), Interface("dmz", None), INSIDE))
