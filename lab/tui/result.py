"""The marks, with what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text as Line
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Digits, Header, Static

from grading.report import OF, OPEN_POINTS, points
from grading.score import Score
from lab.tui import words
from lab.tui.footer import Keys
from lab.tui.lamps import symbol
from scenarios.scenario import Instance


class Result(Screen[None]):
    """What an attempt was worth, task by task."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f10,escape,q,enter", "back", "Back", key_display="F10")]

    def __init__(self, instance: Instance, score: Score, evidence: Path) -> None:
        super().__init__()
        self._instance, self._score, self._evidence = instance, score, evidence

    def compose(self) -> ComposeResult:
        yield Header(icon="")
        with VerticalScroll(id="result"):
            yield Digits(id="digits")
            yield Static(id="total")
            yield Static(id="marks")
            yield Static(id="where")
        yield Keys(compact=True)

    def on_mount(self) -> None:
        self.speak()
        self.query_one("#result").focus()

    def speak(self) -> None:
        self.sub_title = f"{self._instance.definition.title.text.say()} · {words.RESULT.say()}"
        score = self._score
        self.query_one("#digits", Digits).update(points(score.earned))
        total = Line(OF.say(earned=points(score.earned), points=points(score.points)))
        if score.undecided:
            total.append(f"  {OPEN_POINTS.say(points=points(score.undecided))}", "yellow")
        self.query_one("#total", Static).update(total)
        self.query_one("#marks", Static).update(_marks(score))
        report = self._evidence.with_name("report.html")
        where = Line(words.EVIDENCE.say(path=self._evidence) + "\n", "dim")
        if report.exists():
            where.append(words.REPORT.say(path=report), "dim")
        self.query_one("#where", Static).update(where)

    def action_back(self) -> None:
        self.dismiss()


def _marks(score: Score) -> Line:
    text = Line()
    for task in score.tasks:
        text.append(f"\n{task.title.say()}", "bold").append(f"  {task.item}  ", "dim")
        text.append(f"{points(task.earned)}/{points(task.points)}\n", "bold")
        for check in task.checks:
            sign, colour = symbol(check.verdict)
            text.append(f"  {sign} ", f"bold {colour}").append(check.title.say())
            text.append(f"  {points(check.earned)}/{points(check.points)}\n", "dim")
            if sentence := check.sentence.say():
                text.append(f"      {sentence}\n", colour)
    return text
