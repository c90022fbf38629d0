"""Checks fed with observations made by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from grading import events
from grading.checks import Check, Context, Phase
from grading.observations import Observation
from grading.task import SPECS, CheckSpec
from grading.verdict import Verdict
from lab.clock import EPOCH_NS


def spec(check: str, given: dict[str, Any], **more: Any) -> CheckSpec:
    """A check of a scenario; a negative one behind a gate."""
    whole = {"id": "it", "check": check, "points": 10, "title": {"zh": "它", "en": "it"}, "with": given, **more}
    if SPECS[check].kind.is_negative:
        whole.setdefault("gate", "other")
    return SPECS[check].model_validate(whole)


def begun(check: str, given: dict[str, Any], phase: Phase = "acceptance") -> Check[Any]:
    """The check at work; an acceptance run has settled at 0."""
    made = spec(check, given).begin(Context(phase, EPOCH_NS))
    if phase == "acceptance":
        made.event(0.0, events.SETTLED, {})
    return made


def tell(check: Check[Any], seen: Iterable[Observation]) -> None:
    for observation in seen:
        assert type(observation) in check.wants
        check.observe(observation)


def said(check: Check[Any], verdict: Verdict) -> str:
    """The sentence in English; every fact it needs is there."""
    made = spec(check.name, check.params.model_dump(by_alias=True, mode="json"))
    sentence = made.sentence(verdict)
    for language in (sentence.zh, sentence.en):
        assert language
        assert not re.search(r"\{[a-z_]+[!:}]", language)
    return sentence.en
