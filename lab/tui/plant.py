"""The plant, drawn and alive: cables as they are, traffic as it goes, and what the chosen device's display shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from lab.seat.view import HostView, PlantView
from lab.tui import words
from lab.tui.drawing import Drawing, Place, draw
from lab.tui.trouble import told

_LOOK = 0.5
"""Seconds between two looks at the plant while its drawing is in sight."""
_DEEPEST = 4

Part = str | tuple[str, str]


class Shown(Protocol):
    """The plant, for somebody who only looks."""

    def plant(self) -> PlantView: ...
    def status(self, host: str) -> Mapping[str, object]: ...


class Plant(Vertical):
    """Arrow keys choose a device, Enter opens its file."""

    class Opened(Message):
        """Somebody wants to work on a file."""

        def __init__(self, file: str) -> None:
            super().__init__()
            self.file = file

    class ConsoleAsked(Message):
        """Somebody wants to work at a device."""

        def __init__(self, host: str) -> None:
            super().__init__()
            self.host = host

    def __init__(self, shown: Shown, doors: Callable[[], Sequence[str]]) -> None:
        """`doors` gives the ways into the plant from this computer, each in a line."""
        super().__init__(id="plant")
        self._shown, self._doors = shown, doors
        self._view = PlantView((), ())
        self._busy: set[str] = set()
        self._drawn: tuple[object, ...] = ()
        self._told = Content()
        self._looking: Timer | None = None

    def compose(self) -> ComposeResult:
        yield _Sheet()
        with VerticalScroll(id="card", can_focus=False):
            yield Static(id="card-text")

    def on_mount(self) -> None:
        self._looking = self.set_interval(_LOOK, self.look, pause=True)

    def on_show(self) -> None:
        self.look()
        if self._looking is not None:
            self._looking.resume()

    def on_hide(self) -> None:
        if self._looking is not None:
            self._looking.pause()

    def on_resize(self) -> None:
        self.call_after_refresh(self.look)

    def busy(self, *hosts: str) -> None:
        """These devices have just had traffic."""
        self._busy.update(hosts)

    def speak(self) -> None:
        self._drawn = ()
        self.look()

    def look(self) -> None:
        """Show the plant as it is now."""
        with told(self):
            self._view = self._shown.plant()
        sheet = self.query_one(_Sheet)
        busy, self._busy = frozenset(self._busy), set()
        sheet.border_title = words.PLANT.say()
        sheet.border_subtitle = words.PLANT_KEYS.say()
        width = sheet.scrollable_content_region.width
        state = (self._view, sheet.chosen, busy, width)
        if width > 0 and state != self._drawn:
            self._drawn = state
            sheet.show(draw(self._view, width, sheet.chosen, busy))
        self._card(sheet.chosen)

    def _card(self, chosen: str) -> None:
        host = next((host for host in self._view.hosts if host.name == chosen), None)
        if host is None:
            lines = [words.CHOOSE_DEVICE.say(), *self._doors()]
            told_now = Content.styled("\n".join(lines), "$text-muted")
        else:
            status: Mapping[str, object] = {}
            with told(self):
                status = self._shown.status(chosen)
            told_now = Content.assemble(*_heading(host), *_told(status))
        if not told_now.is_same(self._told):
            self._told = told_now
            self.query_one("#card-text", Static).update(told_now)

    def choose(self, name: str) -> None:
        sheet = self.query_one(_Sheet)
        sheet.chosen = name
        self.look()
        sheet.show_chosen()

    def open_chosen(self) -> None:
        sheet = self.query_one(_Sheet)
        host = next((host for host in self._view.hosts if host.name == sheet.chosen), None)
        if host is not None and host.file is not None:
            self.post_message(self.Opened(host.file))
        elif host is not None:
            self.notify(words.NOT_YOURS.say(host=host.name), markup=False)


class _Sheet(VerticalScroll, can_focus=True):
    """The drawing, which may be larger than the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1, 0)", show=False),
        Binding("right", "step(1, 0)", show=False),
        Binding("up", "step(0, -1)", show=False),
        Binding("down", "step(0, 1)", show=False),
        Binding("enter", "open", show=False),
        Binding("c", "console", show=False),
        Binding("escape", "nothing", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="sheet")
        self.chosen = ""
        """The name of a device, or empty."""
        self._drawing = Drawing((), {})

    def compose(self) -> ComposeResult:
        yield Static(id="drawing")

    def show(self, drawing: Drawing) -> None:
        is_other = len(drawing.lines) != len(self._drawing.lines) or drawing.places != self._drawing.places
        self._drawing = drawing
        self.query_one("#drawing", Static).update(Content("\n").join(drawing.lines), layout=is_other)

    def show_chosen(self) -> None:
        place = self._drawing.places.get(self.chosen)
        if place is not None:
            self.scroll_to_region(Region(place.x, place.y, place.width, place.height), animate=False)

    @property
    def _plant(self) -> Plant:
        assert isinstance(self.parent, Plant)
        return self.parent

    def action_step(self, right: int, down: int) -> None:
        places = self._drawing.places
        if self.chosen not in places:
            if places:
                self._plant.choose(min(places, key=lambda name: (places[name].y, places[name].x)))
            return
        here = places[self.chosen]
        ahead = {name: far for name, place in places.items() if (far := _way(here, place, right, down)) is not None}
        if ahead:
            self._plant.choose(min(ahead, key=lambda name: ahead[name]))

    def action_open(self) -> None:
        self._plant.open_chosen()

    def action_console(self) -> None:
        self._plant.post_message(Plant.ConsoleAsked(self.chosen))

    def action_nothing(self) -> None:
        if not self.chosen:
            self.screen.action_leave()  # type: ignore[attr-defined]
        self._plant.choose("")

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        x, y = offset.x, offset.y + self.scroll_offset.y
        # A click on a bar that a box lies over does not happen: boxes and bars never share a cell.
        name = next((name for name, place in self._drawing.places.items() if place.holds(x, y)), "")
        self._plant.choose(name)
        if name and event.chain == 2:
            self._plant.open_chosen()


def _way(here: Place, there: Place, right: int, down: int) -> int | None:
    """How far it is from one device to another in a direction; None where it is not that way."""
    across = (2 * there.x + there.width) - (2 * here.x + here.width)
    along = 2 * (2 * (there.y - here.y))
    if right:
        is_beside = there.y < here.y + here.height and here.y < there.y + there.height
        return abs(across) if is_beside and across * right > 0 else None
    return abs(along) * 4 + abs(across) if along * down > 0 else None


def _heading(host: HostView) -> Iterator[Part]:
    yield host.name, "bold $accent"
    yield f"  {host.title.say()}  "
    yield host.kind, "$text-muted"
    if host.file is not None:
        yield f"  ↵ {host.file}", "$accent"
    for port in host.ports:
        if port.peer is not None or not host.is_switch:
            yield "\n"
            yield ("● ", "$success") if port.peer is not None else ("○ ", "$error")
            yield f"{port.name} {port.address}".rstrip()
            yield (f" ═ {port.peer}", "$text-muted") if port.peer is not None else ""


def _told(status: Mapping[str, object], depth: int = 0) -> Iterator[Part]:
    """What a display shows: plain values in one line, groups and lists below their names."""
    plain = {name: value for name, value in status.items() if not isinstance(value, Mapping | list | tuple)}
    shown = {name: value for name, value in plain.items() if value is not None and value != ""}
    if shown:
        yield "\n" + "  " * depth
    for number, (name, value) in enumerate(shown.items()):
        yield f"{'  ' if number else ''}{name}=", "$text-muted"
        if isinstance(value, bool):
            yield ("●", "$success") if value else ("○", "$error")
        else:
            yield f"{value:g}" if isinstance(value, float) else str(value), ""
    for name, value in status.items():
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            yield f"\n{'  ' * depth}{name}", "$primary"
            yield from _told(value, depth + 1)
        elif isinstance(value, list | tuple) and value:
            yield f"\n{'  ' * depth}{name}", "$primary"
            for entry in value:
                yield f"\n{'  ' * (depth + 1)}{entry}"
