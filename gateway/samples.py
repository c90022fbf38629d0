"""What was read, how good it is, and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import partial
from itertools import repeat
from typing import Any, Final, Literal, NamedTuple

from lab.text import Text

Value = float | int | bool | str


class Quality(StrEnum):
    """The three answers of OPC UA, Part 8, to whether a value can be relied on."""

    GOOD = "good"
    BAD = "bad"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something did not work, to be said in the reader's language."""

    what: Text
    facts: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.what.say(**self.facts)


class Sample(NamedTuple):
    """One value of one tag."""

    value: Value | None
    """In engineering units; None where the quality is bad."""
    quality: Quality
    at: int
    """Plant time in nanoseconds since the Unix epoch at which the answer arrived."""
    reason: Reason | None = None
    """Why it is not good."""
    source_at: int | None = None
    """When the device itself says that the value was made, in nanoseconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class IdentifierEvent:
    """An identifier was seen: a transponder by a reader, or a bar code by a scanner."""

    device: str
    at: int
    """Plant time in nanoseconds since the Unix epoch at which it was seen first."""
    code: str
    """An EPC in upper-case hex, or the text of a bar code, in which GS stays 0x1D."""
    carrier: Literal["rfid", "barcode"] = "barcode"
    symbology: str = ""
    """The AIM identifier of a bar code, such as `]C1` (ISO/IEC 15424)."""
    antenna: int | None = None
    """Of a reader that says so."""
    count: int = 1
    """How often it had been read when this was said."""


class Report(NamedTuple):
    """The samples of one group from one cycle, or one identifier that was seen."""

    device: str
    group: str
    at: int
    """Plant time in nanoseconds at which the last answer of the cycle arrived."""
    samples: Mapping[str, Sample]
    event: IdentifierEvent | None = None
    """Where an identifier was seen; then there are no samples."""

    @property
    def kind(self) -> Literal["telemetry", "event"]:
        return "telemetry" if self.event is None else "event"


class Unreachable(Exception):
    """The other end cannot be talked to; `reason` says why."""

    def __init__(self, reason: Reason, *, is_refusal: bool = False) -> None:
        self.reason = reason
        self.is_refusal = is_refusal
        """Whether it is there and does not let us in, or we do not trust it: nothing that passes by itself."""
        super().__init__(str(reason))


NOT_A_NUMBER = Reason(Text(zh="设备给出的不是数（NaN 或无穷大）", en="the device says not-a-number or infinity"))


def good(value: Value, at: int) -> Sample:
    """A good sample, or a bad one where the value is no number that can be published."""
    if isinstance(value, float) and not math.isfinite(value):
        return bad(NOT_A_NUMBER, at)
    return Sample(value, Quality.GOOD, at)


def all_good(values: Iterable[Value], at: int) -> Iterator[Sample]:
    """Of each value, all of them numbers that can be published, what `good` makes; without a call for each."""
    return map(_sample, zip(values, repeat(Quality.GOOD), repeat(at), repeat(None), repeat(None)))


_sample: Final[Callable[[tuple[Any, ...]], Sample]] = partial(tuple.__new__, Sample)


def bad(reason: Reason, at: int) -> Sample:
    return Sample(None, Quality.BAD, at, reason)


class Scale:
    """raw × scale + offset, without the noise binary fractions leave behind: 234 × 0.1 is 23.4."""

    def __init__(self, scale: float, offset: float) -> None:
        self._scale, self._offset = scale, offset
        self._changes = (scale, offset) != (1.0, 0.0)
        # A whole number times a decimal fraction has no more decimals than the fraction.
        self._decimals = max(_decimals(scale), _decimals(offset))

    def __call__(self, raw: Value) -> Value:
        if not self._changes or isinstance(raw, (bool, str)):
            return raw
        value = raw * self._scale + self._offset
        return round(value, self._decimals) if isinstance(raw, int) else value


def _decimals(number: float) -> int:
    exponent = Decimal(repr(number)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
