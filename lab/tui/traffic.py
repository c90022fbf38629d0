"""What the wire shows, one line for each thing that happened."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import Input

from grading import observations as seen
from grading.observations import Observation
from lab.seat.summaries import summary
from lab.tui import words
from lab.tui.inorder import Field

KEPT: Final = 2000
"""Lines that can be scrolled back to."""
_REFRESH: Final = 0.3
"""Seconds for which new lines are collected and then shown together: a busy wire must not keep the screen busy."""

_CLOCK: Final = 12

_TROUBLE: Final = (
    seen.ConnectionRefused,
    seen.ConnectionTimedOut,
    seen.DatagramUnanswered,
    seen.PingUnanswered,
    seen.Unreachable,
    seen.ArpUnanswered,
    seen.AddressConflict,
    seen.ModbusException,
    seen.ModbusUnanswered,
    seen.MalformedMessage,
)
_WRITES: Final = (seen.RegistersWritten, seen.NodeWritten)


class TrafficLine:
    """An observation, in words once it is looked at."""

    __slots__ = ("observation", "summary")

    def __init__(self, observation: Observation, summary: str) -> None:
        self.observation, self.summary = observation, summary

    def matches(self, wanted: list[str]) -> bool:
        whole = f"{self.observation.client} {self.observation.server} {self.summary}".lower()
        return all(word in whole for word in wanted)


class TrafficLog(ScrollView, can_focus=True):
    """Lines that are drawn only while they are in sight; it follows its end unless it has been scrolled away."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "traffic--time",
        "traffic--client",
        "traffic--server",
        "traffic--trouble",
        "traffic--write",
    }
    DEFAULT_CSS = """
    TrafficLog {
        & .traffic--time { color: $text-muted; }
        & .traffic--client { color: $primary; }
        & .traffic--server { color: $secondary; }
        & .traffic--trouble { color: $error; }
        & .traffic--write { color: $warning; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="traffic-log")
        self._lines: deque[TrafficLine] = deque(maxlen=KEPT)
        self._names = 8
        """Cells of the longest name of a device."""
        self._widest = 0
        """Cells of the longest summary."""
        self._follows = True
        """Whether the end is what people look at."""
        self._plain: Style | None = None
        """Worked out once for many lines."""

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def show(self, lines: list[TrafficLine]) -> None:
        """These lines instead of those before."""
        self._lines.clear()
        self._follows = True
        self.extend(lines)

    def extend(self, lines: list[TrafficLine]) -> None:
        lost = max(0, len(self._lines) + len(lines) - KEPT)
        self._lines.extend(lines)
        for line in lines:
            said = line.observation
            self._names = max(self._names, cell_len(said.client), cell_len(said.server))
            self._widest = max(self._widest, cell_len(line.summary))
        self.virtual_size = Size(_CLOCK + 2 * self._names + self._widest + 6, len(self._lines))
        if self._follows:
            # With the scroll bar not there yet, there is something to scroll only once there is.
            self.scroll_end(animate=False, immediate=self.show_vertical_scrollbar, x_axis=False)
        elif lost:
            self.scroll_to(y=self.scroll_offset.y - lost, animate=False, immediate=True)
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._plain = None

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follows = new_value >= self.max_scroll_y

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        width = self.size.width
        if self._plain is None:
            self._plain = self.rich_style
        plain = self._plain
        if row >= len(self._lines):
            return Strip.blank(width, plain)
        line = self._lines[row]
        said = line.observation
        look = self.get_component_rich_style
        if isinstance(said, _TROUBLE):
            tone = look("traffic--trouble")
        else:
            tone = look("traffic--write") if isinstance(said, _WRITES) else plain
        segments = [
            Segment(f"{_clock(said.at):>{_CLOCK}} ", look("traffic--time")),
            Segment(" " * (self._names - cell_len(said.client)) + said.client, look("traffic--client")),
            Segment(" → ", look("traffic--time")),
            Segment(set_cell_size(said.server or "?", self._names), look("traffic--server")),
            Segment("  " + line.summary, tone),
        ]
        left = self.scroll_offset.x
        return Strip(segments).crop_extend(left, left + width, plain)


class Traffic(Vertical):
    """A log that can be narrowed and halted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p,space", "pause", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "no_filter", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="traffic")
        self._lines: deque[TrafficLine] = deque(maxlen=KEPT)
        self._fresh: list[TrafficLine] = []
        self._refreshing: Timer | None = None
        self._missed: int | None = None
        """While halted: how many lines came since."""

    def compose(self) -> ComposeResult:
        yield Field(id="traffic-filter", compact=True)
        yield TrafficLog()

    def on_mount(self) -> None:
        self._refreshing = self.set_interval(_REFRESH, self._show_fresh, pause=True)
        self.speak()

    @property
    def log_view(self) -> TrafficLog:
        return self.query_one(TrafficLog)

    def add(self, observation: Observation, summary: str) -> None:
        """Something happened; it is shown with whatever else happens in the next moment."""
        line = TrafficLine(observation, summary)
        self._lines.append(line)
        self._fresh.append(line)
        # Whoever calls is a device of the plant, and a timer begun now would belong to it: this one only wakes up.
        if self._refreshing is not None:
            self._refreshing.resume()

    def speak(self) -> None:
        """Say everything anew, in the language now spoken."""
        for line in self._lines:
            line.summary = summary(line.observation)
        self.query_one(Input).placeholder = words.TRAFFIC_FILTER.say()
        self._entitle()
        if self._missed is None:
            self._show_all()
        else:
            self.log_view.refresh()

    def _show_fresh(self) -> None:
        if self._refreshing is not None:
            self._refreshing.pause()
        fresh, self._fresh = self._fresh, []
        if self._missed is not None:
            self._missed += len(fresh)
            self._entitle()
        elif lines := [line for line in fresh if line.matches(self._wanted)]:
            was_empty = self.log_view.line_count == 0
            self.log_view.extend(lines)
            if was_empty:
                self._entitle()

    def _show_all(self) -> None:
        self._fresh.clear()
        wanted = self._wanted
        self.log_view.show([line for line in self._lines if line.matches(wanted)])
        self._entitle()

    @property
    def _wanted(self) -> list[str]:
        return self.query_one(Input).value.lower().split()

    def _entitle(self) -> None:
        log = self.log_view
        log.border_title = words.TRAFFIC.say()
        if self._missed is not None:
            log.border_subtitle = words.PAUSED.say(count=self._missed)
        elif not log.line_count:
            log.border_subtitle = words.NOTHING_MATCHES.say() if self._wanted else words.NO_TRAFFIC.say()
        else:
            log.border_subtitle = " · ".join(f"{key} {word.say()}" for key, word in words.TRAFFIC_KEYS)
        log.set_class(self._missed is not None, "-paused")

    @on(Input.Changed, "#traffic-filter")
    def narrow(self, event: Input.Changed) -> None:
        event.stop()
        if self._missed is not None:
            self._missed = None
        self._show_all()

    @on(Input.Submitted, "#traffic-filter")
    def into_log(self, event: Input.Submitted) -> None:
        event.stop()
        self.log_view.focus()

    def action_pause(self) -> None:
        if self._missed is None:
            self._missed = 0
            self._entitle()
        else:
            self._missed = None
            self._show_all()

    def action_filter(self) -> None:
        self.query_one(Input).focus()

    def action_no_filter(self) -> None:
        self.query_one(Input).value = ""
        self.log_view.focus()


def _clock(seconds: float) -> str:
    """Hours only where there are some: 3:07.250, 1:02:03.500."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}"
