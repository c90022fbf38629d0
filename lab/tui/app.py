"""The trainee's program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.widgets import Input, TextArea

from lab.text import speak, spoken
from lab.tui import linebreaks, words
from lab.tui.attempts import Standing
from lab.tui.catalogue import Catalogue, Entry
from lab.tui.console import Console
from lab.tui.dialogs import Help
from lab.tui.result import Result
from lab.tui.themes import DARK, LIGHT
from lab.tui.title import Title
from lab.tui.trouble import told
from lab.tui.workbench import Seat, Workbench

OpenSeat = Callable[[Entry], Awaitable[Seat]]

_WIDTHS = [(0, "-narrow"), (100, "-wide")]
_HEIGHTS = [(0, "-short"), (34, "-tall")]
"""From how many cells on a screen has which class."""


class LabApp(App[None]):
    """Catalogue, workbench, result; one seat at a time."""

    CSS_PATH = "lab.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", show=False, priority=True),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("f12", "light", show=False, priority=True),
    ]

    def __init__(
        self,
        entries: tuple[Entry, ...],
        open_seat: OpenSeat,
        start: Entry | None = None,
        standing: Callable[[Entry], Standing | None] = lambda _: None,
    ) -> None:
        linebreaks.mend()
        super().__init__()
        self._catalogue = Catalogue(entries, standing)
        self._open_seat, self._start = open_seat, start
        self._bench: Workbench | None = None
        self._is_opening = False

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.title = words.PROGRAM.say()
        self.push_screen(self._catalogue)
        if self._start is not None:
            self.call_after_refresh(self._open, self._start)

    @on(Catalogue.Chosen)
    def open_chosen(self, message: Catalogue.Chosen) -> None:
        self._open(message.entry)

    @work(group="seat")
    async def _open(self, entry: Entry) -> None:
        if self._bench is not None or self._is_opening:
            return
        self._is_opening = True
        self.screen.query_one(Title).tell(words.OPENING.say())
        try:
            with told(self):
                self._bench = Workbench(await self._open_seat(entry))
                await self.push_screen(self._bench, self._left)
        finally:
            self._is_opening = False
            self._catalogue.speak()

    def _left(self, _: None) -> None:
        self._bench = None

    def action_help(self) -> None:
        if not self.screen.is_modal:
            self.push_screen(Help())

    def action_language(self) -> None:
        if self.screen.is_modal:
            return
        speak("en" if spoken() == "zh" else "zh")
        self.title = words.PROGRAM.say()
        for screen in self.screen_stack:
            if isinstance(screen, Catalogue | Workbench | Result):
                screen.speak()

    def action_light(self) -> None:
        """From dark to light and back."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_interrupt(self) -> None:
        """Ctrl+C copies what is selected, and ends the program at a prompt; otherwise it means to quit."""
        focused = self.focused
        consoles = [] if focused is None else [each for each in focused.ancestors if isinstance(each, Console)]
        if consoles and consoles[0].is_busy:
            consoles[0].stop()
        elif isinstance(focused, TextArea | Input) and focused.selected_text:
            focused.action_copy()
        elif not self.screen.is_modal:
            self._quit()

    async def action_quit(self) -> None:
        if not self.screen.is_modal:
            self._quit()

    @work(exclusive=True, group="quit")
    async def _quit(self) -> None:
        """At once where nothing is lost by it; from an exercise by way of its questions."""
        if self._bench is None or await self._bench.leave():
            self.exit()

    async def close_seat(self) -> None:
        """Switch off what is still running, however the screens came to their end."""
        if self._bench is not None:
            await self._bench.close_seat()
