"""The plant as a drawing: switches as bars, devices as boxes cabled to them. Pure: data in, coloured lines out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len
from textual.content import Content

from lab.seat.view import PlantView
from lab.text import Text
from lab.tui.canvas import Canvas, shortened
from lab.tui.layout import GAP, LANE, Bar, Box, Layout, Link, Pair, Row, arrange

NO_CABLE = Text(zh="✗ 未接线", en="✗ no cable")

_FRAME, _LOOSE, _CABLE, _BUSY, _CHOSEN = "$primary", "$error", "$success", "bold $warning", "bold $accent"
_SOFT, _SWITCH = "$text-muted", "$secondary"
_BAR = "╔═╗║╚╝"
_NARROWEST = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the drawing a device is, in cells."""

    x: int
    y: int
    width: int
    height: int

    def holds(self, x: int, y: int) -> bool:
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


@dataclass(frozen=True, slots=True)
class Drawing:
    lines: tuple[Content, ...]
    places: Mapping[str, Place]
    """By name of the device, in the order of reading."""


def draw(plant: PlantView, width: int, chosen: str = "", busy: Collection[str] = ()) -> Drawing:
    """A drawing at most `width` cells wide; the devices `chosen` and `busy` stand out."""
    return _Pen(arrange(plant, max(width, _NARROWEST)), max(width, _NARROWEST), chosen, busy).draw()


class _Pen:
    def __init__(self, layout: Layout, width: int, chosen: str, busy: Collection[str]) -> None:
        self._layout, self._width = layout, width
        self._chosen, self._busy = chosen, busy
        self._canvas = Canvas(width)
        self._places: dict[str, Place] = {}

    def draw(self) -> Drawing:
        tops = self._tops()
        # Cables go over bars: their ends are sockets in the edges.
        for kind in (Bar, Row, Pair):
            for place, part in enumerate(self._layout.parts):
                if isinstance(part, kind):
                    self._part(place, part, tops[place])
        self._links(tops)
        return Drawing(self._canvas.lines(), self._places)

    def _tops(self) -> list[int]:
        """The first line of every part."""
        tops: list[int] = []
        y = 0
        for place, part in enumerate(self._layout.parts):
            if place:
                before = self._layout.parts[place - 1]
                has_cables = isinstance(part, Row) and any(box.up for box in part.boxes)
                if isinstance(before, Row) and isinstance(part, Bar):
                    has_lines = any(box.down for box in before.boxes) or not self._layout.lanes(place - 1)
                    y += 1 if has_lines else 0
                elif not has_cables or not isinstance(before, Bar):
                    y += 1
                y += 1 if has_cables else 0
            tops.append(y)
            y += self._height(part)
        return tops

    def _height(self, part: Row | Bar | Pair) -> int:
        match part:
            case Row(boxes):
                return max(box.height + (0 if box.linked else 1) for box in boxes)
            case Bar():
                return 2 + len(self._bar_lines(part))
            case Pair(left, right):
                return max(left.height, right.height)

    def _part(self, place: int, part: Row | Bar | Pair, y: int) -> None:
        match part:
            case Bar():
                self._bar(part, y)
            case Row(boxes):
                self._row(boxes, y, self._height(part), self._width - LANE * self._layout.lanes(place))
            case Pair():
                self._pair(part, y)

    # -- switches ----------------------------------------------------------------------------------------------------

    def _bar(self, bar: Bar, y: int) -> None:
        lines = self._bar_lines(bar)
        frame = _CHOSEN if bar.switch.name == self._chosen else _SWITCH
        self._canvas.box(0, y, self._width, 2 + len(lines), frame, _BAR)
        for row, (left, right) in enumerate(lines, y + 1):
            x = 2
            if row == y + 1:
                self._canvas.put(x, row, bar.switch.name, "bold")
                x += cell_len(bar.switch.name) + 2
            self._canvas.put(x, row, left, "")
            self._canvas.put(self._width - 2 - cell_len(right), row, right, _SOFT)
        self._places.setdefault(bar.switch.name, Place(0, y, self._width, 2 + len(lines)))

    def _bar_lines(self, bar: Bar) -> list[tuple[str, str]]:
        """What stands in a bar beside the name: left and right part of every line."""
        inside = self._width - 4
        title = shortened(bar.switch.title.say(), max(0, inside - cell_len(bar.switch.name) - 2))
        free = shortened(f"○ {' '.join(_ranges(bar.free))}" if bar.free else "", inside)
        used = cell_len(bar.switch.name) + cell_len(title) + 4
        lines = [(title, free)] if used + cell_len(free) <= inside else [(title, ""), ("", free)]
        return lines + [(shortened(note, inside), "") for note in bar.notes]

    def _links(self, tops: Sequence[int]) -> None:
        parts = self._layout.parts
        for (upper, lower), links in groupby(sorted(self._layout.links, key=_ends), key=_ends):
            together = list(links)
            is_bare = lower == upper + 1
            for lane, link in enumerate(together):
                # With nothing in between there is room in the middle.
                middle = self._width // 2 - LANE * (len(together) - 1) // 2 + LANE * lane
                x = middle if is_bare else self._width - 5 - LANE * lane
                bottom = tops[upper] + self._height(parts[upper]) - 1
                is_patch = bool(link.upper_port)
                style = _CABLE if is_patch else _SWITCH
                self._canvas.put(x, bottom, "╤" if is_patch else "╦", style)
                for y in range(bottom + 1, tops[lower]):
                    self._canvas.put(x, y, "│" if is_patch else "║", style)
                self._canvas.put(x, tops[lower], "╧" if is_patch else "╩", style)
                if is_patch:
                    self._ports(link, x, bottom + 1, tops[lower] - 1)

    def _ports(self, link: Link, x: int, first: int, last: int) -> None:
        """On a short cable the two ports stand on either side of it."""
        if first == last:
            self._canvas.put(x - cell_len(link.upper_port), first, link.upper_port, _SOFT)
        else:
            self._canvas.put(x + 1, first, link.upper_port, _SOFT)
        self._canvas.put(x + 1, last, link.lower_port, _SOFT)

    # -- devices -----------------------------------------------------------------------------------------------------

    def _row(self, boxes: Sequence[Box], y: int, height: int, width: int) -> None:
        widths = _widths(boxes, width)
        x = max(0, (width - sum(widths) - GAP * (len(boxes) - 1)) // 2)
        hangs = any(box.up for box in boxes)
        for box, cells in zip(boxes, widths, strict=True):
            top = y if hangs else y + height - box.height - (0 if box.linked else 1)
            self._box(box, x, top, cells)
            middle, style = x + cells // 2, self._cable_style(box.name)
            if box.up:
                self._cable(middle, top - 1, y - 2, style, box.up)
                self._canvas.put(middle, top, "┴", style)
                self._canvas.put(middle, y - 2, "╤", style)
            if box.down:
                bottom = top + box.height - 1
                self._cable(middle, bottom + 1, y + height, style, box.down)
                self._canvas.put(middle, bottom, "┬", style)
                self._canvas.put(middle, y + height + 1, "╧", style)
            x += cells + GAP

    def _cable(self, x: int, first: int, last: int, style: str, port: str) -> None:
        """From `first` to `last` line, the port beside the end at `last`; upwards or downwards."""
        for y in range(min(first, last + 1), max(first, last) + 1):
            self._canvas.put(x, y, "│", style)
        self._canvas.put(x + 1, last if last >= first else first, port, _SOFT)

    def _pair(self, pair: Pair, y: int) -> None:
        """Side by side, with their cable between them."""
        ports = cell_len(pair.left_port) + cell_len(pair.right_port) + 4
        widths = _widths((pair.left, pair.right), self._width - ports + GAP)
        x = max(0, (self._width - sum(widths) - ports) // 2)
        self._box(pair.left, x, y, widths[0])
        start = x + widths[0]
        self._box(pair.right, start + ports, y, widths[1])
        style = _BUSY if {pair.left.name, pair.right.name} <= set(self._busy) else _CABLE
        self._canvas.put(start - 1, y + 2, "├" + "─" * ports + "┤", style)
        self._canvas.put(start, y + 1, f" {pair.left_port}  {pair.right_port} ", _SOFT)

    def _box(self, box: Box, x: int, y: int, width: int) -> None:
        frame = _CHOSEN if box.name == self._chosen else _FRAME if box.linked else _LOOSE
        self._canvas.box(x, y, width, box.height, frame)
        inside = width - 4
        self._canvas.put(x + 2, y + 1, shortened(box.name, inside - 2), "bold")
        lamp = ("●", self._cable_style(box.name)) if box.linked else ("○", _LOOSE)
        self._canvas.put(x + width - 3, y + 1, *lamp)
        self._canvas.put(x + 2, y + 2, shortened(box.title, inside))
        for row, line in enumerate(box.lines, y + 3):
            self._canvas.put(x + 2, row, shortened(line, inside), _SOFT)
        if not box.linked:
            self._canvas.put(x + 2, y + box.height, shortened(NO_CABLE.say(), width - 2), _LOOSE)
        self._places[box.name] = Place(x, y, width, box.height)

    def _cable_style(self, host: str) -> str:
        return _BUSY if host in self._busy else _CABLE


def _widths(boxes: Sequence[Box], width: int) -> list[int]:
    """As wide as the boxes wish where there is room, and fairly less where there is not."""
    room = width - GAP * (len(boxes) - 1)
    widths = [min(box.needed, max(6, room)) for box in boxes]
    spare = room - sum(widths)
    for number, box in enumerate(boxes):
        more = min(box.wished - widths[number], spare // (len(boxes) - number))
        if more > 0:
            widths[number] += more
            spare -= more
    return widths


def _ranges(ports: Sequence[str]) -> list[str]:
    """p3 p5 p6 p7 as p3 p5–p7."""
    runs: list[list[str]] = []
    for port in ports:
        follows = runs and port[1:].isdecimal() and runs[-1][-1][1:].isdecimal()
        if follows and int(port[1:]) == int(runs[-1][-1][1:]) + 1:
            runs[-1].append(port)
        else:
            runs.append([port])
    return [f"{run[0]}–{run[-1]}" if len(run) > 2 else " ".join(run) for run in runs]


def _ends(link: Link) -> tuple[int, int]:
    return link.upper, link.lower
