"""NTP packets and their timestamps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.ntp import NTPHeader

from lab.wire import ntp
from lab.wire.malformed import Malformed
from lab.wire.ntp import Leap, Mode, Ntp

stamps = st.integers(0, 2**64 - 1)
packets = st.builds(
    Ntp,
    st.integers(0, 7),
    st.sampled_from(Leap),
    st.integers(0, 255),
    st.integers(-128, 127),
    st.integers(-128, 127),
    st.integers(-(2**31), 2**31 - 1).map(lambda each: each / 65536),
    st.integers(0, 2**32 - 1).map(lambda each: each / 65536),
    st.binary(min_size=4, max_size=4),
    stamps,
    stamps,
    stamps,
    stamps,
    st.integers(1, 4),
)


@given(packets)
def test_a_packet_survives_the_wire(packet: Ntp) -> None:
    assert ntp.decode(packet.encode()) == packet


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    try:
        str(ntp.decode(data))
    except Malformed:
        pass


@given(st.integers(0, 2**63), st.floats(-1e6, 1e6))
def test_differences_hold_across_eras(unix_ns: int, seconds: float) -> None:
    later = ntp.stamp(unix_ns + round(seconds * 1e9))
    assert ntp.difference(later, ntp.stamp(unix_ns)) == pytest.approx(seconds, abs=3e-9)


def test_the_epoch_is_where_rfc_868_has_it() -> None:
    assert ntp.stamp(0) == 2_208_988_800 << 32
    assert ntp.stamp(500_000_000) & 0xFFFFFFFF == 1 << 31


def test_scapy_reads_the_same() -> None:
    seen = NTPHeader(Ntp(Mode.SERVER, Leap.UNSYNCHRONISED, 2, reference_id=b"\x0a\0\0\1", transmit=5 << 32).encode())
    assert (seen.leap, seen.mode, seen.stratum, seen.id) == (3, 4, 2, "10.0.0.1")
