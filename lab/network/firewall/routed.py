"""A firewall as router: it stands between networks, and what its filter allows is forwarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.network.firewall import answers, packet
from lab.network.firewall.base import Firewall
from lab.network.firewall.decide import Decision, Interface, Verdict, onward
from lab.network.firewall.fastpath import FastPath
from lab.network.firewall.log import Log
from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import Policy
from lab.network.routing import Forwarding
from lab.wire import icmp, ipv4
from lab.wire.icmp import UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.nic import Nic


Screen = Callable[["Nic", IPv4], bool]


class RoutedFirewall(Firewall):
    """Takes over a host's forwarding, and guards the host itself."""

    def __init__(
        self, host: Host, policy: Policy, log: Log, *, is_strict: bool = True, screen: Screen | None = None
    ) -> None:
        super().__init__(host, policy, log, is_strict=is_strict)
        self.screen = screen
        """Asked about everything before the filter is."""
        self.forwarding = Forwarding(host)
        self._fast = FastPath(host, self.filter)

    def start(self) -> None:
        self.host.forward = self._forward
        self.host.guard = self._guard
        super().start()

    def stop(self) -> None:
        super().stop()
        self._fast.clear()

    @property
    def forwarded(self) -> int:
        return self.forwarding.forwarded + self._fast.forwarded

    # -- frames ----------------------------------------------------------------------------------------------------

    def receive(self, nic: Nic, frame: bytes) -> None:
        forwarded = self._fast.forward(nic, frame)
        if forwarded is False:
            self.host.arrive(nic, frame)
        elif forwarded is not True:
            self._violated(nic, frame, forwarded)

    def _forward(self, nic: Nic, frame: bytes) -> None:
        if nic not in self.host.ports:  # a sub-interface, whose frames come without their tag only here
            forwarded = self._fast.forward(nic, frame)
            if forwarded is True:
                return
            if forwarded is not False:
                self._violated(nic, frame, forwarded)
                return
        try:
            datagram = ipv4.decode(frame[14:])
        except Malformed:
            self.malformed += 1
            return
        whole = self.reassembler.add(datagram, self.now())
        if whole is None:
            return
        if self.screen is not None and not self.screen(nic, whole):
            code = UnreachableCode.ADMINISTRATIVELY_PROHIBITED
            self.forwarding.fail(nic, whole, icmp.Unreachable(code, self.forwarding.quotation(whole)))
            return
        self._take(nic, whole)

    def _violated(self, nic: Nic, frame: bytes, decision: Decision) -> None:
        arrived = ipv4.decode(frame[14:])
        self.refused(nic, arrived, packet.decode(arrived), decision)

    def _guard(self, nic: Nic, datagram: IPv4) -> bool:
        """Whether a datagram for the host itself is let in; what is to be translated goes on from here."""
        if self.screen is not None and not self.screen(nic, datagram):
            return False
        try:
            whole = packet.decode(datagram)
        except Malformed:
            self.malformed += 1
            return False
        zone = self.zones.get(nic.name)
        aim = self.filter.aim(whole, Interface(zone, nic.address), self.now())
        if aim.flow is not None or aim.destination[0] != datagram.destination:
            self._take(nic, datagram)
            return False
        return self.gatekeeper.admits(whole, zone)

    # -- datagrams -------------------------------------------------------------------------------------------------

    def _take(self, nic: Nic, arrived: IPv4) -> None:
        host, forwarding = self.host, self.forwarding
        source = arrived.source
        if source[0] in (0, 127) or source[0] >= 224 or source in host.own_addresses:
            forwarding.discarded += 1  # RFC 1812 section 5.3.7
            return
        if arrived.ttl <= 1:
            forwarding.fail(nic, arrived, icmp.TimeExceeded(forwarding.quotation(arrived)))
            return
        try:
            whole = packet.decode(arrived)
        except Malformed:
            self.malformed += 1
            return
        now = self.now()
        came = Interface(self.zones.get(nic.name), nic.address)
        aim = self.filter.aim(whole, came, now)
        route = host.route(aim.destination[0])
        if route is None or aim.destination[0] in host.own_addresses:
            if came.zone is not None:
                code = UnreachableCode.NETWORK
                forwarding.fail(nic, arrived, icmp.Unreachable(code, forwarding.quotation(arrived)))
            return
        out, next_hop = route
        goes = Interface(self.zones.get(out.name), out.address)
        decision = self.filter.decide(whole, aim, came, goes, now, self.wall())
        if decision.verdict is not Verdict.ALLOW:
            self.refused(nic, arrived, whole, decision)
            return
        self.admitted(whole, decision)
        forwarding.send_on(nic, arrived, onward(whole, decision), out, next_hop)
        if whole.about is None and decision.flow is not None:
            self._fast.learn(decision.flow, decision.is_reply, nic, out, next_hop)

    def answer(self, nic: Nic, arrived: IPv4, packet: Packet, decision: Decision) -> None:
        if decision.resets and decision.flow is not None:
            self._say(answers.reset(packet))
            self._say(answers.reset_of_the_other_end(decision.flow, packet))
            return
        if packet.segment is not None:
            self._say(answers.reset(packet))
            return
        code = UnreachableCode.ADMINISTRATIVELY_PROHIBITED
        self.forwarding.fail(nic, arrived, icmp.Unreachable(code, self.forwarding.quotation(arrived)))

    def _say(self, datagram: IPv4 | None) -> None:
        if datagram is None:
            return
        try:
            self.host.send_ip(datagram)
        except OSError:
            return  # there is no way to whom it is for
