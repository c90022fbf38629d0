"""Packets, policies and a filter to try them on, without any network."""

from __future__ import annotations

from typing import Any

from lab.network.firewall import packet
from lab.network.firewall.decide import Decision, Filter, Interface, Verdict, onward
from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import Policy
from lab.wire import icmp, ipv4, udp
from lab.wire.ipv4 import IPv4
from lab.wire.tcp import Flag, Segment

WALL = 1_767_225_600.0
"""2026-01-01T00:00:00Z, a Thursday."""
S, SA, A, PA, FA, R, RA = (
    Flag.SYN,
    Flag.SYN | Flag.ACK,
    Flag.ACK,
    Flag.PSH | Flag.ACK,
    Flag.FIN | Flag.ACK,
    Flag.RST,
    Flag.RST | Flag.ACK,
)
OUTSIDE, INSIDE = Interface("out", bytes((10, 0, 1, 1))), Interface("in", bytes((10, 0, 2, 1)))


def address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def policy(*rules: dict[str, Any], **rest: Any) -> Policy:
    zones = {"out": ["eth1"], "in": ["eth2"], "dmz": ["eth3"]}
    return Policy.model_validate({"zones": zones, "rules": list(rules), **rest})


def tcp(
    source: str,
    destination: str,
    flags: Flag,
    sequence: int = 0,
    acknowledgment: int = 0,
    data: bytes = b"",
    **more: Any,
) -> Packet:
    """A segment between `address:port` and `address:port`."""
    (here, sport), (there, dport) = (each.split(":") for each in (source, destination))
    window = more.get("window", 1000)
    segment = Segment(int(sport), int(dport), sequence, acknowledgment, flags, window, data, more.get("options", b""))
    payload = segment.encode(address(here), address(there))
    return packet.decode(IPv4(address(here), address(there), ipv4.TCP, payload))


def udp_packet(source: str, destination: str, data: bytes = b"x") -> Packet:
    (here, sport), (there, dport) = (each.split(":") for each in (source, destination))
    payload = udp.Udp(int(sport), int(dport), data).encode(address(here), address(there))
    return packet.decode(IPv4(address(here), address(there), ipv4.UDP, payload))


def echo(source: str, destination: str, *, reply: bool = False, identifier: int = 7) -> Packet:
    payload = icmp.Echo(reply, identifier, 1, b"ping").encode()
    return packet.decode(IPv4(address(source), address(destination), ipv4.ICMP, payload))


class Bench:
    """A filter, and a clock one sets."""

    def __init__(self, rules: Policy, capacity: int = 4096) -> None:
        self.filter = Filter(rules, capacity)
        self.now = 1000.0
        self.wall = WALL

    def inward(self, whole: Packet) -> Decision:
        return self.decide(whole, OUTSIDE, INSIDE)

    def outward(self, whole: Packet) -> Decision:
        return self.decide(whole, INSIDE, OUTSIDE)

    def decide(self, whole: Packet, came: Interface, goes: Interface) -> Decision:
        aim = self.filter.aim(whole, came, self.now)
        return self.filter.decide(whole, aim, came, goes, self.now, self.wall)

    def handshake(self, client: str, server: str) -> None:
        """A connection from outside, sequence numbers from 100 and from 500."""
        assert self.inward(tcp(client, server, S, 100)).verdict is Verdict.ALLOW
        assert self.outward(tcp(server, client, SA, 500, 101)).verdict is Verdict.ALLOW
        assert self.inward(tcp(client, server, A, 101, 501)).verdict is Verdict.ALLOW


def passed(decision: Decision) -> bool:
    return decision.verdict is Verdict.ALLOW


def sent(whole: Packet, decision: Decision) -> Packet:
    """What goes on, as the next host reads it."""
    return packet.decode(onward(whole, decision))
