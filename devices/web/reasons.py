"""Why something is not taken, to be said in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.text import Language, Text, spoken


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence with its facts, and a short code by which programs know it."""

    code: str
    what: Text
    facts: Mapping[str, object] = field(default_factory=dict)

    def say(self, language: Language) -> str:
        facts = {name: _said(fact, language) for name, fact in self.facts.items()}
        return (self.what.zh if language == "zh" else self.what.en).format(**facts)

    def __str__(self) -> str:
        return self.say(spoken())


def _said(fact: object, language: Language) -> object:
    if isinstance(fact, Text):
        return fact.zh if language == "zh" else fact.en
    return fact.say(language) if isinstance(fact, Reason) else fact


class Refused(Exception):
    """Something is not taken; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(str(reason))


def refusal(code: str, what: Text, /, **facts: object) -> Refused:
    return Refused(Reason(code, what, facts))


def shown(value: object, limit: int = 60) -> str:
    """A value as it stands in a message: never longer than a line."""
    text = repr(value[: limit + 1]) if isinstance(value, str) else repr(value) if _is_small(value) else "…"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_small(value: object) -> bool:
    """Whether `repr` is cheap: a number of a million digits, a list of a million items are not."""
    if isinstance(value, int):
        return value.bit_length() < 1024
    return value is None or isinstance(value, float)
