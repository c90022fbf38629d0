"""DHCP messages: what we write scapy and Wireshark read, and the other way round; nonsense is Malformed."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from lab.wire import dhcp
from lab.wire.dhcp import Dhcp, Option, Type
from lab.wire.malformed import Malformed

MAC = bytes.fromhex("021a00000001")

addresses = st.binary(min_size=4, max_size=4)
options = st.dictionaries(
    st.integers(1, 254).filter(lambda code: code != Option.OVERLOAD), st.binary(min_size=1, max_size=600), max_size=5
)


@given(
    st.booleans(), st.integers(0, 2**32 - 1), options, addresses, addresses, addresses, st.booleans(), st.integers(0, 9)
)
def test_a_message_survives_the_wire(
    is_reply: bool,
    transaction: int,
    given_options: dict[int, bytes],
    client: bytes,
    yours: bytes,
    relay: bytes,
    broadcast: bool,
    hops: int,
) -> None:
    message = Dhcp(
        is_reply, transaction, MAC, given_options, client, yours, bytes(4), relay, broadcast, seconds=3, hops=hops
    )
    assert dhcp.decode(message.encode()) == message


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for attempt in (data, Dhcp(False, 1, MAC).encode()[:240] + data):
        try:
            str(dhcp.decode(attempt))
        except Malformed:
            pass


def test_options_may_overflow_into_the_fields_for_names() -> None:
    plain = bytearray(Dhcp(True, 1, MAC, {Option.OVERLOAD: b"\3", Option.HOST_NAME: b"pre"}).encode())
    plain[108:115] = bytes((Option.HOST_NAME, 4)) + b"ss-1" + b"\xff"
    plain[44:49] = bytes((Option.DOMAIN_NAME, 2)) + b"ab" + b"\xff"
    message = dhcp.decode(bytes(plain))
    assert message.text(Option.HOST_NAME) == "press-1", "RFC 3396: the parts are one option"
    assert message.text(Option.DOMAIN_NAME) == "ab"


def test_scapy_reads_what_we_write() -> None:
    offer = Dhcp(
        True,
        7,
        MAC,
        {
            Option.MESSAGE_TYPE: bytes((Type.OFFER,)),
            Option.SERVER_IDENTIFIER: socket.inet_aton("10.0.0.2"),
            Option.LEASE_TIME: (3600).to_bytes(4, "big"),
        },
        yours=socket.inet_aton("10.0.0.100"),
    )
    seen = BOOTP(offer.encode())
    assert (seen.op, seen.xid, seen.yiaddr, seen.chaddr[:6]) == (2, 7, "10.0.0.100", MAC)
    assert seen[DHCP].options[:3] == [("message-type", 2), ("server_id", "10.0.0.2"), ("lease_time", 3600)]


def test_we_read_what_scapy_writes() -> None:
    crafted = BOOTP(chaddr=MAC, xid=9, flags="B") / DHCP(
        options=[("message-type", "request"), ("requested_addr", "10.0.0.5"), "end"]
    )
    message = dhcp.decode(bytes(crafted))
    assert (message.type, message.broadcast, message.transaction) == (Type.REQUEST, True, 9)
    assert message.address(Option.REQUESTED_ADDRESS) == socket.inet_aton("10.0.0.5")


@pytest.mark.parametrize("value", [b"", b"\0", b"\x63", b"\1\2"])
def test_a_type_nobody_knows_is_none(value: bytes) -> None:
    assert Dhcp(False, 1, MAC, {Option.MESSAGE_TYPE: value}).type is None
