"""A host without a bridge as an SNMP agent sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from devices.snmp.agent import ENTERPRISE
from devices.snmp.device import BridgeState, Interface, LinkListener, LldpState, Oid
from lab.network.fabric import Jack
from lab.network.host import Host
from lab.network.nic import Nic

HOST_SERVICES: Final = 72
"""RFC 3418, sysServices: layers 4 and 7."""
SPEED: Final = 100_000_000
"""Bits per second of a port, as in the network's time for a frame."""
ETHERNET, VLAN = 6, 135
"""IANAifType: ethernetCsmacd, l2vlan."""


class HostView:
    """Implements ManagedDevice. Hosts do not count their frames, so neither does this."""

    def __init__(self, host: Host, description: str, product: int = 1) -> None:
        self.host = host
        self.description = description
        self.object_id: Oid = (1, 3, 6, 1, 4, 1, ENTERPRISE, 1, product)
        self.services = HOST_SERVICES
        self._listener: LinkListener | None = None
        self._changed: dict[str, float] = {}
        self._since = host.network.loop.time()
        self._originals: list[tuple[Jack, Callable[[bool], None]]] = []

    def interfaces(self) -> Sequence[Interface]:
        return [self._interface(index, nic) for index, nic in enumerate(self.host.nics, 1)]

    def _interface(self, index: int, nic: Nic) -> Interface:
        jack = nic.jack
        parent = nic.name.rpartition(".")[0]
        return Interface(
            index,
            nic.name,
            nic.mac,
            jack.is_enabled if isinstance(jack, Jack) else True,
            jack.is_connected,
            kind=ETHERNET if isinstance(jack, Jack) else VLAN,
            mtu=nic.mtu,
            speed=SPEED,
            last_change=self._changed.get(parent or nic.name, 0.0),
            has_connector=isinstance(jack, Jack),
        )

    def enable(self, index: int, up: bool) -> None:
        jack = self.host.nics[index - 1].jack
        if isinstance(jack, Jack):
            self.host.network.enable(jack.port, up)

    def bridge(self) -> BridgeState | None:
        return None

    def lldp(self) -> LldpState | None:
        return None

    def watch(self, listener: LinkListener | None) -> None:
        self._listener = listener
        for jack, original in self._originals:
            jack.link_changed = original
        self._originals.clear()
        if listener is None:
            return
        self._since = self.host.network.loop.time()
        for index, nic in enumerate(self.host.ports, 1):
            if isinstance(nic.jack, Jack):
                self._originals.append((nic.jack, nic.jack.link_changed))
                nic.jack.link_changed = partial(self._link_changed, index, nic, nic.jack.link_changed)

    def _link_changed(self, index: int, nic: Nic, original: Callable[[bool], None], up: bool) -> None:
        original(up)
        self._changed[nic.name] = self.host.network.loop.time() - self._since
        if self._listener is not None:
            self._listener(index, up)
