"""A VLAN-aware bridge (IEEE 802.1Q): learns, forwards, floods, mirrors, counts; RSTP and LLDP run beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.model.address import format_mac, mac_of
from lab.model.frame import Port
from lab.network.bridge import negotiation, ring
from lab.network.bridge.alarm import Alarm
from lab.network.bridge.bridge_port import CPU, BridgePort, Flow
from lab.network.bridge.collisions import MismatchedLine
from lab.network.bridge.fdb import TABLE_LIMIT, FilteringDatabase
from lab.network.bridge.lldp import LldpAgent
from lab.network.bridge.negotiation import Duplex
from lab.network.bridge.ports import Mirror, PortVlans
from lab.network.bridge.ring import Ring, RingSettings
from lab.network.bridge.rstp import Role, Rstp, RstpPort, State
from lab.network.fabric import Jack
from lab.wire import bpdu, ethernet, vlan
from lab.wire.bpdu import BridgeId
from lab.wire.malformed import Malformed
from lab.wire.mrp import Mrp

if TYPE_CHECKING:
    from lab.network.fabric import Network

__all__ = ["CPU", "TABLE_LIMIT", "Bridge", "BridgePort"]

_FLOW_LIMIT: Final = 4096
"""Conversations that a port remembers; beyond, it begins to remember anew."""
_TAG: Final = b"\x81\x00"
_RESERVED: Final = bytes.fromhex("0180c20000")
"""802.1Q table 8-1: addresses up to …0F are for the nearest bridge and are not forwarded."""
_BROADCAST: Final = b"\xff" * 6


class Bridge:
    """See the module. A port that stands in no setting is an access port of VLAN 1."""

    def __init__(self, network: Network, name: str, ports: tuple[str, ...]) -> None:
        self.network, self.name = network, name
        self.ports: dict[str, BridgePort] = {}
        self.mac = mac_of(name, "bridge")
        self.table = FilteringDatabase(network.loop, self._forget_flows)
        self._mirror: Mirror | None = None
        self._is_on = False
        self._has_flows = False
        self.ring: Ring | None = None
        for number, port in enumerate(ports, 1):
            jack = network.add_jack(Port(name, port), lambda frame: None)
            self._add(port, number, jack)
            jack.link_changed = partial(self._link_changed, port)
        inside = Jack(Port(name, CPU), lambda frame: None, lambda up: None)
        self._add(CPU, 0, inside)
        self.ports[CPU].is_up = True
        self.rstp: Rstp | None = None
        self.rstp_off = frozenset[str]()
        """Ports that take no part in the protocol."""
        self._rstp_alarm = Alarm(network.loop, self._rstp_tick)
        self.link_listener: Callable[[int, bool], None] | None = None
        """Called as listener(port number, up)."""
        self.lldp = LldpAgent(network.loop, self._send_lldp)

    def _add(self, name: str, number: int, jack: Jack) -> None:
        port = self.ports[name] = BridgePort(self, name, number, jack)
        jack.take_over(port.arrive)

    @property
    def cpu(self) -> Jack:
        """Where the management interface is to be joined."""
        return self.ports[CPU].jack

    # -- settings --------------------------------------------------------------------------------------------------

    def switch_on(self) -> None:
        """From now on frames are forwarded."""
        self._is_on = True
        for port in self.ports.values():
            self._connect(port)
            self._link_noted(port)

    def switch_off(self) -> None:
        """Forward nothing and forget everything that was learnt."""
        self._is_on = False
        self._forget_flows()
        self.run_rstp(None)
        self.run_ring(None)
        self.table.clear()
        self.lldp.stop()

    def set_vlans(self, vlans: Mapping[str, PortVlans]) -> None:
        """Membership by port; those left out are access ports of VLAN 1. What no longer fits is unlearnt."""
        for name, port in self.ports.items():
            new = vlans.get(name, PortVlans())
            if new != port.vlans:
                self._forget_flows()
                port.vlans = new
                self.flush(name)

    def set_mirror(self, mirror: Mirror | None) -> None:
        """Copy what some ports hear and say to another, which then carries nothing else."""
        self._forget_flows()
        self._mirror = mirror
        target = self.ports[mirror.to] if mirror is not None else None
        for name, port in self.ports.items():
            is_source = mirror is not None and name in mirror.sources
            port.mirrored_to = (
                target if is_source and mirror is not None and mirror.hears else None,
                target if is_source and mirror is not None and mirror.says else None,
            )
        for port in self.ports.values():
            self._set_gates(port)

    def set_static(self, entries: Mapping[tuple[int, bytes], str]) -> None:
        """Entries of the MAC table that neither age nor move, by VLAN and address."""
        self.table.set_static({key: self.ports[name] for key, name in entries.items()})

    def run_rstp(self, priority: int | None, ports: Mapping[str, RstpPort] | None = None) -> None:
        """Take part in the spanning tree with this priority, or not (None); `ports` are those that do."""
        self._rstp_alarm.dispose()
        self.rstp = None
        taking_part = ports if priority is not None and ports is not None else {}
        self.rstp_off = frozenset(self.ports) - frozenset(taking_part)
        if priority is not None and taking_part:
            self.rstp = Rstp(BridgeId(priority, self.mac), list(taking_part.values()), self)
            now = self.network.loop.time()
            for name in taking_part:
                port = self.ports[name]
                self._set_gates(port)
                self.rstp.link_changed(port.number, port.is_up, now)
            self._rstp_again()
        for port in self.ports.values():
            self._set_gates(port)

    def run_ring(self, settings: RingSettings | None) -> None:
        """Take part in a ring with MRP, or not (None); its two ports take no part in RSTP."""
        names: frozenset[str] = frozenset()
        if self.ring is not None:
            self.ring.dispose()
            names, self.ring = self.ring.ports, None
        if settings is not None:
            self.ring = Ring(
                self.network.loop,
                self.mac,
                settings,
                self._send_mrp,
                lambda name: self._set_gates(self.ports[name]),
                self.flush,
            )
            for name in self.ring.ports:
                self.ring.link_changed(name, self.ports[name].is_up)
            names |= self.ring.ports
        for name in names:
            self._set_gates(self.ports[name])

    # -- what others look at ---------------------------------------------------------------------------------------

    def fdb(self) -> list[tuple[int, str, str, bool]]:
        """The MAC table: VLAN, address, port, and whether the entry is static."""
        return [(vid, format_mac(mac), port.name, is_static) for vid, mac, port, is_static in self.table.entries()]

    def stp_of(self, name: str) -> tuple[Role, State]:
        """Role and state of a port in the spanning tree, or in its ring."""
        port = self.ports[name]
        if self.ring is not None and name in self.ring.ports:
            state = State.FORWARDING if self.ring.forwards(name) else State.DISCARDING
            return Role.DESIGNATED if port.is_up else Role.DISABLED, state
        if self.rstp is None or name in self.rstp_off:
            return Role.DESIGNATED if port.is_up else Role.DISABLED, State.FORWARDING
        stp = self.rstp.ports[port.number]
        return stp.role, stp.state

    # -- frames ----------------------------------------------------------------------------------------------------

    def arrive(self, port: BridgePort, frame: bytes) -> None:
        """A frame came in by a port, and no decision about its like is remembered."""
        if not self._is_on or not port.is_up:
            return
        counters = port.tally
        if len(frame) < ethernet.HEADER.size:
            counters.in_errors += 1
            return
        counters.in_octets += len(frame)
        if port.mirrored_to[0] is not None:
            self._copy(port.mirrored_to[0], frame)
        head = frame[:14]
        is_group = frame[0] & 1
        if is_group:
            if frame[:5] == _RESERVED and frame[5] < 0x10:
                counters.in_multicast += 1
                self._control(port, frame)
                return
            if self.ring is not None and frame[:6] in ring.GROUPS and frame[12:14] == ring.KIND:
                counters.in_multicast += 1
                self._pass_round(self.ring, port, frame)
                return
            if frame[:6] == _BROADCAST:
                counters.in_broadcast += 1
                if port.storm is not None and not port.storm.lets_in():
                    counters.in_discards += 1
                    return
            else:
                counters.in_multicast += 1
        else:
            counters.in_unicast += 1
        vlans = port.vlans
        tagged: bytes | None = None
        vid = vlans.pvid
        if frame[12:14] == _TAG:
            number = int.from_bytes(frame[14:16], "big") & 0xFFF
            if number:
                if not vlans.takes(number):
                    counters.in_discards += 1
                    return
                vid, tagged = number, frame
            frame = vlan.strip(frame)
        if vid is None or not port.learns or len(frame) < ethernet.HEADER.size:
            counters.in_discards += 1
            return
        table, source = self.table.of(vid), frame[6:12]
        if table.get(source) is port:
            self.table.heard(vid, source)
        elif not source[0] & 1:
            self.table.learn(vid, source, port)
        if not port.forwards:
            counters.in_discards += 1
            return
        target = None if is_group else table.get(frame[:6])
        if target is not None:
            if target is not port:
                self._send(target, vid, frame, tagged)
                if head[12:] != _TAG and table.get(source) is port:
                    self._remember(port, head, target, vid)
            return
        for other in self.ports.values():
            if other is not port and vid in other.vlans.members:
                self._send(other, vid, frame, tagged)

    def _send(self, port: BridgePort, vid: int, frame: bytes, tagged: bytes | None) -> None:
        if port.carry is None or not port.forwards:
            return
        if vid in port.vlans.tagged:
            frame = tagged or vlan.insert(frame, ethernet.TAG.pack(ethernet.VLAN, vid))
        elif vid not in port.vlans.untagged:
            return
        if port.mirrored_to[1] is not None:
            self._copy(port.mirrored_to[1], frame)
        self._copy(port, frame)

    @staticmethod
    def _copy(port: BridgePort, frame: bytes) -> None:
        if port.carry is None:
            return
        counters = port.tally
        counters.out_octets += len(frame)
        if not frame[0] & 1:
            counters.out_unicast += 1
        elif frame[:6] == _BROADCAST:
            counters.out_broadcast += 1
        else:
            counters.out_multicast += 1
        port.carry(frame)

    def _remember(self, port: BridgePort, head: bytes, target: BridgePort, vid: int) -> None:
        """What comes in by a port untagged with this head goes out by `target` as it is, until something changes."""
        plainly = target.forwards and vid in target.vlans.untagged and vid not in target.vlans.tagged
        if target.carry is None or not plainly or port.mirrored_to[0] is not None or target.mirrored_to[1] is not None:
            return
        if len(port.flows) >= _FLOW_LIMIT:
            self._forget_flows()
        port.flows[head] = Flow(target.carry, head[6:12], target, vid)
        self._has_flows = True

    def count_flows(self) -> None:
        """Add what went the short way to the ports' counters, and note who has been heard."""
        if not self._has_flows:
            return
        for port in self.ports.values():
            for flow in port.flows.values():
                if flow.frames:
                    heard, said = port.tally, flow.target.tally
                    heard.in_octets += flow.octets
                    heard.in_unicast += flow.frames
                    said.out_octets += flow.octets
                    said.out_unicast += flow.frames
                    self.table.heard(flow.vid, flow.source)
                    flow.frames = flow.octets = 0

    def _forget_flows(self) -> None:
        if self._has_flows:
            self.count_flows()
            self._has_flows = False
            for port in self.ports.values():
                port.flows.clear()

    def flush(self, port: str | int) -> None:
        """Forget what was learnt at a port, by name or number."""
        self.table.flush(self.ports[port] if isinstance(port, str) else self._numbered(port))

    # -- links and the protocols of the nearest bridge ---------------------------------------------------------------

    def _link_changed(self, name: str, up: bool) -> None:
        self.ports[name].changed_at = self.network.loop.time()
        if not up:
            self.flush(name)
        self._connect(self.ports[name])
        if self._is_on:
            self._link_noted(self.ports[name])
            if self.link_listener is not None:
                self.link_listener(self.ports[name].number, up)

    def _connect(self, port: BridgePort) -> None:
        """See what has become of a port's link."""
        self._forget_flows()
        if port.line is not None:
            port.line = None
            port.jack.take_over(port.arrive)
        way, network = port.jack.way, self.network
        port.mode = None if way is None else negotiation.mode_of(network, port.jack.port)
        port.is_up = way is not None and (port.mode is not None or port.name == CPU)
        port.carry = way.carry if way is not None and port.is_up else None
        cable, mode = network.cable_at(port.jack.port), port.mode
        if port.carry is None or cable is None or mode is None or not mode.is_mismatch:
            return
        # Of two managed switches the one with the half-duplex end sees to what a mismatch costs.
        if mode.duplex is Duplex.HALF or cable.other(port.jack.port).port.host not in network.bridges:
            chance = network.random_for(f"collisions at {port.jack.port}")
            port.line = MismatchedLine(network.loop, mode, port.carry, port.arrive, port.collided, chance)
            port.carry = port.line.carry
            port.jack.take_over(port.line.arrive)

    def _link_noted(self, port: BridgePort) -> None:
        if port.name == CPU:
            return
        self.lldp.link_changed(port.name, port.is_up)
        if self.ring is not None and port.name in self.ring.ports:
            self.ring.link_changed(port.name, port.is_up)
        if self.rstp is not None and port.name not in self.rstp_off:
            self.rstp.link_changed(port.number, port.is_up, self.network.loop.time())
            self._rstp_again()

    def _control(self, port: BridgePort, frame: bytes) -> None:
        try:
            if frame[:6] == bpdu.GROUP and self.rstp is not None and port.name not in self.rstp_off:
                heard = bpdu.decode(frame)
                if heard is not None:
                    self.rstp.received(port.number, heard, self.network.loop.time())
                    self._rstp_again()
            elif frame[12:14] == ethernet.LLDP.to_bytes(2, "big"):
                self.lldp.heard(port.name, frame)
        except Malformed:
            port.tally.in_errors += 1

    def _pass_round(self, ring: Ring, port: BridgePort, frame: bytes) -> None:
        """A frame of the ring's protocol goes from one ring port to the other, whatever their states."""
        if port.name not in ring.ports:
            port.tally.in_discards += 1
            return
        try:
            onward = ring.heard(port.name, frame)
        except Malformed:
            port.tally.in_errors += 1
            return
        if onward is not None:
            self._copy(self.ports[onward], frame)

    def _send_mrp(self, name: str, message: Mrp) -> None:
        self._copy(self.ports[name], message.encode(self.ports[name].mac))

    def _send_lldp(self, name: str, frame: bytes) -> None:
        self._copy(self.ports[name], frame[:6] + self.ports[name].mac + frame[12:])

    # -- lab.network.bridge.rstp.Effects -----------------------------------------------------------------------------

    def send_bpdu(self, port: int, message: bpdu.Bpdu) -> None:
        """The protocol says something."""
        sender = self._numbered(port)
        self._copy(sender, message.encode(sender.mac))

    def port_changed(self, port: int, state: State) -> None:
        """The protocol opens or closes a port."""
        self._set_gates(self._numbered(port))

    def _numbered(self, number: int) -> BridgePort:
        return next(port for port in self.ports.values() if port.number == number)

    def _set_gates(self, port: BridgePort) -> None:
        _, state = self.stp_of(port.name)
        is_target = self._mirror is not None and self._mirror.to == port.name
        self._forget_flows()
        port.forwards = state is State.FORWARDING and not is_target
        port.learns = state is not State.DISCARDING and not is_target

    def _rstp_tick(self, now: float) -> None:
        if self.rstp is not None:
            self.rstp.tick(now)
            self._rstp_again()

    def _rstp_again(self) -> None:
        if self.rstp is not None:
            self._rstp_alarm.set(self.rstp.deadline)
