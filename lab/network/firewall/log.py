"""What a firewall writes down: one line per event, bounded in memory and in rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from lab.network.firewall.decide import Decision
from lab.network.firewall.packet import Packet

_KEPT: Final = 500
_PER_SECOND: Final = 100
"""Entries; what exceeds it is counted and not written."""
_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class LogEntry:
    at: float
    """Seconds since the Unix epoch on the device's clock."""
    rule: str
    verdict: str
    zones: tuple[str, str]
    protocol: int
    source: tuple[str, int]
    destination: tuple[str, int]
    reason: str = ""
    suppressed: int = 0
    """Entries that were left out just before, because there were too many."""

    def __str__(self) -> str:
        """As key=value pairs."""
        pairs = {
            "rule": self.rule,
            "verdict": self.verdict,
            "from": self.zones[0],
            "to": self.zones[1],
            "proto": _PROTOCOLS.get(self.protocol, str(self.protocol)),
            "src": self.source[0],
            "spt": str(self.source[1]),
            "dst": self.destination[0],
            "dpt": str(self.destination[1]),
        }
        if self.reason:
            pairs["reason"] = self.reason
        if self.suppressed:
            pairs["suppressed"] = str(self.suppressed)
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


def _quoted(value: str) -> str:
    if value and not any(each in ' "=\\' or not each.isprintable() for each in value):
        return value
    return '"' + "".join(each if each.isprintable() and each not in '"\\' else "?" for each in value) + '"'


class Log:
    """The latest entries, for screens; each also goes to whoever was named to take them on."""

    def __init__(self, forward: Callable[[LogEntry], None] = lambda entry: None) -> None:
        self.entries: deque[LogEntry] = deque(maxlen=_KEPT)
        self.forward = forward
        self._second = 0
        self._written = 0
        self._suppressed = 0

    def write(self, packet: Packet, decision: Decision, wall: float) -> None:
        """Write down a decision, `wall` being seconds since the Unix epoch."""
        if int(wall) != self._second:
            self._second, self._written = int(wall), 0
        if self._written >= _PER_SECOND:
            self._suppressed += 1
            return
        self._written += 1
        entry = LogEntry(
            wall,
            decision.rule,
            decision.verdict.value,
            decision.zones,
            packet.protocol,
            (str(IPv4Address(packet.source)), packet.source_port),
            (str(IPv4Address(packet.destination)), packet.destination_port),
            decision.reason,
            self._suppressed,
        )
        self._suppressed = 0
        self.entries.append(entry)
        self.forward(entry)
