"""A scenario proves itself: untouched it earns nothing, right solutions everything, wrong ones lose what they should."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from grading.verdict import Outcome
from lab.model.document import FileError, Problem
from lab.text import Text
from scenarios.format import WriteFile
from scenarios.marking import examine
from scenarios.rehearsal import rehearse
from scenarios.scenario import Instance, Scenario

Kind = Literal["untouched", "right", "wrong"]
Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total)."""

UNTOUCHED: Final = "untouched"
_SECRET: Final = b"proof"
_WORTH_A_PROCESS: Final = 24
"""Runs below which a second process costs more, to start and to import everything, than it saves."""

EARNS_SOMETHING = Text(zh="空手得 {earned:g} 分，应为 0", en="earns {earned:g} points untouched, it should be 0")
NOT_FULL = Text(zh="得 {earned:g} 分，应为 100：{checks}", en="earns {earned:g} points, it should be 100: {checks}")
NOT_LOST = Text(zh="应丢而未丢：{checks}", en="should lose and does not: {checks}")
LOST_TOO = Text(zh="不应丢而丢了：{checks}", en="should not lose and does: {checks}")
TOO_MUCH = Text(zh="得 {earned:g} 分，上限 {most:g}", en="earns {earned:g} points, at most {most:g} are allowed")
OPEN = Text(zh="未能判定：{checks}", en="undecided: {checks}")
FAILED_RUN = Text(zh="程序出错：{error}", en="our mistake: {error}")
NEVER_LOST = Text(zh="没有错解丢掉检查项 {check}", en="no wrong solution loses the check {check}")
UNUSABLE = Text(zh="文件无法使用：{problems}", en="its files cannot be used: {problems}")


@dataclass(frozen=True, slots=True)
class Job:
    """One variant of one scenario for one seed."""

    folder: str
    scenario: str
    seed: int
    kind: Kind
    variant: str


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    outcome: Outcome
    share: float
    reason: str
    sentence: Text


@dataclass(frozen=True, slots=True)
class Marked:
    """What a variant earned."""

    job: Job
    earned: float
    checks: Mapping[str, CheckOutcome]
    """In the order of the scenario."""
    failure: str = ""
    """Our own mistake, if it was one."""
    problems: tuple[Problem, ...] = ()
    """Why its files cannot be used, so that it earned nothing."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A variant and what is wrong with it; nothing, where the proof holds."""

    marked: Marked
    complaints: tuple[tuple[Text, Mapping[str, object]], ...]

    @property
    def holds(self) -> bool:
        return not self.complaints


@dataclass(frozen=True, slots=True)
class Proof:
    """All variants of one scenario for one seed."""

    scenario: str
    seed: int
    rows: tuple[Row, ...]
    never_lost: tuple[str, ...]
    """Checks that no wrong solution loses."""

    @property
    def holds(self) -> bool:
        return not self.never_lost and all(row.holds for row in self.rows)


@dataclass(slots=True)
class _Expected:
    instance: Instance
    marked: dict[tuple[Kind, str], Marked] = field(default_factory=dict)


def prove(
    folders: Sequence[Path],
    seeds: Iterable[int] = (1,),
    *,
    processes: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Proof]:
    """Mark every variant of every scenario, in as many processes as are worth while; raises FileError."""
    expected: dict[tuple[str, int], _Expected] = {}
    jobs: list[Job] = []
    for folder in folders:
        for seed in seeds:
            instance = _scenario(str(folder.resolve())).instantiate(seed)
            expected[instance.id, seed] = _Expected(instance)
            jobs.extend(_jobs(instance))
    for done, marked in enumerate(_carry_out(jobs, processes), 1):
        job = marked.job
        expected[job.scenario, job.seed].marked[job.kind, job.variant] = marked
        progress(f"{job.scenario} · {job.variant}", done, len(jobs))
    return [_proof(each.instance, each.marked) for each in expected.values()]


def _jobs(instance: Instance) -> Iterator[Job]:
    folder, seed = str(instance.scenario.folder), instance.seed
    yield Job(folder, instance.id, seed, "untouched", UNTOUCHED)
    for name in instance.definition.solutions:
        yield Job(folder, instance.id, seed, "right", name)
    for name in instance.definition.wrong:
        yield Job(folder, instance.id, seed, "wrong", name)


def _carry_out(jobs: Sequence[Job], processes: int | None) -> Iterator[Marked]:
    workers = min(processes or os.cpu_count() or 1, max(1, len(jobs) // _WORTH_A_PROCESS))
    if workers == 1:
        yield from map(mark, jobs)
        return
    # Everywhere as on Windows: a fork would take locks and threads of this process along.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(mark, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def mark(job: Job) -> Marked:
    """One acceptance run and its marks."""
    began = time.perf_counter()
    instance = _instance(job.folder, job.seed)
    try:
        files, deeds = _files(instance, job)
        work, failure = rehearse(instance, files, deeds)
        attempt = examine(instance, files, _SECRET, work=work)
    except FileError as error:
        checks = {
            check.id: CheckOutcome(Outcome.FAILED, 0.0, "", Text("", "")) for _, check in instance.definition.checks()
        }
        return Marked(job, 0.0, checks, problems=error.problems)
    checks = {
        check.id: CheckOutcome(check.verdict.outcome, check.verdict.share, check.verdict.reason, check.sentence)
        for check in attempt.score.checks().values()
    }
    failure = failure or attempt.failure
    return Marked(job, attempt.score.earned, checks, failure, seconds=time.perf_counter() - began)


def _files(instance: Instance, job: Job) -> tuple[Mapping[str, str], Sequence[WriteFile]]:
    """The variant's files, and what somebody does before they are in place."""
    if job.kind == "untouched":
        return instance.start, ()
    solutions = instance.solutions() if job.kind == "right" else instance.wrong()
    deeds = instance.definition.wrong[job.variant].does if job.kind == "wrong" else ()
    return next(solution.files for solution in solutions if solution.name == job.variant), deeds


def _proof(instance: Instance, marked: Mapping[tuple[Kind, str], Marked]) -> Proof:
    rows = [
        Row(each, tuple(_complaints(instance, each)))
        for each in (marked[job.kind, job.variant] for job in _jobs(instance))
    ]
    lost = {
        check
        for row in rows
        if row.marked.job.kind == "wrong"
        for check, seen in row.marked.checks.items()
        if seen.outcome is Outcome.FAILED
    }
    never_lost = tuple(check.id for _, check in instance.definition.checks() if check.id not in lost)
    return Proof(instance.id, instance.seed, tuple(rows), never_lost)


def _complaints(instance: Instance, marked: Marked) -> Iterator[tuple[Text, Mapping[str, object]]]:
    if marked.failure:
        yield FAILED_RUN, {"error": marked.failure.strip().splitlines()[-1]}
        return
    if marked.problems:
        yield UNUSABLE, {"problems": "; ".join(map(str, marked.problems))}
        return
    failed = {check for check, seen in marked.checks.items() if seen.outcome is Outcome.FAILED}
    undecided = [check for check, seen in marked.checks.items() if seen.outcome is Outcome.UNDECIDED]
    if undecided:
        yield OPEN, {"checks": ", ".join(undecided)}
    if marked.job.kind == "untouched":
        if marked.earned:
            yield EARNS_SOMETHING, {"earned": marked.earned}
    elif marked.job.kind == "right":
        if failed or marked.earned != 100:
            yield NOT_FULL, {"earned": marked.earned, "checks": ", ".join(sorted(failed))}
    else:
        wrong = instance.definition.wrong[marked.job.variant]
        if kept := set(wrong.loses) - failed:
            yield NOT_LOST, {"checks": ", ".join(sorted(kept))}
        if too := failed - set(wrong.loses):
            yield LOST_TOO, {"checks": ", ".join(sorted(too))}
        if marked.earned > wrong.at_most:
            yield TOO_MUCH, {"earned": marked.earned, "most": wrong.at_most}


@lru_cache(maxsize=64)
def _scenario(folder: str) -> Scenario:
    return Scenario.read(Path(folder))


@lru_cache(maxsize=64)
def _instance(folder: str, seed: int) -> Instance:
    return _scenario(folder).instantiate(seed)
