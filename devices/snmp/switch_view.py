"""A managed switch as an SNMP agent sees it: the live bridge, read when a manager asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from devices.snmp.agent import ENTERPRISE
from devices.snmp.device import (
    BridgePort,
    BridgeState,
    ForwardingEntry,
    Interface,
    LinkListener,
    LldpState,
    Neighbour,
    Oid,
    SpanningTree,
    Vlan,
)
from lab.model.address import parse_mac
from lab.network.bridge import bridge as bridging
from lab.network.bridge.rstp import Role, State
from lab.wire.lldp import Capability

BRIDGE_SERVICES: Final = 2
_SPEED: Final = 100
"""Mbit/s of a port that is down."""
_STP_STATES: Final = {State.DISCARDING: 2, State.LEARNING: 4, State.FORWARDING: 5}
_DISABLED: Final = 1


class SwitchView:
    """Implements ManagedDevice; `names` are those of its VLANs."""

    def __init__(self, bridge: bridging.Bridge, description: str, names: Mapping[int, str]) -> None:
        self.description = description
        self.object_id: Oid = (1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 2)
        self.services = BRIDGE_SERVICES
        self._bridge = bridge
        self._names = names
        self._listener: LinkListener | None = None
        self._since = bridge.network.loop.time()

    @property
    def _ports(self) -> Sequence[bridging.BridgePort]:
        return [port for port in self._bridge.ports.values() if port.name != bridging.CPU]

    def interfaces(self) -> Sequence[Interface]:
        return [
            Interface(
                port.number,
                port.name,
                port.mac,
                port.jack.is_enabled,
                port.is_up,
                port.counters,
                speed=(port.mode.speed if port.mode is not None else _SPEED) * 1_000_000,
                last_change=max(0.0, port.changed_at - self._since),
            )
            for port in self._ports
        ]

    def enable(self, index: int, up: bool) -> None:
        port = next(port for port in self._ports if port.number == index)
        self._bridge.network.enable(port.jack.port, up)

    def bridge(self) -> BridgeState | None:
        bridge = self._bridge
        numbers = {port.name: port.number for port in bridge.ports.values()}
        return BridgeState(
            bridge.mac,
            [self._port(port) for port in self._ports],
            [
                ForwardingEntry(parse_mac(mac), vid, numbers[name], is_static)
                for vid, mac, name, is_static in bridge.fdb()
                if name != bridging.CPU
            ],
            self._vlans(),
            self._spanning_tree(),
            bridge.table.ageing,
        )

    def _port(self, port: bridging.BridgePort) -> BridgePort:
        role, state = self._bridge.stp_of(port.name)
        pvid = port.vlans.pvid or 1
        is_disabled = role is Role.DISABLED or not port.is_up
        number = _DISABLED if is_disabled else _STP_STATES[state]
        stp = self._bridge.rstp.ports.get(port.number) if self._bridge.rstp is not None else None
        if stp is None or self._bridge.rstp is None:
            return BridgePort(port.number, port.number, pvid, number)
        said = stp.received or self._bridge.rstp.designated(stp)
        return BridgePort(
            port.number,
            port.number,
            pvid,
            number,
            stp.priority,
            stp.cost,
            said.root.encode(),
            said.cost,
            said.bridge.encode(),
            said.port,
            stp.transitions,
        )

    def _spanning_tree(self) -> SpanningTree | None:
        rstp = self._bridge.rstp
        if rstp is None:
            return None
        now = self._bridge.network.loop.time()
        return SpanningTree(
            rstp.bridge.priority,
            rstp.root.root.encode(),
            rstp.root.cost,
            rstp.root_port or 0,
            rstp.topology_changes,
            now - rstp.changed_at,
        )

    def _vlans(self) -> Sequence[Vlan]:
        known = {*self._names, *(port.vlans.pvid for port in self._ports if port.vlans.pvid is not None)}
        for port in self._ports:
            known |= port.vlans.untagged
        return [
            Vlan(
                vid,
                self._names.get(vid, f"VLAN{vid}"),
                frozenset(port.number for port in self._ports if vid in port.vlans.members),
                frozenset(port.number for port in self._ports if vid in port.vlans.untagged),
            )
            for vid in sorted(known)
        ]

    def lldp(self) -> LldpState | None:
        bridge = self._bridge
        numbers = {port.name: port.number for port in self._ports}
        capabilities = int(Capability.BRIDGE)
        neighbours = [
            Neighbour(
                numbers[each.port],
                index,
                each.said.chassis_subtype,
                each.said.chassis,
                each.said.port_subtype,
                each.said.port,
                each.said.port_description,
                each.said.system_name,
                each.said.system_description,
                int(each.said.capabilities),
                int(each.said.enabled_capabilities),
                max(0.0, each.since - self._since),
            )
            for index, each in enumerate(bridge.lldp.neighbours(), 1)
        ]
        ports = [(port.number, port.name) for port in self._ports]
        return LldpState(bridge.mac, capabilities, capabilities, ports, neighbours)

    def watch(self, listener: LinkListener | None) -> None:
        self._since = self._bridge.network.loop.time()
        self._bridge.link_listener = listener
