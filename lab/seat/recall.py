"""What an attempt saw before it was left: cut to what is whole after a crash, and shown to the grader again."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grading.grader import Grader
from lab.seat.workfolder import whole_blocks, whole_lines
from lab.wire import pcapng
from lab.wire.malformed import Malformed
from scenarios.recorded import CAPTURE, JOURNAL, TRUTH

_ORDER: Final = {"event": 0, "truth": 1, "frame": 2}
"""As the grader has it where times are the same."""


def mend(work: Path) -> None:
    """Cut off what a crash left unfinished at the ends of the records."""
    for name, whole in ((CAPTURE, whole_blocks), (JOURNAL, whole_lines), (TRUTH, whole_lines)):
        path = work / name
        if path.exists():
            end = whole(path)
            with path.open("r+b") as file:
                file.truncate(end)


def recall(grader: Grader, work: Path) -> int:
    """Feed the records of earlier hours to a fresh grader; returns how many frames there were."""
    frames = 0
    events = _records(work / JOURNAL, "event")
    truths = _records(work / TRUTH, "truth")
    for at, order, what in heapq.merge(events, truths, _frames(work / CAPTURE), key=lambda fed: fed[:2]):
        if order == _ORDER["frame"]:
            grader.feed(what)
            frames = what.number
        elif order == _ORDER["truth"]:
            grader.truth(at, what["host"], what["point"], what["value"])
        else:
            grader.event(at, what["event"], what)
    return frames


def _frames(path: Path) -> Iterator[tuple[int, int, Any]]:
    if not path.exists():
        return
    last = 0
    with path.open("rb") as file:
        try:
            for frame in pcapng.read(file):
                last = max(last, frame.at)
                yield last, _ORDER["frame"], frame
        except Malformed:
            return  # what is wrong with it will be said when it is marked


def _records(path: Path, kind: str) -> Iterator[tuple[int, int, Any]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                at = int(record["at"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            yield at, _ORDER[kind], record
