"""The files that are worked on: chosen, edited, checked while being written, saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Static, Tab, Tabs, TextArea

from lab.model.document import Problem
from lab.tui import words
from lab.tui.editor import YamlEditor, sentence
from lab.tui.trouble import told

_PAUSE = 0.3
"""Seconds of not typing after which a text is checked."""
_SHOWN = 4
"""Problems that are listed; the others have their lines."""


class Folder(Protocol):
    """Whose files they are."""

    def files(self) -> Sequence[str]: ...
    def read(self, file: str) -> str: ...
    def save(self, file: str, text: str) -> Sequence[Problem]: ...
    def check(self, file: str, text: str) -> Sequence[Problem]: ...


class FileEditor(Vertical):
    """One file, with what is wrong with it below."""

    class Told(Message):
        """What is known about the file has changed."""

        def __init__(self, editor: FileEditor) -> None:
            super().__init__()
            self.editor = editor

    def __init__(self, folder: Folder, file: str, place: str) -> None:
        super().__init__(id=place)
        self.file = file
        self.problems: Sequence[Problem] = ()
        self._folder = folder
        self._on_disk: str | None = None
        self._is_saved = False
        self._next = -1
        self._checking: Timer | None = None

    def compose(self) -> ComposeResult:
        yield YamlEditor()
        yield Static(classes="problems")

    def on_mount(self) -> None:
        with told(self):
            self._on_disk = self._folder.read(self.file)
            self.area.load_text(self._on_disk)
            self._check()
        self.speak()

    @property
    def area(self) -> YamlEditor:
        return self.query_one(YamlEditor)

    @property
    def is_changed(self) -> bool:
        return self.area.text != (self._on_disk or "")

    def catch_up(self) -> bool:
        """Take over what another program wrote; False where that would take the place of something unsaved."""
        with told(self):
            text = self._folder.read(self.file)
            if text in (self._on_disk, self.area.text):
                self._on_disk = text
            elif self.is_changed:
                return False
            else:
                self._take(text)
        return True

    def reload(self) -> None:
        """What is on disk in place of what is here; undo brings it back."""
        with told(self):
            self._take(self._folder.read(self.file))

    def save(self) -> bool:
        """Whether the file is written now; a file with problems is written too, but the plant does not take it on."""
        text = self.area.text
        with told(self):
            problems = self._folder.save(self.file, text)
            self._on_disk = text
            self._is_saved = True
            self._show(problems)
            if problems:
                self.to_next_problem()
        return not self.is_changed

    def to_next_problem(self) -> None:
        located = [problem for problem in self.problems if problem.line]
        if located:
            self._next = (self._next + 1) % len(located)
            self.area.go_to(located[self._next])

    def speak(self) -> None:
        self._show(self.problems)
        keys = " · ".join(f"{key} {word.say()}" for key, word in words.EDITOR_KEYS)
        self.area.border_subtitle = keys if cell_len(keys) < self.area.size.width - 4 else ""

    def on_resize(self) -> None:
        self.speak()

    def _take(self, text: str) -> None:
        self._on_disk = text
        self.area.replace_all(text)
        self._check()

    @on(TextArea.Changed)
    def check_soon(self) -> None:
        self._is_saved = False
        if self._checking is not None:
            self._checking.stop()
        self._checking = self.set_timer(_PAUSE, self._check)
        self._tell()

    def _check(self) -> None:
        with told(self):
            self._show(self._folder.check(self.file, self.area.text))

    def _show(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        self._next = -1
        self.area.mark(problems)
        self._tell()

    def _tell(self) -> None:
        parts: list[tuple[str, str]] = []
        if self.problems:
            parts.append((f"✗ {words.PROBLEMS.say(count=len(self.problems))}", "bold $error"))
        else:
            parts.append((f"✓ {words.SOUND.say()}", "$success"))
        if self.is_changed:
            parts.append((f"   * {words.UNSAVED.say()}", "$warning"))
        elif self._is_saved:
            parts.append((f"   {words.SAVED.say()}", "$text-muted"))
        for problem in self.problems[:_SHOWN]:
            place = f"{problem.file}:{problem.line}" if problem.line else problem.file
            parts += [(f"\n{place}  ", "$text-muted"), (sentence(problem), "$error")]
        if len(self.problems) > _SHOWN:
            parts.append((f"\n… +{len(self.problems) - _SHOWN}", "$text-muted"))
        self.query_one(".problems", Static).update(Content.assemble(*parts))
        self.area.border_title = f"{self.file}{' *' if self.is_changed else ''}"
        self.post_message(self.Told(self))


class Files(Vertical):
    """An editor for every file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", show=False),
        Binding("ctrl+n", "next_problem", show=False),
        Binding("ctrl+t", "next_file", show=False),
        Binding("ctrl+r", "reload", show=False),
    ]

    def __init__(self, folder: Folder) -> None:
        super().__init__(id="files")
        self._folder = folder
        self._names = {f"file-{number}": file for number, file in enumerate(folder.files())}

    def compose(self) -> ComposeResult:
        yield Tabs(*(Tab(file, id=name) for name, file in self._names.items()), id="file-tabs")
        with ContentSwitcher(initial=next(iter(self._names), None)):
            for name, file in self._names.items():
                yield FileEditor(self._folder, file, name)

    def on_mount(self) -> None:
        self.query_one(Tabs).display = len(self._names) > 1

    @property
    def editors(self) -> list[FileEditor]:
        return list(self.query(FileEditor))

    @property
    def current(self) -> FileEditor | None:
        name = self.query_one(ContentSwitcher).current
        return self.query_one(f"#{name}", FileEditor) if name else None

    @property
    def unsaved(self) -> list[str]:
        return [editor.file for editor in self.editors if editor.is_changed]

    def enter(self) -> None:
        """Put the focus where one writes."""
        if self.current is not None:
            self.current.area.focus()

    def open(self, file: str) -> None:
        """Show a file, ready to be written in."""
        for name, each in self._names.items():
            if each == file:
                self.query_one(Tabs).active = name
                self.query_one(ContentSwitcher).current = name
                self.call_after_refresh(self.enter)

    def save_all(self) -> bool:
        """Whether everything is on disk now."""
        changed = [editor for editor in self.editors if editor.is_changed]
        return sum(editor.save() for editor in changed) == len(changed)

    def catch_up(self, file: str) -> bool:
        """See what another program wrote; False where the editor holds something unsaved instead."""
        return all(editor.catch_up() for editor in self.editors if editor.file == file)

    def speak(self) -> None:
        for editor in self.editors:
            editor.speak()

    @on(Tabs.TabActivated, "#file-tabs")
    def show_file(self, event: Tabs.TabActivated) -> None:
        event.stop()
        self.query_one(ContentSwitcher).current = event.tab.id

    @on(FileEditor.Told)
    def label(self, message: FileEditor.Told) -> None:
        message.stop()
        editor = message.editor
        sign = "✗ " if editor.problems else ""
        self.query_one(
            f"#file-tabs #{editor.id}", Tab
        ).label = f"{sign}{editor.file}{' *' if editor.is_changed else ''}"

    def action_save(self) -> None:
        if self.current is not None:
            self.current.save()

    def action_next_problem(self) -> None:
        if self.current is not None:
            self.current.to_next_problem()

    def action_next_file(self) -> None:
        files = list(self._names.values())
        if self.current is not None:
            self.open(files[(files.index(self.current.file) + 1) % len(files)])

    def action_reload(self) -> None:
        if self.current is not None:
            self.current.reload()
