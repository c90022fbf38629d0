"""A VLAN-aware bridge (IEEE 802.1Q): learns, forwards, floods, mirrors, counts; RSTP and LLDP run beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.model.address import format_mac, mac_of
from lab.model.frame import Port
from lab.network.bridge.lldp import LldpAgent
from lab.network.bridge.ports import Counters, Mirror, PortVlans
from lab.network.bridge.rstp import Role, Rstp, RstpPort, State
from lab.network.fabric import Jack
from lab.network.timer import Timer
from lab.wire import bpdu, ethernet
from lab.wire.bpdu import BridgeId
from lab.wire.malformed import Malformed

if TYPE_CHECKING:
    from lab.network.fabric import Network

TABLE_LIMIT: Final = 8192
_TAG: Final = b"\x81\x00"
_RESERVED: Final = bytes.fromhex("0180c20000")
"""802.1Q table 8-1: addresses up to …0F are for the nearest bridge and are not forwarded."""
_BROADCAST: Final = b"\xff" * 6

_SOON: Final = 1e-6
CPU: Final = "cpu"


class BridgePort:
    """One port of a bridge; the one called `cpu` leads to its own management interface."""

    __slots__ = (
        "bridge",
        "changed_at",
        "counters",
        "forwards",
        "is_up",
        "jack",
        "learns",
        "mac",
        "mirrored_to",
        "name",
        "number",
        "storm",
        "vlans",
    )

    def __init__(self, bridge: Bridge, name: str, number: int, jack: Jack) -> None:
        self.bridge, self.name, self.number, self.jack = bridge, name, number, jack
        self.mac = mac_of(bridge.name, name)
        self.vlans = PortVlans()
        self.counters = Counters()
        self.is_up = False
        self.changed_at = 0.0
        """When it came up or went down last, on the loop's clock."""
        self.forwards = self.learns = True
        self.mirrored_to: tuple[BridgePort | None, BridgePort | None] = (None, None)
        """Where what it hears and what it says is copied to."""
        self.storm: StormControl | None = None


class StormControl:
    """Lets so many broadcasts a second in by one port."""

    __slots__ = ("_left", "_now", "_until", "limit")

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self.limit = limit
        self._now = now
        self._left, self._until = limit, 0.0

    def lets_in(self) -> bool:
        now = self._now()
        if now >= self._until:
            self._left, self._until = self.limit, now + 1.0
        self._left -= 1
        return self._left >= 0


class Bridge:
    """See the module. A port that stands in no setting is an access port of VLAN 1."""

    def __init__(self, network: Network, name: str, ports: tuple[str, ...]) -> None:
        self.network, self.name = network, name
        self.ports: dict[str, BridgePort] = {}
        self.ageing = 300.0
        """Seconds after which an address that has not been heard is forgotten (802.1Q table 8-6)."""
        self.mac = mac_of(name, "bridge")
        self._table: dict[int, dict[bytes, BridgePort]] = {}
        self._heard: set[tuple[int, bytes]] = set()
        self._static: set[tuple[int, bytes]] = set()
        self._timer = Timer(network.loop, Context(), self._age)
        self._mirror: Mirror | None = None
        self._is_on = False
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
        self._rstp_timer = Timer(network.loop, Context(), self._rstp_tick)
        self.link_listener: Callable[[int, bool], None] | None = None
        """Called as listener(port number, up)."""
        self.lldp = LldpAgent(network.loop, self._send_lldp)

    def _add(self, name: str, number: int, jack: Jack) -> None:
        port = self.ports[name] = BridgePort(self, name, number, jack)
        jack.take_over(partial(self._arrive, port))

    @property
    def cpu(self) -> Jack:
        """Where the management interface is to be joined."""
        return self.ports[CPU].jack

    # -- settings --------------------------------------------------------------------------------------------------

    def switch_on(self) -> None:
        """From now on frames are forwarded."""
        self._is_on = True
        for port in self.ports.values():
            port.is_up = port.jack.is_connected
            self._link_noted(port)

    def switch_off(self) -> None:
        """Forward nothing and forget everything that was learnt."""
        self._is_on = False
        self.run_rstp(None)
        self._table.clear()
        self._heard.clear()
        self._static.clear()
        self._timer.dispose()
        self.lldp.stop()

    def set_vlans(self, vlans: Mapping[str, PortVlans]) -> None:
        """Membership by port; those left out are access ports of VLAN 1. What no longer fits is unlearnt."""
        for name, port in self.ports.items():
            new = vlans.get(name, PortVlans())
            if new != port.vlans:
                port.vlans = new
                self.flush(name)

    def set_mirror(self, mirror: Mirror | None) -> None:
        """Copy what some ports hear and say to another, which then carries nothing else."""
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
        for vid, mac in self._static - entries.keys():
            self._table.get(vid, {}).pop(mac, None)
        self._static = set(entries)
        for (vid, mac), name in entries.items():
            self._table.setdefault(vid, {})[mac] = self.ports[name]

    def run_rstp(self, priority: int | None, ports: Mapping[str, RstpPort] | None = None) -> None:
        """Take part in the spanning tree with this priority, or not (None); `ports` are those that do."""
        self._rstp_timer.dispose()
        self.rstp = None
        self.rstp_off = frozenset(self.ports) - frozenset(ports or {})
        if priority is not None and ports:
            self.rstp = Rstp(BridgeId(priority, self.mac), list(ports.values()), self)
            now = self.network.loop.time()
            for name in ports:
                port = self.ports[name]
                self._set_gates(port)
                self.rstp.link_changed(port.number, port.is_up, now)
            self._rstp_again()
        for port in self.ports.values():
            self._set_gates(port)

    # -- what others look at ---------------------------------------------------------------------------------------

    def fdb(self) -> list[tuple[int, str, str, bool]]:
        """The MAC table: VLAN, address, port, and whether the entry is static."""
        return [
            (vid, format_mac(mac), port.name, (vid, mac) in self._static)
            for vid, table in sorted(self._table.items())
            for mac, port in sorted(table.items())
        ]

    def stp_of(self, name: str) -> tuple[Role, State]:
        """Role and state of a port in the spanning tree."""
        port = self.ports[name]
        if self.rstp is None or name in self.rstp_off:
            return Role.DESIGNATED if port.is_up else Role.DISABLED, State.FORWARDING
        stp = self.rstp.ports[port.number]
        return stp.role, stp.state

    # -- frames ----------------------------------------------------------------------------------------------------

    def _arrive(self, port: BridgePort, frame: bytes) -> None:
        if not self._is_on:
            return
        counters = port.counters
        counters.in_octets += len(frame)
        if port.mirrored_to[0] is not None:
            self._copy(port.mirrored_to[0], frame)
        is_group = frame[0] & 1 if frame else 1
        if is_group:
            if frame[:5] == _RESERVED and len(frame) > 14 and frame[5] < 0x10:
                counters.in_multicast += 1
                self._control(port, frame)
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
            frame = frame[:12] + frame[16:]
        if vid is None or not port.learns or len(frame) < ethernet.HEADER.size:
            counters.in_discards += 1
            return
        table = self._table.get(vid)
        if table is None:
            table = self._table[vid] = {}
        source = frame[6:12]
        self._heard.add((vid, source))
        if table.get(source) is not port and not source[0] & 1:
            self._learn(vid, table, source, port)
        if not port.forwards:
            return
        target = None if is_group else table.get(frame[:6])
        if target is not None:
            if target is not port:
                self._send(target, vid, frame, tagged)
            return
        for other in self.ports.values():
            if other is not port and vid in other.vlans.members:
                self._send(other, vid, frame, tagged)

    def _send(self, port: BridgePort, vid: int, frame: bytes, tagged: bytes | None) -> None:
        way = port.jack.way
        if way is None or not port.forwards:
            return
        if vid in port.vlans.tagged:
            frame = tagged or frame[:12] + ethernet.TAG.pack(ethernet.VLAN, vid) + frame[12:]
        elif vid not in port.vlans.untagged:
            return
        counters = port.counters
        counters.out_octets += len(frame)
        if not frame[0] & 1:
            counters.out_unicast += 1
        elif frame[:6] == _BROADCAST:
            counters.out_broadcast += 1
        else:
            counters.out_multicast += 1
        if port.mirrored_to[1] is not None:
            self._copy(port.mirrored_to[1], frame)
        way.carry(frame)

    @staticmethod
    def _copy(port: BridgePort, frame: bytes) -> None:
        if port.jack.way is not None:
            port.counters.out_octets += len(frame)
            port.jack.way.carry(frame)

    def _learn(self, vid: int, table: dict[bytes, BridgePort], mac: bytes, port: BridgePort) -> None:
        if (vid, mac) in self._static:
            return
        if mac not in table and sum(map(len, self._table.values())) >= TABLE_LIMIT:
            return  # a full table floods, as attackers of real switches know
        table[mac] = port
        if not self._timer.is_running:
            self._timer.start(self.ageing / 2)

    def _age(self) -> None:
        for vid, table in self._table.items():
            self._table[vid] = {
                mac: port for mac, port in table.items() if (vid, mac) in self._heard or (vid, mac) in self._static
            }
        self._heard.clear()
        if any(self._table.values()):
            self._timer.start(self.ageing / 2)

    def flush(self, port: str | int) -> None:
        """Forget what was learnt at a port, by name or number."""
        for vid, table in self._table.items():
            self._table[vid] = {
                mac: at for mac, at in table.items() if port not in (at.name, at.number) or (vid, mac) in self._static
            }

    # -- links and the protocols of the nearest bridge ---------------------------------------------------------------

    def _link_changed(self, name: str, up: bool) -> None:
        port = self.ports[name]
        port.is_up = up
        port.changed_at = self.network.loop.time()
        if not up:
            self.flush(name)
        if self._is_on:
            self._link_noted(port)
            if self.link_listener is not None:
                self.link_listener(port.number, up)

    def _link_noted(self, port: BridgePort) -> None:
        if port.name == CPU:
            return
        self.lldp.link_changed(port.name, port.is_up)
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
            port.counters.in_discards += 1

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
        port.forwards = state is State.FORWARDING and not is_target
        port.learns = state is not State.DISCARDING and not is_target

    def _rstp_tick(self) -> None:
        if self.rstp is not None:
            self.rstp.tick(self.network.loop.time())
            self._rstp_again()

    def _rstp_again(self) -> None:
        if self.rstp is not None and (due := self.rstp.deadline) != float("inf"):
            # A clock counts whole nanoseconds: the remainder of a float must not keep it where it is.
            self._rstp_timer.start(max(_SOON, due - self.network.loop.time()))
