"""The marks, with what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Digits, Static

from grading.report import GATED, OF, OPEN_POINTS, points
from grading.score import CheckResult, Score, TaskResult
from lab.text import Text
from lab.tui import words
from lab.tui.keys import Key, KeyLine, bindings
from lab.tui.row import CheckRow
from lab.tui.title import Title

_KEYS = (
    Key("f1", words.HELP, "app.help"),
    Key("f8", words.LANGUAGE, "app.language"),
    Key("f10", words.BACK, "back", "escape,q,enter"),
)
_BAR = 32
REPORT = "report.html"
"""Beside the evidence."""


class Result(Screen[None]):
    """What an attempt was worth, task by task."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(_KEYS)]

    def __init__(self, title: Text, score: Score, evidence: Path) -> None:
        super().__init__()
        self._title, self._score, self._evidence = title, score, evidence

    def compose(self) -> ComposeResult:
        yield Title()
        with VerticalScroll(id="result"):
            with Horizontal(id="total"):
                yield Digits(points(self._score.earned), id="digits")
                with Vertical():
                    yield Static(id="of")
                    yield Static(id="bar")
            with Vertical(id="marks"):
                for number, task in enumerate(self._score.tasks):
                    yield Static(classes="task", id=f"task-{number}")
                    for _ in task.checks:
                        yield CheckRow()
            yield Static(id="where", markup=False)
        yield KeyLine(_KEYS)

    def on_mount(self) -> None:
        self.speak()
        self.query_one("#result").focus()

    def speak(self) -> None:
        """Say everything anew, in the language now spoken."""
        score = self._score
        self.query_one(Title).show(self._title.say(), words.RESULT.say())
        total = OF.say(earned=points(score.earned), points=points(score.points))
        undecided = f"   {OPEN_POINTS.say(points=points(score.undecided))}" if score.undecided else ""
        self.query_one("#of", Static).update(Content.assemble((total, "bold"), (undecided, "$warning")))
        self.query_one("#bar", Static).update(_bar(score.earned, score.points, score.undecided, _BAR))
        rows = iter(self.query(CheckRow))
        for number, task in enumerate(score.tasks):
            self.query_one(f"#task-{number}", Static).update(_heading(task))
            for check, row in zip(task.checks, rows, strict=False):
                row.put(check.verdict, check.title.say(), _of(check.earned, check.points), *_reasons(check, score))
        lines = [words.EVIDENCE.say(path=self._evidence)]
        report = self._evidence.with_name(REPORT)
        if report.exists():
            lines.append(words.REPORT.say(path=report))
        self.query_one("#where", Static).update("\n".join([*lines, words.GO_ON.say()]))
        self.query_one(KeyLine).speak()

    def action_back(self) -> None:
        self.dismiss()


def _heading(task: TaskResult) -> Content:
    return Content.assemble(
        task.title.say(),
        (f"  {task.item}  ", "$text-muted not bold"),
        _bar(task.earned, task.points, task.undecided, 10),
        f" {_of(task.earned, task.points)}",
    )


def _of(earned: float, total: float) -> str:
    return f"{points(earned)}/{points(total)}"


def _reasons(check: CheckResult, score: Score) -> Iterator[str]:
    sentence = check.sentence.say()
    yield sentence
    if check.gated_by:
        yield GATED.say(gate=score.checks()[check.gated_by].title.say())
    if sentence and check.verdict.frames:
        yield words.FRAMES.say(frames=" ".join(map(str, check.verdict.frames)))


def _bar(earned: float, total: float, undecided: float, cells: int) -> Content:
    full = round(cells * earned / total) if total else 0
    open_ = min(cells - full, round(cells * undecided / total)) if total else 0
    return Content.assemble(
        ("█" * full, "$success"), ("▒" * open_, "$warning"), ("░" * (cells - full - open_), "$text-muted")
    )
