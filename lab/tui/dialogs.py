"""Small screens over the others: a question, help, progress."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Markdown, ProgressBar

from lab.seat.events import HandInProgress
from lab.tui.words import HANDING_IN, NO, STAGES, YES


class Question(ModalScreen[bool]):
    """Yes or no; Escape is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", show=False),
        Binding("y", "answer(True)", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Label(self._question)
            with Horizontal(id="buttons"):
                yield Button(f"{YES.say()} (Y)", variant="primary", id="yes")
                yield Button(f"{NO.say()} (N)", id="no")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Page(ModalScreen[None]):
    """Something to read; any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f1,f10", "close", show=False)]

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self._markdown = markdown

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page"):
            yield Markdown(self._markdown)

    def action_close(self) -> None:
        self.dismiss()


class Progress(ModalScreen[None]):
    """Shows how far a long piece of work has come; whoever does the work closes it."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Label(HANDING_IN.say())
            yield ProgressBar(show_eta=False)
            yield Label("", id="stage")

    def show(self, event: HandInProgress) -> None:
        """The work has come so far."""
        self.query_one(ProgressBar).update(total=event.total or None, progress=event.done)
        self.query_one("#stage", Label).update(STAGES[event.stage].say())
