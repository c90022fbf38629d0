"""Tasks and their checks, as a scenario writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import Field, create_model, model_validator

from grading.checks import CHECKS, Check, Context, Phase, hosts_of
from grading.checks.check import ALWAYS
from grading.verdict import Outcome, Verdict
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

GATE_NEEDED = Text(
    zh="{check} 在什么都没做时也成立，必须有 gate：另一个检查项的 id",
    en="{check} holds where nothing was done, so it needs a gate: the id of another check",
)
OWN_GATE = Text(zh="检查项不能以自己为 gate", en="a check cannot be its own gate")
UNKNOWN_REASON = Text(zh="{check} 没有名为 {reason!r} 的理由", en="{check} knows no reason {reason!r}")
UNKNOWN_GATE = Text(zh="没有检查项 {text!r}", en="there is no check {text!r}")
RING_OF_GATES = Text(zh="gate 形成了环：{ring}", en="the gates form a ring: {ring}")
NO_SENTENCE = Text(zh="{reason}", en="{reason}")
NOTHING = Text(zh="", en="")


class Bilingual(Strict):
    """A sentence in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    @property
    def text(self) -> Text:
        return Text(zh=self.zh, en=self.en)


class CheckSpec(Strict):
    """One check of the catalogue, with what it is to look for and what it is worth."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="标识。 Its name in this scenario.")
    check: str
    points: float = Field(gt=0, le=100, description="分值。 What it is worth.")
    phase: Phase = Field("acceptance", description="在哪个阶段判定。 Where it is judged.")
    gate: str | None = Field(
        None,
        description="另一个检查项的 id；得分乘以那一项的得分率。 Another check, whose share multiplies its points.",
    )
    title: Bilingual = Field(description="标题。 Title.")
    says: dict[str, Bilingual] = Field(
        default_factory=dict, description="替换检查项自带的句子。 Sentences instead of the check's own, by reason."
    )
    given: Strict = Field(alias="with")

    kind: ClassVar[type[Check[Any]]]

    @model_validator(mode="after")
    def _sound(self) -> CheckSpec:
        if self.kind.is_negative and self.gate is None:
            raise KnownValueError(GATE_NEEDED, check=self.check)
        if self.gate == self.id:
            raise KnownValueError(OWN_GATE)
        known = (*self.kind.sentences, *ALWAYS)
        for reason in self.says:
            if reason not in known:
                raise KnownValueError(UNKNOWN_REASON, wrong=reason, known=known, reason=reason, check=self.check)
        return self

    @property
    def name(self) -> Text:
        return self.title.text

    def begin(self, context: Context) -> Check[Any]:
        """The check, ready to look at evidence."""
        return self.kind(self.id, self.given, context)

    def sentence(self, verdict: Verdict) -> Text:
        """Why, in both languages, facts filled in; empty when passed."""
        if verdict.outcome is Outcome.PASSED:
            return NOTHING
        reason = verdict.reason
        own = self.kind.sentences.get(reason) or ALWAYS.get(reason) or NO_SENTENCE
        said = self.says[reason].text if reason in self.says else own
        facts = {"reason": reason, **verdict.facts}
        words = self.kind.words
        in_zh = {
            name: words[fact].zh if isinstance(fact, str) and fact in words else fact for name, fact in facts.items()
        }
        in_en = {
            name: words[fact].en if isinstance(fact, str) and fact in words else fact for name, fact in facts.items()
        }
        return Text(zh=_fill(said.zh, own.zh, in_zh), en=_fill(said.en, own.en, in_en))

    @classmethod
    def of(cls, check: str) -> type[CheckSpec]:
        """The form of one check; raises KeyError."""
        return SPECS[check]


def _fill(sentence: str, fallback: str, facts: Mapping[str, Any]) -> str:
    """The sentence with its facts; another author's sentence may ask for facts that this verdict does not have."""
    for each in (sentence, fallback):
        try:
            return each.format(**facts)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError):
            continue
    return sentence


def _spec_of(check: type[Check[Any]]) -> type[CheckSpec]:
    spec: type[CheckSpec] = create_model(
        f"{check.__name__}Spec",
        __base__=CheckSpec,
        __doc__=check.__doc__,
        check=(Literal[check.name], Field(description="检查的名称。 Its name in the catalogue.")),  # type: ignore[arg-type]
        given=(check.Params, Field(alias="with", description="要看什么。 What to look for.")),
    )
    spec.kind = check
    return spec


SPECS: Mapping[str, type[CheckSpec]] = {name: _spec_of(check) for name, check in CHECKS.items()}

if TYPE_CHECKING:
    AnyCheck = CheckSpec
else:
    AnyCheck = Annotated[Union[tuple(SPECS.values())], Field(discriminator="check")]  # noqa: UP007


class Task(Strict):
    """Something a trainee does, and the checks that show it was done."""

    id: str = Field(description="标识。 Its name in this scenario.")
    item: str = Field(description="考核的能力项。 The ability item of the standard it exercises.")
    title: Bilingual = Field(description="标题。 Title.")
    checks: list[AnyCheck] = Field(min_length=1, description="检查项。 Its checks.")

    @property
    def name(self) -> Text:
        return self.title.text


Path = tuple[str | int, ...]


def complaints(
    tasks: Sequence[Task], hosts: Sequence[str]
) -> Iterator[tuple[Path, Text, dict[str, Any], Sequence[str]]]:
    """What is wrong between the checks of a scenario: where below `tasks`, what, its facts, and what is known.

    Gates that lead nowhere or to themselves, and names of hosts that the plant does not have.
    """
    gates = {check.id: check.gate for task in tasks for check in task.checks}
    for row, task in enumerate(tasks):
        for column, check in enumerate(task.checks):
            loc: Path = (row, "checks", column)
            if check.gate is not None and check.gate not in gates:
                yield (*loc, "gate"), UNKNOWN_GATE, {"text": check.gate}, tuple(gates)
            ring = _ring(check.id, gates)
            if ring:
                yield (*loc, "gate"), RING_OF_GATES, {"ring": " → ".join(ring)}, ()
            for path, host in hosts_of(check.given):
                if host not in hosts:
                    yield (*loc, "with", *path), UNKNOWN_HOST, {"text": host}, hosts


UNKNOWN_HOST = Text(zh="场景中没有主机 {text!r}", en="the plant has no host {text!r}")


def _ring(start: str, gates: Mapping[str, str | None]) -> list[str]:
    way = [start]
    gate = gates.get(start)
    while gate is not None and gate not in way:
        way.append(gate)
        gate = gates.get(gate)
    return [*way, start] if gate == start else []
