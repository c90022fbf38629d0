"""`check`, `grade`, `replay`: what files and evidence are worth."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from grading.bundle import ADDED, CHANGED, MANIFEST_CHANGED, REMOVED, Bundle, BundleError, open_bundle
from grading.grader import EvidenceError
from grading.grader import grade as mark
from grading.report import OUTCOMES, as_data, as_html, as_text
from grading.score import Score
from lab.cli import trouble
from lab.cli.progress import Progress
from lab.cli.trouble import NOT_WELL, OK, Refused, complain
from lab.model.document import FileError
from lab.text import Text
from scenarios.catalogue import find
from scenarios.marking import ACCEPTANCE, Attempt, Stage, Work, endpoints, examine, examine_again
from scenarios.recorded import CAPTURE, JOURNAL, TRUTH
from scenarios.reporting import report
from scenarios.scenario import Instance, Scenario

STAGES: Final[dict[Stage, Text]] = {
    "boot": Text(zh="启动工厂", en="switching the plant on"),
    "settle": Text(zh="等待稳定", en="letting it settle"),
    "drive": Text(zh="驱动工况与测试", en="driving and probing it"),
    "grade": Text(zh="评分", en="marking"),
}
OUR_FAILURE = Text(
    zh="验收运行出错（不影响得分，需人工判定）：{error}", en="the acceptance run failed, which is our mistake: {error}"
)
OTHER_DIGEST = Text(
    zh="注意：此后场景 {scenario} 已有改动，按现在的场景评分",
    en="note: the scenario {scenario} has changed since; it is marked by what it asks for now",
)
NO_FACTS = Text(zh="{file}：证据中缺少 {fact}", en="{file}: the evidence does not say its {fact}")
SCENARIO_NEEDED = Text(
    zh="{file} 是抓包文件：请用 --scenario 指明场景（以及 --seed）",
    en="{file} is a capture: say which scenario it is of, with --scenario (and --seed)",
)
WRITTEN = Text(zh="报告已写入 {path}", en="the report is in {path}")
SAME = Text(zh="重做验收：{count} 项结论全部一致", en="replayed: all {count} verdicts are the same")
DIFFERENT = Text(zh="{check}：原为{before}，重做为{after}", en="{check}: was {before}, replayed it is {after}")


def check(options: argparse.Namespace) -> int:
    from lab.seat.workfolder import WorkFolder

    folder = WorkFolder(Path(options.dir).expanduser())
    attempt = folder.attempt()
    instance = _instance(attempt.scenario, attempt.seed)
    files, problems = folder.plant_files()
    if problems:
        raise FileError(problems)
    with Progress() as progress:
        examined = examine(
            instance,
            files,
            secrets.token_bytes(16),
            work=_work(folder.work, attempt.began_ns),
            progress=lambda stage, done, total: progress.show(STAGES[stage].say(), done, total),
        )
    return _tell(options, instance, examined.bundle, examined.score, examined.failure)


def grade(options: argparse.Namespace) -> int:
    path = Path(options.file).expanduser()
    if _is_capture(path):
        return _grade_capture(options, path)
    try:
        bundle = open_bundle(path)
        instance = _instance_of(options, path, bundle)
        with Progress() as progress:
            progress.show(STAGES["grade"].say(), 0, 1)
            score = mark(bundle, instance.definition.tasks)
    except (BundleError, EvidenceError) as error:
        return _unreliable(path, error)
    _tell(options, instance, bundle, score, "")
    return OK


def replay(options: argparse.Namespace) -> int:
    path = Path(options.file).expanduser()
    try:
        bundle = open_bundle(path)
        instance = _instance_of(options, path, bundle)
        before = mark(bundle, instance.definition.tasks)
        with Progress() as progress:
            again = examine_again(
                instance, bundle, lambda stage, done, total: progress.show(STAGES[stage].say(), done, total)
            )
    except (BundleError, EvidenceError) as error:
        return _unreliable(path, error)
    except (KeyError, ValueError, TypeError) as error:
        raise Refused(NO_FACTS.say(file=path, fact=error)) from None
    return _compare(options, before, again)


def _compare(options: argparse.Namespace, before: Score, again: Attempt) -> int:
    old, new = before.checks(), again.score.checks()
    rows = [
        {
            "check": id_,
            "before": old[id_].verdict.outcome.value,
            "after": new[id_].verdict.outcome.value,
            "same": old[id_].verdict.outcome == new[id_].verdict.outcome,
        }
        for id_ in old
    ]
    differing = [row for row in rows if not row["same"]]
    if options.json:
        data = {"earned": before.earned, "replayed": again.score.earned, "checks": rows}
        print(json.dumps(data, ensure_ascii=False, indent=1))
    elif differing:
        for id_ in (str(row["check"]) for row in differing):
            words = {"before": OUTCOMES[old[id_].verdict.outcome], "after": OUTCOMES[new[id_].verdict.outcome]}
            print(DIFFERENT.say(check=old[id_].title, **words))
    else:
        print(SAME.say(count=len(rows)))
    if again.failure:
        complain(OUR_FAILURE.say(error=again.failure.strip().splitlines()[-1]))
    return NOT_WELL if differing or again.failure else OK


def _grade_capture(options: argparse.Namespace, path: Path) -> int:
    """Marks for a bare capture: what nobody forced or tried, as the journal would say, stays undecided."""
    if options.scenario is None:
        raise Refused(SCENARIO_NEEDED.say(file=path))
    instance = _instance(options.scenario, options.seed)
    from grading.events import SETTLED
    from lab.wire import pcapng
    from lab.wire.malformed import Malformed
    from scenarios.records import line

    data = path.read_bytes()
    try:
        with path.open("rb") as file:
            began = next((frame.at for frame in pcapng.read(file)), 0)
    except Malformed as malformed:
        raise Refused(f"{path}: {malformed}") from None
    journal = line(at=began, event=SETTLED)
    phases = {"work", ACCEPTANCE}
    facts = {"scenario": instance.id, "seed": instance.seed, "endpoints": endpoints(instance)}
    bundle = Bundle(
        {**facts, "began_ns": dict.fromkeys(phases, began)},
        {f"{phase}/{name}": what for phase in phases for name, what in ((CAPTURE, data), (JOURNAL, journal))},
        b"",
    )
    try:
        score = mark(bundle, instance.definition.tasks)
    except EvidenceError as error:
        raise Refused(f"{path}: {error.what.say(**error.facts)}") from None
    _tell(options, instance, bundle, score, "")
    return OK


def _tell(options: argparse.Namespace, instance: Instance, bundle: Bundle, score: Score, failure: str) -> int:
    if options.json:
        data: dict[str, Any] = {**as_data(report(bundle, instance, score)), "failure": failure}
        print(json.dumps(data, ensure_ascii=False, indent=1, default=str))
    elif html := getattr(options, "html", None):
        Path(html).expanduser().write_text(as_html(report(bundle, instance, score)), "utf-8")
        print(WRITTEN.say(path=html))
    else:
        print(as_text(report(bundle, instance, score)), end="")
    if failure:
        complain(OUR_FAILURE.say(error=failure.strip().splitlines()[-1]))
    return OK if score.is_full else NOT_WELL


def _instance(scenario: str, seed: int) -> Instance:
    """From an id, or from a folder: that of an attempt may lie elsewhere on another computer."""
    path = Path(scenario)
    folder = path if (path / "scenario.yaml").is_file() else find(path.name if path.is_absolute() else scenario)
    return Scenario.load(folder).instantiate(seed)


def _instance_of(options: argparse.Namespace, path: Path, bundle: Bundle) -> Instance:
    """The scenario that evidence says it is of, or the one the command line names."""
    facts = bundle.facts
    for fact, kind in (("scenario", str), ("seed", int), ("endpoints", list), ("began_ns", dict)):
        if not isinstance(facts.get(fact), kind):
            raise Refused(NO_FACTS.say(file=path, fact=fact))
    instance = _instance(options.scenario or facts["scenario"], facts["seed"])
    if facts.get("scenario_digest") != instance.scenario.digest:
        print(OTHER_DIGEST.say(scenario=instance.id), file=sys.stderr)
    return instance


def _work(folder: Path, began_ns: int) -> Work | None:
    """The records so far; a plant that runs beside this may be in the middle of a block or a line."""
    from lab.seat.workfolder import whole_blocks, whole_lines

    if not (folder / CAPTURE).exists():
        return None
    members: dict[str, bytes] = {}
    for name, whole in ((CAPTURE, whole_blocks), (JOURNAL, whole_lines), (TRUTH, whole_lines)):
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                members[name] = file.read(whole(path))
    return Work(members, began_ns)


def _is_capture(path: Path) -> bool:
    """By what is in it: a capture says so in its first bytes, and other captures are best named as such."""
    with path.open("rb") as file:
        head = file.read(4)
    return head != b"PK\x03\x04" and (head == b"\n\r\r\n" or path.suffix in (".pcapng", ".pcap", ".cap"))


def _unreliable(path: Path, error: BundleError | EvidenceError) -> int:
    complain(str(error) if isinstance(error, BundleError) else f"{path}: {error}")
    tampered = isinstance(error, BundleError) and error.what in (CHANGED, ADDED, REMOVED, MANIFEST_CHANGED)
    return NOT_WELL if tampered else trouble.UNUSABLE
