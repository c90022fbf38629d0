"""What became of an exercise so far, read from the folder it was worked on in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.seat.workfolder import WORK
from scenarios.recorded import JOURNAL

_TAIL: Final = 1_000_000
"""Bytes of the journal's end in which the last result is looked for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An attempt that has begun."""

    earned: float | None
    """Points of the last hand-in; None where nothing was handed in yet."""


def standing(folder: Path) -> Standing | None:
    """None where nobody has begun, or where what is there cannot be read."""
    path = folder / WORK / JOURNAL
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if b'"ResultReady"' in line:
            earned = _earned(line)
            if earned is not None:
                return Standing(earned)
    return Standing(None)


def _earned(line: bytes) -> float | None:
    try:
        record = json.loads(line)
        return float(record["earned"]) if record["event"] == "ResultReady" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # the end of a journal that was cut short
