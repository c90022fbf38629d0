"""ICMP for IPv4 (RFC 792): echo, destination unreachable, time exceeded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lab.wire.checksum import checksum, is_intact
from lab.wire.malformed import Malformed

_ECHO_REPLY, _UNREACHABLE, _ECHO_REQUEST, _TIME_EXCEEDED = 0, 3, 8, 11


class UnreachableCode(IntEnum):
    """Why a datagram did not get there (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1)."""

    NETWORK = 0
    HOST = 1
    PROTOCOL = 2
    PORT = 3
    FRAGMENTATION_NEEDED = 4
    SOURCE_ROUTE_FAILED = 5
    NETWORK_UNKNOWN = 6
    HOST_UNKNOWN = 7
    SOURCE_ISOLATED = 8
    NETWORK_PROHIBITED = 9
    HOST_PROHIBITED = 10
    NETWORK_TOS = 11
    HOST_TOS = 12
    ADMINISTRATIVELY_PROHIBITED = 13
    PRECEDENCE_VIOLATION = 14
    PRECEDENCE_CUTOFF = 15


@dataclass(frozen=True, slots=True)
class Echo:
    """A ping or its answer."""

    is_reply: bool
    identifier: int
    sequence: int
    data: bytes = b""

    def encode(self) -> bytes:
        rest = self.identifier.to_bytes(2, "big") + self.sequence.to_bytes(2, "big") + self.data
        return _sealed(_ECHO_REPLY if self.is_reply else _ECHO_REQUEST, 0, rest)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A datagram could not be delivered; `original` is its IPv4 header and at least 8 bytes of what it carried."""

    code: UnreachableCode
    original: bytes
    next_mtu: int = 0
    """With FRAGMENTATION_NEEDED, in bytes (RFC 1191)."""

    def encode(self) -> bytes:
        return _sealed(_UNREACHABLE, self.code, b"\0\0" + self.next_mtu.to_bytes(2, "big") + self.original)


@dataclass(frozen=True, slots=True)
class TimeExceeded:
    """A datagram's time to live ran out on the way (code 0), or a fragment never came (code 1)."""

    original: bytes
    in_reassembly: bool = False

    def encode(self) -> bytes:
        return _sealed(_TIME_EXCEEDED, self.in_reassembly, bytes(4) + self.original)


@dataclass(frozen=True, slots=True)
class OtherIcmp:
    """A type this lab gives no meaning to."""

    type: int
    code: int
    rest: bytes

    def encode(self) -> bytes:
        return _sealed(self.type, self.code, self.rest)


Icmp = Echo | Unreachable | TimeExceeded | OtherIcmp


def decode(data: bytes) -> Icmp:
    """A message from an IPv4 payload; raises Malformed, also for a wrong checksum."""
    if len(data) < 8:
        raise Malformed(f"an ICMP message has at least 8 bytes, here are {len(data)}")
    if not is_intact(data):
        raise Malformed("the ICMP checksum is wrong")
    kind, code, rest = data[0], data[1], data[4:]
    if kind in (_ECHO_REPLY, _ECHO_REQUEST) and code == 0:
        return Echo(
            kind == _ECHO_REPLY, int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big"), bytes(rest[4:])
        )
    if kind == _UNREACHABLE and code <= UnreachableCode.PRECEDENCE_CUTOFF and rest[:2] == b"\0\0":
        return Unreachable(UnreachableCode(code), bytes(rest[4:]), int.from_bytes(rest[2:4], "big"))
    if kind == _TIME_EXCEEDED and code <= 1 and rest[:4] == bytes(4):
        return TimeExceeded(bytes(rest[4:]), bool(code))
    return OtherIcmp(kind, code, bytes(rest))


def _sealed(kind: int, code: int, rest: bytes) -> bytes:
    head = bytes((kind, code))
    return head + checksum(head + b"\0\0" + rest).to_bytes(2, "big") + rest
