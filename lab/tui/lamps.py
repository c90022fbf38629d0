"""Tasks and checks with their lamps, and why a lamp is not yet green."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text as Line
from textual.containers import VerticalScroll
from textual.widgets import Static

from grading.verdict import Outcome, Verdict
from lab.text import Text
from lab.tui import words


@dataclass(frozen=True, slots=True)
class Lamp:
    """A check as the panel shows it."""

    id: str
    title: Text
    points: float


@dataclass(frozen=True, slots=True)
class LampGroup:
    """A task."""

    title: Text
    item: str
    lamps: tuple[Lamp, ...]


def symbol(verdict: Verdict | None) -> tuple[str, str]:
    """A sign that needs no colour to be understood, and its colour."""
    if verdict is None or verdict.outcome is Outcome.UNDECIDED:
        return "○", "grey62"
    if verdict.outcome is Outcome.PASSED:
        return "●", "green"
    return ("◐", "yellow") if verdict.share > 0 else ("✗", "red")


class Lamps(VerticalScroll):
    """The task panel of the workbench."""

    can_focus = True

    def __init__(self, groups: Sequence[LampGroup]) -> None:
        super().__init__(id="lamps")
        self._groups = groups
        self._verdicts: dict[str, tuple[Verdict, str]] = {}

    def compose(self):  # type: ignore[no-untyped-def]
        yield Static(id="lamp-lines")

    def on_mount(self) -> None:
        self.speak()

    def show(self, check_id: str, verdict: Verdict, sentence: str) -> None:
        """One check's lamp changes."""
        self._verdicts[check_id] = (verdict, sentence)
        self.speak()

    def speak(self) -> None:
        self.border_title = words.TASKS.say()
        self.query_one("#lamp-lines", Static).update(lines(self._groups, self._verdicts))


def lines(groups: Sequence[LampGroup], verdicts: Mapping[str, tuple[Verdict, str]]) -> Line:
    """The panel's text."""
    text = Line()
    for group in groups:
        text.append(group.title.say(), "bold").append(f"  {group.item}\n", "dim")
        for lamp in group.lamps:
            verdict, sentence = verdicts.get(lamp.id, (None, ""))
            sign, colour = symbol(verdict)
            text.append(f" {sign} ", f"bold {colour}").append(lamp.title.say())
            text.append(f"  {words.POINTS.say(points=f'{lamp.points:g}')}\n", "dim")
            if sentence:
                text.append(f"   {sentence}\n", "dim" if colour == "grey62" else colour)
        text.append("\n")
    return text
