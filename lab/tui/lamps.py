"""Tasks and checks with their lamps, and why a lamp is not yet green."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from grading.checks.check import WAITS
from grading.report import points
from grading.verdict import Outcome, Verdict
from lab.text import Text
from lab.tui import words
from lab.tui.row import CheckRow, sign

NOTHING = Text(zh="", en="")


@dataclass(frozen=True, slots=True)
class LampSpec:
    """A check as the panel shows it."""

    id: str
    title: Text
    points: float


@dataclass(frozen=True, slots=True)
class LampGroup:
    """A task."""

    title: Text
    item: str
    lamps: tuple[LampSpec, ...]


class Lamp(CheckRow):
    """One check, as the traffic so far has it."""

    DEFAULT_CSS = """
    Lamp.-lit { background: $success 20%; }
    """
    _LIT = 1.5
    """Seconds for which a lamp that has just turned green stands out."""

    def __init__(self, spec: LampSpec) -> None:
        super().__init__(id=f"lamp-{spec.id.replace('.', '-')}")
        self.spec = spec
        self.verdict: Verdict | None = None
        self._sentence = NOTHING

    def on_mount(self) -> None:
        self.speak()

    @property
    def state(self) -> tuple[str, bool]:
        """As much of it as is seen from afar: sign, and whether it waits."""
        return sign(self.verdict)[0], self.is_waiting

    @property
    def is_green(self) -> bool:
        return self.verdict is not None and self.verdict.outcome is Outcome.PASSED

    @property
    def is_waiting(self) -> bool:
        """Nothing can be said before the acceptance run: that is told once for all of them."""
        return self.verdict is not None and self.verdict.reason == WAITS

    def show(self, verdict: Verdict, sentence: Text) -> None:
        was_green = self.is_green
        self.verdict, self._sentence = verdict, sentence
        self.speak()
        if self.is_green and not was_green:
            self.add_class("-lit")
            self.set_timer(self._LIT, lambda: self.remove_class("-lit"))

    def speak(self) -> None:
        share = self.verdict.share if self.verdict is not None and 0 < self.verdict.share < 1 else 0
        reason = "" if self.is_waiting else self._sentence.say() + (f" ({share:.0%})" if share else "")
        worth = words.POINTS.say(points=points(self.spec.points))
        self.put(self.verdict, self.spec.title.say(), worth, reason)


class Lamps(VerticalScroll, can_focus=True):
    """The task panel of the workbench."""

    DEFAULT_CSS = """
    Lamps { border: round $primary; padding: 0 1 0 0; }
    Lamps .task { padding: 0 0 0 1; margin-top: 1; text-style: bold; }
    Lamps .task.-first { margin-top: 0; }
    """

    def __init__(self, groups: Sequence[LampGroup]) -> None:
        super().__init__(id="lamps")
        self._groups = groups
        self._lamps = {spec.id: Lamp(spec) for group in groups for spec in group.lamps}

    def compose(self) -> ComposeResult:
        for number, group in enumerate(self._groups):
            yield Static(classes="task" if number else "task -first", id=f"task-{number}")
            for spec in group.lamps:
                yield self._lamps[spec.id]
        yield Static(id="lamps-later", markup=False)

    def on_mount(self) -> None:
        self.speak()

    def show(self, check_id: str, verdict: Verdict, sentence: Text) -> bool:
        """One check's lamp changes; whether that is more than another sentence."""
        lamp = self._lamps[check_id]
        before = lamp.state
        lamp.show(verdict, sentence)
        if lamp.state == before:
            return False
        self._count()
        return True

    def speak(self) -> None:
        for number, group in enumerate(self._groups):
            title = Content.assemble(group.title.say(), (f"  {group.item}", "$text-muted not bold"))
            self.query_one(f"#task-{number}", Static).update(title)
        for lamp in self._lamps.values():
            lamp.speak()
        self._count()

    @property
    def line(self) -> Content:
        """All lamps in one line, for terminals that have no room for the panel."""
        parts: list[str | tuple[str, str]] = [f"{words.TASKS.say()} "]
        for group in self._groups:
            parts.append(" ")
            parts += [sign(self._lamps[spec.id].verdict) for spec in group.lamps]
        parts.append((f"  {self._green}/{len(self._lamps)}", "$text-muted"))
        return Content.assemble(*parts)

    @property
    def _green(self) -> int:
        return sum(lamp.is_green for lamp in self._lamps.values())

    def _count(self) -> None:
        self.border_title = words.TASKS.say()
        self.border_subtitle = f"● {self._green}/{len(self._lamps)}"
        later = self.query_one("#lamps-later", Static)
        later.display = any(lamp.is_waiting for lamp in self._lamps.values())
        later.update(words.LATER.say())
