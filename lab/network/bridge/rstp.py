"""The Rapid Spanning Tree Protocol (IEEE 802.1D-2004 clause 17), sans-I/O: events and times in, BPDUs and states out.

Port information, roles, the proposal–agreement handshake of point-to-point links, topology changes and the slow way by
forward delay are there; compatibility is one-sided: BPDUs of plain STP are understood, and answered with rapid ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, Protocol

from lab.wire.bpdu import NO_FLAG, Bpdu, BridgeId, Flag, PortRole

HELLO: Final = 2.0
MAX_AGE: Final = 20.0
FORWARD_DELAY: Final = 15.0
MIGRATE: Final = 3.0
"""Seconds without a BPDU after which a port is taken for an edge (table 17-1, Migrate Time)."""
_INFORMATION_HELLOS: Final = 3
_HOLD_COUNT: Final = 6
"""BPDUs a port may send in a second (table 17-1, Transmit Hold Count)."""
_NEVER: Final = float("inf")


class Role(Enum):
    DISABLED = "disabled"
    ROOT = "root"
    DESIGNATED = "designated"
    ALTERNATE = "alternate"
    BACKUP = "backup"


class State(Enum):
    DISCARDING = "discarding"
    LEARNING = "learning"
    FORWARDING = "forwarding"


class Vector(NamedTuple):
    """A priority vector (17.5): lower is better."""

    root: BridgeId
    cost: int
    bridge: BridgeId
    port: int


class Effects(Protocol):
    """What the protocol does to its bridge."""

    def send_bpdu(self, port: int, bpdu: Bpdu) -> None: ...
    def port_changed(self, port: int, state: State) -> None: ...
    def flush(self, port: int) -> None: ...


@dataclass(slots=True)
class RstpPort:
    """One port, numbered from 1; `cost` by speed as table 17-3 recommends: 200,000 for 100 Mbit/s."""

    number: int
    cost: int = 200_000
    priority: int = 128
    admin_edge: bool = False
    is_up: bool = False
    role: Role = Role.DISABLED
    state: State = State.DISCARDING
    received: Vector | None = None
    """What the designated port of its link has said last."""
    message_age: float = 0.0
    is_edge: bool = False
    agreed: bool = False
    """The other end has agreed to our being designated."""
    proposing: bool = False
    proposed: bool = False
    information_until: float = _NEVER
    edge_at: float = _NEVER
    delay_until: float = _NEVER
    """When the slow way takes its next step."""
    topology_change_until: float = 0.0
    transitions: int = 0
    """How often it began to forward."""
    told: Vector | None = None
    """What was said last by this port."""
    owed: Flag | None = None
    """Flags of a BPDU that waits until the port may send again."""
    send_at: float = _NEVER
    _sent: list[float] = field(default_factory=list)

    @property
    def identifier(self) -> int:
        return self.priority << 8 | self.number

    def may_send(self, now: float) -> bool:
        self._sent = [at for at in self._sent if at + 1.0 > now]
        if len(self._sent) >= _HOLD_COUNT:
            self.send_at = self._sent[0] + 1.0
            return False
        self._sent.append(now)
        return True


class Rstp:
    """One bridge. Whoever owns it calls `tick` at `deadline`."""

    def __init__(self, bridge: BridgeId, ports: list[RstpPort], effects: Effects) -> None:
        self.bridge = bridge
        self.ports = {port.number: port for port in ports}
        self.root = Vector(bridge, 0, bridge, 0)
        """The best that is known: the root, the cost to it, and whose information that is."""
        self.root_port: int | None = None
        self.topology_changes = 0
        self.changed_at = 0.0
        """When the topology changed last."""
        self._effects = effects
        self._hello_at = _NEVER

    @property
    def deadline(self) -> float:
        """When `tick` wants to be called; infinity where nothing is pending."""
        times = [self._hello_at]
        for port in self.ports.values():
            times += [port.information_until, port.edge_at, port.delay_until, port.send_at]
        return min(times)

    # -- events ----------------------------------------------------------------------------------------------------

    def link_changed(self, number: int, up: bool, now: float) -> None:
        """A cable was plugged or pulled, or the other end went dark."""
        port = self.ports[number]
        if port.is_up == up:
            return
        port.is_up = up
        port.received = None
        port.is_edge = port.admin_edge
        port.agreed = port.proposing = port.proposed = False
        port.information_until = port.edge_at = port.delay_until = _NEVER
        port.topology_change_until = 0.0
        if up:
            port.edge_at = now + MIGRATE if not port.admin_edge else _NEVER
            if self._hello_at == _NEVER:
                self._hello_at = now + HELLO
        else:
            self._set_state(port, State.DISCARDING, now)
            port.role = Role.DISABLED
            self._effects.flush(number)
        self._select(now)

    def received(self, number: int, bpdu: Bpdu, now: float) -> None:
        """A BPDU came in by a port."""
        port = self.ports[number]
        if not port.is_up:
            return
        port.is_edge = False
        port.edge_at = _NEVER
        said = Vector(bpdu.root, bpdu.cost, bpdu.bridge, bpdu.port)
        if bpdu.flags & Flag.TOPOLOGY_CHANGE and port.role in (Role.ROOT, Role.DESIGNATED):
            self._topology_changed(number, now)
        if bpdu.role is not PortRole.DESIGNATED and bpdu.is_rapid:
            if port.role is Role.DESIGNATED and bpdu.flags & Flag.AGREEMENT and said.root == self.root.root:
                port.agreed, port.proposing = True, False
                self._step_designated(port, now)
            return
        if bpdu.message_age >= bpdu.max_age or (said.bridge == self.bridge and said.port == port.identifier):
            return
        known = port.received
        is_same_sender = known is not None and (known.bridge, known.port) == (said.bridge, said.port)
        is_news = known is None or said < known
        if is_same_sender or (is_news and said < self.designated(port)):
            port.received = said
            port.message_age = bpdu.message_age
            port.information_until = now + _INFORMATION_HELLOS * bpdu.hello_time
            port.proposed = bool(bpdu.flags & Flag.PROPOSAL)
            port.agreed = False
            self._select(now)
            if port.proposed and port.role in (Role.ROOT, Role.ALTERNATE, Role.BACKUP):
                self._agree(port, now)
            return
        if port.role is Role.DESIGNATED:
            if bpdu.is_rapid and bpdu.flags & Flag.LEARNING:
                self._dispute(port, now)
            self._send(port, now)  # who says less is told better at once

    def tick(self, now: float) -> None:
        """Do what has fallen due."""
        changed = False
        for port in self.ports.values():
            if port.information_until <= now:
                port.received, port.information_until = None, _NEVER
                changed = True
            if port.edge_at <= now:
                port.edge_at = _NEVER
                port.is_edge = True
                if port.role is Role.DESIGNATED:
                    self._step_designated(port, now)
            if port.delay_until <= now:
                self._take_slow_step(port, now)
            if port.send_at <= now:
                self._send(port, now)
        if changed:
            self._select(now)
        if self._hello_at <= now:
            self._hello_at = now + HELLO if any(port.is_up for port in self.ports.values()) else _NEVER
            for port in self.ports.values():
                if port.role is Role.DESIGNATED or (port.role is Role.ROOT and port.topology_change_until > now):
                    self._send(port, now)

    # -- roles -----------------------------------------------------------------------------------------------------

    def designated(self, port: RstpPort) -> Vector:
        """What this bridge would say at a port."""
        return Vector(self.root.root, self.root.cost, self.bridge, port.identifier)

    def _select(self, now: float) -> None:
        """Updating of roles (17.6): the best root path first, then a role for every port."""
        best, best_port = Vector(self.bridge, 0, self.bridge, 0), None
        best_key: tuple[Vector, int] = (best, 0)
        for port in self.ports.values():
            said = port.received
            if port.is_up and said is not None and said.bridge != self.bridge:
                path = Vector(said.root, said.cost + port.cost, said.bridge, said.port)
                if (path, port.identifier) < best_key:
                    best, best_port, best_key = path, port.number, (path, port.identifier)
        before = self.root_port
        self.root, self.root_port = best, best_port
        if best_port is not None and best_port != before:
            # Before another way to the root opens, ours to everybody else must be agreed on anew (17.29.2).
            for port in self.ports.values():
                if port.number != best_port:
                    self._sync(port, now)
        for port in self.ports.values():
            self._assign(port, now)

    def _assign(self, port: RstpPort, now: float) -> None:
        if not port.is_up:
            return
        said = port.received
        role = Role.DESIGNATED
        if port.number == self.root_port:
            role = Role.ROOT
        elif said is not None and said < self.designated(port):
            role = Role.BACKUP if said.bridge == self.bridge else Role.ALTERNATE
        elif said is not None:
            port.received, port.information_until = None, _NEVER
        if role is not port.role:
            port.role = role
            port.agreed = port.proposing = False
            port.delay_until = _NEVER
        if role in (Role.ALTERNATE, Role.BACKUP):
            self._set_state(port, State.DISCARDING, now)
        elif role is Role.ROOT:
            self._set_state(port, State.FORWARDING, now)
        else:
            if port.told not in (None, self.designated(port)):
                port.proposing = port.state is not State.FORWARDING
                self._send(port, now)  # the way to the root is another one (17.21.25, newInfo)
            self._step_designated(port, now)

    def _sync(self, port: RstpPort, now: float) -> None:
        if port.is_edge or not port.is_up:
            return
        port.agreed = port.proposing = False
        if port.role in (Role.DESIGNATED, Role.ROOT):
            self._set_state(port, State.DISCARDING, now)

    def _agree(self, port: RstpPort, now: float) -> None:
        """Answer a proposal: everything behind us is blocked until it has been agreed on too (17.29.2)."""
        port.proposed = False
        if port.role is Role.ROOT:
            for other in self.ports.values():
                if other is not port and not other.agreed:
                    self._sync(other, now)
        self._send(port, now, Flag.AGREEMENT)
        for other in self.ports.values():
            if other is not port and other.role is Role.DESIGNATED and other.is_up:
                self._step_designated(other, now)

    def _step_designated(self, port: RstpPort, now: float) -> None:
        if port.state is State.FORWARDING:
            return
        if port.is_edge or port.agreed:
            port.delay_until = _NEVER
            self._set_state(port, State.FORWARDING, now)
            return
        if not port.proposing:
            port.proposing = True
            port.delay_until = now + FORWARD_DELAY
            self._send(port, now)

    def _dispute(self, port: RstpPort, now: float) -> None:
        """Somebody worse forwards here: he cannot hear us, and both of us would make a loop (17.21.9, recordDispute)."""
        port.agreed, port.proposing = False, True
        port.delay_until = now + FORWARD_DELAY
        self._set_state(port, State.DISCARDING, now)

    def _take_slow_step(self, port: RstpPort, now: float) -> None:
        """Nobody agrees: a bridge without RSTP may be there. Twice the forward delay, then it is safe."""
        port.delay_until = _NEVER
        if port.role is Role.DESIGNATED and port.state is State.DISCARDING:
            self._set_state(port, State.LEARNING, now)
            port.delay_until = now + FORWARD_DELAY
        elif port.role is Role.DESIGNATED and port.state is State.LEARNING:
            self._set_state(port, State.FORWARDING, now)

    def _set_state(self, port: RstpPort, state: State, now: float) -> None:
        if port.state is state:
            return
        port.state = state
        port.transitions += state is State.FORWARDING
        self._effects.port_changed(port.number, state)
        if state is State.FORWARDING and not port.is_edge:
            self.topology_changes += 1
            self.changed_at = now
            self._topology_changed(None, now)

    # -- topology changes (17.11) ------------------------------------------------------------------------------------

    def _topology_changed(self, came_by: int | None, now: float) -> None:
        for port in self.ports.values():
            if port.number == came_by or port.is_edge or port.role not in (Role.ROOT, Role.DESIGNATED):
                continue
            self._effects.flush(port.number)
            if port.topology_change_until <= now:
                port.topology_change_until = now + 2 * HELLO
                self._send(port, now)

    def _send(self, port: RstpPort, now: float, more: Flag = NO_FLAG) -> None:
        flags = more | (port.owed or NO_FLAG)
        port.owed, port.send_at = None, _NEVER
        if not port.is_up:
            return
        if not port.may_send(now):
            port.owed = flags
            return
        if port.topology_change_until > now:
            flags |= Flag.TOPOLOGY_CHANGE
        if port.role is Role.DESIGNATED and port.proposing and port.state is not State.FORWARDING:
            flags |= Flag.PROPOSAL
        if port.state is not State.DISCARDING:
            flags |= Flag.LEARNING
        if port.state is State.FORWARDING:
            flags |= Flag.FORWARDING
        age = 0.0
        if self.root_port is not None:
            age = self.ports[self.root_port].message_age + 1.0
        vector = port.told = self.designated(port)
        self._effects.send_bpdu(
            port.number,
            Bpdu(
                vector.root,
                vector.cost,
                vector.bridge,
                vector.port,
                _ON_THE_WIRE[port.role],
                flags,
                age,
                MAX_AGE,
                HELLO,
            ),
        )


_ON_THE_WIRE: Final = {
    Role.DISABLED: PortRole.UNKNOWN,
    Role.ROOT: PortRole.ROOT,
    Role.DESIGNATED: PortRole.DESIGNATED,
    Role.ALTERNATE: PortRole.ALTERNATE_OR_BACKUP,
    Role.BACKUP: PortRole.ALTERNATE_OR_BACKUP,
}
