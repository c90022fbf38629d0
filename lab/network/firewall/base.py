"""What firewalls have in common, whether they route or sit in a cable: a filter, a log and timers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.network.fabric import Jack
from lab.network.firewall.decide import Decision, Filter, Verdict
from lab.network.firewall.log import Log
from lab.network.firewall.management import Gatekeeper
from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import Policy
from lab.wire import ipv4
from lab.wire.ipv4 import IPv4

if TYPE_CHECKING:
    from lab.network.host import Host
    from lab.network.nic import Nic

_SWEEP: Final = 30.0
"""Seconds between two looks for flows that have been silent for too long."""
_SCHEDULE_CHECK: Final = 3600.0
"""Seconds after which a schedule is looked at again in any case, for the device's clock may have been set."""


class Firewall(ABC):
    """A filter in the way of frames. `start` puts it there, `stop` takes it away and forgets what was under way."""

    def __init__(self, host: Host, policy: Policy, log: Log, *, is_strict: bool = True) -> None:
        self.host = host
        self.filter = Filter(policy, is_strict=is_strict)
        self.log = log
        self.malformed = 0
        """Datagrams that could not be read."""
        self.gatekeeper = Gatekeeper(policy)
        self.zones = _zones(policy)
        """By interface."""
        self.reassembler = ipv4.Reassembler(capacity=256)
        self._sweep = host.alarm(self._expire)
        self._schedule = host.alarm(self._schedule_changed)

    def start(self) -> None:
        for nic in self.host.ports:
            if isinstance(nic.jack, Jack):
                nic.jack.take_over(partial(self.receive, nic))
        self._await_schedule()

    def stop(self) -> None:
        self.host.forward = self.host.guard = None
        for nic in self.host.ports:
            if isinstance(nic.jack, Jack):
                nic.jack.take_over(partial(self.host.arrive, nic))
        for flow in self.filter.connections.flows:
            self.filter.connections.remove(flow)
        self._sweep.dispose()
        self._schedule.dispose()

    @abstractmethod
    def receive(self, nic: Nic, frame: bytes) -> None:
        """A frame has come in by a port."""

    @property
    @abstractmethod
    def forwarded(self) -> int:
        """Datagrams that went through."""

    def apply(self, policy: Policy) -> None:
        """Another policy from now on, for what is under way too."""
        self.filter.apply(policy)
        self.gatekeeper = Gatekeeper(policy)
        self.zones = _zones(policy)
        self._await_schedule()

    def block(self, address: bytes, seconds: float) -> None:
        """Keep a source out for a while, what it has under way included."""
        self.filter.guardian.block(address, self.now() + seconds)
        self.filter.reconsider()

    def now(self) -> float:
        return self.host.network.loop.time()

    def wall(self) -> float:
        return self.host.wall_ns() / 1e9

    def admitted(self, packet: Packet, decision: Decision) -> None:
        """Write down what passes, where it is to be written down, and see that it is forgotten one day."""
        if decision.is_logged:
            self.log.write(packet, decision, self.wall())
        if not self._sweep.is_running:
            self._sweep.start(_SWEEP)

    def refused(self, nic: Nic, arrived: IPv4, packet: Packet, decision: Decision) -> None:
        """Write down what does not pass, and tell whom the policy wants to know."""
        if decision.is_logged:
            self.log.write(packet, decision, self.wall())
        if decision.blocks:
            self.filter.reconsider()
        if decision.resets or decision.verdict is Verdict.REJECT:
            self.answer(nic, arrived, packet, decision)

    @abstractmethod
    def answer(self, nic: Nic, arrived: IPv4, packet: Packet, decision: Decision) -> None:
        """Reset a connection at both ends, or reject a packet."""

    def _expire(self) -> None:
        connections = self.filter.connections
        connections.expire(self.now())
        if len(connections):
            self._sweep.start(_SWEEP)

    def _await_schedule(self) -> None:
        wall = self.wall()
        change = self.filter.rules.next_change(wall)
        if change is None:
            self._schedule.stop()
        else:
            self._schedule.start(min(change - wall + 0.001, _SCHEDULE_CHECK))

    def _schedule_changed(self) -> None:
        self.filter.reconsider()
        self._await_schedule()


def _zones(policy: Policy) -> dict[str, str]:
    return {interface: zone for zone, interfaces in policy.zones.items() for interface in interfaces}
