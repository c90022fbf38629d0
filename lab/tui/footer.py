"""The line of keys, in the language now spoken."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from lab.tui import words

_LABELS = {
    "Brief": words.BRIEF,
    "Plant": words.PLANT,
    "Files": words.FILES,
    "Traffic": words.TRAFFIC,
    "Hint": words.HINT_TITLE,
    "Hand in": words.HAND_IN,
    "Back": words.BACK,
    "Help": words.HELP,
    "Quit": words.QUIT,
    "Language": words.LANGUAGE,
    "Save": words.SAVE,
    "Next problem": words.NEXT_PROBLEM,
    "Next file": words.NEXT_FILE,
    "Pause": words.PAUSE,
}
"""Bindings stand in classes, in English; this is what they are called on the screen."""


class Keys(Footer):
    """Textual's footer with translated descriptions."""

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            if isinstance(widget, FooterKey):
                word = _LABELS.get(widget.description)
                widget.description = word.say() if word is not None else widget.description
            yield widget
