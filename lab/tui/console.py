"""A prompt on the workstations of the plant: what is typed runs on their network, and its output appears as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Protocol

from rich.text import Text as Styled
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label, RichLog, Tab, Tabs

from lab.tui import words
from lab.tui.inorder import Field
from lab.tui.trouble import told

KEPT: Final = 5000
"""Lines that can be scrolled back to."""
_REMEMBERED: Final = 200


class Consoles(Protocol):
    """What this pane needs of a seat."""

    def consoles(self) -> Sequence[str]: ...
    async def console(self, host: str, line: str, out: Callable[[str], None]) -> int: ...


class Prompt(Field):
    """One line; earlier ones come back with the arrow keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "earlier", show=False),
        Binding("down", "later", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="console-line", compact=True)
        self._earlier: list[str] = []
        self._place = 0

    def remember(self, line: str) -> None:
        if line and self._earlier[-1:] != [line]:
            self._earlier = [*self._earlier, line][-_REMEMBERED:]
        self._place = len(self._earlier)

    def action_earlier(self) -> None:
        self._show(self._place - 1)

    def action_later(self) -> None:
        self._show(self._place + 1)

    def _show(self, place: int) -> None:
        self._place = min(max(place, 0), len(self._earlier))
        self.value = self._earlier[self._place] if self._place < len(self._earlier) else ""
        self.cursor_position = len(self.value)


class Console(Vertical):
    """One program at a time; Ctrl+C ends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "clear", show=False, priority=True),
    ]

    def __init__(self, seat: Consoles) -> None:
        super().__init__(id="console")
        self._seat = seat
        self._program: asyncio.Task[None] | None = None
        self._unfinished = ""
        """The last line so far, where it has no end yet."""

    def compose(self) -> ComposeResult:
        names = self._seat.consoles()
        yield Tabs(*(Tab(name, id=f"console-{number}") for number, name in enumerate(names)), id="console-hosts")
        yield RichLog(id="console-log", max_lines=KEPT, wrap=True, markup=False, highlight=False, min_width=20)
        with Horizontal(id="console-prompt"):
            yield Label(id="console-host")
            yield Prompt()

    def on_mount(self) -> None:
        self.speak()

    @property
    def host(self) -> str:
        """Whose console it is; empty in a plant without workstations."""
        tab = self.query_one("#console-hosts", Tabs).active_tab
        return tab.label_text if tab is not None else ""

    def speak(self) -> None:
        log = self.query_one("#console-log", RichLog)
        log.border_title = words.CONSOLE.say()
        log.border_subtitle = words.CONSOLE_KEYS.say()
        self._show_prompt()

    def enter(self, host: str = "") -> None:
        """To the prompt, on this host if one is named."""
        names = list(self._seat.consoles())
        if host in names:
            self.query_one("#console-hosts", Tabs).active = f"console-{names.index(host)}"
        self.query_one(Prompt).focus()

    @on(Tabs.TabActivated, "#console-hosts")
    def _show_prompt(self) -> None:
        self.query_one("#console-host", Label).update(f"{self.host}> " if self.host else words.NO_CONSOLE.say())

    @on(Input.Submitted, "#console-line")
    def run_line(self, event: Input.Submitted) -> None:
        line, prompt = event.value.strip(), self.query_one(Prompt)
        if self._program is not None or not self.host:
            return
        prompt.remember(line)
        prompt.value = ""
        if line == "clear":
            self.action_clear()
        elif line:
            self._write(Styled(f"{self.host}> {line}", "bold"))
            self._program = asyncio.create_task(self._carry_out(self.host, line), name=f"console: {line}")

    async def _carry_out(self, host: str, line: str) -> None:
        try:
            with told(self):
                await self._seat.console(host, line, self._hear)
        except asyncio.CancelledError:
            self._hear("^C\n")
        finally:
            if self._unfinished:
                self._hear("\n")
            self._program = None

    def _hear(self, text: str) -> None:
        """A piece of a program's output."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._write(Styled(line.rstrip("\r")))

    def _write(self, line: Styled) -> None:
        if self.is_mounted:
            self.query_one("#console-log", RichLog).write(line)

    @property
    def is_busy(self) -> bool:
        """Whether a program is running."""
        return self._program is not None

    def stop(self) -> None:
        """As Ctrl+C would."""
        if self._program is not None:
            self._program.cancel()

    def action_clear(self) -> None:
        self.query_one("#console-log", RichLog).clear()

    def on_unmount(self) -> None:
        if self._program is not None:
            self._program.cancel()
