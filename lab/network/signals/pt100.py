"""Platinum resistors of 100 Ω at 0 °C (IEC 60751)."""

from __future__ import annotations

import math
from typing import Final

_R0, _A, _B, _C = 100.0, 3.9083e-3, -5.775e-7, -4.183e-12
LOWEST, HIGHEST = -200.0, 850.0
"""°C"""
_STEPS: Final = 6


def ohms_at(temperature: float) -> float:
    """Resistance at a temperature in °C (Callendar-Van Dusen)."""
    t = temperature
    return _R0 * (1 + _A * t + _B * t * t + (_C * (t - 100) * t**3 if t < 0 else 0.0))


def temperature_of(ohms: float) -> float:
    """The inverse, in °C; beyond the ends of the scale it goes on in a sensible way."""
    if ohms >= _R0:
        root = _A * _A - 4 * _B * (1 - ohms / _R0)
        return (-_A + math.sqrt(max(root, 0.0))) / (2 * _B)
    t = max((ohms - _R0) / (_R0 * _A), LOWEST - 50.0)
    for _ in range(_STEPS):
        slope = _R0 * (_A + 2 * _B * t + _C * (4 * t**3 - 300 * t * t))
        t -= (ohms_at(t) - ohms) / slope
    return t
