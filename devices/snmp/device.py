"""What an SNMP agent is told of the device it speaks for: live facts, read when a manager asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lab.network.bridge.ports import Counters

Oid = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """A row of ifTable and ifXTable (RFC 2863)."""

    index: int
    name: str
    mac: bytes
    admin_up: bool
    oper_up: bool
    counters: Counters | None = None
    """Octets include the Ethernet header, not the frame check sequence. None where the device does not count: its
    manager is told that there is no such instance."""
    kind: int = 6
    """IANAifType: 6 ethernetCsmacd, 135 l2vlan."""
    mtu: int = 1500
    speed: int = 100_000_000
    """Bits per second."""
    last_change: float = 0.0
    """Seconds of uptime at which it came up or went down last."""
    alias: str = ""
    has_connector: bool = True


@dataclass(frozen=True, slots=True)
class BridgePort:
    """A row of dot1dBasePortTable, dot1dStpPortTable and dot1qPortVlanTable."""

    number: int
    interface: int
    """ifIndex"""
    pvid: int = 1
    stp_state: int = 5
    """dot1dStpPortState: 1 disabled, 2 blocking, 3 listening, 4 learning, 5 forwarding, 6 broken."""
    stp_priority: int = 128
    path_cost: int = 200_000
    designated_root: bytes = bytes(8)
    designated_cost: int = 0
    designated_bridge: bytes = bytes(8)
    designated_port: int = 0
    """Port identifier, 16 bits."""
    forward_transitions: int = 0


@dataclass(frozen=True, slots=True)
class SpanningTree:
    """dot1dStp (RFC 4188); bridge identifiers have 8 bytes, times are in seconds."""

    priority: int
    designated_root: bytes
    root_cost: int
    root_port: int
    topology_changes: int = 0
    since_change: float = 0.0
    max_age: float = 20.0
    hello_time: float = 2.0
    forward_delay: float = 15.0


@dataclass(frozen=True, slots=True)
class ForwardingEntry:
    mac: bytes
    vid: int
    port: int
    """Bridge port number."""
    is_static: bool = False


@dataclass(frozen=True, slots=True)
class Vlan:
    vid: int
    name: str
    egress: frozenset[int]
    """Bridge ports that carry it."""
    untagged: frozenset[int]


@dataclass(frozen=True, slots=True)
class BridgeState:
    mac: bytes
    ports: Sequence[BridgePort]
    forwarding: Sequence[ForwardingEntry]
    vlans: Sequence[Vlan]
    spanning_tree: SpanningTree | None = None
    ageing_time: float = 300.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A row of lldpRemTable; subtypes as in IEEE 802.1AB section 8.5."""

    local_port: int
    index: int
    """Counts the neighbours this device has had."""
    chassis_subtype: int
    chassis: bytes
    port_subtype: int
    port: bytes
    port_description: str = ""
    system_name: str = ""
    system_description: str = ""
    capabilities: int = 0
    """Bit map as in the TLV: 0x0004 bridge, 0x0010 router, 0x0080 station only."""
    enabled_capabilities: int = 0
    heard_at: float = 0.0
    """Seconds of uptime: lldpRemTimeMark."""


@dataclass(frozen=True, slots=True)
class LldpState:
    chassis: bytes
    """Its MAC address, chassis subtype 4."""
    capabilities: int
    enabled_capabilities: int
    ports: Sequence[tuple[int, str]]
    """(number, name)"""
    neighbours: Sequence[Neighbour]


LinkListener = Callable[[int, bool], None]
"""Called as listener(ifIndex, up) when a link comes up or goes down."""


class ManagedDevice(Protocol):
    """Everything is read afresh for each request."""

    @property
    def description(self) -> str:
        """sysDescr"""

    @property
    def object_id(self) -> Oid:
        """sysObjectID"""

    @property
    def services(self) -> int:
        """sysServices: 2 for a bridge, 4 for a router, 72 for a host."""

    def interfaces(self) -> Sequence[Interface]:
        """In order of their index."""

    def enable(self, index: int, up: bool) -> None:
        """Switch an interface on or off (ifAdminStatus)."""

    def bridge(self) -> BridgeState | None:
        """None for what is no bridge."""

    def lldp(self) -> LldpState | None:
        """None for what does not speak LLDP."""

    def watch(self, listener: LinkListener | None) -> None:
        """Who is told of links from now on; None for nobody."""
