"""Frames from a kernel that leaves checksums to the card are finished as the card would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.network.packet_socket import _summed
from lab.wire import ethernet, ipv4, tcp, udp
from lab.wire.checksum import pseudo_header

OURS, THEIRS = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
HEAD = ethernet.HEADER.pack(bytes(6), bytes(6), ethernet.IPV4)


@given(st.binary(max_size=200), st.booleans(), st.sampled_from([b"", b"\x01" * 8]), st.binary(max_size=20))
def test_a_sum_that_was_begun_is_finished(payload: bytes, is_tcp: bool, options: bytes, padding: bytes) -> None:
    if is_tcp:
        segment = tcp.Segment(1, 2, 3, 4, tcp.Flag.ACK, 5, payload).encode(OURS, THEIRS)
        protocol, at = ipv4.TCP, 16
    else:
        segment = udp.Udp(1, 2, payload).encode(OURS, THEIRS)
        protocol, at = ipv4.UDP, 6

    def framed(segment: bytes) -> bytes:
        return HEAD + ipv4.IPv4(OURS, THEIRS, protocol, segment, options=options).encode() + padding

    begun = pseudo_header(OURS, THEIRS, protocol, len(segment)) % 0xFFFF
    unfinished = segment[:at] + begun.to_bytes(2, "big") + segment[at + 2 :]
    finished = ipv4.decode(_summed(framed(unfinished))[14:])
    decode = tcp.decode if is_tcp else udp.decode
    assert decode(finished.payload, OURS, THEIRS) == decode(segment, OURS, THEIRS)


@given(st.binary(max_size=100))
def test_what_is_no_such_frame_stays_as_it_is(data: bytes) -> None:
    for head in (b"", HEAD, HEAD + b"\x45" + bytes(8) + b"\x06", HEAD + b"\x4f" + bytes(8) + b"\x11"):
        assert len(_summed(head + data)) == len(head + data)
