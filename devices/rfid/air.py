"""The air interface: how much power reaches a tag, how much comes back, and which of many tags gets through.

The link budget is Friis' with a 3GPP antenna pattern; a chip wakes above its sensitivity, and fading moves that by a few
dB from round to round. Singulation is slotted Aloha with an adaptive Q (ISO/IEC 18000-63 annex D): two tags in one slot
are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from devices.rfid.site import AntennaConfig, Point, SiteConfig, distance
from devices.rfid.tags import Tag

_LIGHT: Final = 299.792458
"""Metres per microsecond, so that MHz give metres."""
_FRONT_TO_BACK: Final = 20.0
"""dB between the front of an antenna and any other direction at worst (3GPP TR 36.814 table A.2.1.1-2)."""
_POLARISATION: Final = 3.0
"""dB between a circular and a linear antenna."""
_TAG_GAIN: Final = 2.0
"""dBi of a half-wave dipole."""
_BACKSCATTER: Final = 6.0
"""dB that modulation takes from what a tag throws back."""
_NEAREST: Final = 0.3
"""Metres within which the far field does not begin."""
_FADING, _WORST_FADING = 1.5, 3.0
"""dB, standard deviation and most, of multipath from one round to the next."""
_HEARS: Final = -84.0
"""dBm a reader needs to understand an answer."""

_ROUND, _EMPTY, _COLLISION, _ANSWER = 0.004, 0.000_15, 0.000_5, 0.002_5
"""Seconds of a Select and Query, of a slot without an answer, with several, and with one and its EPC (Miller 4, 250 kHz)."""
_SHORTEST: Final = 0.04
"""Seconds of a round with the change of antenna and channel around it."""
_LONGEST: Final = 0.2
"""Seconds after which a round takes no further frame."""
_FIRST_Q, _LARGEST_Q = 4, 10
_PER_COLLISION: Final = 2.39
_KEEPS: Final[Mapping[int, float]] = {0: 0.0, 1: 2.0, 2: 4.0, 3: 4.0}
"""Seconds for which a tag remembers that it was inventoried, by session (ISO/IEC 18000-63 table 6-20)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer of a tag."""

    after: float
    """Seconds into the round."""
    antenna: int
    rssi: float
    """dBm"""
    pc: int
    epc: bytes | None
    """None where the CRC was wrong."""


@dataclass(frozen=True, slots=True)
class Round:
    """One inventory round."""

    seconds: float
    heard: tuple[Heard, ...]
    empty: int
    collided: int
    """Slots"""


class AirInterface:
    """The antennas of one reader and what is in front of them."""

    def __init__(self, site: SiteConfig, random: Random) -> None:
        self._antennas = {antenna.number: antenna for antenna in site.antennas}
        self._wavelength = _LIGHT / site.frequency
        self._random = random
        self._flagged: dict[int, tuple[Tag, float]] = {}
        """Tags that were inventoried (their flag is B), by identity, and until when they remember it."""
        self._target_b = False
        self._gains: dict[tuple[int, int], tuple[Point, float]] = {}
        """By antenna and tag: the gain of the way between them, and the place of the tag it was worked out for."""

    @property
    def antennas(self) -> Mapping[int, AntennaConfig]:
        return self._antennas

    def begin(self) -> None:
        """The field goes on after it was off: every tag has forgotten that it was inventoried."""
        self._flagged.clear()
        self._target_b = False
        self._gains.clear()

    def gain(self, antenna: AntennaConfig, place: Point) -> float:
        """dB from the port of the reader to a tag at this place, or back: negative, as losses are."""
        metres = max(distance(antenna.place, place), _NEAREST)
        free_space = 20 * math.log10(4 * math.pi * metres / self._wavelength)
        return antenna.gain - _off_beam(antenna, place) - antenna.cable_loss - free_space - _POLARISATION + _TAG_GAIN

    def inventory(
        self, number: int, power: float, tags: Iterable[tuple[Tag, Point]], now: float, session: int = 1
    ) -> Round:
        """One round on one antenna at so many dBm; an antenna that is not there hears nothing."""
        antenna = self._antennas.get(number)
        awake: list[tuple[Tag, float]] = []
        if antenna is not None:
            for tag, place in tags:
                way = self._way(antenna, tag, place) - tag.loss
                if power + way + _WORST_FADING < tag.sensitivity:
                    continue
                way += min(max(self._random.gauss(0.0, _FADING), -_WORST_FADING), _WORST_FADING)
                if power + way >= tag.sensitivity:
                    awake.append((tag, power + 2 * way - _BACKSCATTER))
        answering = [each for each in awake if self._is_asked(each[0], now, session)]
        if awake and not answering:
            # Dual target: when all have flag B, it is those that are asked for.
            self._target_b = not self._target_b
        return self._singulate(number, answering, now, session)

    def _way(self, antenna: AntennaConfig, tag: Tag, place: Point) -> float:
        key = (antenna.number, id(tag))
        known = self._gains.get(key)
        if known is None or known[0] != place:
            known = self._gains[key] = (place, self.gain(antenna, place))
        return known[1]

    def _is_asked(self, tag: Tag, now: float, session: int) -> bool:
        _, until = self._flagged.get(id(tag), (tag, -math.inf))
        is_b = until > now
        if is_b and session >= 2:
            self._flagged[id(tag)] = (tag, now + _KEEPS[session])  # for as long as it has power, and some time more
        return is_b == self._target_b

    def _singulate(self, number: int, answering: list[tuple[Tag, float]], now: float, session: int) -> Round:
        """Frame after frame of slots, each fit for the tags that collided in the one before, while there is time."""
        heard: list[Heard] = []
        after, empty, collided, q = _ROUND, 0, 0, _FIRST_Q
        waiting = answering
        while True:
            slots: dict[int, list[tuple[Tag, float]]] = {}
            for each in waiting:
                slots.setdefault(int(self._random.random() * (1 << q)), []).append(each)
            waiting, next_slot, crowded = [], 0, 0
            for slot in sorted(slots):
                after += (slot - next_slot) * _EMPTY
                next_slot = slot + 1
                if len(slots[slot]) > 1:
                    after += _COLLISION
                    crowded += 1
                    waiting += slots[slot]
                    continue
                after += _ANSWER
                ((tag, rssi),) = slots[slot]
                if rssi >= _HEARS:
                    heard.append(self._answer(tag, rssi, number, after))
                    if heard[-1].epc is not None:
                        self._turn_flag(tag, now, session)
            after += ((1 << q) - next_slot) * _EMPTY
            empty += (1 << q) - len(slots)
            collided += crowded
            if not waiting or after >= _LONGEST:
                return Round(max(after, _SHORTEST), tuple(heard), empty, collided)
            # Schoute (1983): behind a slot with a collision there are 2.39 tags on average.
            q = min(max(math.ceil(math.log2(_PER_COLLISION * crowded)), 1), _LARGEST_Q)

    def _answer(self, tag: Tag, rssi: float, antenna: int, after: float) -> Heard:
        reply = tag.reply
        if tag.garbled and self._random.random() < tag.garbled:
            reply = None
        return Heard(after, antenna, rssi, tag.pc, reply)

    def _turn_flag(self, tag: Tag, now: float, session: int) -> None:
        if self._target_b:
            self._flagged.pop(id(tag), None)
        elif _KEEPS[session]:
            self._flagged[id(tag)] = (tag, now + _KEEPS[session])


def _off_beam(antenna: AntennaConfig, place: Point) -> float:
    """dB that an antenna has less in this direction than straight ahead."""
    dx, dy, dz = (there - here for there, here in zip(place, antenna.place, strict=True))
    ahead = math.radians(antenna.facing)
    metres = math.hypot(dx, dy, dz)
    cosine = (dx * math.cos(ahead) + dy * math.sin(ahead)) / metres if metres else 1.0
    angle = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
    return min(12 * (angle / antenna.beam) ** 2, _FRONT_TO_BACK)
