"""From raw values to engineering units, and back for what is written."""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.fields import Scaled
from gateway.samples import Scale, Value

Convert = Callable[[Value], Value | None]
"""Returns None for what is no number that can be published."""


def conversion(tag: Scaled, *, may_be_odd: bool) -> Convert | None:
    """The way from a raw number to the value of a tag; None where they are the same.

    `may_be_odd` says that the raw number can be infinite or not a number at all.
    """
    steps: list[Callable[[float], float]] = []
    if tag.raw is not None and tag.range is not None:
        steps.append(_between(tag.raw, tag.range))
    elif (tag.scale, tag.offset) != (1.0, 0.0):
        steps.append(Scale(tag.scale, tag.offset))  # type: ignore[arg-type]
    if tag.clamp and tag.range is not None:
        low, high = sorted(tag.range)
        steps.append(lambda value: low if value < low else min(value, high))
    if (decimals := tag.decimals) is not None:
        steps.append(lambda value: round(value, decimals) if isinstance(value, float) else value)
    if not steps and not may_be_odd:
        return None
    return _checked(steps) if may_be_odd else _chain(steps)


def raw_value(tag: Scaled, value: float, *, whole: bool) -> float:
    """The raw number that stands for a value; raises ValueError where there is none."""
    if tag.raw is not None and tag.range is not None:
        raw = _between(tag.range, tag.raw)(value)
    else:
        raw = (value - tag.offset) / tag.scale if (tag.scale, tag.offset) != (1.0, 0.0) else value
    if not math.isfinite(raw):
        raise ValueError(f"{value!r} has no raw value")
    return round(raw) if whole else raw


def _between(raw: tuple[float, float], span: tuple[float, float]) -> Callable[[float], float]:
    (raw_low, raw_high), (low, high) = raw, span
    raw_width, width = raw_high - raw_low, high - low
    # Multiplying first keeps the ends exact, which a scale of width / raw_width would not.
    return lambda value: low + (value - raw_low) * width / raw_width


def _chain(steps: list[Callable[[float], float]]) -> Convert:
    if len(steps) == 1:
        return steps[0]  # type: ignore[return-value]

    def convert(value: float) -> float:
        for step in steps:
            value = step(value)
        return value

    return convert  # type: ignore[return-value]


def _checked(steps: list[Callable[[float], float]]) -> Convert:
    def convert(value: float) -> float | None:
        for step in steps:
            value = step(value)
        # Infinity less infinity is not a number, which is nothing's equal.
        return value if value - value == 0.0 else None

    return convert  # type: ignore[return-value]
