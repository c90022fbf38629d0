"""DNS messages: dnspython and scapy agree with us; nonsense is Malformed, and ends."""

from __future__ import annotations

from ipaddress import IPv4Address

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS

from lab.wire import dns as wire
from lab.wire.dns import Dns, Question, Rcode, Record, RecordType
from lab.wire.malformed import Malformed

labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)
ttls = st.integers(0, 2**31 - 1)
records = st.one_of(
    st.builds(Record, names, st.just(int(RecordType.A)), ttls, st.ip_addresses(v=4).map(str)),
    st.builds(Record, names, st.just(int(RecordType.AAAA)), ttls, st.ip_addresses(v=6).map(str)),
    st.builds(Record, names, st.sampled_from([2, 5, 12]), ttls, names),
    st.builds(Record, names, st.just(16), ttls, st.binary(max_size=30).map(bytes.hex)),
)
messages = st.builds(
    Dns,
    st.integers(0, 65535),
    st.one_of(st.none(), st.builds(Question, names, st.integers(1, 65535))),
    st.booleans(),
    st.integers(0, 15),
    st.lists(records, max_size=6).map(tuple),
    st.lists(records, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 15),
)


@given(messages)
def test_a_message_survives_the_wire(message: Dns) -> None:
    assert wire.decode(message.encode()) == message


@given(messages, st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_message_is_one_or_malformed(message: Dns, at: int, value: int) -> None:
    data = bytearray(message.encode())
    data[at % len(data)] = value
    for attempt in (bytes(data), bytes(data)[: at % len(data)]):
        try:
            str(wire.decode(attempt))
        except Malformed:
            pass


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        wire.decode(data)
    except Malformed:
        pass


@pytest.mark.parametrize("name", [b"\xc0\x0c", b"\x01a\xc0\x0c", b"\xc0\xff", b"\x40a", b"\x05ab", b"\x03a.b\x00"])
def test_names_that_go_round_or_nowhere_are_malformed(name: bytes) -> None:
    with pytest.raises(Malformed):
        wire.decode(b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")


def test_dnspython_reads_what_we_write_and_we_read_what_it_writes() -> None:
    answers = (
        Record("www.plant.lab", RecordType.CNAME, 60, "opc.plant.lab"),
        Record("opc.plant.lab", RecordType.A, 300, "10.0.0.5"),
    )
    message = Dns(7, Question("www.plant.lab", RecordType.A), True, Rcode.NOERROR, answers, is_authoritative=True)
    seen = dns.message.from_wire(message.encode())
    assert [str(rrset) for rrset in seen.answer] == [
        "www.plant.lab. 60 IN CNAME opc.plant.lab.",
        "opc.plant.lab. 300 IN A 10.0.0.5",
    ]
    assert wire.decode(seen.to_wire()) == message
    query = dns.message.make_query("Opc.Plant.LAB.", "AAAA", use_edns=True)
    assert wire.decode(query.to_wire()).question == Question("opc.plant.lab", RecordType.AAAA)


def test_scapy_reads_a_reverse_question() -> None:
    question = Question(wire.reverse_name(IPv4Address("10.0.0.5")), RecordType.PTR)
    seen = DNS(Dns(1, question).encode())
    assert (seen.qd[0].qname, seen.qd[0].qtype) == (b"5.0.0.10.in-addr.arpa.", 12)
