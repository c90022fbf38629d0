"""What a console has beside its host: a language, perhaps a folder, and the logs that can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.network.logbook import Log
from lab.text import Language


@dataclass(frozen=True, slots=True)
class Context:
    """See the module."""

    language: Language | None = None
    """None is the one now spoken."""
    folder: Path | None = None
    """Where programs write files; without one they write none."""
    logs: Mapping[str, Log[Any]] = field(default_factory=dict)
    """By name, for `tail`."""
