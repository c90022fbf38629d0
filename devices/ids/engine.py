"""Frames in, alerts out: no clock, no host; times are arguments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from devices.ids.rules import Content, Rule, Threshold
from devices.ids.streams import Flow, Flows
from lab.wire import ethernet, icmp, ipv4, tcp, udp
from lab.wire.ipv4 import IPv4, Reassembler
from lab.wire.malformed import Malformed
from lab.wire.modbus import PORT

_MAX_TRACKED: Final = 4096
_MAX_REQUESTS: Final = 64


@dataclass(frozen=True, slots=True)
class Packet:
    """What rules look at."""

    protocol: str
    source: bytes
    source_port: int
    target: bytes
    target_port: int
    payload: bytes = b""
    flags: int = 0
    icmp_type: int = -1
    icmp_code: int = -1
    flow: Flow | None = None
    to_server: bool = True


@dataclass(frozen=True, slots=True)
class ModbusMessage:
    """One request or response."""

    flow: Flow
    is_request: bool
    transaction: int
    unit: int
    pdu: bytes
    asked: bytes = b""
    """Of a response: the request it answers, empty where that was not seen."""


@dataclass(frozen=True, slots=True)
class Alert:
    at: int
    """Nanoseconds since the Unix epoch."""
    rule: Rule
    packet: Packet
    modbus: ModbusMessage | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one frame brought to light."""

    alerts: Sequence[Alert] = ()
    messages: Sequence[ModbusMessage] = ()


_NOTHING: Final = Seen()


class Engine:
    """Bounded in all it remembers, whatever it is shown."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._modbus_rules = [rule for rule in rules if rule.modbus is not None or rule.protocol == "modbus"]
        self._packet_rules = [rule for rule in rules if rule.modbus is None and rule.protocol != "modbus"]
        self._flows = Flows()
        self._reassembler = Reassembler()
        self._tracked: OrderedDict[tuple[int, bytes], tuple[float, int]] = OrderedDict()
        """By rule and address: when counting began and how far it has come."""
        self.frames = 0
        self.malformed = 0

    @property
    def flows(self) -> int:
        return len(self._flows)

    def feed(self, frame: bytes, at: int) -> Seen:
        """One frame; `at` in nanoseconds since the Unix epoch."""
        self.frames += 1
        try:
            outer = ethernet.decode(frame)
            if outer.ethertype != ethernet.IPV4:
                return _NOTHING
            datagram = self._reassembler.add(ipv4.decode(outer.payload), at / 1e9)
            if datagram is None:
                return _NOTHING
            return self._look(datagram, at)
        except Malformed:
            self.malformed += 1
            return _NOTHING

    def _look(self, datagram: IPv4, at: int) -> Seen:
        ends = (datagram.source, datagram.destination)
        messages: list[ModbusMessage] = []
        if datagram.protocol == ipv4.TCP:
            segment = tcp.decode(datagram.payload, *ends)
            flow, to_server, data = self._flows.follow(*ends, segment)
            packet = Packet(
                "tcp",
                datagram.source,
                segment.source_port,
                datagram.destination,
                segment.destination_port,
                data,
                int(segment.flags),
                flow=flow,
                to_server=to_server,
            )
            if data and flow.ends[3] == PORT:
                messages.extend(_modbus(flow, to_server, data))
        elif datagram.protocol == ipv4.UDP:
            message = udp.decode(datagram.payload, *ends)
            packet = Packet(
                "udp",
                datagram.source,
                message.source_port,
                datagram.destination,
                message.destination_port,
                message.payload,
            )
        elif datagram.protocol == ipv4.ICMP:
            icmp.decode(datagram.payload)
            kind, code = datagram.payload[:2]
            packet = Packet("icmp", datagram.source, 0, datagram.destination, 0, datagram.payload[4:], 0, kind, code)
        else:
            packet = Packet("ip", datagram.source, 0, datagram.destination, 0, datagram.payload)
        alerts = [
            Alert(at, rule, packet)
            for rule in self._packet_rules
            if self._applies(rule, packet) and self._has_all(rule, packet) and self._speaks(rule, packet, at)
        ]
        alerts.extend(
            Alert(at, rule, packet, message)
            for message in messages
            if message.is_request
            for rule in self._modbus_rules
            if self._applies(rule, packet)
            and (rule.modbus is None or rule.modbus.matches(message.unit, message.pdu))
            and self._speaks(rule, packet, at)
        )
        return Seen(alerts, messages)

    # -- does a rule apply ---------------------------------------------------------------------------------------------

    @staticmethod
    def _applies(rule: Rule, packet: Packet) -> bool:
        if rule.protocol not in ("ip", packet.protocol) and not (
            rule.protocol == "modbus" and packet.protocol == "tcp"
        ):
            return False
        source, target = int.from_bytes(packet.source, "big"), int.from_bytes(packet.target, "big")
        forth = (
            source in rule.source
            and target in rule.target
            and packet.source_port in rule.source_ports
            and packet.target_port in rule.target_ports
        )
        back = rule.is_bidirectional and (
            target in rule.source
            and source in rule.target
            and packet.target_port in rule.source_ports
            and packet.source_port in rule.target_ports
        )
        if not forth and not back:
            return False
        if rule.flow:
            is_established = packet.flow is not None and packet.flow.is_established
            if ("established" in rule.flow and not is_established) or (
                "not_established" in rule.flow and is_established
            ):
                return False
            if ("to_server" in rule.flow and not packet.to_server) or ("to_client" in rule.flow and packet.to_server):
                return False
        return True

    @staticmethod
    def _has_all(rule: Rule, packet: Packet) -> bool:
        if rule.flags is not None and packet.flags & int(rule.flags[1]) != int(rule.flags[0]):
            return False
        if rule.icmp_type is not None and packet.icmp_type not in rule.icmp_type:
            return False
        if rule.size is not None and len(packet.payload) not in rule.size:
            return False
        return not rule.contents or _contains(packet.payload, rule.contents, 0)

    def _speaks(self, rule: Rule, packet: Packet, at: int) -> bool:
        """Whether the rule's threshold lets it be heard this time."""
        threshold = rule.threshold
        if threshold is None:
            return True
        key = (rule.sid, packet.source if threshold.by_source else packet.target)
        began, count = self._tracked.pop(key, (at / 1e9, 0))
        if at / 1e9 - began >= threshold.seconds:
            began, count = at / 1e9, 0
        count += 1
        self._tracked[key] = (began, count)
        if len(self._tracked) > _MAX_TRACKED:
            self._tracked.popitem(last=False)
        return _is_heard(threshold, count)


def _is_heard(threshold: Threshold, count: int) -> bool:
    if threshold.kind == "limit":
        return count <= threshold.count
    if threshold.kind == "threshold":
        return count % threshold.count == 0
    if threshold.kind == "both":
        return count == threshold.count
    return count > threshold.count


def _contains(payload: bytes, contents: Sequence[Content], after: int) -> bool:
    """Whether all are there, each in its place; a relative one may have to try every place of the one before."""
    if not contents:
        return True
    content, *rest = contents
    looked_at, pattern = payload, content.pattern
    if content.ignores_case:
        looked_at, pattern = payload.lower(), pattern.lower()
    start = after + (content.distance or 0) if content.is_relative else content.offset
    end = len(payload)
    if content.depth is not None and not content.is_relative:
        end = min(end, content.offset + content.depth)
    if content.within is not None:
        end = min(end, start + content.within)
    found = looked_at.find(pattern, max(start, 0), end)
    if content.is_absent:
        return found < 0 and _contains(payload, rest, after)
    while found >= 0:
        if _contains(payload, rest, found + len(pattern)):
            return True
        if not any(each.is_relative for each in rest):
            return False
        found = looked_at.find(pattern, found + 1, end)
    return False


def _modbus(flow: Flow, to_server: bool, data: bytes) -> Iterator[ModbusMessage]:
    """The messages that have become whole with these bytes."""
    side = flow.client if to_server else flow.server
    try:
        for adu in side.modbus.feed(data):
            asked = b""
            if to_server:
                flow.requests[adu.transaction] = adu.pdu
                if len(flow.requests) > _MAX_REQUESTS:
                    flow.requests.popitem(last=False)
            else:
                asked = flow.requests.pop(adu.transaction, b"")
            yield ModbusMessage(flow, to_server, adu.transaction, adu.unit, adu.pdu, asked)
    except Malformed:
        return  # it is no Modbus, or no more: no message after it can be found
