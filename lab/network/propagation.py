"""How radio waves reach from one place of a plant to another: a simple, seeded model and no measurement of anything.

Log-distance path loss, walls, and shadowing that stays where it is; interference on channels that overlap; rates and
error rates of IEEE 802.11n with one stream at 20 MHz.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final, NamedTuple

Position = tuple[float, float]
"""Metres"""

CHANNELS: Final[dict[int, int]] = {
    **{number: 2407 + 5 * number for number in range(1, 14)},
    **{number: 5000 + 5 * number for number in (36, 40, 44, 48, 52, 56, 60, 64, 149, 153, 157, 161, 165)},
}
"""MHz by channel number."""
NOISE: Final = -95.0
"""dBm that a receiver hears of itself in 20 MHz."""
_EXPONENT: Final = 2.8
"""Of the distance, in a hall with machines."""
_SHADOW_DEVIATION, _SHADOW_GRID = 3.0, 10.0
"""dB, metres"""
_LEAKS: Final = (0.0, 1.0, 6.0, 14.0, 22.0)
"""dB by which a channel of the 2.4 GHz band hears one so many numbers away less well."""
_RATES: Final = (
    (6.5, 5.0),
    (13.0, 8.0),
    (19.5, 11.0),
    (26.0, 14.0),
    (39.0, 18.0),
    (52.0, 22.0),
    (58.5, 24.0),
    (65.0, 26.0),
)
"""Mbit/s, and dB over noise at which one frame in ten needs another attempt."""
_COMFORT: Final = 2.0
"""dB more than that before a faster rate is chosen."""


@dataclass(frozen=True, slots=True)
class Wall:
    """Something in the way, from one place to another."""

    a: Position
    b: Position
    loss: float
    """dB"""


class Disturbance(NamedTuple):
    """Something else on the air, as a receiver hears it."""

    dbm: float
    duty: float
    """Share of the time that it sends."""


class Quality(NamedTuple):
    """What a link over the air is good for."""

    rate: float
    """Mbit/s"""
    failures: float
    """Share of attempts that need another one."""


def path_loss(a: Position, b: Position, channel: int, walls: Iterable[Wall] = ()) -> float:
    """dB between two places: free space for the first metre, then by the power of the distance, and each wall."""
    distance = max(math.dist(a, b), 1.0)
    first = 20 * math.log10(CHANNELS[channel]) - 27.55
    return first + 10 * _EXPONENT * math.log10(distance) + sum(wall.loss for wall in walls if _cross(a, b, wall))


def _cross(a: Position, b: Position, wall: Wall) -> bool:
    def side(p: Position, q: Position, r: Position) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, wall.a) * side(a, b, wall.b) < 0 and side(wall.a, wall.b, a) * side(wall.a, wall.b, b) < 0


def shadowing(seed: int, place: Position, to: Position) -> float:
    """dB by which machines make a path better or worse than its length: the same there and back, smooth in between."""
    near, far = sorted((place, to))
    return (_field(seed, near) + _field(seed, far)) / math.sqrt(2)


def _field(seed: int, place: Position) -> float:
    x, y = place[0] / _SHADOW_GRID, place[1] / _SHADOW_GRID
    column, row = math.floor(x), math.floor(y)
    right, up = x - column, y - row
    return (
        _corner(seed, column, row) * (1 - right) * (1 - up)
        + _corner(seed, column + 1, row) * right * (1 - up)
        + _corner(seed, column, row + 1) * (1 - right) * up
        + _corner(seed, column + 1, row + 1) * right * up
    )


@lru_cache(maxsize=4096)
def _corner(seed: int, column: int, row: int) -> float:
    return Random(f"{seed}/shadow/{column}/{row}").gauss(0.0, _SHADOW_DEVIATION)


def leak(a: int, b: int) -> float | None:
    """dB by which one channel is weaker on another; None where they have nothing to do with one another."""
    if a == b:
        return 0.0
    if max(a, b) > 13 or abs(a - b) >= len(_LEAKS):
        return None
    return _LEAKS[abs(a - b)]


def quality(dbm: float, disturbances: Iterable[Disturbance] = ()) -> Quality:
    """The rate that both ends settle on, and how often a frame fails at it."""
    over_noise = dbm - NOISE
    rate, needed = _RATES[0]
    for faster, more in _RATES[1:]:
        if over_noise >= more + _COMFORT:
            rate, needed = faster, more
    succeeds = 1 - _fails(over_noise - needed)
    for disturbance in disturbances:
        noise = 10 * math.log10(10 ** (NOISE / 10) + 10 ** (disturbance.dbm / 10))
        succeeds *= 1 - disturbance.duty * _fails(dbm - noise - needed)
    return Quality(rate, 1 - succeeds)


def _fails(margin: float) -> float:
    return 1 / (1 + 9 * math.exp(min(1.2 * margin, 50.0)))
