"""The decision: what becomes of a packet, by the policy and what has passed before. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from lab.network.firewall import packet as packets
from lab.network.firewall.inspection import Inspection
from lab.network.firewall.nat import Translation
from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import Policy
from lab.network.firewall.protection import Guardian
from lab.network.firewall.rules import CompiledRule, RuleSet
from lab.network.firewall.state import ACK, FIN, RST, SYN, Connections, Endpoint, Flow, Phase
from lab.wire import ipv4
from lab.wire.ipv4 import IPv4


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "deny"
    REJECT = "reject"


class Interface(NamedTuple):
    """Where a packet comes in or goes out."""

    zone: str | None
    """None where it is in no zone."""
    address: bytes | None


class Aim(NamedTuple):
    """Where a packet is really going, so that its route can be looked up."""

    flow: Flow | None
    is_reply: bool
    destination: Endpoint


PROTECTION: Final = "protection"
STATE: Final = "state"


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    rule: str
    """That decided; `protection` or `state` where it did not get so far as to the rules."""
    reason: str = ""
    """Why it may not pass."""
    flow: Flow | None = None
    is_reply: bool = False
    is_logged: bool = False
    zones: tuple[str, str] = ("", "")
    resets: bool = False
    """Whether both ends of the flow are to be told that it is over."""
    blocks: bool = False
    """Whether its source is kept out from now on."""


class Filter:
    """A policy at work. Times are seconds on one clock that never runs backwards, `wall` is Unix time."""

    def __init__(self, policy: Policy, capacity: int = 4096, *, is_strict: bool = True) -> None:
        """`is_strict`: segments of no known connection are dropped; a mere router lets what it need not translate pass."""
        self.is_strict = is_strict
        self.connections = Connections(capacity)
        self.epoch = 0
        """Counts policies, and what else may change a decision about flows that are under way."""
        self.policy = policy
        self.rules = RuleSet(policy)
        self.guardian = Guardian(policy.protection)
        self._translation = Translation(policy)

    def apply(self, policy: Policy) -> None:
        """Go on under another policy; flows it does not allow are dropped with their next packet."""
        rules = RuleSet(policy)
        rules.inherit(self.rules)
        if policy.nat != self.policy.nat:
            for flow in self.connections.flows:
                if flow.is_translated:
                    self.connections.remove(flow)
        if policy.protection != self.policy.protection:
            self.guardian = Guardian(policy.protection)
        self.policy, self.rules, self._translation = policy, rules, Translation(policy)
        self.epoch += 1

    def reconsider(self) -> None:
        """Decide anew about every flow at its next packet, for a schedule has begun or ended."""
        self.epoch += 1

    def aim(self, packet: Packet, came: Interface, now: float) -> Aim:
        """Where a packet goes after translation."""
        about = packet.about
        found = self.connections.find(packet.key if about is None else about.reverse, now)
        if found is not None:
            flow, is_reply = found
            return Aim(flow, is_reply, flow.source if is_reply else flow.new_destination)
        if came.zone is None:
            return Aim(None, False, (packet.destination, packet.destination_port))
        return Aim(None, False, self._translation.destination(packet, came.zone, came.address))

    def decide(self, packet: Packet, aim: Aim, came: Interface, goes: Interface, now: float, wall: float) -> Decision:
        """What becomes of a packet that comes in by one interface and would go out by another."""
        if came.zone is None or goes.zone is None:
            return Decision(
                Verdict.DENY,
                STATE,
                "no zone",
                is_logged=self.policy.log_default,
                zones=(came.zone or "-", goes.zone or "-"),
            )
        zones = came.zone, goes.zone
        if self.guardian.is_blocked(packet.source, now) or self.guardian.is_blocked(packet.destination, now):
            return Decision(Verdict.DENY, PROTECTION, "blocked", zones=zones)
        if packet.is_echo and not packet.is_reply and (refusal := self._guard(packet, zones, now)) is not None:
            return refusal
        flow = aim.flow
        if flow is not None and flow.phase is Phase.CLOSED and _opens(packet):
            if aim.is_reply and flow.is_translated:
                return Decision(Verdict.DENY, STATE, "no connection", zones=zones)
            self.connections.remove(flow)  # RFC 9293 section 3.6.1: the ports may be used again
            flow = None
        if flow is None:
            return self._begin(packet, aim, zones, came, goes, now, wall)
        if zones != (flow.zones[::-1] if aim.is_reply else flow.zones):
            # Routes have changed, or somebody forges sources; what was allowed was another way.
            if not self.is_strict and not flow.is_translated:
                return Decision(Verdict.ALLOW, STATE, zones=zones)
            return Decision(Verdict.DENY, STATE, "wrong zone", is_logged=self.policy.log_default, zones=zones)
        if flow.epoch != self.epoch and (refusal := self._reconsider(flow, now, wall)) is not None:
            return refusal
        if packet.about is not None:
            return self._allow(flow, aim.is_reply, packet, now)
        return self._go_on(packet, flow, aim.is_reply, now)

    # -- what belongs to a flow ------------------------------------------------------------------------------------

    def _go_on(self, packet: Packet, flow: Flow, is_reply: bool, now: float) -> Decision:
        segment = packet.segment
        if segment is None:
            if is_reply and flow.phase is Phase.NEW:
                flow.enter(Phase.ESTABLISHED, now)
            flow.expires = now + flow.timeout
            self.connections.settle(flow)
            return self._allow(flow, is_reply, packet, now)
        fault = flow.take(is_reply, segment, now)
        self.connections.settle(flow)
        if fault is not None and (self.is_strict or flow.is_translated):
            zones = flow.zones if not is_reply else flow.zones[::-1]
            return Decision(Verdict.DENY, STATE, fault, flow, is_reply, zones=zones)
        if flow.inspection is not None:
            refusal = self.inspect(flow, is_reply, segment.sequence, segment.acknowledgment, segment.payload)
            if refusal is not None:
                return refusal
        return self._allow(flow, is_reply, packet, now)

    def inspect(
        self, flow: Flow, is_reply: bool, sequence: int, acknowledgment: int, payload: bytes
    ) -> Decision | None:
        """Why the content of a segment must not pass; for flows with an inspection, and segments that are valid."""
        inspection = flow.inspection
        assert inspection is not None
        if is_reply:
            inspection.acknowledge(acknowledgment)
            return None
        is_first = inspection.fault is None
        fault = inspection.take(sequence, payload) if payload else None
        if fault is None:
            return None
        name = flow.rule.name
        if inspection.fault is None:
            return Decision(Verdict.DENY, name, fault, flow, zones=flow.zones)
        resets = inspection.inspector.profile.on_violation == "reset"
        if resets:
            self.connections.remove(flow)
        return Decision(
            Verdict.DENY, name, f"content: {fault}", flow, is_logged=is_first, zones=flow.zones, resets=resets
        )

    def _allow(self, flow: Flow, is_reply: bool, packet: Packet, now: float) -> Decision:
        rule = flow.rule
        hits = rule.hits
        hits.packets += 1
        hits.bytes += packet.size
        hits.last = now
        return Decision(Verdict.ALLOW, rule.name, "", flow, is_reply, zones=flow.zones)

    def _reconsider(self, flow: Flow, now: float, wall: float) -> Decision | None:
        """Whether the policy of now still allows what an earlier one did."""
        rule = self.rules.deciding(flow.zones, flow.protocol, flow.source, flow.new_destination, wall)
        if rule.action != "allow":
            self.connections.remove(flow)
            return self._refuse(rule, flow.zones, 0, now, "no longer allowed")
        self._put_under(flow, rule)
        return None

    def _put_under(self, flow: Flow, rule: CompiledRule) -> None:
        flow.rule, flow.epoch = rule, self.epoch
        inspector = rule.content if flow.protocol == ipv4.TCP else None
        if inspector is None:
            flow.inspection = None
        elif flow.inspection is None or flow.inspection.inspector.profile != inspector.profile:
            flow.inspection = Inspection(inspector, flow.sides[0].end)

    # -- what begins -----------------------------------------------------------------------------------------------

    def _begin(
        self,
        packet: Packet,
        aim: Aim,
        zones: tuple[str, str],
        came: Interface,
        goes: Interface,
        now: float,
        wall: float,
    ) -> Decision:
        if packet.about is not None:
            verdict = Verdict.DENY if self.is_strict else Verdict.ALLOW
            return Decision(verdict, STATE, "unrelated error" if self.is_strict else "", zones=zones)
        if packet.is_reply or (packet.segment is not None and not _opens(packet)):
            is_plain = not self.is_strict and aim.destination[0] == packet.destination
            if is_plain and not self._translation.changes_source(packet, zones[1]):
                return Decision(Verdict.ALLOW, STATE, zones=zones)
            return Decision(Verdict.DENY, STATE, "no connection", zones=zones)
        if not packet.is_echo and (refusal := self._guard(packet, zones, now)) is not None:
            return refusal
        source = packet.source, packet.source_port
        destination = self._translation.destination(packet, zones[0], came.address)
        rule = self.rules.deciding(zones, packet.protocol, source, destination, wall)
        if rule.action != "allow":
            return self._refuse(rule, zones, packet.size, now, "")
        if rule.content is not None and packet.segment is not None and packet.segment.payload:
            return Decision(Verdict.DENY, rule.name, "SYN with data", is_logged=True, zones=zones)
        new_source = self._translation.source(packet, zones[1], goes.address, destination, self.connections)
        if new_source is None:
            return Decision(Verdict.DENY, STATE, "no free port", zones=zones)
        if packet.is_echo:
            destination = destination[0], new_source[1]
        flow = Flow(packet.protocol, source, (packet.destination, packet.destination_port), new_source, destination)
        flow.zones = zones
        if packet.segment is not None:
            flow.open(packet.segment, now)
        else:
            flow.enter(Phase.NEW, now)
        self._put_under(flow, rule)
        if not self.connections.is_free(flow.reply_key) or not self.connections.add(flow, now):
            if not self.is_strict and not flow.is_translated:
                return Decision(Verdict.ALLOW, rule.name, zones=zones)
            return Decision(Verdict.DENY, STATE, "table full", is_logged=self.policy.log_default, zones=zones)
        rule.hits.packets += 1
        rule.hits.bytes += packet.size
        rule.hits.last = now
        return Decision(Verdict.ALLOW, rule.name, "", flow, is_logged=rule.log, zones=zones)

    def _guard(self, packet: Packet, zones: tuple[str, str], now: float) -> Decision | None:
        judged = self.guardian.judge(packet, now)
        if judged is None:
            return None
        fault, blocks = judged
        return Decision(Verdict.DENY, PROTECTION, fault, is_logged=blocks, zones=zones, blocks=blocks)

    @staticmethod
    def _refuse(rule: CompiledRule, zones: tuple[str, str], size: int, now: float, reason: str) -> Decision:
        rule.hits.packets += 1
        rule.hits.bytes += size
        rule.hits.last = now
        verdict = Verdict.REJECT if rule.action == "reject" else Verdict.DENY
        return Decision(verdict, rule.name, reason, is_logged=rule.log, zones=zones)


def _opens(packet: Packet) -> bool:
    return packet.segment is not None and int(packet.segment.flags) & (SYN | ACK | RST | FIN) == SYN


def onward(packet: Packet, decision: Decision) -> IPv4:
    """The datagram of an allowed packet as it goes on."""
    flow, is_reply = decision.flow, decision.is_reply
    if flow is None or not flow.is_translated:
        return packet.datagram
    if packet.about is None:
        if is_reply:
            return packets.translated(packet, flow.destination, flow.source)
        return packets.translated(packet, flow.new_source, flow.new_destination)
    if is_reply:
        source = flow.destination[0] if packet.source == flow.new_destination[0] else packet.source
        return packets.translated_error(packet, source, flow.source[0], (flow.source, flow.destination))
    source = flow.new_source[0] if packet.source == flow.source[0] else packet.source
    return packets.translated_error(packet, source, flow.new_destination[0], (flow.new_destination, flow.new_source))
