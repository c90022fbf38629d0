"""What is written down, and what is forgotten first."""

from __future__ import annotations

from filter_kit import WALL, Bench, S, policy, tcp, udp_packet

from lab.network.firewall.decide import Verdict
from lab.network.firewall.log import Log, LogEntry
from lab.network.firewall.state import Phase

CLIENT, SERVER = "10.0.1.5:40000", "10.0.2.9:502"


def test_an_entry_is_one_line_of_pairs() -> None:
    bench = Bench(policy({"name": 'a "b" \n', "action": "reject", "log": True}))
    log, forwarded = Log(), list[LogEntry]()
    log.forward = forwarded.append
    whole = tcp(CLIENT, SERVER, S)
    log.write(whole, bench.inward(whole), WALL)
    assert str(forwarded[0]) == (
        'rule="a ?b? ?" verdict=reject from=out to=in proto=tcp src=10.0.1.5 spt=40000 dst=10.0.2.9 dpt=502'
    )
    assert list(log.entries) == forwarded


def test_too_much_is_counted_instead_of_written() -> None:
    bench = Bench(policy())
    log = Log()
    whole = udp_packet("10.0.1.5:1", "10.0.2.9:2")
    for number in range(1000):
        log.write(whole, bench.inward(whole), WALL + number / 1000)
    assert len(log.entries) == 100
    log.write(whole, bench.inward(whole), WALL + 1)
    assert log.entries[-1].suppressed == 900
    assert "suppressed=900" in str(log.entries[-1])
    for number in range(2000):
        log.write(whole, bench.inward(whole), WALL + 2 + number)
    assert len(log.entries) == 500


def test_a_full_table_forgets_the_oldest_half_open_connection_and_no_established_one() -> None:
    bench = Bench(policy({"name": "all"}), capacity=8)
    for number in range(3):
        bench.handshake(f"10.0.1.5:{40000 + number}", SERVER)
    for number in range(100):
        assert bench.inward(tcp(f"10.0.1.{number}:1", SERVER, S)).verdict is Verdict.ALLOW
    flows = bench.filter.connections.flows
    assert [flow.phase for flow in flows[:3]] == [Phase.ESTABLISHED] * 3
    assert [flow.source[0][3] for flow in flows[3:]] == [96, 97, 98, 99]
    assert bench.filter.connections.evicted == 96


def test_a_table_full_of_connections_takes_no_newcomer_until_one_is_over() -> None:
    bench = Bench(policy({"name": "all"}), capacity=4)
    for number in range(4):
        bench.handshake(f"10.0.1.5:{40000 + number}", SERVER)
    assert bench.inward(tcp("10.0.1.6:1", SERVER, S)).reason == "table full"
    bench.now += 8000
    assert bench.inward(tcp("10.0.1.6:1", SERVER, S)).verdict is Verdict.ALLOW
