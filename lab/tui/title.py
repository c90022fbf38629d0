"""The line at the top."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static


class Title(Horizontal):
    """What this screen is about, and what to know of it."""

    DEFAULT_CSS = """
    Title { dock: top; height: 1; background: $panel; padding: 0 1; }
    Title #title-text { width: 1fr; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; color: $foreground; }
    Title #title-facts { width: auto; padding-left: 2; color: $text-muted; }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="title-text", markup=False)
        yield Static(id="title-facts", markup=False)

    def tell(self, fact: str) -> None:
        """Something to know at this moment, in place of the facts."""
        self.query_one("#title-facts", Static).update(fact)

    def show(self, title: str, facts: str) -> None:
        self.query_one("#title-text", Static).update(title)
        self.query_one("#title-facts", Static).update(facts)
