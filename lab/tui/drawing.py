"""The plant as a drawing: switches as bars, devices as boxes that hang on them. Pure: data in, coloured lines out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text as Line

from lab.seat.view import HostView, PlantView
from lab.text import Text

NOT_CONNECTED = Text(zh="未接线", en="not connected")
NO_ADDRESS = Text(zh="无地址", en="no address")

_LINKED, _LOOSE, _SOFT, _NAME = "green", "red", "dim", "bold"
_GAP = 2
_WIDEST = 30


def draw(plant: PlantView, width: int) -> list[Line]:
    """The lines of the drawing, none wider than `width` cells where names allow it."""
    by_name = {host.name: host for host in plant.hosts}
    lines: list[Line] = []
    drawn: set[str] = set()
    for switch in plant.hosts:
        if not switch.is_switch:
            continue
        hanging: list[_Box] = []
        uplinks: dict[str, str] = {}
        for port in switch.ports:
            if port.peer is None:
                continue
            device = by_name[port.peer.host]
            if device.is_switch:
                uplinks[port.name] = f"{port.name} ═ {port.peer}"
            else:
                hanging.append(_box(device, port.peer.name, port.name))
                drawn.add(device.name)
        lines += [*_bar(switch, hanging, uplinks, width), Line()]
    loose: list[_Box] = []
    for host in plant.hosts:
        if host.is_switch or host.name in drawn:
            continue
        peers = [port for port in host.ports if port.peer is not None]
        if not peers or peers[0].peer is None:
            loose.append(_box(host, host.ports[0].name if host.ports else "", ""))
        elif host.name < peers[0].peer.host:
            peer = peers[0].peer
            lines += _pair(_box(host, peers[0].name, ""), _box(by_name[peer.host], peer.name, ""))
    for row in _rows(loose, width):
        lines += _boxes(row, _LOOSE, "─", "─")
        lines.append(_row(row, lambda box: Line(_centred(f"╳ {NOT_CONNECTED.say()}", box.width), _LOOSE)))
    return lines


@dataclass(frozen=True, slots=True)
class _Box:
    name: str
    title: str
    address: str
    own_port: str
    port: str
    """Of the switch it hangs on."""

    @property
    def width(self) -> int:
        return min(_WIDEST, max(cell_len(text) for text in (self.name, self.title, self.address, self.port + "xx")) + 4)


def _box(host: HostView, own_port: str, port: str) -> _Box:
    address = next((each.address for each in host.ports if each.name == own_port), "") or NO_ADDRESS.say()
    return _Box(host.name, host.title.say(), address, own_port, port)


def _rows(boxes: Sequence[_Box], width: int) -> list[list[_Box]]:
    rows: list[list[_Box]] = []
    used = 0
    for box in boxes:
        if not rows or used + box.width + _GAP > width:
            rows.append([])
            used = 0
        rows[-1].append(box)
        used += box.width + _GAP
    return rows


def _bar(switch: HostView, hanging: Sequence[_Box], uplinks: Mapping[str, str], width: int) -> list[Line]:
    """Half of the devices above the bar, half below, more rows below where there are many."""
    rows = _rows(hanging, width)
    if len(rows) == 1 and len(hanging) > 2:
        half = (len(hanging) + 1) // 2
        rows = [list(hanging[:half]), list(hanging[half:])]
    above, below = (rows[0], rows[1:]) if len(rows) > 1 else ([], rows)
    lines: list[Line] = []
    if above:
        lines += _boxes(above, _LINKED, "─", "┬")
        lines.append(_row(above, lambda box: Line(_centred(f"│{box.port}", box.width), _LINKED)))
    lines.append(_bus(switch, above, below[0] if below else [], width))
    for number, row in enumerate(below):
        if number:
            lines.append(Line("  ┊", _LINKED))
        lines.append(_row(row, lambda box: Line(_centred(f"│{box.port}", box.width), _LINKED)))
        lines += _boxes(row, _LINKED, "┴", "─")
    used = {box.port for box in hanging}
    free = " ".join(port.name for port in switch.ports if port.name not in used and port.name not in uplinks)
    notes = [*uplinks.values(), *([f"○ {free}"] if free else [])]
    if notes:
        lines.append(Line("  " + "   ".join(notes), _SOFT))
    return lines


def _bus(switch: HostView, above: Sequence[_Box], below: Sequence[_Box], width: int) -> Line:
    """The bar of a switch, with a joint where each cable meets it, and its name at the end."""
    up, down = _joints(above), _joints(below)
    reach = max([*up, *down, 3]) + 4
    bar = "".join(
        "╪" if at in up and at in down else "╧" if at in up else "╤" if at in down else "═" for at in range(reach)
    )
    line = Line(bar, _LINKED)
    line.append(f" {switch.name} ", f"{_NAME} {_LINKED}").append(f"{switch.title.say()} ", _SOFT)
    return line.append("═" * max(0, min(width, 100) - cell_len(line.plain)), _LINKED)


def _joints(row: Sequence[_Box]) -> set[int]:
    places: set[int] = set()
    left = 0
    for box in row:
        places.add(left + 1 + (box.width - 2) // 2)
        left += box.width + _GAP
    return places


def _boxes(row: Sequence[_Box], colour: str, top: str, bottom: str) -> list[Line]:
    """`top` and `bottom` stand in the middle of the edges, where a cable may meet them."""

    def framed(box: _Box, text: str, style: str) -> Line:
        line = Line("│ ", colour)
        return line.append(set_cell_size(text, box.width - 4), style).append(" │", colour)

    def edge(box: _Box, left: str, middle: str, right: str) -> Line:
        span = box.width - 2
        return Line(left + "─" * (span // 2) + middle + "─" * (span - span // 2 - 1) + right, colour)

    return [
        _row(row, lambda box: edge(box, "┌", top, "┐")),
        _row(row, lambda box: framed(box, box.name, _NAME)),
        _row(row, lambda box: framed(box, box.title, "")),
        _row(row, lambda box: framed(box, box.address, _SOFT)),
        _row(row, lambda box: edge(box, "└", bottom, "┘")),
    ]


def _pair(a: _Box, b: _Box) -> list[Line]:
    """Two devices with a cable of their own."""
    cable = Line(_centred(f"│ {a.own_port} ═ {b.own_port}", a.width), _LINKED)
    return [*_boxes([a], _LINKED, "─", "┬"), cable, *_boxes([b], _LINKED, "┴", "─"), Line()]


def _row(row: Sequence[_Box], part: Callable[[_Box], Line]) -> Line:
    line = Line()
    for box in row:
        line.append_text(part(box)).append(" " * _GAP)
    return line


def _centred(text: str, width: int) -> str:
    """The first cell of `text` in the middle, where the edges of boxes have their joints."""
    left = 1 + (width - 2) // 2
    return " " * left + text + " " * max(0, width - left - cell_len(text))
