"""The managed objects of a device: SNMPv2-MIB, IF-MIB, BRIDGE-MIB, Q-BRIDGE-MIB and LLDP-MIB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from devices.snmp.device import BridgeState, Interface, LldpState, ManagedDevice, Oid
from devices.snmp.mib import Column, ErrorStatus, Kind, Table, scalars

MIB_2: Final = (1, 3, 6, 1, 2, 1)
SYSTEM: Final = (*MIB_2, 1)
INTERFACES: Final = (*MIB_2, 2)
IF_ENTRY: Final = (*INTERFACES, 2, 1)
SNMP: Final = (*MIB_2, 11)
BRIDGE: Final = (*MIB_2, 17)
Q_BRIDGE: Final = (*BRIDGE, 7, 1)
IF_X_ENTRY: Final = (*MIB_2, 31, 1, 1, 1)
LLDP: Final = (1, 0, 8802, 1, 1, 2, 1)
_UP, _DOWN = 1, 2
_TRUE, _FALSE = 1, 2
_MAXIMUM_NAME: Final = 255
_MAXIMUM_VID: Final = 4094
_PRESENT_VALID, _LEARNED, _MANAGEMENT = 2, 3, 5
_PORT_ID_INTERFACE_NAME, _CHASSIS_ID_MAC = 5, 4


@dataclass(slots=True)
class Identity:
    """What a manager may write about a device, in the system group."""

    contact: str
    name: str
    location: str


@dataclass(slots=True)
class Statistics:
    """The snmp group of RFC 3418 and the counters of RFC 3412 and 3414."""

    received: int = 0
    bad_versions: int = 0
    bad_communities: int = 0
    bad_community_uses: int = 0
    parse_errors: int = 0
    silent_drops: int = 0
    authentication_traps: bool = True
    unknown_security_models: int = 0
    unsupported_levels: int = 0
    outside_window: int = 0
    unknown_users: int = 0
    unknown_engines: int = 0
    wrong_digests: int = 0
    decryption_errors: int = 0


def tables(
    device: ManagedDevice, identity: Identity, statistics: Statistics, uptime: Callable[[], float]
) -> list[Table]:
    """Everything an agent answers for; `uptime` is in seconds."""
    return [
        *_system(device, identity, statistics, uptime),
        *_interfaces(device),
        *_bridge(device),
        *_vlans(device),
        *_lldp(device, identity),
    ]


def _text(data: Any) -> ErrorStatus:
    if len(data) > _MAXIMUM_NAME:
        return ErrorStatus.WRONG_LENGTH
    try:
        data.decode()
    except UnicodeDecodeError:
        return ErrorStatus.WRONG_VALUE
    return ErrorStatus.NO_ERROR


def _written(identity: Identity, what: str) -> Callable[[Any, Any], None]:
    return lambda row, data: setattr(identity, what, data.decode())


def _ticks(seconds: float) -> int:
    return int(seconds * 100)


def _truth(value: bool) -> int:
    return _TRUE if value else _FALSE


def _system(
    device: ManagedDevice, identity: Identity, seen: Statistics, uptime: Callable[[], float]
) -> Iterable[Table]:
    yield scalars(
        SYSTEM,
        (
            Column(1, Kind.OCTETS, lambda _: device.description),
            Column(2, Kind.OID, lambda _: device.object_id),
            Column(3, Kind.TICKS, lambda _: _ticks(uptime())),
            Column(4, Kind.OCTETS, lambda _: identity.contact, _written(identity, "contact"), _text),
            Column(5, Kind.OCTETS, lambda _: identity.name, _written(identity, "name"), _text),
            Column(6, Kind.OCTETS, lambda _: identity.location, _written(identity, "location"), _text),
            Column(7, Kind.INTEGER, lambda _: device.services),
        ),
    )
    yield scalars(
        SNMP,
        (
            Column(1, Kind.COUNTER32, lambda _: seen.received),
            Column(3, Kind.COUNTER32, lambda _: seen.bad_versions),
            Column(4, Kind.COUNTER32, lambda _: seen.bad_communities),
            Column(5, Kind.COUNTER32, lambda _: seen.bad_community_uses),
            Column(6, Kind.COUNTER32, lambda _: seen.parse_errors),
            Column(
                30,
                Kind.INTEGER,
                lambda _: _truth(seen.authentication_traps),
                lambda _, data: setattr(seen, "authentication_traps", data == _TRUE),
                _either,
            ),
            Column(31, Kind.COUNTER32, lambda _: seen.silent_drops),
            Column(32, Kind.COUNTER32, lambda _: 0),
        ),
    )


def _either(data: Any) -> ErrorStatus:
    return ErrorStatus.NO_ERROR if data in (1, 2) else ErrorStatus.WRONG_VALUE


def _counted(what: Callable[[Any], int]) -> Callable[[Interface], int | None]:
    return lambda row: None if row.counters is None else what(row.counters)


def _interfaces(device: ManagedDevice) -> Iterable[Table]:
    def rows() -> Mapping[Oid, Interface]:
        return {(each.index,): each for each in device.interfaces()}

    yield scalars(INTERFACES, (Column(1, Kind.INTEGER, lambda _: len(device.interfaces())),))
    yield Table(
        IF_ENTRY,
        (
            Column(1, Kind.INTEGER, lambda row: row.index),
            Column(2, Kind.OCTETS, lambda row: row.name),
            Column(3, Kind.INTEGER, lambda row: row.kind),
            Column(4, Kind.INTEGER, lambda row: row.mtu),
            Column(5, Kind.GAUGE, lambda row: row.speed),
            Column(6, Kind.OCTETS, lambda row: row.mac),
            Column(
                7,
                Kind.INTEGER,
                lambda row: _UP if row.admin_up else _DOWN,
                lambda row, data: device.enable(row.index, data == _UP),
                _either,  # "testing" is nothing that these devices do
            ),
            Column(8, Kind.INTEGER, lambda row: _UP if row.oper_up else _DOWN),
            Column(9, Kind.TICKS, lambda row: _ticks(row.last_change)),
            Column(10, Kind.COUNTER32, _counted(lambda c: c.in_octets)),
            Column(11, Kind.COUNTER32, _counted(lambda c: c.in_unicast)),
            Column(13, Kind.COUNTER32, _counted(lambda c: c.in_discards)),
            Column(14, Kind.COUNTER32, _counted(lambda c: c.in_errors)),
            Column(16, Kind.COUNTER32, _counted(lambda c: c.out_octets)),
            Column(17, Kind.COUNTER32, _counted(lambda c: c.out_unicast)),
            Column(19, Kind.COUNTER32, _counted(lambda c: c.out_discards)),
            Column(20, Kind.COUNTER32, _counted(lambda c: c.out_errors)),
        ),
        rows,
    )
    yield Table(
        IF_X_ENTRY,
        (
            Column(1, Kind.OCTETS, lambda row: row.name),
            Column(2, Kind.COUNTER32, _counted(lambda c: c.in_multicast)),
            Column(3, Kind.COUNTER32, _counted(lambda c: c.in_broadcast)),
            Column(4, Kind.COUNTER32, _counted(lambda c: c.out_multicast)),
            Column(5, Kind.COUNTER32, _counted(lambda c: c.out_broadcast)),
            Column(6, Kind.COUNTER64, _counted(lambda c: c.in_octets)),
            Column(7, Kind.COUNTER64, _counted(lambda c: c.in_unicast)),
            Column(8, Kind.COUNTER64, _counted(lambda c: c.in_multicast)),
            Column(9, Kind.COUNTER64, _counted(lambda c: c.in_broadcast)),
            Column(10, Kind.COUNTER64, _counted(lambda c: c.out_octets)),
            Column(11, Kind.COUNTER64, _counted(lambda c: c.out_unicast)),
            Column(12, Kind.COUNTER64, _counted(lambda c: c.out_multicast)),
            Column(13, Kind.COUNTER64, _counted(lambda c: c.out_broadcast)),
            Column(14, Kind.INTEGER, lambda row: 1),
            Column(15, Kind.GAUGE, lambda row: row.speed // 1_000_000),
            Column(17, Kind.INTEGER, lambda row: _truth(row.has_connector)),
            Column(18, Kind.OCTETS, lambda row: row.alias),
            Column(19, Kind.TICKS, lambda row: 0),
        ),
        rows,
    )


def _of(state: Callable[[], Any], rows: Callable[[Any], Mapping[Oid, Any]]) -> Callable[[], Mapping[Oid, Any]]:
    """Rows from a state that a device may not have."""

    def present() -> Mapping[Oid, Any]:
        now = state()
        return {} if now is None else rows(now)

    return present


def _bridge(device: ManagedDevice) -> Iterable[Table]:
    state = device.bridge

    def only(now: BridgeState) -> Mapping[Oid, Any]:
        return {(0,): now}

    def stp(now: BridgeState) -> Mapping[Oid, Any]:
        return {} if now.spanning_tree is None else {(0,): now.spanning_tree}

    def ports(now: BridgeState) -> Mapping[Oid, Any]:
        return {(each.number,): each for each in now.ports}

    def stp_ports(now: BridgeState) -> Mapping[Oid, Any]:
        return {} if now.spanning_tree is None else ports(now)

    def forwarding(now: BridgeState) -> Mapping[Oid, Any]:
        return {tuple(each.mac): each for each in now.forwarding}

    yield Table(
        (*BRIDGE, 1),
        (
            Column(1, Kind.OCTETS, lambda now: now.mac),
            Column(2, Kind.INTEGER, lambda now: len(now.ports)),
            Column(3, Kind.INTEGER, lambda now: 2),  # transparent-only
        ),
        _of(state, only),
    )
    yield Table(
        (*BRIDGE, 1, 4, 1),
        (
            Column(1, Kind.INTEGER, lambda port: port.number),
            Column(2, Kind.INTEGER, lambda port: port.interface),
            Column(3, Kind.OID, lambda port: (0, 0)),
            Column(4, Kind.COUNTER32, lambda port: 0),
            Column(5, Kind.COUNTER32, lambda port: 0),
        ),
        _of(state, ports),
    )
    yield Table(
        (*BRIDGE, 2),
        (
            Column(1, Kind.INTEGER, lambda tree: 3),  # ieee8021d
            Column(2, Kind.INTEGER, lambda tree: tree.priority),
            Column(3, Kind.TICKS, lambda tree: _ticks(tree.since_change)),
            Column(4, Kind.COUNTER32, lambda tree: tree.topology_changes),
            Column(5, Kind.OCTETS, lambda tree: tree.designated_root),
            Column(6, Kind.INTEGER, lambda tree: tree.root_cost),
            Column(7, Kind.INTEGER, lambda tree: tree.root_port),
            Column(8, Kind.INTEGER, lambda tree: _ticks(tree.max_age)),
            Column(9, Kind.INTEGER, lambda tree: _ticks(tree.hello_time)),
            Column(11, Kind.INTEGER, lambda tree: _ticks(tree.forward_delay)),
        ),
        _of(state, stp),
    )
    yield Table(
        (*BRIDGE, 2, 15, 1),
        (
            Column(1, Kind.INTEGER, lambda port: port.number),
            Column(2, Kind.INTEGER, lambda port: port.stp_priority),
            Column(3, Kind.INTEGER, lambda port: port.stp_state),
            Column(4, Kind.INTEGER, lambda port: _UP if port.stp_state != 1 else _DOWN),
            Column(5, Kind.INTEGER, lambda port: min(port.path_cost, 65_535)),
            Column(6, Kind.OCTETS, lambda port: port.designated_root),
            Column(7, Kind.INTEGER, lambda port: port.designated_cost),
            Column(8, Kind.OCTETS, lambda port: port.designated_bridge),
            Column(9, Kind.OCTETS, lambda port: port.designated_port.to_bytes(2, "big")),
            Column(10, Kind.COUNTER32, lambda port: port.forward_transitions),
            Column(11, Kind.INTEGER, lambda port: port.path_cost),
        ),
        _of(state, stp_ports),
    )
    yield Table(
        (*BRIDGE, 4),
        (
            Column(1, Kind.COUNTER32, lambda now: 0),
            Column(2, Kind.INTEGER, lambda now: int(now.ageing_time)),
        ),
        _of(state, only),
    )
    yield Table(
        (*BRIDGE, 4, 3, 1),
        (
            Column(1, Kind.OCTETS, lambda entry: entry.mac),
            Column(2, Kind.INTEGER, lambda entry: entry.port),
            Column(3, Kind.INTEGER, lambda entry: _MANAGEMENT if entry.is_static else _LEARNED),
        ),
        _of(state, forwarding),
    )


def port_list(ports: Iterable[int]) -> bytes:
    """PortList of RFC 4363: port 1 is the highest bit of the first byte."""
    numbers = frozenset(ports)
    size = max((max(numbers, default=1) + 7) // 8, 1)
    return bytes(sum(0x80 >> bit for bit in range(8) if at * 8 + bit + 1 in numbers) for at in range(size))


def _vlans(device: ManagedDevice) -> Iterable[Table]:
    state = device.bridge

    def only(now: BridgeState) -> Mapping[Oid, Any]:
        return {(0,): now}

    def vlans(now: BridgeState) -> Mapping[Oid, Any]:
        return {(each.vid,): each for each in now.vlans}

    def forwarding(now: BridgeState) -> Mapping[Oid, Any]:
        return {(each.vid, *each.mac): each for each in now.forwarding}  # each VLAN is its own filtering database

    def ports(now: BridgeState) -> Mapping[Oid, Any]:
        return {(each.number,): each for each in now.ports}

    yield Table(
        (*Q_BRIDGE, 1),
        (
            Column(1, Kind.INTEGER, lambda now: 1),
            Column(2, Kind.INTEGER, lambda now: _MAXIMUM_VID),
            Column(3, Kind.GAUGE, lambda now: _MAXIMUM_VID),
            Column(4, Kind.GAUGE, lambda now: len(now.vlans)),
        ),
        _of(state, only),
    )
    yield Table(
        (*Q_BRIDGE, 2, 2, 1),
        (
            Column(2, Kind.INTEGER, lambda entry: entry.port),
            Column(3, Kind.INTEGER, lambda entry: _MANAGEMENT if entry.is_static else _LEARNED),
        ),
        _of(state, forwarding),
    )
    yield Table(
        (*Q_BRIDGE, 4, 3, 1),
        (
            Column(1, Kind.OCTETS, lambda vlan: vlan.name),
            Column(2, Kind.OCTETS, lambda vlan: port_list(vlan.egress)),
            Column(3, Kind.OCTETS, lambda vlan: port_list(())),
            Column(4, Kind.OCTETS, lambda vlan: port_list(vlan.untagged)),
            Column(5, Kind.INTEGER, lambda vlan: 1),  # RowStatus active
        ),
        _of(state, vlans),
    )
    yield Table((*Q_BRIDGE, 4, 5, 1), (Column(1, Kind.GAUGE, lambda port: port.pvid),), _of(state, ports))


def _capabilities(bits: int) -> bytes:
    """LldpSystemCapabilitiesMap: bit 0 of the TLV is the first, that is the highest, bit of the string."""
    return bytes(sum(0x80 >> bit for bit in range(8) if bits >> (at * 8 + bit) & 1) for at in range(2))


def _lldp(device: ManagedDevice, identity: Identity) -> Iterable[Table]:
    state = device.lldp

    def only(now: LldpState) -> Mapping[Oid, Any]:
        return {(0,): now}

    def ports(now: LldpState) -> Mapping[Oid, Any]:
        return {(number,): name for number, name in now.ports}

    def neighbours(now: LldpState) -> Mapping[Oid, Any]:
        return {(_ticks(each.heard_at), each.local_port, each.index): each for each in now.neighbours}

    yield Table(
        (*LLDP, 3),
        (
            Column(1, Kind.INTEGER, lambda now: _CHASSIS_ID_MAC),
            Column(2, Kind.OCTETS, lambda now: now.chassis),
            Column(3, Kind.OCTETS, lambda now: identity.name),
            Column(4, Kind.OCTETS, lambda now: device.description),
            Column(5, Kind.OCTETS, lambda now: _capabilities(now.capabilities)),
            Column(6, Kind.OCTETS, lambda now: _capabilities(now.enabled_capabilities)),
        ),
        _of(state, only),
    )
    yield Table(
        (*LLDP, 3, 7, 1),
        (
            Column(2, Kind.INTEGER, lambda name: _PORT_ID_INTERFACE_NAME),
            Column(3, Kind.OCTETS, lambda name: name),
            Column(4, Kind.OCTETS, lambda name: name),
        ),
        _of(state, ports),
    )
    yield Table(
        (*LLDP, 4, 1, 1),
        (
            Column(4, Kind.INTEGER, lambda each: each.chassis_subtype),
            Column(5, Kind.OCTETS, lambda each: each.chassis),
            Column(6, Kind.INTEGER, lambda each: each.port_subtype),
            Column(7, Kind.OCTETS, lambda each: each.port),
            Column(8, Kind.OCTETS, lambda each: each.port_description),
            Column(9, Kind.OCTETS, lambda each: each.system_name),
            Column(10, Kind.OCTETS, lambda each: each.system_description),
            Column(11, Kind.OCTETS, lambda each: _capabilities(each.capabilities)),
            Column(12, Kind.OCTETS, lambda each: _capabilities(each.enabled_capabilities)),
        ),
        _of(state, neighbours),
    )
