"""From frozen files to marks: the acceptance run, the evidence, and the grader that reads it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

from grading.bundle import Bundle
from grading.grader import grade, stimuli
from grading.score import Score
from lab.clock import EPOCH_NS
from scenarios import acceptance
from scenarios.kinds import APPLIANCES
from scenarios.scenario import Instance
from scenarios.stimuli import chance

Stage = Literal["boot", "settle", "drive", "grade"]
Progress = Callable[[Stage, float, float], None]
"""Called as progress(stage, done, total), in the thread that does the work."""

WORK: Final = "work"
ACCEPTANCE: Final = "acceptance"
FROZEN: Final = "frozen"
SUBMIT: Final = "submit"


@dataclass(frozen=True, slots=True)
class Work:
    """The records of the work phase."""

    members: Mapping[str, bytes]
    """`capture.pcapng`, `journal.jsonl` and `truth.jsonl`."""
    began_ns: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt with its evidence, not yet sealed, and its marks."""

    bundle: Bundle
    score: Score
    failure: str
    """Our own mistake during the acceptance run, as a traceback; else empty."""


def examine(
    instance: Instance,
    files: Mapping[str, str],
    secret: bytes,
    *,
    work: Work | None = None,
    submitted: Mapping[str, bytes] | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Attempt:
    """Accept frozen files and mark the attempt; raises FileError where they are no configuration of the plant."""
    frozen = {name: files[name] for name in instance.start if name in files}
    asked_for = stimuli(instance.definition.tasks, chance(secret, instance.id, instance.seed, frozen))
    run = acceptance.run(instance, files, asked_for, progress=progress)
    members = {f"{FROZEN}/{name}": text.encode() for name, text in frozen.items()}
    members |= {f"{ACCEPTANCE}/{name}": data for name, data in run.members.items()}
    members |= {f"{SUBMIT}/{name}": data for name, data in (submitted or {}).items()}
    began = {ACCEPTANCE: EPOCH_NS}
    if work is not None:
        members |= {f"{WORK}/{name}": data for name, data in work.members.items()}
        began[WORK] = work.began_ns
    said = {
        **(facts or {}),
        "scenario": instance.id,
        "scenario_digest": instance.scenario.digest,
        "title": instance.definition.title.model_dump(),
        "seed": instance.seed,
        "secret": secret.hex(),
        "endpoints": endpoints(instance),
        "began_ns": began,
        "versions": versions(),
    }
    bundle = Bundle(said, members, b"")
    progress("grade", 0, 1)
    score = grade(bundle, instance.definition.tasks)
    progress("grade", 1, 1)
    return Attempt(bundle, score, run.failure)


def examine_again(instance: Instance, bundle: Bundle, progress: Progress = lambda stage, done, total: None) -> Attempt:
    """The acceptance run once more from the frozen files of sealed evidence, everything else as it was."""
    work = None
    if members := bundle.folder(WORK):
        work = Work(members, bundle.facts["began_ns"][WORK])
    files = {name: data.decode() for name, data in bundle.folder(FROZEN).items()}
    secret = bytes.fromhex(bundle.facts["secret"])
    return examine(instance, files, secret, work=work, submitted=bundle.folder(SUBMIT), progress=progress)


def endpoints(instance: Instance) -> list[str]:
    """The hosts that begin and end conversations."""
    return [name for name, kind in instance.kinds.items() if kind in APPLIANCES and not APPLIANCES[kind].forwards]


def versions() -> dict[str, str]:
    """With what the evidence was made."""
    try:
        program = version("iiotlab")
    except PackageNotFoundError:
        program = ""
    return {"iiotlab": program, "python": platform.python_version()}
