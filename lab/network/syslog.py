"""A sender of syslog messages (RFC 5424 over UDP, RFC 5426): firewalls, switches and sensors report with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from ipaddress import IPv4Address

from lab.network.host import Host
from lab.wire import syslog
from lab.wire.syslog import Facility, Message, Severity, Structured


class Syslog:
    """Sends to one collector; nothing is ever known of what arrives."""

    def __init__(self, host: Host, collector: IPv4Address, port: int = syslog.PORT) -> None:
        self.host = host
        self.collector = (str(collector), port)
        self._transport: asyncio.DatagramTransport | None = None

    def send(
        self, facility: Facility, severity: Severity, app: str, message: str, structured: Structured | None = None
    ) -> None:
        """Stamped with what the host's own clock shows."""
        if self._transport is None:
            with self.host.current():
                self._transport, _ = self.host.open_datagrams(asyncio.DatagramProtocol, ("0.0.0.0", 0), None)
        at = datetime.fromtimestamp(self.host.wall_ns() // 1000 / 1_000_000, UTC)
        said = Message(facility, severity, self.host.name, app, message, at, structured=structured or {})
        self._transport.sendto(said.encode(), self.collector)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
