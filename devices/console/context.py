"""What a console has beside its host: a language, perhaps a folder, and the logs that can be looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.text import Language

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


@dataclass(frozen=True, slots=True)
class Context:
    """See the module."""

    language: Language | None = None
    """None is the one now spoken."""
    folder: Path | None = None
    """Where programs write files; without one they write none."""
    logs: Mapping[str, Log] = field(default_factory=dict)
    """By name, for `tail`."""
