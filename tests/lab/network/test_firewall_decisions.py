"""The firewall's decision: what rules, connections, floods and errors make of a packet."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from filter_kit import FA, INSIDE, OUTSIDE, PA, RA, SA, A, Bench, R, S, echo, passed, policy, tcp, udp_packet
from hypothesis import given
from hypothesis import strategies as st

from lab.network.firewall import packet
from lab.network.firewall.decide import Interface, Verdict
from lab.network.firewall.packet import Packet
from lab.network.firewall.state import Phase
from lab.wire import icmp, ipv4
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

CLIENT, SERVER = "10.0.1.5:40000", "10.0.2.9:502"
MODBUS = {"name": "modbus", "from": "out", "to": "in", "service": "modbus"}
PING = {"name": "ping", "from": "out", "to": "in", "service": "ping"}
SYSLOG = {"name": "syslog", "from": "in", "to": "out", "service": "syslog"}


# -- rules -------------------------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_decides_and_counts() -> None:
    bench = Bench(
        policy(
            {"name": "not-him", "source": "10.0.1.66", "action": "deny"},
            {"name": "off", "enabled": False, "action": "reject"},
            {**MODBUS, "source": "10.0.1.0/24", "destination": "PLCS"},
            {"name": "rest", "action": "reject", "service": ["modbus", "http"]},
            addresses={"PLCS": ["10.0.2.9", "OTHERS"], "OTHERS": ["10.0.2.32/30"]},
        )
    )
    decided = [
        bench.inward(tcp(f"{source}:40000", f"{target}", S))
        for source, target in (
            ("10.0.1.5", "10.0.2.9:502"),
            ("10.0.1.66", "10.0.2.9:502"),
            ("10.0.1.5", "10.0.2.35:502"),
            ("10.0.1.5", "10.0.2.36:502"),
            ("10.0.1.5", "10.0.2.9:80"),
            ("10.0.1.5", "10.0.2.9:22"),
        )
    ]
    assert [(each.rule, each.verdict.value) for each in decided] == [
        ("modbus", "allow"),
        ("not-him", "deny"),
        ("modbus", "allow"),
        ("rest", "reject"),
        ("rest", "reject"),
        ("default", "deny"),
    ]
    rules = bench.filter.rules
    assert [rule.hits.packets for rule in (*rules.rules, rules.default)] == [1, 2, 2, 1]


def test_counters_survive_a_new_policy_by_the_name_of_their_rule() -> None:
    bench = Bench(policy(MODBUS))
    bench.inward(tcp(CLIENT, SERVER, S))
    bench.filter.apply(policy(PING, MODBUS))
    assert [rule.hits.packets for rule in bench.filter.rules.rules] == [0, 1]


def test_ports_protocols_and_source_ports_of_services() -> None:
    services = {
        "range": {"protocol": "tcp", "ports": ["8000-8002", 9000]},
        "from-low": {"protocol": "udp", "ports": 123, "source_ports": ["1-1023"]},
        "gre": {"protocol": 47},
    }
    bench = Bench(policy({"name": "r", "service": ["range", "from-low", "gre"]}, services=services))
    assert [passed(bench.inward(tcp(CLIENT, f"10.0.2.9:{port}", S))) for port in (7999, 8000, 8002, 8003, 9000)] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert passed(bench.inward(udp_packet("10.0.1.5:123", "10.0.2.9:123")))
    assert not passed(bench.inward(udp_packet("10.0.1.5:5000", "10.0.2.9:123")))
    gre = packet.decode(IPv4(bytes((10, 0, 1, 5)), bytes((10, 0, 2, 9)), 47, b"tunnel"))
    assert passed(bench.inward(gre))


@pytest.mark.parametrize(
    ("days", "start", "end", "hour", "holds"),
    [
        (["thu"], "08:00", "18:00", 8.0, True),
        (["thu"], "08:00", "18:00", 18.0, False),
        (["fri"], "08:00", "18:00", 9.0, False),
        (["wed"], "22:00", "06:00", 5.0, True),
        (["thu"], "22:00", "06:00", 5.0, False),
        (["thu"], "22:00", "06:00", 23.0, True),
        (["thu"], "00:00", "00:00", 12.0, True),
        (["wed"], "00:00", "00:00", 12.0, False),
    ],
)
def test_schedules(days: list[str], start: str, end: str, hour: float, holds: bool) -> None:
    schedules = {"s": {"days": days, "from": start, "to": end}}
    bench = Bench(policy({**MODBUS, "schedule": "s"}, schedules=schedules))
    bench.wall += hour * 3600
    assert passed(bench.inward(tcp(CLIENT, SERVER, S))) == holds
    change = bench.filter.rules.next_change(bench.wall)
    assert change is not None
    assert bench.wall < change <= bench.wall + 86_400


def test_without_a_zone_nothing_passes() -> None:
    bench = Bench(policy({"name": "all"}))
    nowhere = Interface(None, None)
    assert bench.decide(tcp(CLIENT, SERVER, S), nowhere, INSIDE).reason == "no zone"
    assert bench.decide(tcp(CLIENT, SERVER, S), OUTSIDE, nowhere).reason == "no zone"


# -- connections -------------------------------------------------------------------------------------------------------


def test_a_connection_from_handshake_to_farewell() -> None:
    bench = Bench(policy(MODBUS))
    bench.handshake(CLIENT, SERVER)
    (flow,) = bench.filter.connections.flows
    assert flow.phase is Phase.ESTABLISHED
    assert bench.filter.connections.half_open == 0
    assert passed(bench.inward(tcp(CLIENT, SERVER, PA, 101, 501, b"question")))
    assert passed(bench.outward(tcp(SERVER, CLIENT, PA, 501, 109, b"answer")))
    assert passed(bench.inward(tcp(CLIENT, SERVER, FA, 109, 507)))
    assert flow.phase is Phase.CLOSING
    assert passed(bench.outward(tcp(SERVER, CLIENT, FA, 507, 110)))
    assert passed(bench.inward(tcp(CLIENT, SERVER, A, 110, 508)))
    assert flow.phase is Phase.CLOSED
    assert passed(bench.outward(tcp(SERVER, CLIENT, FA, 507, 110))), "the last acknowledgment was lost"
    assert passed(bench.inward(tcp(CLIENT, SERVER, S, 900))), "the ports are used again"


@pytest.mark.parametrize(
    ("flags", "reason"), [(A, "no connection"), (SA, "no connection"), (R, "no connection"), (FA, "no connection")]
)
def test_a_connection_begins_with_a_syn_and_nothing_else(flags: Any, reason: str) -> None:
    bench = Bench(policy({"name": "all"}))
    decision = bench.inward(tcp(CLIENT, SERVER, flags, 5, 6))
    assert (decision.verdict, decision.reason) == (Verdict.DENY, reason)


@pytest.mark.parametrize(
    ("from_client", "segment", "reason"),
    [
        (True, (PA, 101 + 70_000, 501, b"far ahead"), "out of window"),
        (True, (PA, 101 - 70_000 & 0xFFFFFFFF, 501, b"long ago"), "out of window"),
        (True, (A, 101, 501 + 5), "out of window"),
        (False, (PA, 501 + 5000, 101, b"unasked"), "out of window"),
        (False, (R, 77, 0), "reset out of window"),
        (True, (S, 4711, 0), "unexpected SYN"),
        (False, (SA, 9999, 101), None),
    ],
)
def test_what_lies_outside_the_windows_is_no_part_of_a_connection(
    from_client: bool, segment: tuple[Any, ...], reason: str | None
) -> None:
    bench = Bench(policy(MODBUS))
    bench.handshake(CLIENT, SERVER)
    flags, sequence, acknowledgment, *data = segment
    if from_client:
        decision = bench.inward(tcp(CLIENT, SERVER, flags, sequence, acknowledgment, *data))
    else:
        decision = bench.outward(tcp(SERVER, CLIENT, flags, sequence, acknowledgment, *data))
    if reason is not None:
        assert (decision.verdict, decision.reason) == (Verdict.DENY, reason)
    assert bench.filter.connections.flows[0].phase is Phase.ESTABLISHED, "and does not disturb it"
    assert passed(bench.inward(tcp(CLIENT, SERVER, PA, 101, 501, b"question")))


def test_a_believable_reset_closes() -> None:
    bench = Bench(policy(MODBUS))
    bench.handshake(CLIENT, SERVER)
    assert passed(bench.outward(tcp(SERVER, CLIENT, R, 501)))
    assert bench.filter.connections.flows[0].phase is Phase.CLOSED


def test_a_refused_connection_is_over() -> None:
    bench = Bench(policy(MODBUS))
    assert passed(bench.inward(tcp(CLIENT, SERVER, S, 100)))
    assert passed(bench.outward(tcp(SERVER, CLIENT, RA, 0, 101)))
    assert bench.filter.connections.flows[0].phase is Phase.CLOSED


def test_large_windows_count_only_if_both_sides_scale() -> None:
    scale = bytes((3, 3, 7, 0))
    for server_options, allowed in ((scale, True), (b"", False)):
        bench = Bench(policy(MODBUS))
        bench.inward(tcp(CLIENT, SERVER, S, 100, options=scale))
        bench.outward(tcp(SERVER, CLIENT, SA, 500, 101, options=server_options))
        bench.inward(tcp(CLIENT, SERVER, A, 101, 501))
        bench.outward(tcp(SERVER, CLIENT, A, 501, 101, window=1000))
        assert passed(bench.inward(tcp(CLIENT, SERVER, PA, 101 + 100_000, 501, b"x"))) == allowed


def test_an_answer_must_come_from_where_the_question_went() -> None:
    bench = Bench(policy(MODBUS))
    bench.handshake(CLIENT, SERVER)
    dmz = Interface("dmz", None)
    assert bench.decide(tcp(SERVER, CLIENT, A, 501, 101), dmz, OUTSIDE).reason == "wrong zone"
    assert bench.inward(tcp(SERVER, CLIENT, A, 501, 101)).reason == "wrong zone"


def test_a_connection_does_not_follow_a_route_into_another_zone() -> None:
    bench = Bench(policy(MODBUS))
    bench.handshake(CLIENT, SERVER)
    dmz = Interface("dmz", None)
    assert bench.decide(tcp(CLIENT, SERVER, PA, 101, 501, b"x"), OUTSIDE, dmz).reason == "wrong zone"
    bench.filter.is_strict = False
    assert passed(bench.decide(tcp(CLIENT, SERVER, PA, 101, 501, b"x"), OUTSIDE, dmz)), "a router does"


def test_questions_and_answers_without_connections() -> None:
    bench = Bench(policy(SYSLOG, PING))
    assert not passed(bench.inward(udp_packet("10.0.1.5:514", "10.0.2.9:5000")))
    assert passed(bench.outward(udp_packet("10.0.2.9:5000", "10.0.1.5:514")))
    assert passed(bench.inward(udp_packet("10.0.1.5:514", "10.0.2.9:5000"))), "an answer"
    bench.now += 200
    assert not passed(bench.inward(udp_packet("10.0.1.5:514", "10.0.2.9:5000"))), "too late"
    assert not passed(bench.outward(echo("10.0.2.9", "10.0.1.5", reply=True)))
    assert passed(bench.inward(echo("10.0.1.5", "10.0.2.9")))
    assert passed(bench.outward(echo("10.0.2.9", "10.0.1.5", reply=True)))
    assert not passed(bench.outward(echo("10.0.2.9", "10.0.1.5", reply=True, identifier=8)))


def error_about(whole: Packet, sender: str) -> Packet:
    message = icmp.Unreachable(icmp.UnreachableCode.PORT, whole.datagram.encode()[:28]).encode()
    return packet.decode(IPv4(bytes(map(int, sender.split("."))), whole.source, ipv4.ICMP, message))


def test_errors_pass_if_they_are_about_something_that_passed() -> None:
    bench = Bench(policy(MODBUS))
    question = tcp(CLIENT, SERVER, S, 100)
    assert bench.outward(error_about(question, "10.0.2.9")).reason == "unrelated error"
    bench.inward(question)
    assert passed(bench.outward(error_about(question, "10.0.2.254")))
    assert not passed(bench.outward(error_about(tcp("10.0.1.5:40001", SERVER, S), "10.0.2.9")))


def test_a_policy_reaches_flows_under_way() -> None:
    bench = Bench(policy(MODBUS))
    bench.handshake(CLIENT, SERVER)
    bench.filter.apply(policy({**MODBUS, "name": "renamed"}))
    assert bench.outward(tcp(SERVER, CLIENT, A, 501, 101)).rule == "renamed", "also if it is asked about an answer"
    bench.filter.apply(policy({**MODBUS, "source": "10.0.1.6"}))
    decision = bench.outward(tcp(SERVER, CLIENT, A, 501, 101))
    assert (decision.verdict, decision.reason) == (Verdict.DENY, "no longer allowed")
    assert len(bench.filter.connections) == 0


# -- floods ------------------------------------------------------------------------------------------------------------


def test_too_many_attempts_block_their_source_and_no_other() -> None:
    bench = Bench(policy(MODBUS, protection={"syn_per_source": 5, "blocked_for": 30}))
    bench.handshake("10.0.1.6:1", SERVER)
    bench.handshake("10.0.1.5:1", SERVER)
    decided = [bench.inward(tcp(f"10.0.1.5:{port}", SERVER, S)) for port in range(2, 12)]
    assert [each.reason for each in decided] == [""] * 4 + ["SYN flood"] + ["blocked"] * 5
    assert [each.blocks for each in decided].count(True) == 1
    assert not passed(bench.inward(tcp("10.0.1.5:1", SERVER, PA, 101, 501, b"x"))), "what he has open is cut as well"
    assert passed(bench.inward(tcp("10.0.1.6:1", SERVER, PA, 101, 501, b"x")))
    bench.now += 31
    assert passed(bench.inward(tcp("10.0.1.5:500", SERVER, S)))


def test_slow_attempts_are_no_flood() -> None:
    bench = Bench(policy(MODBUS, protection={"syn_per_source": 5, "scan_targets": 5}))
    for port in range(2, 100):
        assert passed(bench.inward(tcp(f"10.0.1.5:{port}", SERVER, S)))
        bench.now += 0.3


def test_a_flood_from_everywhere_is_limited_as_a_whole() -> None:
    bench = Bench(policy(MODBUS, protection={"syn_total": 50}))
    decided = [bench.inward(tcp(f"10.0.1.{n % 200}:{n}", SERVER, S)) for n in range(1, 300)]
    assert sum(map(passed, decided)) == 50
    bench.now += 1
    assert passed(bench.inward(tcp("10.0.1.7:5000", SERVER, S)))


def test_a_slow_scan_over_many_hosts_is_seen() -> None:
    bench = Bench(policy(protection={"scan_targets": 20, "scan_window": 60}))
    reasons = []
    for n in range(30):
        reasons.append(bench.inward(tcp("10.0.1.5:999", f"10.0.2.{n}:502", S)).reason)
        bench.now += 1
    assert reasons.index("scan") == 19


# -- properties --------------------------------------------------------------------------------------------------------


class Try(NamedTuple):
    """A packet of a small world: three zones, two hosts in each, a few ports."""

    source: int
    destination: int
    source_port: int
    destination_port: int
    kind: str

    @property
    def ends(self) -> tuple[str, str]:
        return f"10.0.{self.source}.1:{self.source_port}", f"10.0.{self.destination}.1:{self.destination_port}"

    def packet(self) -> Packet:
        here, there = self.ends
        if self.kind == "udp":
            return udp_packet(here, there)
        flags = {"syn": S, "syn-ack": SA, "ack": A, "fin": FA, "rst": R}[self.kind]
        return tcp(here, there, flags, 100, 101)

    @property
    def conversation(self) -> tuple[str, tuple[str, str]]:
        return "udp" if self.kind == "udp" else "tcp", self.ends

    @property
    def answered(self) -> tuple[str, tuple[str, str]]:
        return "udp" if self.kind == "udp" else "tcp", self.ends[::-1]


PORTS = (502, 80, 4000)
tries = st.builds(
    Try,
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(PORTS),
    st.sampled_from(PORTS),
    st.sampled_from(["udp", "syn", "syn-ack", "ack", "fin", "rst"]),
).filter(lambda each: each.source != each.destination)
zone_names = ["z0", "z1", "z2"]
rules = st.fixed_dictionaries(
    {
        "from": st.sampled_from([*zone_names, "any"]),
        "to": st.sampled_from([*zone_names, "any"]),
        "source": st.sampled_from(["any", "10.0.0.1", "10.0.1.0/24"]),
        "destination": st.sampled_from(["any", "10.0.2.1", "10.0.0.0/16"]),
        "service": st.sampled_from(["any", "modbus", "udp", "tcp", "http"]),
        "action": st.sampled_from(["allow", "deny", "reject"]),
    }
)
policies = st.lists(rules, max_size=6).map(
    lambda listed: policy(
        *({"name": str(n), **rule} for n, rule in enumerate(listed)), zones={name: [name] for name in zone_names}
    )
)
WITHIN = {"10.0.0.1": (0,), "10.0.1.0/24": (1,), "10.0.2.1": (2,), "any": (0, 1, 2), "10.0.0.0/16": (0, 1, 2)}
SERVICES = {"any": None, "modbus": ("tcp", 502), "udp": ("udp", None), "tcp": ("tcp", None), "http": ("tcp", 80)}


def a_rule_allows(given: Any, each: Try) -> bool:
    """The oracle, written out plainly."""
    protocol = each.conversation[0]
    for rule in given.rules:
        service = SERVICES[rule.service[0]]
        if (
            rule.source_zone[0] in ("any", f"z{each.source}")
            and rule.destination_zone[0] in ("any", f"z{each.destination}")
            and each.source in WITHIN[rule.source[0]]
            and each.destination in WITHIN[rule.destination[0]]
            and (service is None or (service[0] == protocol and service[1] in (None, each.destination_port)))
        ):
            return bool(rule.action == "allow")
    return False


def decided(bench: Bench, each: Try) -> bool:
    came, goes = Interface(f"z{each.source}", None), Interface(f"z{each.destination}", None)
    return passed(bench.decide(each.packet(), came, goes))


@given(policies, st.lists(tries, max_size=40))
def test_nothing_passes_that_no_rule_allows_and_answers_do(given: Any, sequence: list[Try]) -> None:
    bench = Bench(given)
    begun: set[tuple[str, tuple[str, str]]] = set()
    for each in sequence:
        is_allowed = a_rule_allows(given, each)
        known = each.conversation in begun or each.answered in begun
        has_passed = decided(bench, each)
        if each.kind == "udp":
            assert has_passed == (known or is_allowed)
        elif not known:
            assert has_passed == (is_allowed and each.kind == "syn")
        if has_passed and not known:
            begun.add(each.conversation)
            if each.kind in ("udp", "syn"):
                answer = each._replace(
                    source=each.destination,
                    destination=each.source,
                    source_port=each.destination_port,
                    destination_port=each.source_port,
                    kind="udp" if each.kind == "udp" else "syn-ack",
                )
                assert decided(bench, answer)


@given(policies, st.lists(tries, max_size=60), st.integers(2, 8))
def test_the_table_never_holds_more_than_it_may(given: Any, sequence: list[Try], capacity: int) -> None:
    bench = Bench(given, capacity)
    for each in sequence:
        if decided(bench, each):
            assert each.kind != "syn" or len(bench.filter.connections) >= 1
        bench.now += 0.1
        assert len(bench.filter.connections) <= capacity
        assert bench.filter.connections.half_open <= max(capacity // 2, 1)


@given(policies, st.lists(tries, max_size=30), st.lists(tries, max_size=30))
def test_decisions_do_not_depend_on_what_else_is_in_the_table(
    given: Any, sequence: list[Try], others: list[Try]
) -> None:
    alone, crowded = Bench(given), Bench(given)
    for each, other in zip(sequence, others, strict=False):
        decided(crowded, other._replace(source_port=other.source_port + 7, destination_port=other.destination_port + 7))
        assert decided(alone, each) == decided(crowded, each)


@given(st.binary(max_size=120), st.sampled_from([1, 6, 17, 47]))
def test_any_payload_is_decided_about_or_malformed(payload: bytes, protocol: int) -> None:
    bench = Bench(policy({"name": "all"}))
    try:
        whole = packet.decode(IPv4(bytes((10, 0, 1, 5)), bytes((10, 0, 2, 9)), protocol, payload))
    except Malformed:
        return
    bench.inward(whole)
