"""Field types that several parts of a configuration share."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

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


class Scaled(Strict):
    """From raw values to engineering units."""

    scale: float = Field(
        1.0, description="工程值 = 原始值 × scale + offset。 Engineering value = raw × scale + offset."
    )
    offset: float = Field(0.0, description="见 scale。 See scale.")
    unit: str = Field("", max_length=20, description="工程单位，仅供显示。 Engineering unit, for display.")


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
