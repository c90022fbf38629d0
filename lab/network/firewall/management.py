"""Who may speak to the firewall itself."""

from __future__ import annotations

from typing import Final

from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import ANY, Policy
from lab.network.firewall.rules import is_in, masked
from lab.wire import ipv4

_EPHEMERAL: Final = 49_152
"""Ports from here on are those of questions the host itself has asked (RFC 6335 section 6)."""


class Gatekeeper:
    """The management section of a policy at work."""

    def __init__(self, policy: Policy) -> None:
        management = policy.management
        self._management = management
        self._zones = None if ANY in management.zones else frozenset(management.zones)
        self._sources = masked(each for name in management.sources for each in policy.networks_of(name))

    def admits(self, packet: Packet, zone: str | None) -> bool:
        """Whether a packet for the firewall's own address is let in."""
        listed = (
            bool(self._management.sources)
            and (self._zones is None or zone in self._zones)
            and is_in(int.from_bytes(packet.source, "big"), self._sources)
        )
        if packet.is_echo and not packet.is_reply:
            return self._management.ping_from_anywhere or (listed and self._management.ping)
        if packet.protocol == ipv4.TCP:
            return listed
        if packet.protocol == ipv4.UDP:
            return listed or packet.destination_port >= _EPHEMERAL
        return packet.is_reply or packet.about is not None or listed
