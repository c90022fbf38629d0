"""What the wire shows, one line for each thing that happened."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from rich.text import Text as Line
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, RichLog

from lab.tui import words

KEPT = 2000
"""Lines remembered for the filter."""
_REFRESH = 0.2
"""Seconds: new lines are shown together, so that a busy wire does not keep the screen busy."""


class Traffic(Vertical):
    """A log that can be narrowed and halted."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "pause", "Pause")]

    def __init__(self) -> None:
        super().__init__(id="traffic-pane")
        self._lines: deque[tuple[float, str, str, str]] = deque(maxlen=KEPT)
        self._fresh: list[tuple[float, str, str, str]] = []
        self._paused = False

    def compose(self) -> ComposeResult:
        yield Input(id="traffic-filter", compact=True)
        yield RichLog(id="traffic", max_lines=KEPT, wrap=False, auto_scroll=True)

    def on_mount(self) -> None:
        self.speak()
        self.set_interval(_REFRESH, self._show_fresh)

    def speak(self) -> None:
        self.query_one("#traffic-filter", Input).placeholder = words.TRAFFIC_FILTER.say()
        self.query_one("#traffic", RichLog).border_subtitle = words.PAUSED.say() if self._paused else ""

    def add(self, at: float, client: str, server: str, summary: str) -> None:
        """Something happened at plant second `at`."""
        line = (at, client, server, summary)
        self._lines.append(line)
        self._fresh.append(line)

    def _show_fresh(self) -> None:
        if self._paused or not self._fresh:
            return
        fresh, self._fresh = self._fresh[-KEPT:], []
        self._write(fresh)

    def _write(self, lines: list[tuple[float, str, str, str]]) -> None:
        wanted = self.query_one("#traffic-filter", Input).value.lower().split()
        log = self.query_one("#traffic", RichLog)
        for at, client, server, summary in lines:
            whole = f"{client} {server} {summary}".lower()
            if all(word in whole for word in wanted):
                text = Line(f"{at:9.3f}  ", "dim")
                text.append(client, "cyan").append(" → ", "dim").append(server or "?", "magenta").append(f"  {summary}")
                log.write(text)

    @on(Input.Changed, "#traffic-filter")
    def narrow(self) -> None:
        self.query_one("#traffic", RichLog).clear()
        self._fresh.clear()
        self._write(list(self._lines))

    @on(Input.Submitted, "#traffic-filter")
    def into_log(self) -> None:
        self.query_one("#traffic").focus()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.speak()
