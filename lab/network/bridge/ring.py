"""A bridge's part in a ring with MRP: frames and timers for the state machines of `mrp`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from lab.network.bridge.alarm import Alarm
from lab.network.bridge.mrp import RECOVERY, Client, Manager
from lab.wire.mrp import CONTROL_GROUP, DEFAULT_DOMAIN, ETHERTYPE, TEST_GROUP, Mrp, RingPort, RingState, decode

if TYPE_CHECKING:
    import asyncio

GROUPS: Final = frozenset((TEST_GROUP, CONTROL_GROUP))
"""Addresses that belong to the protocol; a bridge that takes part in it floods them nowhere."""
KIND: Final = ETHERTYPE.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class RingSettings:
    """The part a bridge plays, and by which two ports."""

    role: Literal["manager", "client"]
    primary: str
    secondary: str
    recovery: int = 200
    """Milliseconds"""
    priority: int = 0x8000
    domain: bytes = DEFAULT_DOMAIN


class Ring:
    """Owns the state machine; the bridge tells it of links and frames."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        mac: bytes,
        settings: RingSettings,
        send: Callable[[str, Mrp], None],
        changed: Callable[[str], None],
        flush: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self._loop = loop
        self._send_frame, self._changed, self._flush = send, changed, flush
        self._names = {RingPort.PRIMARY: settings.primary, RingPort.SECONDARY: settings.secondary}
        self._ports = {name: port for port, name in self._names.items()}
        times = RECOVERY[settings.recovery]
        self.node: Manager | Client = (
            Manager(mac, self, settings.domain, times, priority=settings.priority)
            if settings.role == "manager"
            else Client(mac, self, settings.domain, times)
        )
        self._alarm = Alarm(loop, self._tick)

    @property
    def ports(self) -> frozenset[str]:
        return frozenset(self._ports)

    @property
    def state(self) -> RingState | None:
        """Open or closed; only the manager knows."""
        return self.node.ring if isinstance(self.node, Manager) else None

    def forwards(self, name: str) -> bool:
        """Whether a ring port lets through what is not of the protocol."""
        return self.node.forwards(self._ports[name])

    def link_changed(self, name: str, up: bool) -> None:
        self.node.link_changed(self._ports[name], up, self._loop.time())
        self._again()

    def heard(self, name: str, frame: bytes) -> str | None:
        """A frame of the protocol came in by a ring port; the port by which it must go on, if any. Raises Malformed."""
        self.node.received(self._ports[name], decode(frame), self._loop.time())
        self._again()
        if isinstance(self.node, Manager):
            return None
        return self.settings.secondary if name == self.settings.primary else self.settings.primary

    def dispose(self) -> None:
        self._alarm.dispose()

    def _tick(self, now: float) -> None:
        self.node.tick(now)
        self._again()

    def _again(self) -> None:
        self._alarm.set(self.node.deadline)

    # -- lab.network.bridge.mrp.Effects ------------------------------------------------------------------------------

    def send_mrp(self, port: RingPort, message: Mrp) -> None:
        self._send_frame(self._names[port], message)

    def ring_port_changed(self, port: RingPort, forwards: bool) -> None:
        self._changed(self._names[port])

    def flush_ring(self) -> None:
        for name in self._names.values():
            self._flush(name)
