"""What an alarm rule says: when an alarm is raised, and when it is over."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from devices.platform.model import Identifier, Title
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

NOT_ORDERED: Final = Text(zh="{op} 需要一个数，而不是 {value!r}", en="{op} needs a number, not {value!r}")
NO_HYSTERESIS: Final = Text(zh="{op} 没有回差（hysteresis）", en="{op} has no hysteresis")
CLEAR_TWICE: Final = Text(
    zh="clear 和 hysteresis 只能写一个", en="either clear or hysteresis says when an alarm is over, not both"
)
CLEAR_OVERLAPS: Final = Text(
    zh="clear 与 create 同时成立（例如值为 {value}），报警会反复", en="create and clear both hold, at {value} for one"
)

Severity = Literal["critical", "major", "minor", "warning", "indeterminate"]
Operator = Literal[">", ">=", "<", "<=", "==", "!="]
Plain = StrictBool | StrictInt | StrictFloat | StrictStr
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]

_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_ORDERED: Final = (">", ">=", "<", "<=")


class Condition(Strict):
    """`{op: ">", value: 1.2}`"""

    op: Operator = Field(description="比较。 Comparison.")
    value: Plain = Field(description="比较的值。 What to compare with.")

    @model_validator(mode="after")
    def _numbers_are_ordered(self) -> Condition:
        if self.op in _ORDERED and (isinstance(self.value, (bool, str)) or self.value != self.value):
            raise KnownValueError(NOT_ORDERED, op=self.op, value=self.value)
        return self

    def holds(self, value: object) -> bool:
        """False where the two cannot be compared."""
        if isinstance(value, str) != isinstance(self.value, str) or isinstance(value, dict):
            return False
        return _TESTS[self.op](value, self.value)


class Simple(Strict):
    """At once."""

    kind: Literal["simple"] = "simple"


class Duration(Strict):
    """Once the condition has held for so long without a break."""

    kind: Literal["duration"]
    seconds: Seconds = Field(description="持续秒数。 Seconds.")


class Repeating(Strict):
    """Once the condition has held in so many readings in a row."""

    kind: Literal["repeating"]
    times: int = Field(ge=2, le=10_000, description="连续次数。 Readings in a row.")


class RuleBase(Strict):
    """What all rules say."""

    id: Identifier = Field(description="规则标识。 Identifier of the rule.")
    severity: Severity = Field("major", description="严重程度。 Severity.")
    message: Title = Field("", description="给人看的说明。 What to tell people.")
    product: Identifier | None = Field(None, description="适用的产品，不写为全部。 Product; all unless given.")
    device: Identifier | None = Field(None, description="适用的设备，不写为全部。 Device; all unless given.")
    enabled: bool = Field(True, description="是否启用。 Whether it is looked at.")


class ThresholdRule(RuleBase):
    """An alarm by the value of a property.

    It is over when `clear` holds; or when the value has come back across the limit by `hysteresis`; or, with neither,
    when `create` no longer holds. Readings that are bad say nothing either way.
    """

    kind: Literal["threshold"]
    property: Identifier = Field(description="属性。 Property.")
    create: Condition = Field(description="产生条件。 When it is raised.")
    clear: Condition | None = Field(None, description="恢复条件。 When it is over.")
    hysteresis: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="回差。 How far the value must come back."
    )
    trigger: Annotated[Simple | Duration | Repeating, Field(discriminator="kind")] = Field(
        Simple(), description="触发方式。 At once, after a time, or after so many readings."
    )

    @model_validator(mode="after")
    def _has_one_end(self) -> ThresholdRule:
        if self.hysteresis is not None:
            if self.clear is not None:
                raise KnownValueError(CLEAR_TWICE)
            if self.create.op not in _ORDERED:
                raise KnownValueError(NO_HYSTERESIS, op=self.create.op)
        if self.clear is not None and (both := overlap(self.create, self.clear)) is not None:
            raise KnownValueError(CLEAR_OVERLAPS, value=both)
        return self

    def is_over(self, value: object) -> bool:
        """Whether this value ends the alarm."""
        if self.clear is not None:
            return self.clear.holds(value)
        if self.hysteresis is None:
            return not self.create.holds(value)
        if isinstance(value, (str, dict)):
            return False
        limit, back = float(self.create.value), self.hysteresis
        match self.create.op:
            case ">":
                return bool(value <= limit - back)  # type: ignore[operator]
            case ">=":
                return bool(value < limit - back)  # type: ignore[operator]
            case "<":
                return bool(value >= limit + back)  # type: ignore[operator]
            case _:
                return bool(value > limit + back)  # type: ignore[operator]


class StaleRule(RuleBase):
    """An alarm when no good reading has come for a while: of one property, or of any where none is named."""

    kind: Literal["stale"]
    property: Identifier | None = Field(None, description="属性，不写为任意属性。 Property; any unless given.")
    seconds: Seconds = Field(description="多少秒没有数据。 Seconds without data.")


Rule = Annotated[ThresholdRule | StaleRule, Field(discriminator="kind")]


def overlap(create: Condition, clear: Condition) -> object | None:
    """A value at which both hold, None where there is none."""
    for candidate in (*_near(create.value), *_near(clear.value)):
        if create.holds(candidate) and clear.holds(candidate):
            return candidate
    return None


def _near(value: Plain) -> tuple[Plain, ...]:
    """The value and its two sides: conditions that hold together anywhere do so at one of these or between."""
    if isinstance(value, bool):
        return (True, False)
    if isinstance(value, str):
        return (value, value + "…")
    step = max(1e-9, abs(value) * 1e-9)
    return (value, value - step, value + step)
