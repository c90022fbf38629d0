"""What is seen at the ends of cables: pings, datagrams, ARP; and that nothing on a cable can stop the looking."""

from __future__ import annotations

import subprocess
import sys

import pytest
from grading_kit import ACK, EPOCH_NS, PSH, SYN, Paper, all_of, observe, only
from hypothesis import given, settings
from hypothesis import strategies as st

from grading import dissector, exchanges, flows
from grading.dissector import Dissector
from grading.observations import (
    AddressConflict,
    ArpAnswered,
    ArpUnanswered,
    DatagramAnswered,
    DatagramUnanswered,
    MalformedMessage,
    PingAnswered,
    PingUnanswered,
    RequestArrived,
    RequestLeft,
    Unreachable,
)
from lab.model.frame import Frame, Port, Tap
from lab.wire import icmp, ipv4
from lab.wire.modbus import Adu, ReadHoldingRegisters


def test_a_ping_leaves_arrives_and_is_answered() -> None:
    paper = Paper()
    paper.ping("h1", "h2")
    seen = observe(paper, until=30)
    assert [type(each).__name__ for each in seen] == ["RequestLeft", "RequestArrived", "PingAnswered"]
    answered = only(PingAnswered, seen)
    assert (answered.client, answered.server, answered.server_address) == ("h1", "h2", "10.0.0.2")
    assert answered.frames == (1, 4)


def test_a_ping_nobody_answers_is_said_to_be_unanswered_after_a_while() -> None:
    paper = Paper()
    paper.up("h1", paper.echo("h1", "h2"))
    seen = observe(paper, until=30)
    assert only(PingUnanswered, seen).server == ""
    assert only(PingUnanswered, seen).at == pytest.approx(flows.PATIENCE, abs=0.001)


def test_an_answer_that_is_lost_on_its_way_back_has_still_arrived() -> None:
    paper = Paper()
    paper.carry("h1", "h2", paper.echo("h1", "h2"))
    paper.up("h2", paper.echo("h2", "h1", reply=True))
    seen = observe(paper, until=30)
    assert only(RequestArrived, seen).server == "h2"
    assert only(PingUnanswered, seen).server == "h2"


def test_datagrams_between_two_ports_are_one_exchange() -> None:
    paper = Paper()
    for _ in range(3):
        paper.carry("h1", "h2", paper.datagram("h1", "h2", (4000, 123)))
        paper.carry("h2", "h1", paper.datagram("h2", "h1", (123, 4000)))
    seen = observe(paper, until=30)
    assert len(all_of(RequestLeft, seen)) == 1
    assert only(DatagramAnswered, seen).port == 123
    assert not all_of(DatagramUnanswered, seen)


def test_an_unanswered_datagram_is_said_once() -> None:
    paper = Paper()
    for _ in range(3):
        paper.carry("h1", "h2", paper.datagram("h1", "h2", (4000, 123)))
    assert only(DatagramUnanswered, observe(paper, until=30)).server == "h2"


def test_who_reports_unreachable_and_what_for() -> None:
    paper = Paper("h1", "h2", "h3")
    lost = paper.packet("h1", "h2", ipv4.UDP, (4000).to_bytes(2, "big") + (123).to_bytes(2, "big") + bytes(4))
    paper.up("h1", paper.datagram("h1", "h2", (4000, 123)))
    told = icmp.Unreachable(icmp.UnreachableCode.HOST, lost[14:42]).encode()
    paper.carry("h3", "h1", paper.packet("h3", "h1", ipv4.ICMP, told))
    seen = observe(paper, until=30)
    report = only(Unreachable, seen)
    assert (report.reporter, report.server_address, report.kind, report.port) == ("10.0.0.3", "10.0.0.2", "udp", 123)
    assert not all_of(DatagramUnanswered, seen)


def test_arp_is_answered_by_a_host_or_by_nobody() -> None:
    paper = Paper()
    paper.carry("h1", "h2", paper.who_has("h1", paper["h2"].ip))
    paper.carry("h2", "h1", paper.is_at("h2", "h1"))
    paper.up("h1", paper.who_has("h1", bytes((10, 0, 0, 99))))
    seen = observe(paper, until=30)
    assert only(ArpAnswered, seen).server == "h2"
    assert only(ArpUnanswered, seen).server_address == "10.0.0.99"


def test_two_hosts_that_answer_for_one_address_are_in_conflict() -> None:
    paper = Paper("h1", "h2", "h3")
    paper.carry("h1", "h2", paper.who_has("h1", paper["h2"].ip))
    paper.carry("h2", "h1", paper.is_at("h2", "h1"))
    paper.carry("h3", "h1", paper.is_at("h3", "h1", paper["h2"].ip))
    conflict = only(AddressConflict, observe(paper))
    assert (conflict.client, conflict.server, conflict.server_address) == ("h3", "h2", "10.0.0.2")


def test_an_address_that_moves_to_another_host_is_no_conflict() -> None:
    paper = Paper("h1", "h2", "h3")
    paper.carry("h2", "h1", paper.is_at("h2", "h1"))
    paper.wait(5)
    paper.carry("h3", "h1", paper.is_at("h3", "h1", paper["h2"].ip))
    assert not all_of(AddressConflict, observe(paper))
    paper.wait(5)
    paper.carry("h2", "h1", paper.is_at("h2", "h1"))
    assert all_of(AddressConflict, observe(paper))


def test_switches_and_unknown_devices_are_not_watched() -> None:
    tap = Tap(Port("sw-2", "p1"), Port("sw-1", "p2"))
    paper = Paper()
    paper.ping("h1", "h2")
    frames = [frame._replace(tap=tap) for frame in paper.frames]
    assert not observe(paper, frames, until=30)


def test_other_ports_can_be_given_a_protocol() -> None:
    with pytest.raises(KeyError):
        Dissector(["h1"], 0, {1502: "profinet"})
    paper = Paper()
    paper.connect("h1", "h2", 1502).say(b"\0\0\0\1\0\2\7\3")
    assert only(MalformedMessage, observe(paper, ports={1502: "modbus"})).protocol == "modbus"


TAPS = (Tap(Port("sw", "p1"), Port("h1", "eth0")), Tap(Port("h1", "eth0"), Port("h2", "eth0")))


@given(st.lists(st.tuples(st.sampled_from(TAPS), st.binary(max_size=120), st.integers(0, 10**11)), max_size=20))
def test_arbitrary_frames_are_never_an_error(frames: list[tuple[Tap, bytes, int]]) -> None:
    looking = Dissector(["h1", "h2"], EPOCH_NS)
    for number, (tap, data, at) in enumerate(frames, 1):
        looking.feed(Frame(number, EPOCH_NS + at, tap, data))
    looking.advance(EPOCH_NS + 10**12)


def _whole_plant() -> list[Frame]:
    paper = Paper("h1", "h2", "h3")
    talk = paper.connect("h1", "h2", 502)
    talk.say(Adu(1, 1, ReadHoldingRegisters(0, 1)).encode())
    talk.answer(bytes.fromhex("0001 0000 0005 01 03 02 0007"))
    paper.ping("h1", "h3")
    paper.carry("h1", "h2", paper.datagram("h1", "h2", (4000, 123)))
    paper.carry("h1", "h2", paper.who_has("h1", paper["h3"].ip))
    paper.connect("h3", "h2", 1883).say(bytes.fromhex("100c 0004 4d515454 04 02 003c 0000"))
    paper.connect("h3", "h1", 4840).say(b"HELF\x1c\0\0\0")
    paper.connect("h3", "h1", 443).say(b"\x16\x03\x01\0\1\0")
    return paper.frames


PLANT = _whole_plant()


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(PLANT) - 1), st.integers(0, 200), st.integers(0, 255)), max_size=12))
def test_frames_with_bytes_changed_are_never_an_error(changes: list[tuple[int, int, int]]) -> None:
    frames = list(PLANT)
    for index, place, byte in changes:
        data = bytearray(frames[index].data)
        data[place % len(data)] = byte
        frames[index] = frames[index]._replace(data=bytes(data))
    looking = Dissector(["h1", "h2", "h3"], EPOCH_NS)
    for frame in frames:
        looking.feed(frame)
    looking.advance(EPOCH_NS + 10**12)


def test_a_scan_of_all_ports_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dissector, "MAX_FLOWS", 100)
    monkeypatch.setattr(exchanges, "MAX_EXCHANGES", 100)
    paper = Paper()
    looking = Dissector(paper.names, EPOCH_NS)
    kept = paper.connect("h1", "h2", 502)
    for port in range(1, 1000):
        talk = paper.talk("h1", "h2", port)
        talk.forth(talk.there(SYN))
        paper.carry("h1", "h2", paper.datagram("h1", "h2", (port, port)))
        paper.carry("h1", "h2", paper.echo("h1", "h2", port))
    kept.forth(kept.there(PSH | ACK, b"x"))
    for frame in paper.frames:
        looking.feed(frame)
    assert len(looking._flows) <= 100
    assert len(looking._exchanges) <= 100
    assert len(looking._departed) <= 100
    assert any(flow.port == 502 and flow.opened_at for flow in looking._flows.values())


def test_what_is_over_is_forgotten() -> None:
    paper = Paper()
    for port in range(1, 50):
        paper.connect("h1", "h2", port).close()
        paper.carry("h1", "h2", paper.datagram("h1", "h2", (port, port)))
        paper.ping("h1", "h2", port)
    looking = Dissector(paper.names, EPOCH_NS)
    for frame in paper.frames:
        looking.feed(frame)
    looking.advance(EPOCH_NS + 10**12)
    assert not looking._flows
    assert not len(looking._exchanges)
    assert not looking._departed
    for station in looking._stations.values():
        assert not station.sides
        assert not station.quiet


FORBIDDEN = {"asyncio", "socket", "_socket", "selectors", "ssl", "textual", "lab.clock", "lab.network", "lab.capture"}
EVERYTHING = "import importlib, pkgutil, grading\n" + (
    "for module in pkgutil.walk_packages(grading.__path__, 'grading.'): importlib.import_module(module.name)"
)


def _loaded(program: str, baseline: str = "") -> set[str]:
    """The modules a fresh interpreter loads for a program, beyond those of a baseline."""
    whole = f"import sys\n{baseline}\nbefore = set(sys.modules)\n{program}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_grader_loads_no_event_loop_socket_clock_or_screen() -> None:
    # pydantic itself loads `socket`, by way of importlib.metadata and email; nothing of ours may.
    loaded = _loaded(EVERYTHING, "import pydantic, importlib.metadata, email.utils")
    assert "grading.grader" in loaded
    assert not loaded & FORBIDDEN


def test_the_dissector_needs_nobody_who_could_open_a_socket() -> None:
    loaded = _loaded("import grading.dissector")
    assert "grading.conversations.opcua" in loaded
    assert not loaded & (FORBIDDEN | {"pydantic"})
