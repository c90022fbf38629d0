"""`challenge`: secret process values arrive, so that nobody earns anything with constants or leftovers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, model_validator

from grading import events
from grading.checks.check import ALWAYS, WAITS, Check, Context
from grading.checks.mqtt import Publishing
from grading.checks.payload import MISSING, at, parse, shown
from grading.checks.values import Truthful
from grading.observations import MessagePublished, Observation
from grading.stimulus import Force, Stimulus
from grading.verdict import Verdict, failed, passed, undecided
from lab.model.document import KnownValueError
from lab.text import Text

AFTERWARDS = 1.0
"""Seconds for which a value is held beyond the limit, so that what arrives last is seen to stay."""
APART = 0.2
"""Of the range: how far two secret values of one point lie apart at the least."""
EMPTY_RANGE = Text(zh="至少要有 5 个不同的取值", en="there must be at least 5 different values to choose from")


class Secret(Truthful):
    """A process value that is forced, and where the forced values come from."""

    low: float = Field(description="最小值，过程值单位。 Smallest value, in the unit of the process value.")
    high: float = Field(description="最大值。 Largest value.")
    step: float = Field(gt=0, description="分辨率。 Resolution.")

    @model_validator(mode="after")
    def _worth_guessing(self) -> Secret:
        if self.steps < 5:
            raise KnownValueError(EMPTY_RANGE)
        return self

    @property
    def steps(self) -> int:
        """How many values there are to choose from, less one."""
        return int((self.high - self.low) / self.step + 1e-9)


class ChallengeParams(Publishing):
    """Which values are forced, and how soon they are to arrive."""

    values: dict[str, Secret] = Field(
        min_length=1, description="JSON 路径 → 过程值及其范围。 Path in the JSON → process value and its range."
    )
    limit: float = Field(10.0, gt=0, le=600, description="多少秒内到达。 Seconds in which it must arrive.")
    rounds: int = Field(2, ge=1, le=20, description="每个值换几次。 How many values each point takes.")


@dataclass(slots=True)
class _Forced:
    """One secret on its way."""

    path: str
    value: Any
    began: float
    ended: float | None = None
    arrived: float | None = None
    is_contradicted: bool = False
    """After it had arrived another value came, so that the first may have been a guess."""
    last: Any = MISSING
    frames: tuple[int, ...] = ()


class Challenge(Check[ChallengeParams]):
    """Values drawn after the freeze are held in the devices and must come out at the broker."""

    name = "challenge"
    Params = ChallengeParams
    wants = (MessagePublished,)
    sentences: ClassVar[Mapping[str, Text]] = {
        WAITS: ALWAYS[WAITS],
        "not-driven": Text(
            zh="{needed} 次改变过程值只进行了 {seen} 次，需人工判定",
            en="{seen} of {needed} values were set, people must decide",
        ),
        "not-arrived": Text(
            zh="{point} 变为 {expected} 后 {limit:g} 秒内没有到达，{path} 最后为 {seen}（{arrived}/{forced} 到达）",
            en="{point} became {expected} and did not arrive in {limit:g} s; {path} was last {seen} "
            "({arrived} of {forced} arrived)",
        ),
        "contradicted": Text(
            zh="{path} 到达 {expected} 后又变成 {seen}，而 {point} 未变（{arrived}/{forced} 到达）",
            en="{path} became {expected} and then {seen}, though {point} had not changed "
            "({arrived} of {forced} arrived)",
        ),
    }

    def __init__(self, id_: str, params: ChallengeParams, context: Context) -> None:
        super().__init__(id_, params, context)
        self._forced: dict[str, _Forced] = {}
        """By the id of the force; as many as there are values and rounds."""

    def needs(self, rng: random.Random) -> list[Stimulus]:
        params = self.params
        stimuli: list[Stimulus] = []
        last: dict[str, int] = {}
        for number in range(params.rounds):
            for path, secret in params.values.items():
                apart = max(1, int(secret.steps * APART))
                taken = last.get(path, -apart)
                while abs((choice := rng.randrange(secret.steps + 1)) - taken) < apart:
                    pass  # drawn again: too near to the one before
                last[path] = choice
                host, _, point = secret.point.partition("/")
                value = round(secret.low + choice * secret.step, 9)
                hold = params.limit + AFTERWARDS
                stimuli.append(Force(f"{self.id}/{number + 1}/{path}", host, point, value, hold))
        return stimuli

    def event(self, at: float, name: str, facts: Mapping[str, Any]) -> None:
        super().event(at, name, facts)
        id_ = str(facts.get("id", ""))
        if name == events.FORCE_BEGAN:
            check, _, rest = id_.partition("/")
            path = rest.partition("/")[2]
            if check == self.id and path in self.params.values:
                self._forced[id_] = _Forced(path, facts.get("value"), at)
        elif name == events.FORCE_ENDED and id_ in self._forced:
            self._forced[id_].ended = at

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, MessagePublished) or not self.params.is_about(observation):
            return
        under_way = [
            each
            for each in self._forced.values()
            if each.began <= observation.at and (each.ended is None or observation.at <= each.ended)
        ]
        if not under_way:
            return
        document = parse(observation.payload)
        for forced in under_way:
            value = at(document, forced.path) if document is not MISSING else MISSING
            if value is MISSING:
                continue
            is_it = self.params.values[forced.path].is_true(value, forced.value)
            if is_it and forced.arrived is None and observation.at - forced.began <= self.params.limit:
                forced.arrived, forced.frames = observation.at, observation.frames
            elif not is_it and not (forced.is_contradicted):
                forced.is_contradicted = forced.arrived is not None
                forced.last, forced.frames = value, observation.frames

    def judge(self, since: float, now: float) -> Verdict:
        params = self.params
        if self.context.phase == "work":
            return undecided(WAITS)
        needed = params.rounds * len(params.values)
        over = [each for each in self._forced.values() if each.ended is not None or now - each.began > params.limit]
        if len(over) < needed:
            return undecided("not-driven", seen=len(over), needed=needed)
        good = [each for each in over if each.arrived is not None and not each.is_contradicted]
        frames = tuple(number for each in good[:4] for number in each.frames[:1])
        counts = {"arrived": len(good), "forced": len(over), "limit": params.limit}
        if len(good) == len(over):
            slowest = max((each.arrived or 0.0) - each.began for each in good)
            return passed(frames=frames, **counts, slowest=slowest)
        bad = next(each for each in over if each not in good)
        secret = params.values[bad.path]
        return failed(
            "contradicted" if bad.is_contradicted else "not-arrived",
            share=len(good) / len(over),
            frames=bad.frames,
            **counts,
            point=secret.point,
            path=bad.path,
            expected=shown(secret.expected(bad.value)),
            seen=shown(bad.last),
        )
