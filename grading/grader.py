"""Frames, truth and journal in, verdicts out; the live screen and the examiner's computer feed the same object."""

from __future__ import annotations

import heapq
import json
import random
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO, Final, Literal

from grading import events
from grading.bundle import Bundle
from grading.checks import Check, Context, Phase
from grading.dissector import Dissector
from grading.observations import Observation
from grading.score import Score, score
from grading.stimulus import Stimulus
from grading.task import CheckSpec, Task
from grading.verdict import Outcome, Verdict, failed, undecided
from lab.model.frame import Frame, Tap
from lab.text import Text
from lab.wire import pcapng
from lab.wire.malformed import Malformed

CAPTURE: Final = "capture.pcapng"
TRUTH: Final = "truth.jsonl"
JOURNAL: Final = "journal.jsonl"
PHASES: Final[tuple[Phase, ...]] = ("work", "acceptance")
_SECOND: Final = 1_000_000_000
_READ_SIZE: Final = 1 << 18

BAD_LINE = Text(zh="第 {line} 行不是预期的记录", en="line {line} is not the record it should be")
BAD_CAPTURE = Text(zh="抓包文件：{reason}", en="the capture cannot be read: {reason}")


class EvidenceError(Exception):
    """A member of the evidence makes no sense."""

    def __init__(self, member: str, what: Text, **facts: object) -> None:
        self.member, self.what, self.facts = member, what, facts
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.member}: {self.what.say(**self.facts)}"


class Grader:
    """All checks of a scenario in one phase of an attempt. Times are nanoseconds since the Unix epoch."""

    def __init__(
        self,
        tasks: Sequence[Task],
        endpoints: Collection[str],
        phase: Phase,
        began_ns: int,
        ports: Mapping[int, str] | None = None,
    ) -> None:
        self._dissector = Dissector(endpoints, began_ns, ports)
        self._began = began_ns
        self._specs: dict[str, CheckSpec] = {check.id: check for task in tasks for check in task.checks}
        context = Context(phase, began_ns)
        self._checks: dict[str, Check[Any]] = {id_: spec.begin(context) for id_, spec in self._specs.items()}
        self._broken: dict[str, Verdict] = {}
        self._listeners: defaultdict[type[Observation], list[Check[Any]]] = defaultdict(list)
        for check in self._checks.values():
            for kind in check.wants:
                self._listeners[kind].append(check)
        self._failure: Verdict | None = None
        """Why nothing may be concluded from what did not happen."""
        self._is_overloaded = False

    def feed(self, frame: Frame) -> Sequence[Observation]:
        """Look at a frame; returns what became known, for whoever wants to show it."""
        try:
            observations = self._dissector.feed(frame)
        except Exception as error:
            self._give_up(error)
            return ()
        if observations:
            self._tell(observations)
        return observations

    def truth(self, at: int, host: str, point: str, value: Any) -> None:
        """A process value has changed."""
        seconds = (at - self._began) / _SECOND
        for check in list(self._checks.values()):
            self._guarded(check, check.truth, seconds, host, point, value)

    def event(self, at: int, name: str, facts: Mapping[str, Any]) -> None:
        """The journal says that something was done."""
        if name == events.RUN_FAILED:
            self._failure = undecided("run-failed", traceback=str(facts.get("traceback", "")))
        elif name == events.FRAMES_DROPPED and self._failure is None:
            self._failure = undecided("frames-missing", dropped=facts.get("dropped", 0))
        elif name == events.OVERLOADED:
            self._is_overloaded = True
        seconds = (at - self._began) / _SECOND
        for check in list(self._checks.values()):
            self._guarded(check, check.event, seconds, name, facts)

    def verdicts(self, now: int) -> dict[str, Verdict]:
        """What each check says, by its id, at a time not before that of anything fed so far."""
        try:
            observations = self._dissector.advance(now)
        except Exception as error:
            self._give_up(error)
        else:
            self._tell(observations)
        seconds = (now - self._began) / _SECOND
        return {id_: self._verdict(id_, seconds) for id_ in self._specs}

    def _verdict(self, id_: str, now: float) -> Verdict:
        check = self._checks.get(id_)
        if check is not None:
            try:
                verdict = check.verdict(now)
            except Exception as error:
                self._break(check, error)
            else:
                return self._tempered(verdict, check)
        return self._broken[id_]

    def _tempered(self, verdict: Verdict, check: Check[Any]) -> Verdict:
        """The verdict in the light of what happened to the run as a whole."""
        # What was seen was seen; what was not seen may have been there all the same.
        rests_on_absence = verdict.outcome is not Outcome.PASSED or check.is_negative
        if self._failure is not None and rests_on_absence and verdict.reason not in check.proven:
            return self._failure
        if self._is_overloaded and verdict.outcome is Outcome.UNDECIDED:
            return failed("plant-overloaded")
        return verdict

    def _tell(self, observations: Iterable[Observation]) -> None:
        listeners = self._listeners
        for observation in observations:
            for check in listeners.get(type(observation), ()):
                try:
                    check.observe(observation)
                except Exception as error:
                    self._break(check, error)

    def _guarded(self, check: Check[Any], tell: Callable[..., None], *arguments: Any) -> None:
        try:
            tell(*arguments)
        except Exception as error:
            self._break(check, error)

    def _break(self, check: Check[Any], error: Exception) -> None:
        """Our bug: the check is out of the game, nobody wins or loses by it."""
        self._broken[check.id] = _undecided_by(error)
        self._checks.pop(check.id, None)
        # A new list, for the old one may be under way.
        for kind in check.wants:
            self._listeners[kind] = [each for each in self._listeners[kind] if each is not check]

    def _give_up(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = _undecided_by(error)


def _undecided_by(error: Exception) -> Verdict:
    trace = "".join(traceback.format_exception(error))
    return undecided("error", error=f"{type(error).__name__}: {error}", traceback=trace)


def stimuli(tasks: Sequence[Task], rng: random.Random) -> list[Stimulus]:
    """What an acceptance run has to do for these checks, in this order."""
    context = Context("acceptance")
    return [
        stimulus
        for task in tasks
        for spec in task.checks
        if spec.phase == "acceptance"
        for stimulus in spec.begin(context).needs(rng)
    ]


# -- offline -----------------------------------------------------------------------------------------------------------

Fed = tuple[int, int, Literal["event", "truth", "frame"], Any]


def grade(bundle: Bundle, tasks: Sequence[Task]) -> Score:
    """Marks for sealed evidence; raises EvidenceError where a member makes no sense.

    The bundle's facts have `endpoints`, a list of hosts, and `began_ns`, the beginning of each phase by its name.
    """
    verdicts: dict[str, Verdict] = {}
    for phase in PHASES:
        specs = [check for task in tasks for check in task.checks if check.phase == phase]
        members = bundle.folder(phase)
        if specs and CAPTURE in members:
            found = verdicts_of(phase, members, tasks, bundle.facts["endpoints"], bundle.facts["began_ns"][phase])
            verdicts |= {spec.id: found[spec.id] for spec in specs}
    return score(tasks, verdicts)


def verdicts_of(
    phase: Phase, members: Mapping[str, bytes], tasks: Sequence[Task], endpoints: Collection[str], began_ns: int
) -> dict[str, Verdict]:
    """What the checks say of `capture.pcapng`, `truth.jsonl` and `journal.jsonl` of one phase, at their end."""
    grader = Grader(tasks, endpoints, phase, began_ns)
    now = began_ns
    for now, _, kind, what in heapq.merge(
        _events(phase, members.get(JOURNAL, b"")),
        _truths(phase, members.get(TRUTH, b"")),
        _frames(phase, BytesIO(members[CAPTURE])),
        key=lambda fed: fed[:2],
    ):
        if kind == "frame":
            grader.feed(what)
        elif kind == "truth":
            grader.truth(now, *what)
        else:
            grader.event(now, *what)
    return grader.verdicts(now)


def _frames(phase: str, capture: BinaryIO) -> Iterator[Fed]:
    """The frames of a capture, and what it says of those that it lacks."""
    last = 0
    decoder = pcapng.Decoder()
    foreign: set[Tap] = set()
    """Taps of other media than Ethernet."""
    try:
        while data := capture.read(_READ_SIZE):
            for item in decoder.feed(data):
                if isinstance(item, pcapng.Interface):
                    if item.link_type != pcapng.ETHERNET:
                        foreign.add(item.tap)
                elif isinstance(item, Frame):
                    if item.tap in foreign:
                        continue
                    # The order of a capture is what happened; a frame that was stamped late counts where it stands.
                    last = max(last, item.at)
                    yield last, 2, "frame", item
                elif isinstance(item, pcapng.Statistics) and item.dropped:
                    yield last, 0, "event", (events.FRAMES_DROPPED, {"dropped": item.dropped})
        decoder.finish()
    except Malformed as malformed:
        raise EvidenceError(f"{phase}/{CAPTURE}", BAD_CAPTURE, reason=malformed) from None


def _truths(phase: str, data: bytes) -> Iterator[Fed]:
    for number, at, record in _records(f"{phase}/{TRUTH}", data):
        try:
            yield at, 1, "truth", (record["host"], record["point"], record["value"])
        except KeyError:
            raise EvidenceError(f"{phase}/{TRUTH}", BAD_LINE, line=number) from None


def _events(phase: str, data: bytes) -> Iterator[Fed]:
    for number, at, record in _records(f"{phase}/{JOURNAL}", data):
        name = record.get("event")
        if not isinstance(name, str):
            raise EvidenceError(f"{phase}/{JOURNAL}", BAD_LINE, line=number)
        yield at, 0, "event", (name, record)


def _records(member: str, data: bytes) -> Iterator[tuple[int, int, dict[str, Any]]]:
    for number, line in enumerate(BytesIO(data), 1):
        try:
            record = json.loads(line)
            at = record["at"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise EvidenceError(member, BAD_LINE, line=number) from None
        if not isinstance(record, dict) or not isinstance(at, int):
            raise EvidenceError(member, BAD_LINE, line=number)
        yield number, at, record
