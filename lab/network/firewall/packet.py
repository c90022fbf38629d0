"""A datagram as rules and connection tracking see it, and the same with other addresses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Final

from lab.wire import icmp, ipv4, tcp, udp
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

ECHO, OTHER_ICMP, ERROR = "echo", "icmp", "error"
_NO_PORT: Final = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """What a whole datagram is part of; `decode` makes it."""

    datagram: IPv4
    protocol: int
    source: bytes
    destination: bytes
    source_port: int = _NO_PORT
    """An echo's identifier stands for both of its ports."""
    destination_port: int = _NO_PORT
    segment: tcp.Segment | None = None
    is_reply: bool = False
    """An echo reply, which begins nothing."""
    about: Packet | None = None
    """In an ICMP error: the datagram it is about, as far as it is quoted."""
    is_echo: bool = False
    key: bytes = field(init=False, compare=False, default=b"")
    """Addresses and ports in the order in which they stand in a frame, and the protocol."""
    reverse: bytes = field(init=False, compare=False, default=b"")

    def __post_init__(self) -> None:
        here, there = self.source_port.to_bytes(2, "big"), self.destination_port.to_bytes(2, "big")
        last = bytes((self.protocol,))
        object.__setattr__(self, "key", self.source + self.destination + here + there + last)
        object.__setattr__(self, "reverse", self.destination + self.source + there + here + last)

    @property
    def size(self) -> int:
        """Bytes of the datagram."""
        return ipv4.HEADER.size + len(self.datagram.options) + len(self.datagram.payload)

    def __str__(self) -> str:
        return f"{IPv4Address(self.source)}:{self.source_port}>{IPv4Address(self.destination)}:{self.destination_port}"


_ERRORS = (icmp.Unreachable, icmp.TimeExceeded)


def decode(datagram: IPv4) -> Packet:
    """The packet in a datagram that is no fragment; raises Malformed, also for wrong checksums."""
    source, destination, protocol, payload = (
        datagram.source,
        datagram.destination,
        datagram.protocol,
        datagram.payload,
    )
    if protocol == ipv4.TCP:
        segment = tcp.decode(payload, source, destination)
        ports = segment.source_port, segment.destination_port
        return Packet(datagram, protocol, source, destination, *ports, segment)
    if protocol == ipv4.UDP:
        message = udp.decode(payload, source, destination)
        return Packet(datagram, protocol, source, destination, message.source_port, message.destination_port)
    if protocol == ipv4.ICMP:
        control = icmp.decode(payload)
        if isinstance(control, icmp.Echo):
            ports = control.identifier, control.identifier
            return Packet(datagram, protocol, source, destination, *ports, is_reply=control.is_reply, is_echo=True)
        if isinstance(control, _ERRORS):
            return Packet(datagram, protocol, source, destination, about=_quoted(control.original))
    return Packet(datagram, protocol, source, destination)


def _quoted(original: bytes) -> Packet:
    """What an ICMP error quotes: an IPv4 header and at least eight bytes more (RFC 792)."""
    if len(original) < ipv4.HEADER.size or original[0] >> 4 != 4:
        raise Malformed("an ICMP error quotes no IPv4 datagram")
    size = (original[0] & 0x0F) << 2
    rest = original[size:]
    if size < ipv4.HEADER.size or len(rest) < 8:
        raise Malformed("an ICMP error quotes less than 8 bytes of a datagram")
    fields = ipv4.HEADER.unpack_from(original)
    datagram = IPv4(fields[8], fields[9], fields[6], rest, ttl=fields[5], identification=fields[3], tos=fields[1])
    if datagram.protocol in (ipv4.TCP, ipv4.UDP):
        ports = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
    elif datagram.protocol == ipv4.ICMP and rest[0] in (0, 8):
        ports = (int.from_bytes(rest[4:6], "big"),) * 2
    else:
        ports = (_NO_PORT, _NO_PORT)
    return Packet(datagram, datagram.protocol, datagram.source, datagram.destination, *ports)


def translated(packet: Packet, source: tuple[bytes, int], destination: tuple[bytes, int]) -> IPv4:
    """The packet's datagram between other addresses and ports, its checksums right."""
    old = packet.datagram
    payload = old.payload
    if packet.segment is not None:
        payload = replace(packet.segment, source_port=source[1], destination_port=destination[1]).encode(
            source[0], destination[0]
        )
    elif packet.protocol == ipv4.UDP:
        content = payload[udp.HEADER.size : int.from_bytes(payload[4:6], "big")]
        payload = udp.Udp(source[1], destination[1], content).encode(source[0], destination[0])
    elif packet.is_echo:
        sequence = int.from_bytes(payload[6:8], "big")
        payload = icmp.Echo(packet.is_reply, source[1], sequence, payload[8:]).encode()
    return replace(old, source=source[0], destination=destination[0], payload=payload)


def translated_error(
    packet: Packet, source: bytes, destination: bytes, quoted: tuple[tuple[bytes, int], tuple[bytes, int]]
) -> IPv4:
    """An ICMP error between other addresses, quoting a datagram between the `quoted` ones (RFC 5508 section 4.2).

    The transport checksum in the quotation, if it reaches so far, is left as it was: nobody can check it.
    """
    about = packet.about
    assert about is not None
    (inner_source, source_port), (inner_destination, destination_port) = quoted
    rest = about.datagram.payload
    if about.protocol in (ipv4.TCP, ipv4.UDP):
        rest = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big") + rest[4:]
    elif about.protocol == ipv4.ICMP:
        rest = rest[:4] + source_port.to_bytes(2, "big") + rest[6:]
    inner = replace(about.datagram, source=inner_source, destination=inner_destination, payload=rest).encode()
    message = icmp.decode(packet.datagram.payload)
    assert isinstance(message, _ERRORS)
    return replace(
        packet.datagram, source=source, destination=destination, payload=replace(message, original=inner).encode()
    )
