"""DHCP messages (RFC 2131, RFC 2132), their options as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address

from lab.wire import ipv4
from lab.wire.ethernet import HEADER, IPV4
from lab.wire.malformed import Malformed
from lab.wire.udp import Udp

SERVER_PORT, CLIENT_PORT = 67, 68
INFINITE = 0xFFFFFFFF
"""A lease that never ends (RFC 2131 section 3.3)."""
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
_BOOTP_MINIMUM = 300
"""RFC 1542 section 2.1: shorter messages are padded."""
_ETHERNET = 1
_BROADCAST = 0x8000
_PAD, _END = 0, 255
_NOBODY = bytes(4)


class Type(IntEnum):
    """Option 53 (RFC 2132 section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    SUBNET_MASK = 1
    ROUTER = 3
    DNS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    NTP = 42
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_IDENTIFIER = 54
    PARAMETER_REQUEST = 55
    MESSAGE = 56
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    CLIENT_IDENTIFIER = 61
    RELAY_AGENT = 82
    """RFC 3046"""


@dataclass(frozen=True, slots=True)
class Dhcp:
    """One message; addresses are 4 bytes, zeros where there is none."""

    is_reply: bool
    transaction: int
    mac: bytes
    """chaddr: the client's, 6 bytes."""
    options: Mapping[int, bytes] = field(default_factory=dict)
    client: bytes = _NOBODY
    """ciaddr: the address that the client has and uses."""
    yours: bytes = _NOBODY
    """yiaddr: the address that it gets."""
    server: bytes = _NOBODY
    """siaddr: of the next server in bootstrap."""
    relay: bytes = _NOBODY
    """giaddr: of the relay agent on the client's link."""
    broadcast: bool = False
    """The client cannot receive unicast before it has an address."""
    seconds: int = 0
    hops: int = 0

    @property
    def type(self) -> Type | None:
        """None for plain BOOTP, and for types this module does not know."""
        value = self.options.get(Option.MESSAGE_TYPE, b"")
        return Type(value[0]) if len(value) == 1 and Type.DISCOVER <= value[0] <= Type.INFORM else None

    @property
    def client_identity(self) -> bytes:
        """What the server knows the client by (RFC 2131 section 4.2)."""
        return self.options.get(Option.CLIENT_IDENTIFIER) or bytes((_ETHERNET,)) + self.mac

    def address(self, option: int) -> bytes | None:
        """The first address in an option, None where there is none."""
        value = self.options.get(option, b"")
        return value[:4] if len(value) >= 4 else None

    def addresses(self, option: int) -> tuple[IPv4Address, ...]:
        value = self.options.get(option, b"")
        return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value) - 3, 4))

    def number(self, option: int) -> int | None:
        """A time in seconds, None where there is none."""
        value = self.options.get(option, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None

    def text(self, option: int) -> str:
        """Text as people read it; what is not printable ASCII becomes a question mark."""
        value = self.options.get(option, b"")
        return "".join(chr(each) if 32 <= each < 127 else "?" for each in value.rstrip(b"\0"))

    def encode(self) -> bytes:
        head = _HEADER.pack(
            2 if self.is_reply else 1,
            _ETHERNET,
            6,
            self.hops,
            self.transaction,
            self.seconds,
            _BROADCAST if self.broadcast else 0,
            self.client,
            self.yours,
            self.server,
            self.relay,
            self.mac,
            b"",
            b"",
        )
        body = b"".join(_encode_options(self.options))
        return (head + _COOKIE + body + bytes((_END,))).ljust(_BOOTP_MINIMUM, b"\0")

    def frame(self, macs: tuple[bytes, bytes], source: bytes, destination: bytes) -> bytes:
        """The message in an Ethernet frame, for hosts that have no address yet; `macs` are (to, from)."""
        ports = (SERVER_PORT, CLIENT_PORT) if self.is_reply else (CLIENT_PORT, SERVER_PORT)
        datagram = Udp(*ports, self.encode()).encode(source, destination)
        return HEADER.pack(*macs, IPV4) + ipv4.IPv4(source, destination, ipv4.UDP, datagram).encode()

    def __str__(self) -> str:
        kind = self.type
        return f"DHCP {kind.name if kind else '?'} {self.mac.hex(':')}"


def address_list(addresses: Iterable[IPv4Address]) -> bytes:
    """The value of an option that holds addresses."""
    return b"".join(address.packed for address in addresses)


def _encode_options(options: Mapping[int, bytes]) -> Iterator[bytes]:
    for code, value in options.items():
        # RFC 3396: what is longer than 255 bytes is cut into several options of the same code.
        for start in range(0, max(len(value), 1), 255):
            part = value[start : start + 255]
            yield bytes((code, len(part))) + part


def decode(data: bytes) -> Dhcp:
    """A message from a UDP payload; raises Malformed."""
    if len(data) < _HEADER.size + 4:
        raise Malformed(f"a DHCP message has at least {_HEADER.size + 4} bytes, here are {len(data)}")
    operation, kind, length, hops, transaction, seconds, flags, *addresses, mac, name, file = _HEADER.unpack_from(data)
    if operation not in (1, 2):
        raise Malformed(f"a BOOTP operation is 1 or 2, not {operation}")
    if (kind, length) != (_ETHERNET, 6):
        raise Malformed(f"a hardware address of type {kind} and {length} bytes is not Ethernet's")
    if data[_HEADER.size : _HEADER.size + 4] != _COOKIE:
        raise Malformed("the DHCP cookie is missing")
    options: dict[int, bytes] = {}
    _decode_options(data[_HEADER.size + 4 :], options)
    overload = options.get(Option.OVERLOAD, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        _decode_options(file, options)
    if overload in (b"\2", b"\3"):
        _decode_options(name, options)
    client, yours, server, relay = addresses
    return Dhcp(
        operation == 2,
        transaction,
        mac[:6],
        options,
        client,
        yours,
        server,
        relay,
        bool(flags & _BROADCAST),
        seconds,
        hops,
    )


def _decode_options(data: bytes, options: dict[int, bytes]) -> None:
    at = 0
    while at < len(data) and data[at] != _END:
        code = data[at]
        if code == _PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise Malformed(f"DHCP option {code} is cut off")
        end = at + 2 + data[at + 1]
        options[code] = options.get(code, b"") + data[at + 2 : end]
        at = end
