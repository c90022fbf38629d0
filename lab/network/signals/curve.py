"""What flows through a part with two ends, by the voltage across it: monotone, piecewise-linear characteristics.

Voltages are those of the first end against the second, currents flow in at the first and out at the second. Every
curve rises strictly, if only by a leakage, so that a circuit of such parts has exactly one state.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

LEAKAGE: Final = 1e-8
"""Siemens of whatever is said not to conduct."""
_DIODE_OHMS: Final = 0.05
_SCHOTTKY_VOLTS: Final = 0.4
_BODY_VOLTS, _BODY_SIEMENS = -0.7, 10.0
"""A semiconductor output conducts like a diode when somebody pulls it the wrong way."""
_BLEEDER_SIEMENS: Final = 1e-4
_OPTOCOUPLER_VOLTS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Straight between points (V, A) in rising order; beyond the outer ones it goes on with `below` and `above`."""

    points: tuple[tuple[float, float], ...]
    below: float = LEAKAGE
    """Siemens"""
    above: float = LEAKAGE
    _volts: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _pieces: tuple[tuple[float, float], ...] = field(init=False, repr=False, compare=False)
    """(amperes at 0 V, siemens) of each straight piece."""

    def __post_init__(self) -> None:
        points = self.points
        slopes = [self.below]
        slopes += [(i1 - i0) / (v1 - v0) for (v0, i0), (v1, i1) in pairwise(points)]
        slopes.append(self.above)
        if min(slopes) <= 0:
            raise ValueError(f"a characteristic that does not rise: {points}")
        anchors = (points[0], *points)
        pieces = tuple((i - slope * v, slope) for (v, i), slope in zip(anchors, slopes, strict=True))
        object.__setattr__(self, "_volts", tuple(v for v, _ in points))
        object.__setattr__(self, "_pieces", pieces)

    def at(self, volts: float) -> tuple[float, float]:
        """Amperes and siemens at a voltage."""
        offset, slope = self._pieces[bisect_right(self._volts, volts)]
        return offset + slope * volts, slope

    def reversed(self) -> Curve:
        """The same part the other way round."""
        return Curve(tuple((-v, -i) for v, i in reversed(self.points)), self.above, self.below)


def _flat(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Points of a curve that is level in between but for the leakage."""
    return tuple((v, i + LEAKAGE * v) for v, i in points)


def resistor(ohms: float) -> Curve:
    return Curve(((0.0, 0.0),), 1 / ohms, 1 / ohms)


OPEN: Final = resistor(1 / LEAKAGE)
"""A gap."""
CLOSED: Final = resistor(0.05)
"""A metallic contact, or a short circuit."""


def diode(volts: float = _SCHOTTKY_VOLTS) -> Curve:
    """Conducts from its first end to its second."""
    return Curve(_flat([(volts, 0.0)]), above=1 / _DIODE_OHMS)


def supply(volts: float, limit: float, ohms: float) -> Curve:
    """A regulated output that gives no more than `limit` amperes, however deep its voltage falls."""
    knee = max(volts - ohms * limit, volts / 2)
    points = _flat([(_BODY_VOLTS, -limit), (knee, -limit), (volts, 0.0)])
    return Curve(points, below=_BODY_SIEMENS, above=_BLEEDER_SIEMENS)


DEAD_SUPPLY: Final = Curve(((_BODY_VOLTS, _BODY_VOLTS * _BLEEDER_SIEMENS),), _BODY_SIEMENS, _BLEEDER_SIEMENS)
"""The output of a supply that is switched off: its bleeder resistor, and diodes."""


def sink(amperes: float, lift: float, ohms: float = 25.0) -> Curve:
    """Lets `amperes` through, but needs `lift` volts to begin with; blocks the wrong way round."""
    return Curve(_flat([(lift, 0.0), (lift + max(amperes, 1e-6) * ohms, max(amperes, 1e-6))]))


def source(amperes: float, compliance: float, ohms: float = 25.0) -> Curve:
    """Drives `amperes` out of its first end, against `compliance` volts at most."""
    amperes = max(amperes, 1e-6)
    return Curve(_flat([(compliance - amperes * ohms, -amperes), (compliance, 0.0)]))


def load(amperes: float, volts: float) -> Curve:
    """Electronics that draw their current from `volts` on, and less below; blocks the wrong way round."""
    return Curve(_flat([(0.0, 0.0), (volts, amperes)]))


def shunt(ohms: float, limit: float) -> Curve:
    """A measuring resistor, protected by electronics that let no more than `limit` amperes through."""
    return Curve(_flat([(-ohms * limit, -limit), (ohms * limit, limit)]))


def optocoupler(ohms: float) -> Curve:
    """A digital input: a resistor and a light-emitting diode, blind the wrong way round."""
    return Curve(_flat([(_OPTOCOUPLER_VOLTS, 0.0)]), above=1 / ohms)
