"""Rules as Suricata writes them: what fits, what does not, and what is said of those that make no sense."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.ids.engine import Engine
from devices.ids.rules import parse_rule, parse_rules
from lab.model.document import KnownValueError
from lab.wire import ethernet, icmp, ipv4, modbus, udp
from lab.wire.ipv4 import IPv4
from lab.wire.tcp import Flag, Segment

SECOND = 1_000_000_000
CLIENT, PLC = IPv4Address("10.0.0.9").packed, IPv4Address("10.0.0.11").packed
VARIABLES = {"PLCS": "[10.0.0.11, 10.0.0.12]", "HOME_NET": "10.0.0.0/24"}


def frame(protocol: int, payload: bytes, source: bytes = CLIENT, target: bytes = PLC) -> bytes:
    head = ethernet.HEADER.pack(b"\2" * 6, b"\4" * 6, ethernet.IPV4)
    return head + IPv4(source, target, protocol, payload).encode()


def datagram(data: bytes, port: int = 161) -> bytes:
    return frame(ipv4.UDP, udp.Udp(50000, port, data).encode(CLIENT, PLC))


def heard(rule: str, *frames: bytes, gap: float = 0.01) -> int:
    """How many alerts a rule raises."""
    engine = Engine(parse_rules(rule, VARIABLES))
    return sum(len(engine.feed(each, round(number * gap * SECOND)).alerts) for number, each in enumerate(frames))


class Talk:
    """Frames of one TCP conversation."""

    def __init__(self, port: int = 502) -> None:
        self.port, self.forth, self.back = port, 1000, 5000
        self.frames = [
            self._frame(True, Flag.SYN),
            self._frame(False, Flag.SYN | Flag.ACK),
            self._frame(True, Flag.ACK),
        ]

    def _frame(self, forth: bool, flags: Flag, data: bytes = b"") -> bytes:
        ports = (40000, self.port) if forth else (self.port, 40000)
        ends = (CLIENT, PLC) if forth else (PLC, CLIENT)
        sequence = self.forth if forth else self.back
        step = len(data) + bool(flags & Flag.SYN)
        if forth:
            self.forth += step
        else:
            self.back += step
        return frame(ipv4.TCP, Segment(*ports, sequence, 1, flags, 65535, data).encode(*ends), *ends)

    def says(self, data: bytes) -> Talk:
        self.frames.append(self._frame(True, Flag.PSH | Flag.ACK, data))
        return self

    def hears(self, data: bytes) -> Talk:
        self.frames.append(self._frame(False, Flag.PSH | Flag.ACK, data))
        return self


def request(pdu: modbus.Request, unit: int = 1, transaction: int = 7) -> bytes:
    return modbus.Adu(transaction, unit, pdu).encode()


UDP_RULE = 'alert udp any any -> $PLCS 161 (msg:"x"; content:{}; sid:1;)'


@pytest.mark.parametrize(
    ("content", "data", "fits"),
    [
        ('"public"', b"..public..", True),
        ('"public"', b"..PUBLIC..", False),
        ('"public"; nocase', b"..PUBLIC..", True),
        ('"|30 82|ab"', b"\x30\x82ab", True),
        ('!"public"', b"private", True),
        ('!"public"', b"public", False),
        ('"a"; offset:2', b"a...", False),
        ('"a"; offset:2', b"..a.", True),
        ('"a"; depth:2', b"..a.", False),
        ('"a"; content:"b"; distance:2', b"a..b", True),
        ('"a"; content:"b"; distance:2', b"a.b.", False),
        ('"a"; content:"b"; within:2', b"a.b.", True),
        ('"a"; content:"b"; within:2', b"a..b", False),
        ('"a"; content:"b"; within:1', b"a.a.ab", True),
        ('"a\\"b\\;"', b'a"b;', True),
    ],
)
def test_contents_are_found_where_they_should_be(content: str, data: bytes, fits: bool) -> None:
    assert heard(UDP_RULE.format(content), datagram(data)) == fits


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("udp any any -> any any", True),
        ("ip any any -> any any", True),
        ("tcp any any -> any any", False),
        ("udp $HOME_NET any -> $PLCS 161", True),
        ("udp !$HOME_NET any -> $PLCS 161", False),
        ("udp any any -> [10.0.0.0/24, !10.0.0.11] 161", False),
        ("udp any 1024: -> any [100:200, !161]", False),
        ("udp any 1024: -> any [100:200]", True),
        ("udp 10.0.0.11 161 -> any any", False),
        ("udp 10.0.0.11 161 <> any any", True),
    ],
)
def test_headers_say_who_is_meant(header: str, fits: bool) -> None:
    assert heard(f'alert {header} (msg:"x"; sid:1;)', datagram(b"hello")) == fits


def test_flow_flags_and_size() -> None:
    talk = Talk(80).says(b"GET /").hears(b"200")
    frames = talk.frames

    def count(options: str) -> int:
        return heard(f"alert tcp any any -> any any ({options} sid:1;)", *frames)

    assert count("flags:S;") == 1
    assert count("flags:+S;") == 2
    assert count("flags:SA;") == 1
    assert count('flow:established,to_server; content:"GET";') == 1
    assert count('flow:established,to_client; content:"GET";') == 0
    assert count('flow:to_client; content:"200";') == 1
    assert count("flow:not_established; flags:S;") == 1
    assert count("dsize:>4;") == 1
    assert count("dsize:3;") == 1


def test_pings_by_their_type() -> None:
    ping = frame(ipv4.ICMP, icmp.Echo(False, 1, 1, b"x").encode())
    assert heard("alert icmp any any -> any any (itype:8; sid:1;)", ping) == 1
    assert heard("alert icmp any any -> any any (itype:0; sid:1;)", ping) == 0


WRITE = 'alert modbus any any -> $PLCS 502 (msg:"write"; modbus: access write holding, address 41; sid:1;)'


def test_a_write_is_found_however_it_is_cut_into_segments() -> None:
    whole = request(modbus.WriteSingleRegister(40, 7))
    assert heard(WRITE, *Talk().says(whole).frames) == 1
    cut = Talk()
    for at in range(len(whole)):
        cut.says(whole[at : at + 1])
    assert heard(WRITE, *cut.frames) == 1
    late = Talk().says(whole[:5]).says(whole[5:])
    late.frames[3], late.frames[4] = late.frames[4], late.frames[3]
    assert heard(WRITE, *late.frames) == 1, "and in whatever order they come"
    again = Talk().says(whole)
    assert heard(WRITE, *again.frames, again.frames[-1]) == 1, "what is sent again is not said again"


def test_other_requests_are_not_taken_for_writes() -> None:
    other = [modbus.ReadHoldingRegisters(40, 1), modbus.WriteSingleRegister(41, 7), modbus.WriteSingleCoil(40, True)]
    for each in other:
        assert heard(WRITE, *Talk().says(request(each)).frames) == 0
    assert heard(WRITE, *Talk(503).says(request(modbus.WriteSingleRegister(40, 7))).frames) == 0


def test_several_requests_in_one_segment_each_count() -> None:
    both = request(modbus.WriteSingleRegister(40, 1)) + request(modbus.WriteSingleRegister(40, 2), transaction=8)
    assert heard(WRITE, *Talk().says(both).frames) == 2


@pytest.mark.parametrize(
    ("options", "alerts"),
    [
        ("threshold: type limit, track by_src, count 2, seconds 60;", 2),
        ("threshold: type threshold, track by_src, count 5, seconds 60;", 4),
        ("threshold: type both, track by_src, count 5, seconds 60;", 1),
        ("detection_filter: track by_src, count 15, seconds 60;", 5),
        ("threshold: type limit, track by_dst, count 1, seconds 1;", 2),
    ],
)
def test_a_threshold_says_how_often_a_rule_speaks(options: str, alerts: int) -> None:
    rule = f'alert udp any any -> any any (msg:"x"; {options} sid:1;)'
    assert heard(rule, *[datagram(b"x")] * 20, gap=0.1) == alerts


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("alert tcp any -> any any (sid:1;)", 1, "a rule reads"),
        ("# comment\n\ndrop tcp any any -> any any (sid:1;)", 3, "drop"),
        ("alert s7 any any -> any any (sid:1;)", 1, "s7"),
        ('alert tcp any any -> any any (msg:"x";)', 1, "no sid"),
        ('alert tcp any any -> any any (sid:1; pcre:"/x/";)', 1, "pcre"),
        ("alert tcp any any -> $WATER any (sid:1;)", 1, "WATER"),
        ("alert tcp any any -> any 99999 (sid:1;)", 1, "99999"),
        ("alert tcp any any -> any any (sid:x;)", 1, "sid"),
        ("alert tcp any any -> any any (nocase; sid:1;)", 1, "nocase"),
        ('alert tcp any any -> any any (content:"|0|"; sid:1;)', 1, "content"),
        ('alert tcp any any -> any any (msg:"x; sid:1;)', 1, "quotation"),
        ("alert ip any any -> any any (sid:1;)\nalert ip any any -> any any (sid:1;)", 2, "twice"),
        ("alert modbus any any -> any any (modbus: function wrong; sid:1;)", 1, "wrong"),
        ("alert tcp any any -> any any (flow:sideways; sid:1;)", 1, "sideways"),
    ],
)
def test_what_does_not_parse_is_told_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(KnownValueError) as caught:
        parse_rules(text, VARIABLES)
    told = caught.value.what.en.format(**caught.value.facts)
    assert told.startswith(f"line {line} of the rules")
    assert says in told


def test_a_rule_may_go_on_in_the_next_line() -> None:
    (rule,) = parse_rules('alert tcp any any -> any any \\\n  (msg:"two lines"; sid:5; rev:3; priority:1;)', {})
    assert (rule.message, rule.sid, rule.revision, rule.priority) == ("two lines", 5, 3, 1)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=10), st.sampled_from([ipv4.TCP, ipv4.UDP, ipv4.ICMP, 99]))
def test_no_bytes_take_the_engine_down(payloads: list[bytes], protocol: int) -> None:
    rules = [WRITE, 'alert ip any any -> any any (content:"a"; content:"b"; within:3; sid:2;)']
    engine = Engine(parse_rules("\n".join(rules), VARIABLES))
    for number, payload in enumerate(payloads):
        engine.feed(frame(protocol, payload), number)
        engine.feed(payload, number)


def test_a_flood_of_connections_is_forgotten_in_time() -> None:
    engine = Engine(
        parse_rules(
            "alert tcp any any -> any any (threshold: type limit, track by_src, count 1, seconds 9; sid:1;)", {}
        )
    )
    for number in range(10_000):
        source = (number + 1).to_bytes(4, "big")
        segment = Segment(1024 + number % 60000, 502, number, 0, Flag.SYN, 1000)
        engine.feed(frame(ipv4.TCP, segment.encode(source, PLC), source), number)
    assert engine.flows <= 4096


@settings(max_examples=300)
@given(st.text(max_size=120))
def test_no_text_takes_the_parser_down(text: str) -> None:
    try:
        parse_rule(text, VARIABLES)
    except KnownValueError:
        pass
