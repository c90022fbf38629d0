"""What a report says beside the marks: about the attempt, and the frames that verdicts rest on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BytesIO

from grading.bundle import Bundle
from grading.report import FrameLine, Report
from grading.score import Score
from lab.text import Text
from lab.wire import pcapng
from lab.wire.malformed import Malformed
from scenarios.framelines import line
from scenarios.recorded import CAPTURE
from scenarios.scenario import Instance

SCENARIO = Text(zh="场景", en="Scenario")
SEED = Text(zh="种子", en="Seed")
HANDED_IN = Text(zh="交卷时间", en="Handed in")
SEALED_BY = Text(zh="封存密钥", en="Sealed by key")
MADE_WITH = Text(zh="程序版本", en="Made with")


def report(bundle: Bundle, instance: Instance, score: Score) -> Report:
    """Marks of an attempt with its evidence, for people."""
    return Report(instance.definition.title.text, score, tuple(_facts(bundle)), _frames(bundle, instance, score))


def _facts(bundle: Bundle) -> Iterator[tuple[Text, str]]:
    facts = bundle.facts
    yield SCENARIO, str(facts.get("scenario", ""))
    yield SEED, str(facts.get("seed", ""))
    if "handed_in" in facts:
        yield HANDED_IN, str(facts["handed_in"])
    if bundle.sealed_by:
        yield SEALED_BY, bundle.fingerprint
    versions = facts.get("versions")
    if isinstance(versions, dict):
        yield MADE_WITH, ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _frames(bundle: Bundle, instance: Instance, score: Score) -> Mapping[str, Sequence[FrameLine]]:
    """The frames every verdict rests on, by check; each phase has a capture of its own and counts from 1."""
    results = score.checks()
    frames: dict[str, Sequence[FrameLine]] = {}
    for phase in ("work", "acceptance"):
        wanted = {
            check.id: results[check.id].verdict.frames
            for _, check in instance.definition.checks()
            if check.phase == phase
        }
        lines = _lines(bundle, phase, {number for numbers in wanted.values() for number in numbers})
        for check_id, numbers in wanted.items():
            frames[check_id] = [lines[number] for number in numbers if number in lines]
    return frames


def _lines(bundle: Bundle, phase: str, numbers: Collection[int]) -> Mapping[int, FrameLine]:
    capture = bundle.folder(phase).get(CAPTURE)
    lines: dict[int, FrameLine] = {}
    if not numbers or capture is None:
        return lines
    began, last = bundle.facts["began_ns"][phase], max(numbers)
    try:
        for frame in pcapng.read(BytesIO(capture)):
            if frame.number in numbers:
                lines[frame.number] = line(frame, began)
            if frame.number >= last:
                break
    except Malformed:
        pass  # the grader has said so already, where it matters
    return lines
