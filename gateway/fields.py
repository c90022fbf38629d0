"""Field types that several parts of a configuration share."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

NOT_A_NAME = Text(
    zh="名称 {name!r} 不能用：它会成为主题的一级，须为 1–64 个字符，且不含 / + # 和空白",
    en="{name!r} cannot be a name: it becomes one level of a topic, so 1 to 64 characters without / + # and blanks",
)
USED_TWICE = Text(zh="名称 {name!r} 用了两次", en="the name {name!r} is used twice")
NOT_A_TOPIC = Text(
    zh="{topic!r} 不是发布用的主题：不能为空，不能含 + 和 #",
    en="{topic!r} is no topic to publish to: not empty, no + and #",
)
UNKNOWN_PLACEHOLDER = Text(
    zh="模板中没有 {{{name}}} 这个占位符", en="there is no placeholder {{{name}}} in this template"
)
BAD_TEMPLATE = Text(zh="模板 {template!r} 有误：花括号不成对", en="the template {template!r} has unbalanced braces")
NOT_FINITE = Text(zh="{value} 不是有限的数", en="{value} is no finite number")
EMPTY_SPAN = Text(zh="{value} 的两端相同", en="both ends of {value} are the same")
SCALE_OF_NOTHING = Text(
    zh="scale 不能为 0：那样每个值都是 offset", en="scale cannot be 0, which would make every value the offset"
)
RAW_WITHOUT_RANGE = Text(zh="有 raw 就要有 range", en="raw needs range")
SCALED_TWICE = Text(
    zh="scale、offset 与 raw、range 只能用一种", en="either scale and offset or raw and range, not both"
)
CLAMP_WITHOUT_RANGE = Text(zh="clamp 需要 range", en="clamp needs range")
RANGE_WITHOUT_WRITE = Text(zh="write_range 需要 write: true", en="write_range needs write: true")
NOT_A_DEADBAND = Text(
    zh="{value!r} 不是死区：写 0.5、2%、{{absolute: 0.5}} 或 {{percent: 2}}",
    en="{value!r} is no deadband: write 0.5, 2%, {{absolute: 0.5}} or {{percent: 2}}",
)


def _name(value: str) -> str:
    if not 1 <= len(value) <= 64 or any(c in "/+#" or c.isspace() or not c.isprintable() for c in value):
        raise KnownValueError(NOT_A_NAME, name=value)
    return value


Name = Annotated[str, AfterValidator(_name)]
"""Becomes one level of a topic."""

HostName = Annotated[str, Field(min_length=1, max_length=253)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
Milliseconds = Annotated[int, Field(ge=10, le=86_400_000)]


class Reconnecting(Strict):
    """How eagerly a lost connection is tried again."""

    reconnect_min_ms: Milliseconds = Field(
        500, description="首次重连前的等待，毫秒。 Wait before the first reconnect, ms."
    )
    reconnect_max_ms: Milliseconds = Field(
        10_000, description="重连等待的上限，毫秒。 Longest wait between attempts, ms."
    )


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise KnownValueError(NOT_FINITE, value=value)
    return value


Number = Annotated[float, AfterValidator(_finite)]


def _span(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] == value[1]:
        raise KnownValueError(EMPTY_SPAN, value=list(value))
    return value


Span = Annotated[tuple[Number, Number], AfterValidator(_span)]
"""Two ends, in whatever order."""


class Redialling(Reconnecting):
    """The same for devices: one that returns should be read again within a second."""

    reconnect_min_ms: Milliseconds = Field(
        250, description="首次重连前的等待，毫秒。 Wait before the first reconnect, ms."
    )
    reconnect_max_ms: Milliseconds = Field(500, description="重连等待的上限，毫秒。 Longest wait between attempts, ms.")
    connect_timeout_ms: Milliseconds = Field(
        300,
        description="等待建立连接的时间，毫秒；慢速链路应加大。 How long one attempt to connect may take, in ms; "
        "more on a slow link.",
    )


class Scaled(Strict):
    """From raw values to engineering units."""

    scale: Number = Field(
        1.0, description="工程值 = 原始值 × scale + offset。 Engineering value = raw × scale + offset."
    )
    offset: Number = Field(0.0, description="见 scale。 See scale.")
    raw: Span | None = Field(
        None,
        description="原始量程，如 [0, 27648]，线性对应 range。 Raw values that stand for the two ends of range, as [0, 27648].",
    )
    range: Span | None = Field(
        None, description="工程量程，如 [0, 10]。 The range in engineering units, as [0, 10]; with raw it scales."
    )
    clamp: bool = Field(False, description="超出 range 的值取其端点。 Whether values beyond range become its ends.")
    decimals: int | None = Field(None, ge=0, le=15, description="保留的小数位数。 Decimals the value is rounded to.")
    unit: str = Field("", max_length=20, description="工程单位，仅供显示。 Engineering unit, for display.")

    @model_validator(mode="after")
    def _one_way_to_scale(self) -> Self:
        if self.scale == 0:
            raise KnownValueError(SCALE_OF_NOTHING)
        if self.raw is not None and self.range is None:
            raise KnownValueError(RAW_WITHOUT_RANGE)
        if self.raw is not None and (self.scale, self.offset) != (1.0, 0.0):
            raise KnownValueError(SCALED_TWICE)
        if self.clamp and self.range is None:
            raise KnownValueError(CLAMP_WITHOUT_RANGE)
        return self

    @property
    def is_scaled(self) -> bool:
        """Whether anything here makes sense for numbers only."""
        return (self.scale, self.offset, self.raw, self.range, self.decimals) != (1.0, 0.0, None, None, None)


class Deadband(Strict):
    """How far a value must move to have changed: `0.5`, `2%`, `{absolute: 0.5}` or `{percent: 2}`."""

    absolute: Number | None = Field(None, ge=0, description="工程单位的绝对值。 In engineering units.")
    percent: Number | None = Field(
        None, ge=0, le=100, description="量程的百分比；没有 range 时为上次值的百分比。 Of range, or of the last value."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value)
            if match is None:
                raise KnownValueError(NOT_A_DEADBAND, value=value)
            return {"percent": float(match[1])}
        return {"absolute": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.absolute is None) == (self.percent is None):
            raise KnownValueError(NOT_A_DEADBAND, value=self.model_dump(exclude_none=True))
        return self


ReportMode = Literal["period", "change", "both"]


class Reported(Strict):
    """When values are passed on; what a tag leaves out its group decides."""

    report: ReportMode | None = Field(
        None,
        description="上报方式：period 每个周期；change 变化时；both 变化时，且沉默不超过 max_silence_ms。 "
        "Every period, on change, or on change and after max_silence_ms at the latest; period unless given.",
    )
    max_silence_ms: Milliseconds | None = Field(
        None, description="both 时最长的沉默，毫秒，默认 60000。 Longest silence with both, in ms; 60000 unless given."
    )
    deadband: Deadband | None = Field(
        None,
        description="死区：变化超过它才算变化，如 0.5 或 2%。 What a change must exceed, as 0.5 or 2%.",
        json_schema_extra={"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "object"}, {"type": "null"}]},
    )


class Writable(Strict):
    """Whether commands may set a value."""

    write: bool = Field(False, description="是否接受写入命令。 Whether commands may set it.")
    write_range: Span | None = Field(
        None,
        description="允许写入的工程值范围，默认为 range。 What may be written, in engineering units; range unless given.",
    )

    @model_validator(mode="after")
    def _range_for_writing(self) -> Self:
        if self.write_range is not None and not self.write:
            raise KnownValueError(RANGE_WITHOUT_WRITE)
        return self


class Aging(Strict):
    """How long a value is still worth something."""

    stale_after_ms: int = Field(
        0,
        ge=0,
        le=86_400_000,
        description="读取失败后，上次的好值以 uncertain 保留的毫秒数；0 为立即 bad。 "
        "For how long after a failure the last good value stays, as uncertain; 0 makes it bad at once.",
    )


def unique(names: Iterable[str]) -> None:
    """Raise a complaint about the first name that comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise KnownValueError(USED_TWICE, name=name)
        seen.add(name)


def topic_template(*known: str) -> Callable[[str], str]:
    """A validator for topics in which `{name}` stands for one of the known names."""

    def check(template: str) -> str:
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError:
            raise KnownValueError(BAD_TEMPLATE, template=template) from None
        for _, name, form, conversion in parts:
            if name is not None and (name not in known or form or conversion):
                raise KnownValueError(UNKNOWN_PLACEHOLDER, wrong=name, known=known, name=name)
        topic = template.format_map(dict.fromkeys(known, "x"))
        if not topic or "+" in topic or "#" in topic or "\0" in topic or len(topic.encode()) > 60_000:
            raise KnownValueError(NOT_A_TOPIC, topic=template)
        return template

    return check
