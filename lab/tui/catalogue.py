"""The first screen: which exercises there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Header, Input, Markdown, Static

from lab.text import Text
from lab.tui import words
from lab.tui.footer import Keys


@dataclass(frozen=True, slots=True)
class Entry:
    """An exercise as the catalogue shows it."""

    folder: Path
    id: str
    title: Text
    level: str
    minutes: int
    difficulty: int
    items: tuple[str, ...]
    story: Text

    def matches(self, wanted: str) -> bool:
        everything = f"{self.id} {self.title.zh} {self.title.en} {' '.join(self.items)}".lower()
        return all(word in everything for word in wanted.lower().split())


class Catalogue(Screen[None]):
    """A table of exercises, narrowed by typing; Enter opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "into_table", show=False),
        Binding("escape", "clear", show=False),
    ]

    class Chosen(Message):
        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        super().__init__()
        self._entries = entries
        self._shown: list[Entry] = []

    def compose(self) -> ComposeResult:
        yield Header(icon="")
        yield Input(id="filter", compact=True)
        with Horizontal(id="catalogue"):
            yield DataTable(id="exercises", cursor_type="row")
            with VerticalScroll(id="story"):
                yield Markdown(id="story-text")
        yield Static(id="nothing")
        yield Keys(compact=True)

    def on_mount(self) -> None:
        self.speak()
        self.query_one("#exercises").focus()

    def speak(self) -> None:
        """Say everything anew, in the language now spoken."""
        self.sub_title = words.CATALOGUE.say()
        self.query_one("#filter", Input).placeholder = words.FILTER.say()
        table = self.query_one("#exercises", DataTable)
        table.clear(columns=True)
        columns = (words.COLUMN_TITLE, words.COLUMN_LEVEL, words.COLUMN_MINUTES, words.COLUMN_DIFFICULTY)
        table.add_columns(*(column.say() for column in columns))
        self._fill()

    def _fill(self) -> None:
        wanted = self.query_one("#filter", Input).value
        self._shown = [entry for entry in self._entries if entry.matches(wanted)]
        table = self.query_one("#exercises", DataTable)
        table.clear()
        for entry in self._shown:
            table.add_row(
                entry.title.say(),
                words.LEVELS[entry.level].say() if entry.level in words.LEVELS else entry.level,
                words.MINUTES.say(minutes=entry.minutes),
                "★" * entry.difficulty + "☆" * (5 - entry.difficulty),
                key=entry.id,
            )
        nothing = self.query_one("#nothing", Static)
        nothing.update("" if self._shown else words.NOTHING_FOUND.say())
        nothing.display = not self._shown
        self._tell(self._shown[0] if self._shown else None)

    def _tell(self, entry: Entry | None) -> None:
        story = self.query_one("#story-text", Markdown)
        if entry is None:
            story.update("")
            return
        items = " · ".join(entry.items)
        story.update(f"## {entry.title.say()}\n\n{entry.story.say()}\n\n`{entry.id}` · {items}")

    @on(Input.Changed, "#filter")
    def narrow(self) -> None:
        self._fill()

    @on(Input.Submitted, "#filter")
    def open_first(self) -> None:
        if self._shown:
            self.post_message(self.Chosen(self._shown[0]))

    @on(DataTable.RowHighlighted)
    def tell_about(self, event: DataTable.RowHighlighted) -> None:
        if event.cursor_row < len(self._shown):
            self._tell(self._shown[event.cursor_row])

    @on(DataTable.RowSelected)
    def open_chosen(self, event: DataTable.RowSelected) -> None:
        self.post_message(self.Chosen(self._shown[event.cursor_row]))

    def on_key(self, event: object) -> None:
        """Typing anywhere narrows the list."""
        character = getattr(event, "character", None)
        table, field = self.query_one("#exercises"), self.query_one("#filter", Input)
        if self.focused is table and character and character.isprintable() and character not in " ?":
            field.value += character
            field.cursor_position = len(field.value)
            field.focus()

    def action_into_table(self) -> None:
        self.query_one("#exercises").focus()

    def action_clear(self) -> None:
        self.query_one("#filter", Input).value = ""
        self.query_one("#exercises").focus()
