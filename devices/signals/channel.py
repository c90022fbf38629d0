"""Channels of an I/O station: what they are set to, and what they make of an electrical value."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.network.signals import pt100
from lab.network.signals.inputs import AnalogMode, LeadMode
from lab.text import Text

AnalogType = Literal["4-20mA", "0-20mA", "0-10V", "pt100"]

NO_SUCH_LEADS: Final = Text(zh="{type} 通道没有 {wiring} 接法", en="a channel for {type} cannot be wired as {wiring}")
NO_SPAN: Final = Text(zh="范围 {low} … {high} 上下限相同", en="the range {low} … {high} begins where it ends")

_MODES: Final[dict[AnalogType, AnalogMode]] = {
    "4-20mA": "current",
    "0-20mA": "current",
    "0-10V": "voltage",
    "pt100": "pt100",
}
_NOMINAL: Final[dict[AnalogType, tuple[float, float]]] = {
    "4-20mA": (0.004, 0.020),
    "0-20mA": (0.0, 0.020),
    "0-10V": (0.0, 10.0),
}
_LEADS: Final[dict[AnalogMode, tuple[LeadMode, ...]]] = {
    "current": ("2w", "4w"),
    "voltage": ("4w",),
    "pt100": ("2w", "3w", "4w"),
}
_WIRE_BREAK, _OVER = 0.0036, 0.021
"""Amperes: NAMUR NE 43."""
_MARGIN: Final = 0.05
"""Of the nominal range, by which a voltage may lie beside it."""
_SHORT_OHMS, _BREAK_OHMS = 15.0, 400.0
_REACH: Final = 1.17589
"""Share of the nominal range where the converter ends (32511 of 27648)."""
_COUNTS: Final = 27648
"""Of the nominal range at 16 bits, sign included."""
_TENTHS: Final = 10
"""Raw value of a platinum resistor per °C."""
OVERFLOW, UNDERFLOW = 32767, -32768


class Status(IntEnum):
    """A channel's diagnosis, as its register has it."""

    GOOD = 0
    WIRE_BREAK = 1
    OVER_RANGE = 2
    UNDER_RANGE = 3


class Reading(NamedTuple):
    raw: int
    value: float
    """In the unit of the configuration, °C for platinum resistors."""
    status: Status


class AnalogChannel(Strict):
    """An analog input, such as `{type: 4-20mA, wiring: 2w, range: [0, 1.6], unit: MPa}`."""

    type: AnalogType = "0-10V"
    wiring: LeadMode = "4w"
    """Current: with 2w the channel feeds the loop, with 4w it does not. Platinum resistors: their leads."""
    range: tuple[float, float] = (0.0, 100.0)
    """Values at the ends of the signal, in `unit`; platinum resistors are in °C without it."""
    unit: str = Field(default="", max_length=16)
    raw: tuple[Annotated[int, Field(ge=-32000, le=32000)], Annotated[int, Field(ge=-32000, le=32000)]] = (0, _COUNTS)
    """Register values at the ends of the signal."""
    resolution: int = Field(default=16, ge=10, le=16)
    """Bits, sign included."""

    @model_validator(mode="after")
    def _makes_sense(self) -> AnalogChannel:
        known = _LEADS[self.mode]
        if self.wiring not in known:
            raise KnownValueError(NO_SUCH_LEADS, type=self.type, wiring=self.wiring, known=known)
        for low, high in (self.range, self.raw):
            if low == high:
                raise KnownValueError(NO_SPAN, low=low, high=high)
        return self

    @property
    def mode(self) -> AnalogMode:
        return _MODES[self.type]

    def convert(self, measured: float) -> Reading:
        """What registers show for amperes, volts or ohms."""
        if self.type == "pt100":
            return self._temperature(measured)
        status = self._diagnosis(measured)
        start, end = _NOMINAL[self.type]
        share = (measured - start) / (end - start)
        low, high = self.raw
        if status is Status.WIRE_BREAK or share > _REACH:
            raw = OVERFLOW
        elif share < 1 - _REACH:
            raw = UNDERFLOW
        else:
            raw = self._quantised(low + share * (high - low), abs(high - low) / _COUNTS)
        value = self.range[0] + (raw - low) / (high - low) * (self.range[1] - self.range[0])
        return Reading(raw, value, status)

    def _temperature(self, ohms: float) -> Reading:
        if ohms > _BREAK_OHMS:
            return Reading(OVERFLOW, OVERFLOW / _TENTHS, Status.WIRE_BREAK)
        if ohms < _SHORT_OHMS:
            return Reading(UNDERFLOW, UNDERFLOW / _TENTHS, Status.UNDER_RANGE)
        raw = self._quantised(pt100.temperature_of(ohms) * _TENTHS, 1.0)
        is_over = raw > pt100.HIGHEST * _TENTHS
        return Reading(raw, raw / _TENTHS, Status.OVER_RANGE if is_over else Status.GOOD)

    def _quantised(self, counts: float, count: float) -> int:
        step = max(count * (1 << 16 - self.resolution), 1.0)
        return min(max(round(round(counts / step) * step), UNDERFLOW), OVERFLOW)

    def _diagnosis(self, measured: float) -> Status:
        if self.type == "4-20mA" and measured < _WIRE_BREAK:
            return Status.WIRE_BREAK
        start, end = _NOMINAL[self.type]
        over = _OVER if self.mode == "current" else end + _MARGIN * (end - start)
        if measured > over:
            return Status.OVER_RANGE
        if measured < start - _MARGIN * (end - start):
            return Status.UNDER_RANGE
        return Status.GOOD


class DigitalChannel(Strict):
    """A digital input; `sinking` for PNP and contacts from plus, `sourcing` for NPN and contacts from minus."""

    type: Literal["sinking", "sourcing"] = "sinking"
