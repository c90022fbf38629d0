"""`value.fidelity`: what is published is what is so."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from pydantic import Field

from grading.checks.check import Check, Context
from grading.checks.mqtt import Publishing
from grading.checks.payload import MISSING, at, is_number, parse, shown
from grading.checks.values import PublishedValue
from grading.observations import MessagePublished, Observation
from grading.verdict import Verdict, failed, passed, undecided
from lab.text import Text

MAX_CHANGES: Final = 4096
"""Changes of one process value that are remembered."""
MAX_WAITING: Final = 1024
"""Messages whose time the truth has not reached yet."""
MAX_TIMES: Final = 1024
"""Source times that are remembered, so that nobody earns anything by saying one thing twice."""


class FidelityParams(Publishing):
    """Which values are to be true, and how true."""

    values: dict[str, PublishedValue] = Field(
        min_length=1,
        description="JSON 路径 → 过程值，如 values.pressure: boiler/pressure。 Path in the JSON → process value.",
    )
    time: str = Field("ts", description="源时间戳的 JSON 路径。 Path of the source time.")
    unit: float = Field(0.001, gt=0, description="时间戳单位，秒；毫秒为 0.001。 Unit of the source time, in seconds.")
    slack: float = Field(
        0.2,
        ge=0,
        le=60,
        description="扫描边界的余量，秒。 Seconds around the source time in which a value may be true.",
    )
    max_age: float = Field(
        10.0, gt=0, le=86_400, description="源时间距发布最多多少秒。 Seconds from source time to publication."
    )
    at_least: int = Field(5, ge=1, le=100_000, description="至少多少条消息。 Least number of messages.")
    enough: float = Field(0.98, gt=0, le=1, description="通过所需的正确比例。 Share of true values that passes.")


class Timeline:
    """How one process value went, as far back as anybody may ask."""

    def __init__(self, horizon: float) -> None:
        self._horizon = horizon
        self._times: deque[float] = deque(maxlen=MAX_CHANGES)
        self._values: deque[Any] = deque(maxlen=MAX_CHANGES)

    def record(self, at: float, value: Any) -> None:
        self._times.append(at)
        self._values.append(value)
        # The last value before the horizon still holds at the horizon.
        while len(self._times) > 1 and self._times[1] < at - self._horizon:
            self._times.popleft()
            self._values.popleft()

    def between(self, start: float, end: float) -> list[Any]:
        """The values it had from `start` to `end`; empty where that was before it was known."""
        times = list(self._times)
        first = bisect_right(times, start) - 1
        last = bisect_right(times, end)
        return list(self._values)[max(first, 0) : last]


@dataclass(slots=True)
class _Tally:
    good: int = 0
    wrong: int = 0
    example: dict[str, Any] = field(default_factory=dict)
    """The last wrong value."""
    frames: tuple[int, ...] = ()


class Fidelity(Check[FidelityParams]):
    """The share of published values that were true at their source time."""

    name = "value.fidelity"
    Params = FidelityParams
    wants = (MessagePublished,)
    sentences: ClassVar[Mapping[str, Text]] = {
        "too-few": Text(
            zh="只有 {seen} 条消息可以核对，至少需要 {needed} 条",
            en="{seen} messages could be compared, {needed} are needed",
        ),
        "untrue": Text(
            zh="{share_percent:.0f}% 的值正确；{path} 为 {seen}，应为 {expected}",
            en="{share_percent:.0f}% of the values are true; {path} is {seen}, it should be {expected}",
        ),
        "missing": Text(
            zh="{share_percent:.0f}% 的值正确；缺少 {path}",
            en="{share_percent:.0f}% of the values are true; {path} is missing",
        ),
        "stale": Text(
            zh="{share_percent:.0f}% 的值正确；有消息的时间戳距发布 {age:.1f} 秒，最多 {max_age:g} 秒",
            en="{share_percent:.0f}% of the values are true; "
            "a message carried a time {age:.1f} s off, {max_age:g} s are allowed",
        ),
        "no-time": Text(
            zh="{share_percent:.0f}% 的值正确；有消息没有时间戳 {path}",
            en="{share_percent:.0f}% of the values are true; a message has no source time at {path}",
        ),
        "no-truth": Text(
            zh="没有 {point} 的真值记录，需人工判定", en="there is no record of {point}, people must decide"
        ),
    }

    def __init__(self, id_: str, params: FidelityParams, context: Context) -> None:
        super().__init__(id_, params, context)
        horizon = params.max_age + 2 * params.slack + 60
        self._timelines = {value.point: Timeline(horizon) for value in params.values.values()}
        self._known: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self._waiting: deque[tuple[float, MessagePublished, Any]] = deque()
        """Source time in seconds since the run began, and the document."""
        self._times: deque[tuple[str, float]] = deque(maxlen=MAX_TIMES)
        self._seen: set[tuple[str, float]] = set()
        self._tallies = {path: _Tally() for path in self.params.values}
        self._judged = 0
        """Messages of which at least one value could be told true or wrong."""
        self._unknown = 0
        """Messages of whose values nothing is known."""

    def begin(self, at: float) -> None:
        super().begin(at)
        self._reset()

    def truth(self, at: float, host: str, point: str, value: Any) -> None:
        timeline = self._timelines.get(f"{host}/{point}")
        if timeline is not None:
            self._known.add(f"{host}/{point}")
            timeline.record(at, value)

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, MessagePublished) or self.since is None or observation.at < self.since:
            return
        params = self.params
        if not params.is_about(observation):
            return
        self._settle(observation.at)
        document = parse(observation.payload)
        stamp = at(document, params.time) if document is not MISSING else MISSING
        if not is_number(stamp):
            self._all_wrong("no-time", observation, path=params.time)
            return
        source = float(stamp) * params.unit - self.context.began_ns / 1e9
        if (observation.topic, source) in self._seen:
            return
        if len(self._times) == MAX_TIMES:
            self._seen.discard(self._times[0])
        self._times.append((observation.topic, source))
        self._seen.add((observation.topic, source))
        age = observation.at - source
        if not -params.slack <= age <= params.max_age:
            self._all_wrong("stale", observation, age=age, max_age=params.max_age)
            return
        if len(self._waiting) >= MAX_WAITING:
            self._compare(*self._waiting.popleft())
        self._waiting.append((source, observation, document))

    def _settle(self, now: float) -> None:
        """Judge the messages whose source time is far enough back for the truth to be known."""
        waiting = self._waiting
        while waiting and waiting[0][0] + self.params.slack < now:
            self._compare(*waiting.popleft())

    def _compare(self, source: float, message: MessagePublished, document: Any) -> None:
        slack = self.params.slack
        is_judged = False
        for path, value in self.params.values.items():
            truths = self._timelines[value.point].between(source - slack, source + slack)
            if not truths:
                continue
            is_judged = True
            tally = self._tallies[path]
            published = at(document, path)
            if any(value.is_true(published, truth) for truth in truths):
                tally.good += 1
            else:
                expected = shown(value.expected(truths[-1]))
                facts = {"path": path, "seen": shown(published), "expected": expected, "source_time": source}
                self._wrong(path, "missing" if published is MISSING else "untrue", message, facts)
        self._judged += is_judged
        self._unknown += not is_judged

    def _all_wrong(self, reason: str, message: MessagePublished, **facts: Any) -> None:
        self._judged += 1
        for path in self.params.values:
            self._wrong(path, reason, message, facts)

    def _wrong(self, path: str, reason: str, message: MessagePublished, facts: Mapping[str, Any]) -> None:
        tally = self._tallies[path]
        tally.wrong += 1
        tally.example = {"reason": reason, **facts}
        tally.frames = message.frames

    def judge(self, since: float, now: float) -> Verdict:
        self._settle(now)
        params = self.params
        unknown = next((value.point for value in params.values.values() if value.point not in self._known), None)
        if self._judged + self._unknown < params.at_least:
            return failed("too-few", seen=self._judged, needed=params.at_least)
        if unknown is not None:
            return undecided("no-truth", point=unknown)
        if self._judged < params.at_least:
            return failed("too-few", seen=self._judged, needed=params.at_least)
        good = sum(tally.good for tally in self._tallies.values())
        share = good / sum(tally.good + tally.wrong for tally in self._tallies.values())
        facts: dict[str, Any] = {
            "share_percent": 100 * share,
            "messages": self._judged,
            "by_path": {path: tally.good / ((tally.good + tally.wrong) or 1) for path, tally in self._tallies.items()},
        }
        worst = max(self._tallies.values(), key=lambda tally: tally.wrong)
        if share >= params.enough:
            return passed(**facts)
        example = dict(worst.example)
        return failed(example.pop("reason"), share=share, frames=worst.frames, **facts, **example)
