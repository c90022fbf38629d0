"""Handing in: acceptance, marks, sealed evidence and a report to read."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from grading.bundle import open_bundle, seal
from grading.report import as_html
from grading.score import Score
from lab.seat.events import Stage
from lab.seat.home import installation_key
from scenarios import marking, reporting
from scenarios.scenario import Instance

HANDED_IN = "handed-in"

Progress = Callable[[Stage, float, float], None]


@dataclass(frozen=True, slots=True)
class Result:
    score: Score
    bundle_path: Path
    """The sealed evidence; `report.html` lies beside it."""


def hand_in(
    instance: Instance,
    root: Path,
    files: Mapping[str, str],
    submitted: Mapping[str, bytes],
    work: marking.Work,
    progress: Progress,
) -> Result:
    """All of it, in this thread; raises FileError where the files are no configuration of the plant."""
    attempt = marking.examine(
        instance,
        files,
        secrets.token_bytes(16),
        work=work,
        submitted=submitted,
        facts={
            "began": _iso(work.began_ns),
            "handed_in": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        progress=progress,
    )
    progress("seal", 0, 1)
    folder = _next_folder(root / HANDED_IN)
    path = folder / "evidence.zip"
    seal(path, attempt.bundle.members, attempt.bundle.facts, installation_key())
    report = reporting.report(open_bundle(path), instance, attempt.score)
    (folder / "report.html").write_text(as_html(report), "utf-8")
    progress("seal", 1, 1)
    return Result(attempt.score, path)


def _next_folder(parent: Path) -> Path:
    """handed-in/1, /2 …: nothing that was handed in is ever replaced."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(each.name) for each in parent.iterdir() if each.name.isdecimal()), default=0)
    folder = parent / str(number)
    folder.mkdir()
    return folder


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).isoformat()
