"""What a firewall says to those whose packets it does not let through."""

from __future__ import annotations

from lab.network.firewall.packet import Packet
from lab.network.firewall.state import ACK, SYN, Flow
from lab.wire import ipv4
from lab.wire.ipv4 import IPv4
from lab.wire.tcp import Flag, Segment

_WRAP = 0xFFFFFFFF


def reset(packet: Packet) -> IPv4 | None:
    """A reset for the sender of a segment, as if from its destination (RFC 9293 section 3.10.7.1)."""
    segment = packet.segment
    if segment is None or segment.flags & Flag.RST:
        return None
    if segment.flags & ACK:
        answer = Segment(segment.destination_port, segment.source_port, segment.acknowledgment, 0, Flag.RST, 0)
    else:
        length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & Flag.FIN)
        acknowledgment = segment.sequence + length & _WRAP
        answer = Segment(segment.destination_port, segment.source_port, 0, acknowledgment, Flag.RST | Flag.ACK, 0)
    return _datagram(answer, packet.destination, packet.source)


def reset_of_the_other_end(flow: Flow, packet: Packet) -> IPv4 | None:
    """A reset for the server of a flow whose client sent this; its addresses as the server sees them."""
    if flow.inspection is None or packet.segment is None:
        return None
    (source, source_port), (destination, destination_port) = flow.new_source, flow.new_destination
    answer = Segment(
        source_port, destination_port, flow.inspection.next, packet.segment.acknowledgment, Flag.RST | Flag.ACK, 0
    )
    return _datagram(answer, source, destination)


def _datagram(segment: Segment, source: bytes, destination: bytes) -> IPv4:
    return IPv4(source, destination, ipv4.TCP, segment.encode(source, destination), dont_fragment=True)
