"""Frames in, observations out.

Every host is watched at the ends of its own cables. A conversation is read where its originator's cable begins; at the
other end one only looks whether it arrives. Whatever else a frame may be, it is never an error.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Literal

from grading.conversations.registry import CONVERSATIONS, PORTS
from grading.exchanges import Exchange, Exchanges
from grading.flows import Direction, Flow, State
from grading.neighbours import Neighbours
from grading.observations import (
    MalformedMessage,
    Observation,
    RequestArrived,
    RequestKind,
    RequestLeft,
    Unreachable,
)
from grading.stations import Station
from lab.model.address import mac_of
from lab.model.frame import Frame, Tap
from lab.wire import arp, ethernet, icmp, ipv4, tcp, udp
from lab.wire.arp import Operation
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed
from lab.wire.tcp import Flag

MAX_FLOWS = 4096
MAX_VIEWS = 4096
_SECOND = 1_000_000_000
_MASK = 0xFFFF_FFFF
_SYN, _ACK = int(Flag.SYN), int(Flag.ACK)
_ENDS = int(Flag.SYN | Flag.FIN | Flag.RST)
_ECHO_REQUEST = 8
_NOTHING: tuple[Observation, ...] = ()

# Ethernet II without tags, IPv4 without options: total length, flags and offset, …, TCP header up to its flags.
_PLAIN = struct.Struct("!16xH2xH16xIIBB")
_FIRST_TCP_PAYLOAD = 54


class Dissector:
    """Reads a capture frame by frame; its memory does not grow with the length of the capture."""

    def __init__(self, endpoints: Collection[str], began_ns: int, ports: Mapping[int, str] | None = None) -> None:
        """`endpoints` are the IP hosts that end conversations, not those that forward; `ports` adds to `PORTS`.

        Raises KeyError for a protocol in `ports` that nobody understands.
        """
        self._ports = {**PORTS, **(ports or {})}
        for protocol in self._ports.values():
            CONVERSATIONS[protocol]
        self._began = began_ns
        self._stations = {name: Station(name) for name in endpoints}
        self._views: dict[Tap, tuple[Station | None, Station | None]] = {}
        self._flows: dict[tuple[str, bytes], Flow] = {}
        """By the host that began it, addresses and ports."""
        self._departed: dict[bytes, Flow] = {}
        """The latest with these addresses and ports: to be recognised where it arrives."""
        self._next_sweep = 0
        self._out: list[Observation] = []
        self._emit = self._out.append
        self._exchanges = Exchanges(self._emit)
        self._neighbours = Neighbours(self._stations, self._emit)

    def feed(self, frame: Frame) -> Sequence[Observation]:
        """What becomes known with this frame; frames come in the order in which they were captured."""
        number, at_ns, tap, data = frame
        if at_ns >= self._next_sweep:
            self._sweep(at_ns)
        view = self._views.get(tap)
        if view is None:
            view = self._view(tap)
        sender, receiver = view
        # The fast path: TCP in the plainest of frames, in a known conversation, near or far.
        if data[12:15] == b"\x08\x00\x45" and len(data) >= _FIRST_TCP_PAYLOAD and data[23] == ipv4.TCP:
            key = data[26:38]
            if sender is not None:
                side = sender.sides.get(key)
                if side is not None:
                    self._segment(side, data, at_ns, number)
                elif key not in sender.quiet or data[47] & _SYN:
                    self._plain_ip(data, sender, True, at_ns, number)
            if receiver is not None:
                side = receiver.sides.get(key)
                if side is not None:
                    if data[:6] in receiver.macs:
                        self._segment(side, data, at_ns, number)
                elif key not in receiver.quiet or data[47] & _SYN:
                    self._plain_ip(data, receiver, False, at_ns, number)
        else:
            self._other(data, sender, receiver, at_ns, number)
        if self._out:
            return self._taken()
        return _NOTHING

    def advance(self, at_ns: int) -> Sequence[Observation]:
        """What becomes known because nothing has happened until `at_ns` (nanoseconds since the Unix epoch)."""
        self._sweep(at_ns)
        return self._taken()

    def _taken(self) -> Sequence[Observation]:
        taken = tuple(self._out)
        self._out.clear()
        return taken

    # -- where a frame was seen ------------------------------------------------------------------------------------

    def _view(self, tap: Tap) -> tuple[Station | None, Station | None]:
        """The host that sent and the host that received what this tap sees, each None where it is no endpoint."""
        ends = (tap.sent_from, tap.seen_at)
        sender, receiver = (self._stations.get(end.host) for end in ends)
        for station, end in zip((sender, receiver), ends, strict=True):
            if station is not None:
                station.learn(mac_of(end.host, end.name))
        if len(self._views) >= MAX_VIEWS:
            self._views.clear()
        self._views[tap] = (sender, receiver)
        return sender, receiver

    # -- TCP -------------------------------------------------------------------------------------------------------

    def _segment(self, side: Direction, data: bytes, at_ns: int, number: int) -> None:
        """A plain TCP frame of a conversation that is read at this end."""
        length, fragment, sequence, acknowledgment, offset, flags = _PLAIN.unpack_from(data)
        end = 14 + length
        start = 34 + (offset >> 4 << 2)
        at = (at_ns - self._began) / _SECOND
        flow = side.flow
        peer = side.peer
        if fragment & 0x3FFF or not _FIRST_TCP_PAYLOAD <= start <= end <= len(data):
            station = self._stations[flow.client]
            self._plain_ip(data, station, side.by_client, at_ns, number)
            return
        flow.last = at
        if end > start or flags & _ENDS or acknowledgment != peer.next:
            # Addresses, header and payload lie side by side, and so they are summed: as large as the message is, this
            # is one division. Whoever receives a segment with a wrong checksum ignores it, and so do we.
            total = int.from_bytes(data[26:end], "big")
            if length & 1:
                total <<= 8
            if (total + ipv4.TCP + length - 20) % 0xFFFF:
                self._complain(flow.client, flow.server, flow.server_address, at, number, "tcp", side.by_client)
                return
            if flags & _ACK and acknowledgment != peer.next:
                peer.acknowledged(acknowledgment, at, number)
            if end > start:
                if sequence == side.next and not side.pending:
                    side.next = (sequence + end - start) & _MASK
                    side.said(data[start:end], at, number)
                elif not flags & _SYN:
                    side.take(sequence, data[start:end], at, number)
            if flags & _ENDS:
                self._mark(side, sequence, acknowledgment, flags, end - start, at, number)

    def _mark(
        self, side: Direction, sequence: int, acknowledgment: int, flags: int, size: int, at: float, number: int
    ) -> None:
        flow = side.flow
        is_new = flags & (_SYN | _ACK) == _SYN and side.by_client
        if is_new and (sequence != flow.initial or flow.state is State.ENDED):
            # The same pair of ports, used again.
            self._forget(flow, at)
            self._begin(self._stations[flow.client], flow.key, sequence, at, number)
        else:
            flow.mark(side, sequence, acknowledgment, flags, size, at, number)

    def _tcp(self, datagram: IPv4, station: Station, is_sent: bool, at: float, number: int) -> None:
        """A segment at a host's end of a cable: of any conversation, or the first of one."""
        segment = tcp.decode(datagram.payload, datagram.source, datagram.destination)
        key = datagram.source + datagram.destination + datagram.payload[:4]
        is_new = segment.flags & (Flag.SYN | Flag.ACK | Flag.RST) == Flag.SYN
        side = station.sides.get(key)
        if side is None:
            if is_new and is_sent:
                self._begin(station, key, segment.sequence, at, number)
            elif is_new:
                self._arrive(key, station, at, number)
            elif is_sent and key not in station.quiet and segment.payload and segment.destination_port in self._ports:
                # The conversation began before the capture did, or has been silent for very long.
                side = self._begin(station, key, None, at, number).from_client
        if side is None:
            return
        side.flow.last = at
        flags = int(segment.flags)
        peer = side.peer
        if flags & _ACK and segment.acknowledgment != peer.next:
            peer.acknowledged(segment.acknowledgment, at, number)
        if segment.payload and not flags & _SYN:
            side.take(segment.sequence, segment.payload, at, number)
        if flags & _ENDS:
            size = len(segment.payload)
            self._mark(side, segment.sequence, segment.acknowledgment, flags, size, at, number)

    def _begin(self, station: Station, key: bytes, initial: int | None, at: float, number: int) -> Flow:
        """A conversation, begun by a SYN with this sequence number, or under way already."""
        if len(self._flows) >= MAX_FLOWS:
            self._make_room(at)
        flow = Flow(key, station.name, at, number, initial, self._emit)
        protocol = self._ports.get(flow.port)
        if protocol is not None:
            flow.listen(CONVERSATIONS[protocol](flow))
        self._flows[station.name, key] = flow
        self._departed[key] = flow
        station.sides[key] = flow.from_client
        station.sides[flow.reverse] = flow.from_server
        if initial is None:
            flow.state = State.OPEN
        else:
            where = (at, station.name, "", flow.server_address, (number,))
            self._emit(RequestLeft(*where, "tcp", flow.port))
        return flow

    def _arrive(self, key: bytes, station: Station, at: float, number: int) -> None:
        """A SYN has come to a host."""
        flow = self._departed.get(key)
        if flow is None or flow.server == station.name or flow.client == station.name:
            return
        if flow.server:
            self._stations[flow.server].quiet.difference_update((flow.key, flow.reverse))
        station.quiet.update((flow.key, flow.reverse))
        flow.server = station.name
        where = (at, flow.client, station.name, flow.server_address, (*flow.frames[:1], number))
        self._emit(RequestArrived(*where, "tcp", flow.port, flow.asked_at))

    def _forget(self, flow: Flow, at: float) -> None:
        flow.abandon(at)
        del self._flows[flow.client, flow.key]
        if self._departed.get(flow.key) is flow:
            del self._departed[flow.key]
        client = self._stations[flow.client]
        del client.sides[flow.key], client.sides[flow.reverse]
        if flow.server:
            self._stations[flow.server].quiet.difference_update((flow.key, flow.reverse))

    def _make_room(self, at: float) -> None:
        """Forget the quarter of the conversations that matters least: the ended, the unanswered, the long silent."""
        order = {State.ENDED: 0, State.ASKED: 1, State.OPEN: 2}
        for flow in sorted(self._flows.values(), key=lambda each: (order[each.state], each.last))[: MAX_FLOWS // 4]:
            self._forget(flow, at)

    # -- everything but the fast path ------------------------------------------------------------------------------

    def _other(self, data: bytes, sender: Station | None, receiver: Station | None, at_ns: int, number: int) -> None:
        try:
            frame = ethernet.decode(data)
        except Malformed:
            return  # a frame too short to have a sender: nobody's message
        if frame.ethertype == ethernet.ARP:
            self._arp(frame, sender, receiver, (at_ns - self._began) / _SECOND, number)
        elif frame.ethertype == ethernet.IPV4:
            for station, is_sent in ((sender, True), (receiver, False)):
                if station is not None:
                    self._ip(frame, station, is_sent, at_ns, number)

    def _plain_ip(self, data: bytes, station: Station, is_sent: bool, at_ns: int, number: int) -> None:
        self._ip(ethernet.decode(data), station, is_sent, at_ns, number)

    def _ip(self, frame: ethernet.Ethernet, station: Station, is_sent: bool, at_ns: int, number: int) -> None:
        """A packet at a host's end of a cable."""
        if is_sent:
            station.learn(frame.source)
        elif not station.owns(frame.destination):
            return  # flooded by a switch, or mirrored
        at = (at_ns - self._began) / _SECOND
        protocol = "ipv4"
        try:
            reassembler = station.outgoing if is_sent else station.incoming
            datagram = reassembler.add(ipv4.decode(frame.payload), at)
            if datagram is None:
                return
            if datagram.protocol == ipv4.TCP:
                protocol = "tcp"
                self._tcp(datagram, station, is_sent, at, number)
            elif datagram.protocol == ipv4.UDP:
                protocol = "udp"
                self._udp(datagram, station, is_sent, at, number)
            elif datagram.protocol == ipv4.ICMP:
                protocol = "icmp"
                self._icmp(datagram, station, is_sent, at, number)
        except Malformed as malformed:
            if is_sent:
                self._complain(station.name, "", "", at, number, protocol, True, str(malformed))

    def _complain(
        self,
        client: str,
        server: str,
        address: str,
        at: float,
        number: int,
        protocol: str,
        by_client: bool,
        reason: str = "the TCP checksum is wrong",
    ) -> None:
        self._emit(MalformedMessage(at, client, server, address, (number,), protocol, reason, by_client))

    # -- UDP, ICMP, ARP ----------------------------------------------------------------------------------------------

    def _udp(self, datagram: IPv4, station: Station, is_sent: bool, at: float, number: int) -> None:
        message = udp.decode(datagram.payload, datagram.source, datagram.destination)
        key = b"U" + datagram.source + datagram.destination + datagram.payload[:4]
        if is_sent:
            self._exchanges.sent("udp", key, station, message.destination_port, at, number)
        elif not self._exchanges.answered(key, station, at, number):
            self._exchanges.arrived(key, station, at, number)

    def _icmp(self, datagram: IPv4, station: Station, is_sent: bool, at: float, number: int) -> None:
        message = icmp.decode(datagram.payload)
        if isinstance(message, icmp.Echo):
            key = b"P" + datagram.source + datagram.destination + datagram.payload[4:8]
            if message.is_reply:
                if not is_sent:
                    self._exchanges.answered(key, station, at, number)
            elif is_sent:
                self._exchanges.sent("ping", key, station, 0, at, number)
            else:
                self._exchanges.arrived(key, station, at, number)
        elif not is_sent and isinstance(message, (icmp.Unreachable, icmp.TimeExceeded)):
            self._unreachable(message, str(IPv4Address(datagram.source)), station, at, number)

    def _unreachable(
        self, message: icmp.Unreachable | icmp.TimeExceeded, reporter: str, station: Station, at: float, number: int
    ) -> None:
        """A host is told that one of its packets did not get there."""
        original = message.original
        size = (original[0] & 0x0F) << 2 if original else 0
        if len(original) < size + 8 or size < ipv4.HEADER.size:
            return
        addresses, inner = original[12:20], original[size : size + 8]
        kind: RequestKind | Literal["other"] = "other"
        port = 0
        told_of: Flow | Exchange | None = None
        if original[9] == ipv4.TCP:
            kind, port = "tcp", int.from_bytes(inner[2:4], "big")
            told_of = self._flows.get((station.name, addresses + inner[:4]))
        elif original[9] == ipv4.UDP:
            kind, port = "udp", int.from_bytes(inner[2:4], "big")
            told_of = self._exchanges.find(b"U" + addresses + inner[:4])
        elif original[9] == ipv4.ICMP and inner[0] == _ECHO_REQUEST:
            kind = "ping"
            told_of = self._exchanges.find(b"P" + addresses + inner[4:8])
        if isinstance(told_of, Exchange):
            told_of.is_settled = True
        server = told_of.server if told_of is not None else ""
        frames = (*told_of.frames, number) if told_of is not None else (number,)
        code = int(message.code) if isinstance(message, icmp.Unreachable) else -1
        where = (at, station.name, server, str(IPv4Address(original[16:20])), frames)
        self._emit(Unreachable(*where, reporter, code, kind, port))

    def _arp(
        self, frame: ethernet.Ethernet, sender: Station | None, receiver: Station | None, at: float, number: int
    ) -> None:
        try:
            packet = arp.decode(frame.payload)
        except Malformed as malformed:
            if sender is not None:
                self._complain(sender.name, "", "", at, number, "arp", True, str(malformed))
            return
        if sender is not None:
            sender.learn(frame.source)
            self._neighbours.sent(packet, sender, at, number)
        self._neighbours.heard(packet, at, number)
        if receiver is not None and packet.operation is Operation.REPLY and receiver.owns(frame.destination):
            self._neighbours.answered(packet, receiver, at, number)

    # -- what time does --------------------------------------------------------------------------------------------

    def _sweep(self, at_ns: int) -> None:
        """Once a second: time-outs, and forgetting."""
        self._next_sweep = at_ns + _SECOND
        now = (at_ns - self._began) / _SECOND
        for flow in [flow for flow in self._flows.values() if flow.is_over(now)]:
            self._forget(flow, now)
        self._exchanges.sweep(now)
        self._neighbours.sweep(now)
