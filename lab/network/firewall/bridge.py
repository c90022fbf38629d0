"""A firewall in a cable: two ports joined at layer 2, and a filter between them that nobody can address."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from lab.network.firewall import answers, packet
from lab.network.firewall.base import Firewall
from lab.network.firewall.decide import Decision, Interface, Verdict
from lab.network.firewall.fastpath import FastPath
from lab.network.firewall.log import Log
from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import Policy
from lab.network.nic import MTU
from lab.wire import ethernet, icmp, ipv4
from lab.wire.icmp import UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.nic import Nic

_IPV4, _ARP, _VLAN = (kind.to_bytes(2, "big") for kind in (ethernet.IPV4, ethernet.ARP, ethernet.VLAN))
_TAG_END: Final = 16
_UNTAGGED: Final = 14
"""Where the datagram begins in a frame without a tag."""
_LINK_LOCAL_GROUP: Final = bytes.fromhex("0180c20000")
"""IEEE 802.1Q section 8.6.3: what no bridge forwards."""


class TransparentFirewall(Firewall):
    """ARP passes, IPv4 is filtered, other protocols pass where they are named, tagged or not."""

    def __init__(
        self, host: Host, policy: Policy, log: Log, ports: tuple[str, str], ethertypes: Collection[int] = ()
    ) -> None:
        super().__init__(host, policy, log)
        self._forwarded = 0
        self._fast = FastPath(host, self.filter, is_transparent=True)
        self._others: dict[str, Nic] = {}
        self._passing: frozenset[bytes] = frozenset()
        self._head = b""
        """Of the frame that is being refused, up to its EtherType."""
        self.connect(ports, ethertypes)

    def connect(self, ports: tuple[str, str], ethertypes: Collection[int]) -> None:
        """Join these two ports, and let frames of these EtherTypes pass without a look at them."""
        a, b = (self.host.nic(port) for port in ports)
        self._others = {a.name: b, b.name: a}
        self._fast.clear()
        self._passing = frozenset((_ARP, *(kind.to_bytes(2, "big") for kind in ethertypes)))

    def stop(self) -> None:
        super().stop()
        self._fast.clear()

    def start(self) -> None:
        self.host.guard = self._guard
        super().start()

    @property
    def forwarded(self) -> int:
        return self._forwarded + self._fast.forwarded

    def receive(self, nic: Nic, frame: bytes) -> None:
        forwarded = self._fast.forward(nic, frame)
        if forwarded is True:
            return
        if forwarded is not False:
            arrived = ipv4.decode(frame[_UNTAGGED:])
            self._head = frame[:_UNTAGGED]
            self.refused(nic, arrived, packet.decode(arrived), forwarded)
            return
        other = self._others.get(nic.name)
        destination = frame[:6]
        if other is None or destination == nic.mac:
            self.host.arrive(nic, frame)
            return
        if nic.address is not None and destination and destination[0] & 1:
            self.host.arrive(nic, frame)
        start = 12
        if frame[12:14] == _VLAN:
            start = _TAG_END
        kind = frame[start : start + 2]
        if destination[:5] == _LINK_LOCAL_GROUP and destination[5] < 16:
            return
        if kind == _IPV4:
            self._take(nic, other, frame[: start + 2], frame[start + 2 :])
        elif kind in self._passing:
            self._forwarded += 1
            other.jack.send(frame)

    def _take(self, nic: Nic, other: Nic, head: bytes, data: bytes) -> None:
        now = self.now()
        try:
            arrived = self.reassembler.add(ipv4.decode(data), now)
            if arrived is None:
                return
            whole = packet.decode(arrived)
        except Malformed:
            self.malformed += 1
            return
        came, goes = (Interface(self.zones.get(each.name), None) for each in (nic, other))
        decision = self.filter.decide(whole, self.filter.aim(whole, came, now), came, goes, now, self.wall())
        if decision.verdict is not Verdict.ALLOW:
            self._head = head
            self.refused(nic, arrived, whole, decision)
            return
        self.admitted(whole, decision)
        self._forwarded += 1
        for part in ipv4.fragments(arrived, MTU):
            other.jack.send(head + part.encode())
        if len(head) == _UNTAGGED and whole.about is None and decision.flow is not None:
            self._fast.learn_to_pass(decision.flow, decision.is_reply, nic, other)

    def _guard(self, nic: Nic, datagram: IPv4) -> bool:
        try:
            return self.gatekeeper.admits(packet.decode(datagram), self.zones.get(nic.name))
        except Malformed:
            self.malformed += 1
            return False

    def answer(self, nic: Nic, arrived: IPv4, packet: Packet, decision: Decision) -> None:
        back = self._head[6:12] + self._head[:6] + self._head[12:]
        refusal = answers.reset(packet)
        if refusal is None and packet.segment is None and arrived.destination[0] < 224:
            message = icmp.Unreachable(UnreachableCode.ADMINISTRATIVELY_PROHIBITED, arrived.encode()[:548])
            refusal = IPv4(arrived.destination, arrived.source, ipv4.ICMP, message.encode())
        if refusal is not None and not self._head[6] & 1:
            nic.jack.send(back + refusal.encode())
        if decision.resets and decision.flow is not None:
            onward = answers.reset_of_the_other_end(decision.flow, packet)
            if onward is not None:
                self._others[nic.name].jack.send(self._head + onward.encode())
