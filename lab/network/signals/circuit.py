"""All parts that carry direct current, and the voltages and currents that follow from how they are wired."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Final, TypeVar

from lab.model.frame import Port
from lab.network.signals.curve import Curve
from lab.network.signals.solver import solve

if TYPE_CHECKING:
    from lab.network.fabric import Network

Node = Hashable
"""A terminal, or a place inside a part where its branches meet."""
_ROUNDS: Final = 12
"""How often electronics may change their mind before what they then do is taken for the state."""


class Branch:
    """Something with two ends inside a part; its curve may be exchanged for another one."""

    __slots__ = ("a", "b", "curve", "island")

    def __init__(self, a: Node, b: Node, curve: Curve) -> None:
        self.a = a
        self.b = b
        self.curve = curve
        self.island: Island | None = None


class Part:
    """A device as electricity sees it: terminals, and branches between them and inside."""

    def __init__(self, *terminals: Port) -> None:
        self.terminals = terminals
        self.branches: tuple[Branch, ...] = ()
        """What it consists of; only their curves change."""
        self.circuit: Circuit
        """Set by `Circuit.add`."""

    def react(self) -> None:
        """Let electronics answer to the voltages as they are now, by `set`."""

    def settled(self) -> None:
        """Nothing changes any more: the moment to tell others."""

    def set(self, branch: Branch, curve: Curve) -> None:
        """Give a branch another curve; whoever does so from outside calls `circuit.changed` where it is urgent."""
        if branch.curve != curve:
            branch.curve = curve
            if branch.island is not None:
                branch.island.is_solved = False


P = TypeVar("P", bound=Part)


class Island:
    """Branches that are connected with one another; it lives until wires change."""

    __slots__ = ("branches", "index", "is_solved", "parts", "volts")

    def __init__(self) -> None:
        self.branches: list[tuple[int, int, Branch]] = []
        self.parts: list[Part] = []
        self.index: dict[Node, int] = {}
        """From a node to its place in `volts`: joined terminals share one."""
        self.volts: list[float] = []
        self.is_solved = False

    def take(self, part: Part, branch: Branch) -> None:
        branch.island = self
        self.branches.append((self.index[branch.a], self.index[branch.b], branch))
        if part not in self.parts[-1:]:
            self.parts.append(part)

    def solve(self) -> None:
        self.volts = solve(len(self.volts), [(a, b, branch.curve) for a, b, branch in self.branches], self.volts)
        self.is_solved = True


class Circuit:
    """`network.circuit`. It is computed when something has changed, and then only where it matters."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.solved = 0
        """How often an island was computed."""
        self._parts: dict[str, Part] = {}
        self._islands: list[Island] | None = None
        self._places: dict[Node, Island] = {}
        self._is_settling = False
        self._is_waiting = False
        self._context = Context()

    # -- building ------------------------------------------------------------------------------------------------------

    def add(self, name: str, part: P) -> P:
        """A new part, by the name of its device or another one; raises ValueError where there is one already."""
        if name in self._parts:
            raise ValueError(f"there is already a part {name!r} in the circuit")
        for terminal in part.terminals:
            self.network.conductors.add_terminal(terminal, self._rewired)
        part.circuit = self
        self._parts[name] = part
        self._rewired()
        return part

    def part(self, name: str, kind: type[P]) -> P:
        """Raises KeyError where there is no such part."""
        part = self._parts[name]
        if not isinstance(part, kind):
            raise KeyError(name)
        return part

    # -- what has changed ----------------------------------------------------------------------------------------------

    def _rewired(self) -> None:
        self._islands = None
        self.changed()

    def changed(self) -> None:
        """A part is not what it was: everybody concerned hears of it in the next turn of the loop."""
        if not self._is_waiting:
            self._is_waiting = True
            self.network.loop.call_soon(self._settle_waiting, context=self._context)

    def _settle_waiting(self) -> None:
        self._is_waiting = False
        self.settle()

    def settle(self) -> None:
        """Compute what has changed, now. Values that only change are computed when somebody reads them."""
        if self._is_settling:
            return
        self._is_settling = True
        concerned: dict[int, Part] = {}
        try:
            for _ in range(_ROUNDS):
                unsolved = [island for island in self._all_islands() if not island.is_solved]
                if not unsolved:
                    break
                for island in unsolved:
                    island.solve()
                    self.solved += 1
                    concerned.update((id(part), part) for part in island.parts)
                for part in concerned.values():
                    part.react()
            for island in self._all_islands():
                island.is_solved = True
        finally:
            self._is_settling = False
        for part in concerned.values():
            part.settled()

    # -- measuring -----------------------------------------------------------------------------------------------------

    def volts(self, a: Node, b: Node) -> float:
        """Between two nodes, such as two terminals; raises KeyError for an unknown one."""
        self._measure(a)
        self._measure(b)
        here, there = self._places[a], self._places[b]
        return here.volts[here.index[a]] - there.volts[there.index[b]]

    def amperes(self, branch: Branch) -> float:
        """Through a branch, from its first end to its second."""
        return branch.curve.at(self.volts(branch.a, branch.b))[0]

    def _measure(self, node: Node) -> None:
        self._all_islands()
        island = self._places[node]
        if not island.is_solved and not self._is_settling:
            self.settle()

    # -- what is connected ---------------------------------------------------------------------------------------------

    def _all_islands(self) -> list[Island]:
        if self._islands is None:
            self._islands = self._find_islands()
            self._places = {node: island for island in self._islands for node in island.index}
        return self._islands

    def _find_islands(self) -> list[Island]:
        nets: dict[Node, Node] = {}
        net = self.network.conductors.net
        for part in self._parts.values():
            for terminal in part.terminals:
                if terminal not in nets:
                    nets.update(dict.fromkeys(sorted(net(terminal)), terminal))
            for branch in part.branches:
                for end in (branch.a, branch.b):
                    nets.setdefault(end, end)
        roots = _Roots(nets.values())
        for part in self._parts.values():
            for branch in part.branches:
                roots.join(nets[branch.a], nets[branch.b])
        islands: dict[Node, Island] = {}
        numbers: dict[Node, int] = {}
        for node, its_net in nets.items():
            island = islands.setdefault(roots.of(its_net), Island())
            if its_net not in numbers:
                numbers[its_net] = len(island.volts)
                island.volts.append(0.0)
            island.index[node] = numbers[its_net]
        for part in self._parts.values():
            for branch in part.branches:
                islands[roots.of(nets[branch.a])].take(part, branch)
        return list(islands.values())


class _Roots:
    """Which nodes hang together (union-find)."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._parent = {node: node for node in nodes}

    def of(self, node: Node) -> Node:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(self, a: Node, b: Node) -> None:
        self._parent[self.of(a)] = self.of(b)
