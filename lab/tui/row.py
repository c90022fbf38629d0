"""A line that stands for a check: sign, title, points, and below the title the reason."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from grading.verdict import Outcome, Verdict


def sign(verdict: Verdict | None) -> tuple[str, str]:
    """A sign that needs no colour to be understood, and its colour."""
    if verdict is None or verdict.outcome is Outcome.UNDECIDED:
        return "○", "$text-muted"
    if verdict.outcome is Outcome.PASSED:
        return "●", "$success"
    return ("◐", "$warning") if verdict.share > 0 else ("✗", "$error")


class CheckRow(Horizontal):
    """Drawn anew only where something is to be seen of it: a verdict may have new facts twice a second."""

    DEFAULT_CSS = """
    CheckRow { height: auto; padding-left: 1; }
    CheckRow .sign { width: 2; text-style: bold; }
    CheckRow Vertical { height: auto; width: 1fr; }
    CheckRow .points { width: auto; padding-left: 1; color: $text-muted; }
    CheckRow .reason { height: auto; }
    """

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 – as Textual calls it
        super().__init__(id=id)
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(classes="sign")
        with Vertical():
            yield Static(classes="title", markup=False)
            yield Static(classes="reason", markup=False)
        yield Static(classes="points", markup=False)

    def put(self, verdict: Verdict | None, title: str, points: str, *reasons: str) -> None:
        """Reasons stand below one another; empty ones are left out."""
        symbol, colour = sign(verdict)
        reason = "\n".join(filter(None, reasons))
        shown = (symbol, title, points, reason)
        if shown == self._shown:
            return
        self._shown = shown
        self.query_one(".sign", Static).update(Content.styled(symbol, colour))
        self.query_one(".title", Static).update(title)
        self.query_one(".points", Static).update(points)
        below = self.query_one(".reason", Static)
        below.display = bool(reason)
        below.update(Content.styled(reason, colour))
