"""How well a signal survives on a serial line: levels, reflections and noise, as rules of thumb with the right shape.

The numbers are those of TIA-485 and common transceivers: a driver of 3.3 V behind 60 Ω, a threshold of 0.2 V, cable of
120 Ω at 5 ns/m, terminators of 120 Ω, receivers of 12 kΩ a unit load.
"""

from __future__ import annotations

import math
from typing import Final

UNIT_LOADS: Final = 32.0
"""As many as a driver is made for."""
FALSE_START: Final = 0.03
"""Chance that a receiver sees a start bit that is none, per transmission on a line that nobody holds at rest."""

_DRIVER_VOLTS, _DRIVER_OHMS = 3.3, 60.0
_THRESHOLD_VOLTS, _NOISE_VOLTS = 0.2, 0.06
_TERMINATOR_OHMS, _UNIT_LOAD_OHMS = 120.0, 12_000.0
_LOOP_OHMS_PER_METRE = 0.17
_SECONDS_PER_METRE = 5e-9
_OPEN_END, _MATCHED_END = 0.95, 0.05
"""Share of a wave that an end throws back."""
_SETTLED_BY = 0.25
"""Of a bit: later, an edge that still rings is taken for another one."""
_MOST = 0.3
"""Bit error rate of a line on which nothing can be understood."""

_RS232_LIMIT = 15 * 19_200
"""Metres times baud that an RS-232 driver can load with the cable's capacitance (TIA-232-F: 2,500 pF)."""


def rs485_bit_errors(length: float, baud: int, *, at_ends: int, elsewhere: int = 0, unit_loads: float = 2.0) -> float:
    """Probability that a receiver at the far end gets a bit wrong.

    `at_ends` counts terminators at the line's ends, of which two are right, `elsewhere` those in the middle, which only
    load the driver; `length` is in metres.
    """
    terminators = at_ends + elsewhere
    ohms = 1 / (unit_loads / _UNIT_LOAD_OHMS + terminators / _TERMINATOR_OHMS)
    volts = _DRIVER_VOLTS * ohms / (ohms + _DRIVER_OHMS)
    if unit_loads > UNIT_LOADS:
        volts *= (UNIT_LOADS / unit_loads) ** 2
    if terminators:
        volts *= _TERMINATOR_OHMS / (_TERMINATOR_OHMS + _LOOP_OHMS_PER_METRE * length)
    thrown_back = _MATCHED_END ** min(at_ends, 2) * _OPEN_END ** max(2 - at_ends, 0)
    round_trips = _SETTLED_BY / baud / (2 * length * _SECONDS_PER_METRE)
    volts *= 1 - 2 * min(thrown_back**round_trips, 0.5)
    margin = (volts - _THRESHOLD_VOLTS) / _NOISE_VOLTS
    return min(0.5 * math.erfc(margin / math.sqrt(2)), _MOST)


def rs232_bit_errors(length: float, baud: int) -> float:
    """Probability that a receiver gets a bit wrong; `length` in metres."""
    return min(max(length * baud / _RS232_LIMIT - 1, 0.0) * 0.001, _MOST)


SINGLE_WIRE_ERRORS: Final = 0.05
"""Bit error rate where only one of the two wires of RS-485 is connected, and the reference conductor."""
