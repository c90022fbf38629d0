"""Keys of a screen: what they do, and the line at the bottom that says so in the language now spoken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

from lab.text import Text

_SPACINGS = ((" ", "   "), (" ", "  "), ("", "  "), ("", " "))
"""Between key and word, and between one key and the next: the widest that fits."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is told of in the bottom line; further names of the key are not."""

    name: str
    word: Text
    action: str
    more: str = ""
    """Other keys for the same, divided by commas."""

    @property
    def shown(self) -> str:
        return self.name.replace("ctrl+", "^").upper() if self.name != "enter" else "Enter"

    def bindings(self) -> list[Binding]:
        # Function keys must reach the screen before an editor that has uses of its own for them.
        first = Binding(self.name, self.action, self.word.en, show=False, priority=self.name.startswith("f"))
        return [first, *([Binding(self.more, self.action, self.word.en, show=False)] if self.more else [])]


def bindings(keys: Sequence[Key]) -> list[Binding]:
    return [binding for key in keys for binding in key.bindings()]


class KeyLine(Static):
    """The bottom line; every key of it may be clicked too."""

    DEFAULT_CSS = """
    KeyLine {
        dock: bottom; height: 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis;
        link-style: none; link-color: $foreground; link-background: $panel;
        link-style-hover: none; link-background-hover: $boost; link-color-hover: $accent;
    }
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = keys

    def on_mount(self) -> None:
        self.speak()

    def on_resize(self) -> None:
        self.speak()

    def speak(self) -> None:
        pairs = [(key, key.word.say()) for key in self._keys]
        for inner, outer in _SPACINGS:
            width = sum(cell_len(key.shown + inner + word + outer) for key, word in pairs) - len(outer)
            if width <= self.content_size.width:
                break
        parts: list[str | tuple[str, str]] = []
        for number, (key, word) in enumerate(pairs):
            link = f"@click=screen.{key.action}" if "." not in key.action else f"@click={key.action}"
            if "(" not in link:
                link += "()"
            parts += [outer] if number else []
            parts += [(key.shown, "bold $accent"), (inner + word, link)]
        self.update(Content.assemble(*parts))
