"""Small screens over the others: a question, help, hints, progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Label, ProgressBar, Static

from lab.seat.events import HandInProgress, Stage
from lab.text import Text
from lab.tui import words


@dataclass(frozen=True, slots=True)
class Answer:
    key: str
    """A letter that gives this answer."""
    word: Text


YES, NO = Answer("y", words.YES), Answer("n", words.NO)


class Question(ModalScreen[Answer]):
    """Gives one of the answers; Escape gives the last, which changes nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", show=False),
        Binding("right,down", "app.focus_next", show=False),
        Binding("left,up", "app.focus_previous", show=False),
    ]

    def __init__(self, question: str, answers: Sequence[Answer] = (YES, NO)) -> None:
        super().__init__()
        self._question, self._answers = question, answers

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Label(self._question, markup=False)
            with Horizontal(id="buttons"):
                for number, answer in enumerate(self._answers):
                    label = f"{answer.word.say()} ({answer.key.upper()})"
                    yield Button(label, variant="default" if number else "primary", id=f"answer-{answer.key}")

    @on(Button.Pressed)
    def answer(self, event: Button.Pressed) -> None:
        self._give((event.button.id or "").removeprefix("answer-"))

    def on_key(self, event: events.Key) -> None:
        self._give((event.character or "").lower())

    def _give(self, key: str) -> None:
        for answer in self._answers:
            if answer.key == key:
                self.dismiss(answer)

    def action_refuse(self) -> None:
        self.dismiss(self._answers[-1])


class Help(ModalScreen[None]):
    """What every key does; any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f1,f10,question_mark", "close", show=False)]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page") as page:
            page.border_title = words.HELP.say()
            page.border_subtitle = f"Esc {words.BACK.say()}"
            for title, rows in words.HELP_KEYS:
                yield Static(title.say(), classes="help-title", markup=False)
                for key, text in rows:
                    with Horizontal(classes="help-row"):
                        yield Static(key, classes="help-key", markup=False)
                        yield Static(text.say(), classes="help-text", markup=False)
            for paragraph in words.HELP_TEXT:
                yield Static(paragraph.say(), classes="help-paragraph", markup=False)

    def action_close(self) -> None:
        self.dismiss()


@dataclass(slots=True)
class HintCard:
    """The hints of one task, and how many of them have been asked for."""

    title: Text
    tiers: Sequence[Text]
    shown: int = 0


class Hints(ModalScreen[None]):
    """A task's hints one by one, each only when it is asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f10,f7", "close", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, cards: Sequence[HintCard]) -> None:
        super().__init__()
        self._cards = cards

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page", can_focus=False) as page:
            page.border_subtitle = f"Tab ↑↓ · Enter · Esc {words.BACK.say()}"
            for number, card in enumerate(self._cards):
                yield Static(card.title.say(), classes="hint-task", markup=False)
                yield Static(id=f"hint-{number}", classes="hint", markup=False)
                yield Button("", id=f"ask-{number}", compact=True)

    def on_mount(self) -> None:
        for number in range(len(self._cards)):
            self._show(number)

    @on(Button.Pressed)
    def reveal(self, event: Button.Pressed) -> None:
        number = int((event.button.id or "").removeprefix("ask-"))
        self._cards[number].shown += 1
        self._show(number)

    def _show(self, number: int) -> None:
        card = self._cards[number]
        told = [f"{tier}. {text.say()}" for tier, text in enumerate(card.tiers[: card.shown], 1)]
        hint = self.query_one(f"#hint-{number}", Static)
        hint.display = bool(told)
        hint.update("\n\n".join(told))
        button = self.query_one(f"#ask-{number}", Button)
        button.label = words.SHOW_HINT.say(tier=card.shown + 1, tiers=len(card.tiers))
        button.display = card.shown < len(card.tiers)
        used = sum(each.shown for each in self._cards)
        total = sum(len(each.tiers) for each in self._cards)
        self.query_one("#page").border_title = words.HINTS_USED.say(count=used, total=total)

    def action_close(self) -> None:
        self.dismiss()


class Progress(ModalScreen[None]):
    """Shows how far a hand-in has come; whoever does the work closes it."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Label(words.HANDING_IN.say(), markup=False)
            yield Static(id="stages")
            yield ProgressBar(show_eta=False, show_percentage=False)

    def on_mount(self) -> None:
        self.show(HandInProgress("boot", 0, 0))

    def show(self, event: HandInProgress) -> None:
        """The work has come so far."""
        stages: tuple[Stage, ...] = get_args(Stage)
        now = stages.index(event.stage)
        parts: list[str | tuple[str, str]] = []
        for number, stage in enumerate(stages):
            sign, colour = (
                ("✓", "$success") if number < now else ("▶", "bold $accent") if number == now else ("·", "dim")
            )
            parts.append((f"{sign} {words.STAGES[stage].say()}\n", colour))
        self.query_one("#stages", Static).update(Content.assemble(*parts))
        self.query_one(ProgressBar).update(total=event.total or None, progress=event.done)
