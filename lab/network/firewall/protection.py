"""Defence against floods and scans: rates per source, and who is kept out for a while."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import Protection
from lab.network.firewall.state import ACK, SYN

_SOURCES: Final = 1024
"""How many sources are remembered; the one not seen for longest is forgotten first."""


class _Source:
    __slots__ = ("echoes", "since", "syns", "targets")

    def __init__(self, now: float) -> None:
        self.since = now
        self.syns = 0
        self.echoes = 0
        self.targets: OrderedDict[bytes, float] = OrderedDict()
        """Addresses and ports it has tried, by when it last did."""


class Guardian:
    """Watches those who begin something. Times are seconds on the caller's clock."""

    def __init__(self, protection: Protection) -> None:
        self.protection = protection
        self._sources: OrderedDict[bytes, _Source] = OrderedDict()
        self._blocked: OrderedDict[bytes, float] = OrderedDict()
        self._second = float("-inf")
        self._syns = 0

    def blocked(self, now: float) -> dict[bytes, float]:
        """Who is kept out, and until when."""
        return {source: until for source, until in self._blocked.items() if until > now}

    def is_blocked(self, source: bytes, now: float) -> bool:
        until = self._blocked.get(source)
        if until is None:
            return False
        if until <= now:
            del self._blocked[source]
            return False
        return True

    def block(self, source: bytes, until: float) -> None:
        self._blocked[source] = until
        self._blocked.move_to_end(source)
        if len(self._blocked) > _SOURCES:
            self._blocked.popitem(last=False)
        self._sources.pop(source, None)

    def judge(self, packet: Packet, now: float) -> tuple[str, bool] | None:
        """What is wrong with beginning a flow by this packet, and whether its source is blocked from now on."""
        limits = self.protection
        source = self._sources.get(packet.source)
        if source is None:
            source = self._sources[packet.source] = _Source(now)
            if len(self._sources) > _SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(packet.source)
        if now - source.since >= 1.0:
            source.since, source.syns, source.echoes = now, 0, 0
        fault = self._too_much(packet, source, now)
        if fault is not None:
            self.block(packet.source, now + limits.blocked_for)
            return fault, True
        if packet.segment is not None and limits.syn_total is not None:
            if now - self._second >= 1.0:
                self._second, self._syns = now, 0
            self._syns += 1
            if self._syns > limits.syn_total:
                return "SYN flood", False
        return None

    def _too_much(self, packet: Packet, source: _Source, now: float) -> str | None:
        limits = self.protection
        if packet.segment is not None and int(packet.segment.flags) & (SYN | ACK) == SYN:
            source.syns += 1
            if limits.syn_per_source is not None and source.syns > limits.syn_per_source:
                return "SYN flood"
        if packet.is_echo:
            source.echoes += 1
            if limits.icmp_per_source is not None and source.echoes > limits.icmp_per_source:
                return "ICMP flood"
        if limits.scan_targets is not None:
            target = packet.destination + packet.destination_port.to_bytes(2, "big") + bytes((packet.protocol,))
            if packet.is_echo:
                target = packet.destination
            source.targets[target] = now
            source.targets.move_to_end(target)
            while next(iter(source.targets.values())) <= now - limits.scan_window:
                source.targets.popitem(last=False)
            if len(source.targets) >= limits.scan_targets:
                return "scan"
        return None
