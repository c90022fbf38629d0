"""The trainee's program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType

from lab.model.document import FileError
from lab.text import speak, spoken
from lab.tui import words
from lab.tui.catalogue import Catalogue, Entry
from lab.tui.dialogs import Page
from lab.tui.result import Result
from lab.tui.workbench import Seat, Workbench

OpenSeat = Callable[[Entry], Awaitable[Seat]]


class LabApp(App[None]):
    """Catalogue, workbench, result; one seat at a time."""

    CSS_PATH = "lab.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,question_mark", "help", "Help", key_display="F1"),
        Binding("f8", "language", "Language"),
        Binding("ctrl+q", "quit", "Quit", priority=True),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
    ]

    def __init__(self, entries: tuple[Entry, ...], open_seat: OpenSeat, start: Entry | None = None) -> None:
        super().__init__()
        self._entries = entries
        self._open_seat = open_seat
        self._start = start

    def on_mount(self) -> None:
        self.title = words.PROGRAM.say()
        self.push_screen(Catalogue(self._entries))
        if self._start is not None:
            self._open(self._start)

    @on(Catalogue.Chosen)
    def open_chosen(self, message: Catalogue.Chosen) -> None:
        self._open(message.entry)

    @work(exclusive=True, group="seat")
    async def _open(self, entry: Entry) -> None:
        self.notify(words.OPENING.say())
        try:
            seat = await self._open_seat(entry)
        except (FileError, OSError) as error:
            self.notify(str(error), title=words.FAILED.say(reason=""), severity="error", timeout=20, markup=False)
            return
        self.clear_notifications()
        await self.push_screen(Workbench(seat))

    def action_help(self) -> None:
        self.push_screen(Page(words.HELP_TEXT.say()))

    def action_language(self) -> None:
        speak("en" if spoken() == "zh" else "zh")
        self.title = words.PROGRAM.say()
        for screen in self.screen_stack:
            if isinstance(screen, Catalogue | Workbench | Result):
                screen.speak()
        self.screen.refresh_bindings()

    def action_interrupt(self) -> None:
        """Ctrl+C: out of an exercise by way of its question, out of the catalogue at once."""
        if isinstance(self.screen, Workbench):
            self.screen.action_leave()
        elif not self.screen.is_modal:
            self.exit()

    async def action_quit(self) -> None:
        for screen in tuple(self.screen_stack):
            if isinstance(screen, Workbench):
                await screen.close_seat()
        self.exit()

    def get_key_display(self, binding: Binding) -> str:
        """F2 as it is printed on the key."""
        display = super().get_key_display(binding)
        return display.upper() if len(display) <= 3 else display
