"""What a check says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    """We could not tell: our own bug, or a probe that could not be made. Nobody gains or loses by it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one check, with what it saw and where it saw it."""

    outcome: Outcome
    share: float
    """Of the check's points, 0 to 1; 1 when passed, anything below when failed, 0 when undecided."""
    reason: str = ""
    """Names one of the check's sentences, such as `poll-too-slow`; empty when passed."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """Fills the sentence; JSON-able."""
    frames: tuple[int, ...] = ()
    """Numbers of the frames it rests on, as Wireshark counts them; a handful, not all."""


def passed(*, frames: tuple[int, ...] = (), **facts: object) -> Verdict:
    return Verdict(Outcome.PASSED, 1.0, "", facts, frames)


def failed(reason: str, *, share: float = 0.0, frames: tuple[int, ...] = (), **facts: object) -> Verdict:
    return Verdict(Outcome.FAILED, share, reason, facts, frames)


def undecided(reason: str, *, frames: tuple[int, ...] = (), **facts: object) -> Verdict:
    return Verdict(Outcome.UNDECIDED, 0.0, reason, facts, frames)
