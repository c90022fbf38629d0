"""Payloads by a template of the user's: `{name}` is replaced, every other brace stands for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from gateway.fields import UNKNOWN_PLACEHOLDER
from gateway.formats import json_text
from gateway.formats.format import Names
from gateway.formats.json_text import encode
from gateway.samples import Report
from lab.model.document import KnownValueError
from lab.model.plant import Strict

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
IN_BODY: Final = (
    "site",
    "gateway",
    "device",
    "group",
    "ts",
    "ts_s",
    "ts_ns",
    "time",
    "values",
    "good",
    "qualities",
    "lines",
)
IN_LINE: Final = (
    "site",
    "gateway",
    "device",
    "group",
    "ts",
    "ts_s",
    "ts_ns",
    "time",
    "tag",
    "value",
    "text",
    "quality",
)


def _knows(*known: str) -> AfterValidator:
    def check(template: str) -> str:
        for name in _PLACEHOLDER.findall(template):
            if name not in known:
                raise KnownValueError(UNKNOWN_PLACEHOLDER, wrong=name, known=known, name=name)
        return template

    return AfterValidator(check)


class Template(Strict):
    """What a message looks like."""

    body: Annotated[str, _knows(*IN_BODY)] = Field(
        "{lines}",
        min_length=1,
        max_length=20_000,
        description="消息正文：{site} {gateway} {device} {group} {ts} {ts_s} {ts_ns} {time} {values} {good} {qualities} {lines}。"
        " The message; {values}, {good} (without bad ones) and {qualities} are JSON objects, {lines} all lines.",
    )
    line: Annotated[str, _knows(*IN_LINE)] | None = Field(
        None,
        min_length=1,
        max_length=5_000,
        description="每个变量一行：{tag} {value}（JSON）{text}（原文）{quality} 等。"
        " A line for every tag: {value} as JSON, {text} without quotes, {quality} and the names above.",
    )
    separator: str = Field("\n", max_length=10, description="行之间的分隔。 Between lines.")
    bad: bool = Field(False, description="是否包括没有值的变量。 Lines for tags without a value, too.")

    def fill(self, names: Names, report: Report) -> str | None:
        """The message for a report; None where every line would be missing."""
        about = {**names._asdict(), "device": report.device, "group": report.group}
        lines = ""
        if self.line is not None:
            pieces = _pieces(self.line)
            wanted = [
                _join(pieces, {**about, **_times(sample.at), **_of(tag, sample.value, sample.quality)})
                for tag, sample in report.samples.items()
                if self.bad or sample.value is not None
            ]
            if not wanted:
                return None
            lines = self.separator.join(wanted)
        pieces = _pieces(self.body)
        needed = {name for name, is_name in pieces if is_name}
        about |= _times(report.at)
        if "values" in needed:
            about["values"] = json_text.values(report)
        if "good" in needed:
            about["good"] = encode(json_text.good_values(report.samples))
        if "qualities" in needed:
            about["qualities"] = encode({tag: sample.quality for tag, sample in report.samples.items()})
        return _join(pieces, {**about, "lines": lines})


def _of(tag: str, value: object, quality: str) -> dict[str, str]:
    return {
        "tag": tag,
        "value": encode(value),
        "text": value if isinstance(value, str) else encode(value),
        "quality": quality,
    }


def _times(at: int) -> dict[str, str]:
    moment = datetime.fromtimestamp(at // 1_000_000_000, UTC)
    return {
        "ts": str(at // 1_000_000),
        "ts_s": str(at // 1_000_000_000),
        "ts_ns": str(at),
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{at // 1_000_000 % 1000:03}Z",
    }


def _pieces(template: str) -> list[tuple[str, bool]]:
    """Text and names of placeholders in turn."""
    return [(piece, index % 2 == 1) for index, piece in enumerate(_PLACEHOLDER.split(template))]


def _join(pieces: list[tuple[str, bool]], known: Mapping[str, str]) -> str:
    return "".join(known[piece] if is_name else piece for piece, is_name in pieces)
