"""Logs of a host, as people look at them: the latest lines, and each new one as it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Generic, TypeVar

_KEPT: Final = 10_000

E = TypeVar("E")


class Log(Generic[E]):
    """A log of a host, of which the latest entries are kept; `render` makes a line of one, when somebody looks."""

    def __init__(self, render: Callable[[E], str] = str, keep: int = _KEPT) -> None:
        self.entries: deque[E] = deque(maxlen=keep)
        """Oldest first."""
        self.followers: list[Callable[[str], None]] = []
        """Called with each new line."""
        self._render = render

    def add(self, entry: E) -> None:
        self.entries.append(entry)
        if self.followers:
            line = self._render(entry)
            for follower in tuple(self.followers):
                follower(line)

    def tail(self, lines: int) -> Sequence[str]:
        """The latest, oldest first."""
        latest = islice(reversed(self.entries), max(0, lines))
        return [self._render(entry) for entry in latest][::-1]
