"""The files that are worked on: chosen, edited, checked while being written, saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.text import Text as Line
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TabbedContent, TabPane, Tabs, TextArea

from lab.model.document import FileError, Problem
from lab.tui import words
from lab.tui.editor import YamlEditor

_PAUSE = 0.3
"""Seconds of not typing after which a text is checked."""
_SHOWN = 4


class Folder(Protocol):
    """Whose files they are."""

    def files(self) -> Sequence[str]: ...
    def read(self, file: str) -> str: ...
    def save(self, file: str, text: str) -> Sequence[Problem]: ...
    def check(self, file: str, text: str) -> Sequence[Problem]: ...


class FileEditor(Vertical):
    """One file."""

    class Saved(Message):
        def __init__(self, file: str, problems: Sequence[Problem]) -> None:
            super().__init__()
            self.file, self.problems = file, problems

    def __init__(self, folder: Folder, file: str) -> None:
        super().__init__()
        self.file = file
        self._folder = folder
        self._on_disk = ""
        self._problems: Sequence[Problem] = ()
        self._next = 0
        self._checking: Timer | None = None

    def compose(self) -> ComposeResult:
        yield YamlEditor()
        yield Static(classes="problems")

    def on_mount(self) -> None:
        self.reload()

    @property
    def area(self) -> YamlEditor:
        return self.query_one(YamlEditor)

    @property
    def is_changed(self) -> bool:
        return self.area.text != self._on_disk

    def reload(self) -> bool:
        """Take over what is on disk; False where that would lose what was written here."""
        try:
            text = self._folder.read(self.file)
        except FileError as error:
            self._show(error.problems)
            return True
        if text == self._on_disk:
            return True
        if self.is_changed and self._on_disk:
            return False
        self._on_disk = text
        self.area.load_text(text)
        self._show(self._folder.check(self.file, text))
        return True

    def save(self) -> None:
        text = self.area.text
        problems = self._folder.save(self.file, text)
        self._on_disk = text
        self._show(problems)
        self.post_message(self.Saved(self.file, problems))

    def to_next_problem(self) -> None:
        located = [problem for problem in self._problems if problem.line]
        if located:
            self._next = (self._next + 1) % len(located)
            self.area.go_to(located[self._next])

    def speak(self) -> None:
        self._show(self._problems)

    @on(TextArea.Changed)
    def check_soon(self) -> None:
        if self._checking is not None:
            self._checking.stop()
        self._checking = self.set_timer(_PAUSE, self._check)

    def _check(self) -> None:
        self._show(self._folder.check(self.file, self.area.text))

    def _show(self, problems: Sequence[Problem]) -> None:
        self._problems = problems
        self._next = -1
        self.area.mark(problems)
        text = Line()
        if problems:
            text.append(words.PROBLEMS.say(count=len(problems)), "bold red")
            for problem in problems[:_SHOWN]:
                text.append(f"\n{problem}", "red")
        else:
            text.append(f"✓ {words.SOUND.say()}", "green")
        if self.is_changed:
            text.append(f"   * {words.UNSAVED.say()} (Ctrl+S)", "yellow")
        self.query_one(".problems", Static).update(text)


class Files(Vertical):
    """A tab for every file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("ctrl+n", "next_problem", "Next problem", priority=True),
        Binding("ctrl+t", "next_file", "Next file", priority=True),
    ]

    def __init__(self, folder: Folder) -> None:
        super().__init__(id="files-pane")
        self._folder = folder

    def compose(self) -> ComposeResult:
        with TabbedContent(id="file-tabs"):
            for number, file in enumerate(self._folder.files()):
                with TabPane(file, id=f"file-{number}"):
                    yield FileEditor(self._folder, file)

    @property
    def editors(self) -> list[FileEditor]:
        return list(self.query(FileEditor))

    @property
    def current(self) -> FileEditor | None:
        pane = self.query_one("#file-tabs", TabbedContent).active_pane
        return pane.query_one(FileEditor) if pane is not None else None

    @property
    def unsaved(self) -> list[str]:
        return [editor.file for editor in self.editors if editor.is_changed]

    def enter(self) -> None:
        """Put the focus where one writes."""
        if self.current is not None:
            self.current.area.focus()

    def reload(self, file: str) -> bool:
        """See what is on disk now; False where the editor holds something unsaved instead."""
        return all(editor.reload() for editor in self.editors if editor.file == file)

    def speak(self) -> None:
        for editor in self.editors:
            editor.speak()

    @on(TabbedContent.TabActivated, "#file-tabs")
    def write_in_it(self) -> None:
        if isinstance(self.screen.focused, Tabs) or self.screen.focused is None:
            return
        self.enter()

    def action_save(self) -> None:
        if self.current is not None:
            self.current.save()

    def action_next_problem(self) -> None:
        if self.current is not None:
            self.current.to_next_problem()

    def action_next_file(self) -> None:
        tabs = self.query_one("#file-tabs", TabbedContent)
        panes = [pane.id for pane in tabs.query(TabPane) if pane.id]
        if panes:
            tabs.active = panes[(panes.index(tabs.active) + 1) % len(panes)]
            self.call_after_refresh(self.enter)
