"""A syslog collector (RFC 5424, RFC 3164, over UDP as in RFC 5426) that keeps the latest messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydantic import Field, StrictInt

from lab.model.plant import Strict
from lab.network.host import Host
from lab.network.logbook import Log
from lab.wire import syslog
from lab.wire.malformed import Malformed
from lab.wire.syslog import Message


class SyslogConfig(Strict):
    """`syslog:` in a server's configuration."""

    keep: StrictInt = Field(default=1000, ge=1, le=100_000)
    """Messages; the oldest is forgotten first."""


class Received(NamedTuple):
    at_ns: int
    """What the collector's clock showed."""
    sender: str
    """The address it came from, which may not be what it says of itself."""
    message: Message


class SyslogServer(asyncio.DatagramProtocol):
    """Collects until `stop`; what it has outlasts a new configuration."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.received: deque[Received] = deque(maxlen=SyslogConfig().keep)
        self.log: Log[str] = Log()
        self.unreadable = 0
        self._transport: asyncio.DatagramTransport | None = None

    def start(self, config: SyslogConfig) -> None:
        """Raises OSError where the port is taken."""
        self.received = deque(self.received, maxlen=config.keep)
        with self.host.current():
            self.host.open_datagrams(lambda: self, ("0.0.0.0", syslog.PORT), None)

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def tail(self, lines: int = 10) -> list[str]:
        """The latest messages as lines, oldest first."""
        latest = list(self.received)[-lines:] if lines > 0 else []
        return [_one_line(f"{each.sender} {each.message}") for each in latest]

    def status(self) -> Mapping[str, object]:
        return {"messages": len(self.received), "unreadable": self.unreadable}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            message = syslog.decode(data)
        except Malformed:
            self.unreadable += 1
            return
        self.received.append(Received(self.host.wall_ns(), addr[0], message))
        self.log.add(_one_line(f"{addr[0]} {message}"))


def _one_line(text: str) -> str:
    """Control characters, with which a message could forge lines of a log, made visible."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
