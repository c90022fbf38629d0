"""Which device of a plant stands in which row of its drawing, above or below which switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len

from lab.model.frame import Port
from lab.seat.view import HostView, PlantView
from lab.text import Text

NO_ADDRESS = Text(zh="无地址", en="no address")

GAP = 2
"""Cells between two boxes of a row."""
LANE = 8
"""Cells that a cable between two switches needs beside the boxes it passes."""
_WIDEST = 28


@dataclass(frozen=True, slots=True)
class Box:
    """A device, and the ports of the switches above and below that it is cabled to; empty where it is not."""

    name: str
    title: str
    lines: tuple[str, ...]
    linked: bool
    up: str = ""
    down: str = ""

    @property
    def height(self) -> int:
        return 4 + len(self.lines)

    @property
    def needed(self) -> int:
        """Cells below which name or address would suffer."""
        return max(cell_len(self.name) + 2, *map(cell_len, self.lines), 10) + 4

    @property
    def wished(self) -> int:
        """Cells with which the title is whole too."""
        return max(self.needed, min(_WIDEST, cell_len(self.title) + 4))


@dataclass(frozen=True, slots=True)
class Row:
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A switch; one with more devices than fit beside a bar has several bars."""

    switch: HostView
    free: tuple[str, ...]
    notes: tuple[str, ...]
    """Cables that are told and not drawn."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two devices with a cable of their own."""

    left: Box
    right: Box
    left_port: str
    right_port: str


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two bars, given by their places in the layout; without ports where both are one switch."""

    upper: int
    lower: int
    upper_port: str = ""
    lower_port: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    parts: tuple[Row | Bar | Pair, ...]
    """From top to bottom."""
    links: tuple[Link, ...]

    def lanes(self, place: int) -> int:
        """How many cables between bars pass the part at this place."""
        return sum(link.upper < place < link.lower for link in self.links)


def arrange(plant: PlantView, width: int) -> Layout:
    """Rows at most `width` cells wide, switches in the order in which the plant names them."""
    return _Arranger(plant, width).layout()


class _Arranger:
    def __init__(self, plant: PlantView, width: int) -> None:
        self._width = width
        self._hosts = {host.name: host for host in plant.hosts}
        self._switches = [host for host in plant.hosts if host.is_switch]
        self._rank = {switch.name: rank for rank, switch in enumerate(self._switches)}
        self._drawn: set[Port] = set()
        """Ports of either end of the cables that are drawn."""
        self._own: list[list[tuple[HostView, Port]]] = [[] for _ in self._switches]
        """Devices of each switch, with the port of the switch."""
        self._between: list[list[tuple[HostView, Port, Port]]] = [[] for _ in self._switches]
        """Devices between a switch and the next, with the ports of both."""
        self._patches: list[tuple[Port, Port]] = []
        self._pairs: list[tuple[Port, Port]] = []
        placed = self._place_on_switches(plant)
        self._place_cables(plant, placed)

    def _place_on_switches(self, plant: PlantView) -> set[str]:
        placed: set[str] = set()
        for host in plant.hosts:
            ends: dict[int, tuple[Port, Port]] = {}
            for port in host.ports:
                if not host.is_switch and port.peer is not None and port.peer.host in self._rank:
                    ends.setdefault(self._rank[port.peer.host], (Port(host.name, port.name), port.peer))
            if not ends:
                continue
            placed.add(host.name)
            ranks = sorted(ends)
            if len(ranks) == 2 and ranks[1] == ranks[0] + 1:
                self._between[ranks[0]].append((host, ends[ranks[0]][1], ends[ranks[1]][1]))
                self._drawn.update(ends[ranks[0]], ends[ranks[1]])
            else:
                self._own[ranks[0]].append((host, ends[ranks[0]][1]))
                self._drawn.update(ends[ranks[0]])
        for devices in self._own:
            devices.sort(key=lambda device: _by_number(device[1]))
        return placed

    def _place_cables(self, plant: PlantView, placed: set[str]) -> None:
        most = max(1, self._width // (3 * LANE))
        for a, b in plant.cables:
            ends = (self._rank.get(a.host), self._rank.get(b.host))
            if ends[0] is not None and ends[1] is not None and abs(ends[0] - ends[1]) == 1:
                if self._lanes(min(ends[0], ends[1])) >= most:
                    continue
                self._patches.append((a, b) if ends[0] < ends[1] else (b, a))
            elif ends == (None, None) and a.host != b.host and placed.isdisjoint((a.host, b.host)):
                self._pairs.append((a, b))
                placed.update((a.host, b.host))
            else:
                continue
            self._drawn.update((a, b))
        self._lonely = [host for host in plant.hosts if not host.is_switch and host.name not in placed]

    # -- from top to bottom ------------------------------------------------------------------------------------------

    def layout(self) -> Layout:
        parts: list[Row | Bar | Pair] = []
        links: list[Link] = []
        first_bar: dict[int, int] = {}
        last_bar: dict[int, int] = {}
        for rank in range(len(self._switches)):
            stack = self._stack(rank)
            bars = [len(parts) + place for place, part in enumerate(stack) if isinstance(part, Bar)]
            links += [Link(upper, lower) for upper, lower in pairwise(bars)]
            first_bar[rank], last_bar[rank] = bars[0], bars[-1]
            parts += stack
            if self._between[rank]:
                parts.append(Row(tuple(self._box(host, up.name, down.name) for host, up, down in self._between[rank])))
        for a, b in self._patches:
            links.append(Link(last_bar[self._rank[a.host]], first_bar[self._rank[b.host]], a.name, b.name))
        for a, b in self._pairs:
            left, right = self._box(self._hosts[a.host]), self._box(self._hosts[b.host])
            parts.append(Pair(left, right, a.name, b.name))
        parts += self._rows([self._box(host) for host in self._lonely], self._width)
        return Layout(tuple(parts), tuple(links))

    def _stack(self, rank: int) -> list[Row | Bar]:
        """The bars of one switch, with the rows of devices above and below each."""
        switch = self._switches[rank]
        boxes = [self._box(host, port=port.name) for host, port in self._own[rank]]
        is_alone = len(self._switches) == 1
        beside = max(self._lanes(rank - 1), self._lanes(rank))
        rows = self._rows(boxes, self._width - LANE * beside, 2 if is_alone and len(boxes) > 2 else 1)
        is_above_free = rank == 0 or not self._between[rank - 1]
        is_below_free = not self._between[rank]
        taken = (not is_above_free) + (not is_below_free)
        if len(rows) > 2 - taken:
            rows = self._rows(boxes, self._width - LANE * max(1, beside))
        bars = max(1, (len(rows) + taken + 1) // 2)
        sides = [True, False] * bars
        free = sides[0 if is_above_free else 1 : len(sides) - (0 if is_below_free else 1)]
        # The first of several switches has its devices above it and the others theirs below, so that what joins the
        # switches is short.
        spare = len(free) - len(rows)
        filled = [True] * len(rows) + [False] * spare
        if rank or is_alone:
            filled.reverse()
        filled = [False] * (not is_above_free) + filled + [False] * (not is_below_free)
        bar = Bar(switch, self._free(switch), self._notes(switch))
        waiting = iter(rows)
        stack: list[Row | Bar] = []
        for is_above, is_filled in zip(sides, filled, strict=True):
            row = next(waiting) if is_filled else None
            if row is not None and is_above:
                stack.append(Row(tuple(_hung(box, is_above) for box in row.boxes)))
            if is_above:
                stack.append(bar)
            elif row is not None:
                stack.append(Row(tuple(_hung(box, is_above) for box in row.boxes)))
        return stack

    def _rows(self, boxes: Sequence[Box], width: int, at_least: int = 1) -> list[Row]:
        """Boxes in rows as even as possible, none wider than `width` as long as a box is not."""
        rows: list[list[Box]] = []
        used = 0
        for box in boxes:
            if not rows or used + GAP + box.needed > width:
                rows.append([])
                used = -GAP
            rows[-1].append(box)
            used += GAP + box.needed
        if boxes:
            each = -(-len(boxes) // max(len(rows), at_least))
            even = [list(boxes[start : start + each]) for start in range(0, len(boxes), each)]
            if all(sum(box.needed + GAP for box in row) - GAP <= width for row in even):
                rows = even
        return [Row(tuple(row)) for row in rows]

    def _lanes(self, rank: int) -> int:
        return sum(self._rank[a.host] == rank for a, _ in self._patches)

    # -- what is written in them -------------------------------------------------------------------------------------

    def _box(self, host: HostView, up: str = "", down: str = "", port: str = "") -> Box:
        """`port` of a switch whose side is not known yet stands in `up`."""
        lines: list[str] = []
        for each in host.ports:
            is_told = each.peer is not None and Port(host.name, each.name) not in self._drawn
            if len(host.ports) == 1:
                lines.append(each.address or NO_ADDRESS.say())
            elif each.address or each.peer is not None:
                lines.append(f"{each.name} {each.address or NO_ADDRESS.say()}")
            if is_told:
                lines.append(f"{each.name}═{each.peer}")
        linked = any(each.peer is not None for each in host.ports)
        return Box(host.name, host.title.say(), tuple(lines), linked, up or port, down)

    def _free(self, switch: HostView) -> tuple[str, ...]:
        return tuple(port.name for port in switch.ports if port.peer is None)

    def _notes(self, switch: HostView) -> tuple[str, ...]:
        return tuple(
            f"{port.name}═{port.peer}"
            for port in switch.ports
            if port.peer is not None and Port(switch.name, port.name) not in self._drawn
        )


def _hung(box: Box, is_above: bool) -> Box:
    """The box on that side of its bar."""
    return Box(box.name, box.title, box.lines, box.linked, "" if is_above else box.up, box.up if is_above else "")


def _by_number(port: Port) -> tuple[int, str]:
    digits = "".join(filter(str.isdigit, port.name))
    return int(digits) if digits else 0, port.name
