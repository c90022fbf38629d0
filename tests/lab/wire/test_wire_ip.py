"""Ethernet, ARP, IPv4, ICMP, UDP and TCP: what is encoded reads back, and nothing else ever raises but Malformed."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.wire import arp, ethernet, icmp, ipv4, tcp, udp
from lab.wire.checksum import checksum, is_intact, pseudo_header
from lab.wire.malformed import Malformed

macs = st.binary(min_size=6, max_size=6)
addresses = st.binary(min_size=4, max_size=4)
ports = st.integers(0, 0xFFFF)
words = st.integers(0, 0xFFFF)
longs = st.integers(0, 0xFFFFFFFF)
tags = st.builds(ethernet.Tag, st.integers(0, 4095), st.integers(0, 7), st.booleans())
four_byte_options = st.integers(0, 10).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


@given(
    macs,
    macs,
    st.integers(0x0600, 0xFFFF).filter(lambda t: t != ethernet.VLAN),
    st.binary(),
    st.lists(tags, max_size=2),
)
def test_a_frame_reads_back(to: bytes, by: bytes, kind: int, payload: bytes, tagged: list[ethernet.Tag]) -> None:
    frame = ethernet.Ethernet(to, by, kind, payload, tuple(tagged))
    assert ethernet.decode(frame.encode()) == frame


def test_a_tagged_frame_looks_like_ieee_802_1q() -> None:
    frame = ethernet.Ethernet(b"\xff" * 6, bytes(6), ethernet.IPV4, b"x", (ethernet.Tag(110, 5),))
    assert frame.encode()[12:18].hex() == "8100a06e0800"


@given(st.sampled_from(arp.Operation), macs, addresses, macs, addresses, st.binary(max_size=18))
def test_an_arp_packet_reads_back_whatever_the_padding(
    operation: arp.Operation, a: bytes, b: bytes, c: bytes, d: bytes, padding: bytes
) -> None:
    packet = arp.Arp(operation, a, b, c, d)
    assert arp.decode(packet.encode() + padding) == packet


datagrams = st.builds(
    ipv4.IPv4,
    addresses,
    addresses,
    st.integers(0, 255),
    st.binary(max_size=200),
    ttl=st.integers(0, 255),
    identification=words,
    dont_fragment=st.booleans(),
    more_fragments=st.booleans(),
    offset=st.integers(0, 8000).map(lambda n: n * 8),
    tos=st.integers(0, 255),
    options=four_byte_options,
)


@given(datagrams, st.binary(max_size=30))
def test_a_datagram_reads_back_without_its_padding(datagram: ipv4.IPv4, padding: bytes) -> None:
    assert ipv4.decode(datagram.encode() + padding) == datagram


@given(st.binary(min_size=1, max_size=9000), st.integers(68, 1500), st.randoms(use_true_random=False))
def test_fragments_in_any_order_and_twice_become_the_datagram(payload: bytes, mtu: int, chance: random.Random) -> None:
    whole = ipv4.IPv4(A, B, ipv4.UDP, payload, identification=7)
    pieces = list(ipv4.fragments(whole, mtu))
    assert all(len(piece.encode()) <= mtu for piece in pieces)
    pieces += pieces[:2] if len(pieces) > 2 else []
    chance.shuffle(pieces)
    reassembler = ipv4.Reassembler()
    assert whole in [reassembler.add(ipv4.decode(piece.encode()), 0.0) for piece in pieces]


def test_overlapping_fragments_condemn_their_datagram() -> None:
    reassembler = ipv4.Reassembler()
    first = ipv4.IPv4(A, B, ipv4.UDP, bytes(16), more_fragments=True)
    evil = ipv4.IPv4(A, B, ipv4.UDP, b"evil" * 4, offset=8)
    last = ipv4.IPv4(A, B, ipv4.UDP, bytes(8), offset=16)
    assert [reassembler.add(piece, 0.0) for piece in (first, evil, last)] == [None, None, None]


def test_unfinished_datagrams_are_forgotten_by_age_and_by_number() -> None:
    reassembler = ipv4.Reassembler(capacity=2, patience=15)
    first, last = ipv4.fragments(ipv4.IPv4(A, B, ipv4.UDP, bytes(100), identification=1), 100)
    assert reassembler.add(first, 0.0) is None
    assert reassembler.add(last, 16.0) is None, "the first piece is too old"
    for number in range(2, 6):
        piece, _ = ipv4.fragments(ipv4.IPv4(A, B, ipv4.UDP, bytes(100), identification=number), 100)
        reassembler.add(piece, 16.0)
    assert len(reassembler._unfinished) == 2


messages: st.SearchStrategy[icmp.Icmp] = st.one_of(
    st.builds(icmp.Echo, st.booleans(), words, words, st.binary(max_size=100)),
    st.builds(icmp.Unreachable, st.sampled_from(icmp.UnreachableCode), st.binary(max_size=60), words),
    st.builds(icmp.TimeExceeded, st.binary(max_size=60), st.booleans()),
    st.builds(icmp.OtherIcmp, st.integers(40, 255), st.integers(0, 255), st.binary(min_size=4, max_size=60)),
)


@given(messages)
def test_an_icmp_message_reads_back(message: icmp.Icmp) -> None:
    assert icmp.decode(message.encode()) == message


@given(ports, ports, st.binary(max_size=200), addresses, addresses)
def test_a_udp_datagram_reads_back(source: int, target: int, payload: bytes, a: bytes, b: bytes) -> None:
    datagram = udp.Udp(source, target, payload)
    assert udp.decode(datagram.encode(a, b), a, b) == datagram


segments = st.builds(
    tcp.Segment,
    ports,
    ports,
    longs,
    longs,
    st.integers(0, 255).map(tcp.Flag),
    words,
    st.binary(max_size=200),
    four_byte_options,
    words,
)


@given(segments, addresses, addresses)
def test_a_tcp_segment_reads_back(segment: tcp.Segment, a: bytes, b: bytes) -> None:
    assert tcp.decode(segment.encode(a, b), a, b) == segment


@given(segments.filter(lambda s: s.urgent == 0 and s.flags < 64), addresses, addresses, words)
def test_the_template_writes_what_the_codecs_write(segment: tcp.Segment, a: bytes, b: bytes, number: int) -> None:
    head = ethernet.HEADER.pack(b"\2" * 6, b"\4" * 6, ethernet.IPV4)
    template = tcp.FrameTemplate(head, a, b, (segment.source_port, segment.destination_port))
    frame = template.pack(
        number,
        segment.sequence,
        segment.acknowledgment,
        int(segment.flags),
        segment.window,
        segment.payload,
        segment.options,
    )
    datagram = ipv4.IPv4(a, b, ipv4.TCP, segment.encode(a, b), identification=number, dont_fragment=True)
    assert frame == head + datagram.encode()


@given(st.integers(0, 1460))
def test_the_mss_option_is_found_among_others(size: int) -> None:
    options = b"\1\1\4\2" + tcp.mss_option(size) + b"\0\0\0\0"
    assert tcp.Segment(1, 2, 0, 0, tcp.Flag.SYN, 0, options=options).maximum_segment_size == size


@given(four_byte_options)
def test_odd_options_neither_raise_nor_loop(options: bytes) -> None:
    size = tcp.Segment(1, 2, 0, 0, tcp.Flag.SYN, 0, options=options).maximum_segment_size
    assert size is None or 0 <= size <= 0xFFFF


DECODERS: list[Callable[[bytes], object]] = [
    ethernet.decode,
    arp.decode,
    ipv4.decode,
    icmp.decode,
    lambda data: udp.decode(data, A, B),
    lambda data: tcp.decode(data, A, B),
]


@pytest.mark.parametrize("decode", DECODERS)
@settings(max_examples=300)
@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_malformed_at_worst(decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except Malformed:
        return


@given(segments, st.integers(0, 10_000))
def test_a_flipped_bit_does_not_pass_the_checksum(segment: tcp.Segment, position: int) -> None:
    data = bytearray(segment.encode(A, B))
    data[position % len(data)] ^= 1 << position % 8
    with pytest.raises(Malformed):
        tcp.decode(bytes(data), A, B)


@given(st.binary(max_size=300))
def test_the_checksum_is_the_one_of_rfc_1071(data: bytes) -> None:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert (checksum(data) - (~total & 0xFFFF)) % 0xFFFF == 0


def test_the_example_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert is_intact(bytes.fromhex("0001f203f4f5f6f7220d"))


def test_the_pseudo_header_counts_addresses_protocol_and_length() -> None:
    data = A + B + bytes([0, 6]) + (20).to_bytes(2, "big")
    assert (checksum(data) + pseudo_header(A, B, 6, 20)) % 0xFFFF == 0
