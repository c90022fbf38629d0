"""Which terminals are joined by wires: nets, as an electrician's continuity tester would find them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from lab.model.frame import Port


class Conductors:
    """Terminals of devices, and the wires between them. A terminal takes any number of wires."""

    def __init__(self) -> None:
        self._changed: dict[Port, Callable[[], None]] = {}
        self._wires: dict[Port, list[Port]] = defaultdict(list)
        self._nets: dict[Port, frozenset[Port]] = {}

    def add_terminal(self, terminal: Port, changed: Callable[[], None]) -> None:
        """A new terminal; `changed` is called when its net has become another one. Raises ValueError for a second."""
        if terminal in self._changed:
            raise ValueError(f"there is already a terminal {terminal}")
        self._changed[terminal] = changed

    @property
    def terminals(self) -> tuple[Port, ...]:
        return tuple(self._changed)

    @property
    def wires(self) -> tuple[tuple[Port, Port], ...]:
        """Each wire once, its ends in order."""
        return tuple(sorted((a, b) for a, ends in self._wires.items() for b in ends if a < b))

    def wire(self, a: Port, b: Port) -> None:
        """Join two terminals; raises KeyError for an unknown one, ValueError for a wire from a terminal to itself."""
        for terminal in (a, b):
            if terminal not in self._changed:
                raise KeyError(f"there is no terminal {terminal}")
        if a == b:
            raise ValueError(f"both ends of a wire in {a}")
        self._wires[a].append(b)
        self._wires[b].append(a)
        self._tell(a, b)

    def unwire(self, a: Port, b: Port) -> None:
        """Take one wire away; raises KeyError where there is none."""
        if b not in self._wires.get(a, ()):
            raise KeyError(f"there is no wire from {a} to {b}")
        before = self.net(a)
        self._wires[a].remove(b)
        self._wires[b].remove(a)
        self._tell(*before)

    def net(self, terminal: Port) -> frozenset[Port]:
        """All terminals joined with this one, itself included."""
        known = self._nets.get(terminal)
        if known is None:
            known = frozenset(self._reach(terminal))
            self._nets.update(dict.fromkeys(known, known))
        return known

    def are_joined(self, a: Port, b: Port) -> bool:
        return b in self.net(a)

    def _reach(self, start: Port) -> Iterator[Port]:
        seen, ahead = {start}, [start]
        while ahead:
            here = ahead.pop()
            yield here
            for there in self._wires.get(here, ()):
                if there not in seen:
                    seen.add(there)
                    ahead.append(there)

    def _tell(self, *changed: Port) -> None:
        self._nets.clear()
        concerned = dict.fromkeys(terminal for start in changed for terminal in sorted(self.net(start)))
        # A device with several of these terminals is told once.
        for callback in dict.fromkeys(self._changed[terminal] for terminal in concerned):
            callback()
