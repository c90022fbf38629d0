"""The first screen: which exercises there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Input, Markdown, Static

from grading.report import points
from lab.text import Text
from lab.tui import words
from lab.tui.attempts import Standing
from lab.tui.canvas import shortened
from lab.tui.inorder import Field
from lab.tui.keys import Key, KeyLine, bindings
from lab.tui.title import Title

_KEYS = (
    Key("enter", words.OPEN, "open"),
    Key("f1", words.HELP, "app.help", "question_mark"),
    Key("f8", words.LANGUAGE, "app.language", "L"),
    Key("f12", words.LIGHT, "app.light"),
    Key("f10", words.QUIT, "app.quit"),
)
_ROOM_FOR_STARS: Final = 90
"""Cells below which the stars are told beside the story only."""


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
    """Ability items of the standard, by number."""
    story: Text

    def matches(self, wanted: str) -> bool:
        level = words.LEVELS[self.level].say() if self.level in words.LEVELS else ""
        everything = f"{self.id} {self.title.zh} {self.title.en} {self.level} {level} {' '.join(self.items)}".lower()
        return all(word in everything for word in wanted.lower().split())


class Catalogue(Screen[None]):
    """A table of exercises, narrowed by typing; Enter opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(_KEYS[1:]),
        Binding("down", "into_table", show=False),
        Binding("escape", "clear", show=False),
    ]

    class Chosen(Message):
        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, entries: tuple[Entry, ...], standing: Callable[[Entry], Standing | None]) -> None:
        super().__init__()
        self._entries, self._standing = entries, standing
        self._shown: list[Entry] = []
        self._standings: dict[str, Standing | None] = {}

    def compose(self) -> ComposeResult:
        yield Title()
        yield Field(id="filter", compact=True)
        with Vertical(id="catalogue"):
            yield DataTable(id="exercises", cursor_type="row")
            with VerticalScroll(id="story", can_focus=False):
                yield Static(id="story-title", markup=False)
                yield Static(id="story-facts")
                yield Markdown(id="story-text")
                yield Static(id="story-items")
        yield KeyLine(_KEYS)

    def on_mount(self) -> None:
        self.query_one("#exercises").focus()

    def on_screen_resume(self) -> None:
        self._standings = {entry.id: self._standing(entry) for entry in self._entries}
        self.call_after_refresh(self.speak)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def speak(self) -> None:
        """Say everything anew, in the language now spoken."""
        self.query_one(Title).show(words.PROGRAM.say(), words.CATALOGUE.say())
        self.query_one("#filter", Input).placeholder = words.FILTER.say()
        self.query_one(KeyLine).speak()
        self._fill()

    def _fill(self) -> None:
        wanted = self.query_one("#filter", Input).value
        chosen = self._chosen
        self._shown = [entry for entry in self._entries if entry.matches(wanted)]
        table = self.query_one("#exercises", DataTable)
        table.clear(columns=True)
        columns = self._columns(table.size.width)
        padding = 2 * table.cell_padding
        widths = {
            word: max(cell_len(word.say()), *(cell_len(str(tell(entry))) for entry in self._entries), 1)
            for word, tell in columns.items()
        }
        room = table.scrollable_content_region.width - padding - sum(width + padding for width in widths.values())
        table.add_column(words.EXERCISE.say(), width=max(16, room))
        for word, width in widths.items():
            table.add_column(word.say(), width=width)
        for entry in self._shown:
            cells = [tell(entry) for tell in columns.values()]
            table.add_row(shortened(entry.title.say(), max(16, room)), *cells, key=entry.id)
        if chosen in self._shown:
            table.move_cursor(row=self._shown.index(chosen))
        self._tell(self._chosen)

    def _columns(self, width: int) -> dict[Text, Callable[[Entry], str | Content]]:
        """What stands beside the title, which has whatever room is left."""
        columns: dict[Text, Callable[[Entry], str | Content]] = {words.LEVEL: _level, words.TIME: _time}
        if width >= _ROOM_FOR_STARS:
            columns[words.DIFFICULTY] = _stars
        columns[words.LAST_RESULT] = self._result
        return columns

    def _result(self, entry: Entry) -> Content:
        standing = self._standings.get(entry.id)
        if standing is None:
            return Content("–")
        if standing.earned is None:
            return Content.styled(f"… {words.BEGUN.say()}", "$warning")
        return Content.styled(f"✓ {words.POINTS.say(points=points(standing.earned))}", "$success")

    @property
    def _chosen(self) -> Entry | None:
        row = self.query_one("#exercises", DataTable).cursor_row
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def _tell(self, entry: Entry | None) -> None:
        title, facts = self.query_one("#story-title", Static), self.query_one("#story-facts", Static)
        story, items = self.query_one("#story-text", Markdown), self.query_one("#story-items", Static)
        if entry is None:
            title.update(words.NOTHING_FOUND.say())
            facts.update("")
            story.update("")
            items.update("")
            return
        title.update(entry.title.say())
        facts.update(
            Content.assemble(
                (f"{_level(entry)} · {_time(entry)} · ", "$text-muted"),
                (_stars(entry), "$accent"),
                ("  ", ""),
                self._result(entry),
            )
        )
        story.update(entry.story.say())
        items.update(Content.styled(" · ".join(entry.items), "$text-muted"))

    # -- what people do ----------------------------------------------------------------------------------------------

    @on(Input.Changed, "#filter")
    def narrow(self) -> None:
        self._fill()

    @on(Input.Submitted, "#filter")
    @on(DataTable.RowSelected)
    def open_it(self) -> None:
        self.action_open()

    @on(DataTable.RowHighlighted)
    def tell_about(self) -> None:
        self._tell(self._chosen)

    def on_key(self, event: events.Key) -> None:
        """Typing anywhere narrows the list."""
        field = self.query_one("#filter", Input)
        if self.focused is not field and event.character and event.is_printable and event.character not in " ?L":
            field.value += event.character
            field.cursor_position = len(field.value)
            field.focus()

    def action_open(self) -> None:
        if self._chosen is not None:
            self.post_message(self.Chosen(self._chosen))

    def action_into_table(self) -> None:
        self.query_one("#exercises").focus()

    def action_clear(self) -> None:
        self.query_one("#filter", Input).value = ""
        self.query_one("#exercises").focus()


def _level(entry: Entry) -> str:
    return words.LEVELS[entry.level].say() if entry.level in words.LEVELS else entry.level


def _time(entry: Entry) -> str:
    return words.MINUTES.say(minutes=entry.minutes)


def _stars(entry: Entry) -> str:
    return "★" * entry.difficulty + "☆" * (5 - entry.difficulty)
