"""What a check is."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, Field

from grading import events
from grading.observations import Observation
from grading.stimulus import Stimulus
from grading.verdict import Verdict, undecided
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

Phase = Literal["work", "acceptance"]
BAD_POINT = Text(
    zh="{text!r} 应写作 主机/点名，如 boiler/pressure", en="{text!r} should be host/point, such as boiler/pressure"
)
P = TypeVar("P", bound=Strict)

_ANEW: Final = frozenset({events.CONFIGURATION_APPLIED, events.SEAT_OPENED})
"""What begins the windows of the work phase anew: a pause is no fault of what was configured."""
WAITS: Final = "waits-for-acceptance"
ALWAYS: Final[Mapping[str, Text]] = {
    WAITS: Text(zh="验收运行时判定", en="decided in the acceptance run"),
    "not-settled": Text(zh="验收运行尚未稳定", en="the acceptance run has not settled yet"),
    "error": Text(zh="评分程序出错，需人工判定：{error}", en="the grader failed here, people must decide: {error}"),
    "run-failed": Text(
        zh="验收运行未能完成，需人工判定", en="the acceptance run could not be completed, people must decide"
    ),
    "frames-missing": Text(
        zh="抓包缺少 {dropped} 个报文，需人工判定", en="{dropped} frames are missing in the capture, people must decide"
    ),
    "plant-overloaded": Text(
        zh="网络被自身的报文淹没（可能成环），验收中止",
        en="the plant drowned in its own frames, perhaps for a ring of cables, and the run was stopped",
    ),
    "no-verdict": Text(zh="没有判定", en="no verdict was reached"),
}
"""Sentences that any check may need."""


class HostReference:
    """Marks a parameter that names a host of the plant, or a point of one, so that names can be checked."""


HostName = Annotated[str, Field(min_length=1), HostReference()]


def _point_name(text: str) -> str:
    host, _, point = text.partition("/")
    if not (host and point) or "/" in point:
        raise KnownValueError(BAD_POINT, text=text)
    return text


PointName = Annotated[
    str,
    AfterValidator(_point_name),
    Field(description="过程值：主机/点名。 A process value: host/point."),
    HostReference(),
]


@dataclass(frozen=True, slots=True)
class Context:
    """In what a check stands."""

    phase: Phase
    began_ns: int = 0
    """When second 0 was, in nanoseconds since the Unix epoch."""


class Check(ABC, Generic[P]):
    """Asks the evidence one question.

    Incremental, and its memory does not grow with the evidence: fed with observations, truth and events in the order of
    their times, as far as two sources agree on an order, and asked for its verdict at any time.
    """

    name: ClassVar[str]
    Params: ClassVar[type[Strict]]
    """What a scenario says below `with:`."""
    sentences: ClassVar[Mapping[str, Text]]
    """By the reasons of its verdicts."""
    words: ClassVar[Mapping[str, Text]] = {}
    """Facts that are read as words, by their values."""
    wants: ClassVar[tuple[type[Observation], ...]]
    """The observations it looks at."""
    is_negative: ClassVar[bool] = False
    """Whether it holds where nothing happens; then it earns points only behind a gate."""
    proven: ClassVar[frozenset[str]] = frozenset()
    """Reasons that rest on what was seen, so that they stand even where the evidence is not complete."""

    def __init__(self, id_: str, params: P, context: Context) -> None:
        self.id = id_
        self.params = params
        self.context = context
        self.since: float | None = 0.0 if context.phase == "work" else None
        """Seconds; what happened before does not count. None in an acceptance run that has not settled."""

    def needs(self, rng: random.Random) -> list[Stimulus]:
        """What an acceptance run has to do for this check, secrets drawn from `rng`."""
        return []

    @abstractmethod
    def observe(self, observation: Observation) -> None:
        """Something happened on the wire."""

    def truth(self, at: float, host: str, point: str, value: Any) -> None:
        """A process value has changed."""

    def event(self, at: float, name: str, facts: Mapping[str, Any]) -> None:
        """The journal says that something was done. Overriding, call this one, too."""
        if name == events.SETTLED or (name in _ANEW and self.context.phase == "work"):
            self.begin(at)

    def begin(self, at: float) -> None:
        """A window begins: the acceptance run has settled, a configuration has changed, or work has been resumed."""
        self.since = at

    def verdict(self, now: float) -> Verdict:
        """What the evidence up to `now` says."""
        if self.since is None:
            return undecided("not-settled")
        return self.judge(self.since, now)

    @abstractmethod
    def judge(self, since: float, now: float) -> Verdict:
        """What the evidence between `since` and `now` says."""


def hosts_of(params: BaseModel) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where parameters name hosts of the plant, as paths below `with:`, and which."""
    for name, info in type(params).model_fields.items():
        value = getattr(params, name)
        loc: tuple[str | int, ...] = (info.alias or name,)
        inner = [mark for part in get_args(info.annotation) for mark in getattr(part, "__metadata__", ())]
        names_host = any(isinstance(mark, HostReference) for mark in (*info.metadata, *inner))
        parts = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
        for path, each in ((loc, value), *(((*loc, step), part) for step, part in parts)):
            if isinstance(each, BaseModel):
                yield from (((*path, *below), host) for below, host in hosts_of(each))
            elif names_host and isinstance(each, str):
                yield path, each.partition("/")[0]
