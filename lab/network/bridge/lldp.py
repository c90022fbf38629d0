"""The LLDP agent of a bridge: announces it at every port, and remembers who announces himself there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from typing import Final

from lab.network.timer import Timer
from lab.wire.lldp import Capability, ChassisId, Lldp, PortId, decode

INTERVAL: Final = 30.0
"""Seconds between announcements (802.1AB, msgTxInterval)."""
HOLD: Final = 4
"""Announcements hold for so many intervals."""
_FAST: Final = 1.0
_NEIGHBOURS_AT_A_PORT: Final = 8


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who was heard at a port."""

    port: str
    said: Lldp
    since: float
    """On the loop's clock, as the next."""
    until: float


class LldpAgent:
    """Off until `start`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[str, bytes], None]) -> None:
        self._loop, self._send = loop, send
        self._said: Lldp | None = None
        self._up: dict[str, Timer] = {}
        self._known: dict[tuple[str, bytes, bytes], Neighbour] = {}

    def start(self, chassis: bytes, name: str, description: str, management: IPv4Address | None = None) -> None:
        """Announce this, from now on; `chassis` is a MAC address."""
        self._said = Lldp(
            ChassisId.MAC,
            chassis,
            PortId.INTERFACE_NAME,
            b"",
            int(INTERVAL * HOLD),
            system_name=name,
            system_description=description,
            capabilities=Capability.BRIDGE,
            enabled_capabilities=Capability.BRIDGE,
            management_address=management,
        )
        for timer in self._up.values():
            timer.start(_FAST)

    def stop(self) -> None:
        """Fall silent and forget everybody."""
        self._said = None
        for timer in self._up.values():
            timer.dispose()
        self._known.clear()

    def link_changed(self, port: str, up: bool) -> None:
        """Whoever was at the other end is gone with the link."""
        if up and port not in self._up:
            timer = self._up[port] = Timer(self._loop, Context(), partial(self._announce, port))
            if self._said is not None:
                timer.start(_FAST)
        elif not up and port in self._up:
            self._up.pop(port).dispose()
            self._known = {key: each for key, each in self._known.items() if each.port != port}

    def heard(self, port: str, frame: bytes) -> None:
        """An announcement came in; raises Malformed."""
        said = decode(frame)
        key = (port, said.chassis, said.port)
        if said.ttl == 0:
            self._known.pop(key, None)
        elif key in self._known or sum(each.port == port for each in self.neighbours()) < _NEIGHBOURS_AT_A_PORT:
            now = self._loop.time()
            known = self._known.get(key)
            self._known[key] = Neighbour(port, said, known.since if known else now, now + said.ttl)

    def neighbours(self) -> list[Neighbour]:
        """Who is there now, by port."""
        now = self._loop.time()
        self._known = {key: each for key, each in self._known.items() if each.until > now}
        return sorted(self._known.values(), key=lambda each: (each.port, each.said.system_name))

    def _announce(self, port: str) -> None:
        if self._said is not None and port in self._up:
            announced = replace(self._said, port=port.encode(), port_description=port)
            self._send(port, announced.encode(announced.chassis))
            self._up[port].start(INTERVAL)
