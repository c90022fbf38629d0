"""Logs of a host, as people look at them: the latest lines, and each new one as it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

_KEPT: Final = 10_000


class Log:
    """A log of a host, of which the latest lines are kept."""

    def __init__(self, keep: int = _KEPT) -> None:
        self._lines: deque[str] = deque(maxlen=keep)
        self.followers: list[Callable[[str], None]] = []
        """Called with each new line."""

    def add(self, line: str) -> None:
        self._lines.append(line)
        for follower in tuple(self.followers):
            follower(line)

    def tail(self, lines: int) -> Sequence[str]:
        """The latest, oldest first."""
        return list(self._lines)[-lines:] if lines > 0 else []
