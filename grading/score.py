"""Verdicts into marks.

A check earns its points times the share its verdict grants, times the share of the check that gates it. Points of
undecided checks are neither won nor lost: they are set apart, for people to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

from grading.verdict import Outcome, Verdict
from lab.text import Text


class ScoredCheck(Protocol):
    """What scoring needs to know of a check."""

    @property
    def id(self) -> str: ...
    @property
    def points(self) -> float: ...
    @property
    def gate(self) -> str | None: ...
    @property
    def name(self) -> Text:
        """Its title."""

    def sentence(self, verdict: Verdict) -> Text:
        """Why, in both languages, facts filled in; empty when passed."""


class ScoredTask(Protocol):
    """What scoring needs to know of a task."""

    @property
    def id(self) -> str: ...
    @property
    def item(self) -> str: ...
    @property
    def name(self) -> Text: ...
    @property
    def checks(self) -> Sequence[ScoredCheck]: ...


@dataclass(frozen=True, slots=True)
class CheckResult:
    id: str
    title: Text
    points: float
    earned: float
    """To one decimal."""
    undecided: float
    """Of its points, those that nobody has won or lost."""
    verdict: Verdict
    sentence: Text
    """Empty when passed."""
    gated_by: str
    """The check whose failure took points of this one; empty otherwise."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    id: str
    item: str
    """The ability item of the standard."""
    title: Text
    checks: tuple[CheckResult, ...]

    @property
    def points(self) -> float:
        return _sum(check.points for check in self.checks)

    @property
    def earned(self) -> float:
        return _sum(check.earned for check in self.checks)

    @property
    def undecided(self) -> float:
        return _sum(check.undecided for check in self.checks)


@dataclass(frozen=True, slots=True)
class Score:
    tasks: tuple[TaskResult, ...]

    @property
    def points(self) -> float:
        return _sum(task.points for task in self.tasks)

    @property
    def earned(self) -> float:
        return _sum(task.earned for task in self.tasks)

    @property
    def undecided(self) -> float:
        return _sum(task.undecided for task in self.tasks)

    @property
    def is_full(self) -> bool:
        return self.earned == self.points

    def checks(self) -> Mapping[str, CheckResult]:
        return {check.id: check for task in self.tasks for check in task.checks}


def score(tasks: Sequence[ScoredTask], verdicts: Mapping[str, Verdict]) -> Score:
    """Marks for every check of every task; a check without a verdict is undecided."""
    missing = Verdict(Outcome.UNDECIDED, 0.0, "no-verdict")
    by_id = {check.id: verdicts.get(check.id, missing) for task in tasks for check in task.checks}
    gates = {check.id: check.gate for task in tasks for check in task.checks}
    return Score(
        tuple(
            TaskResult(
                task.id,
                task.item,
                task.name,
                tuple(_result(check, by_id[check.id], by_id, gates) for check in task.checks),
            )
            for task in tasks
        )
    )


def _result(
    check: ScoredCheck, verdict: Verdict, verdicts: Mapping[str, Verdict], gates: Mapping[str, str | None]
) -> CheckResult:
    gate_share, gated_by, gate_undecided = 1.0, "", False
    gate, seen = check.gate, {check.id}
    while gate is not None and gate not in seen:
        seen.add(gate)
        opened = verdicts[gate]
        if opened.outcome is Outcome.UNDECIDED:
            gate_undecided = True
        elif opened.share < 1:
            gate_share, gated_by = gate_share * opened.share, gate
        gate = gates[gate]
    if verdict.outcome is Outcome.UNDECIDED or (gate_undecided and verdict.share > 0):
        # Where the gate is undecided, whatever this check would earn hangs in the air with it.
        share = 1.0 if verdict.outcome is Outcome.UNDECIDED else verdict.share
        undecided, earned = _tenths(check.points * share * gate_share), 0.0
    else:
        undecided, earned = 0.0, _tenths(check.points * verdict.share * gate_share)
    sentence = Text(zh="", en="") if verdict.outcome is Outcome.PASSED else check.sentence(verdict)
    return CheckResult(check.id, check.name, check.points, earned, undecided, verdict, sentence, gated_by)


def _tenths(points: float) -> float:
    return float(Decimal(repr(points)).quantize(Decimal("0.1"), ROUND_HALF_UP))


def _sum(points: object) -> float:
    return round(sum(points), 1)  # type: ignore[call-overload, no-any-return]
