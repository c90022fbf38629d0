"""What goes wrong in the lab behind a screen is told on it, and the screen lives on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textual.dom import DOMNode

from lab.model.document import FileError
from lab.tui import words

_SECONDS = 20.0


@contextmanager
def told(node: DOMNode) -> Iterator[None]:
    """Whatever the block raises becomes a notice; what comes after the block is done all the same."""
    try:
        yield
    except Exception as error:
        tell(node, error)


def tell(node: DOMNode, error: Exception) -> None:
    """Say in a notice what went wrong: words where people can mend it, the error itself where only we can."""
    is_theirs = isinstance(error, (FileError, OSError))
    reason = str(error) if is_theirs else f"{type(error).__name__}: {error}"
    title = words.NOT_DONE if is_theirs else words.OUR_MISTAKE
    node.app.notify(reason, title=title.say(), severity="error", timeout=_SECONDS, markup=False)
