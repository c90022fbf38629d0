"""The tags there are, and where: on pallets that move through doors, and those that somebody holds into a zone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from devices.rfid.site import MATERIAL_LOSS, PalletConfig, Point, SiteConfig, TagConfig
from devices.rfid.tags import Tag, stored_pc

COMES_FROM: Final = 5.0
"""Metres before the door at which a pallet is first there, and behind it at which it is gone."""
_LENGTH, _WIDTH, _HEIGHT = 1.2, 0.8, 1.4
"""Metres of a loaded pallet."""
_BASE: Final = 0.3
_TURNED: Final = 3.0
"""dB at most that a label loses by how it is turned to a circularly polarised antenna."""
_CHIP: Final = 0.8
"""dB by which chips of one type differ."""
_EDGE: Final = 1e-5
"""Metres, or seconds, within which a pallet counts as there: timers may be early by a rounding."""
_SOON: Final = 1e-6
"""Seconds"""


@dataclass(frozen=True, slots=True)
class Label:
    """A tag at its place on a pallet."""

    tag: Tag
    offset: Point


@dataclass(frozen=True, slots=True)
class Pallet:
    """It moves along y: in from outside, to the door, perhaps a rest there, and on."""

    name: str
    zone: str
    x: float
    arrives: float
    """Seconds on the clock of the population."""
    speed: float
    stays: float
    labels: tuple[Label, ...]

    @property
    def gone(self) -> float:
        return self.arrives + 2 * COMES_FROM / self.speed + self.stays

    def y(self, at: float) -> float | None:
        """Where it is, or None before it comes and after it has gone."""
        if not self.arrives - _EDGE <= at < self.gone - _EDGE:
            return None
        moved = (at - self.arrives) * self.speed
        if moved <= COMES_FROM:
            return COMES_FROM - moved
        return min(0.0, COMES_FROM - (moved - self.stays * self.speed))

    def reaches(self, y: float) -> float:
        """When it comes to y, if its way leads there."""
        way = COMES_FROM - y
        return self.arrives + way / self.speed + (self.stays if y < 0 else 0.0)


@dataclass(slots=True)
class TagPopulation:
    """Knows at every moment of its clock where every tag is; moves nothing by itself."""

    site: SiteConfig
    random: Random
    pallets: list[Pallet] = field(default_factory=list)
    _held: dict[str, tuple[Tag, ...]] = field(default_factory=dict)

    def arrive(self, pallet: PalletConfig, at: float) -> Pallet:
        """Let a pallet come at this moment; raises KeyError for a zone that is not here."""
        zone = self.site.zone(pallet.zone)
        labels = tuple(Label(self.make(tag), self._somewhere()) for tag in pallet.tags)
        coming = Pallet(pallet.name, zone.name, zone.x, at, pallet.speed, pallet.stays, labels)
        self.pallets.append(coming)
        return coming

    def leave(self, pallets: Iterable[Pallet]) -> None:
        """Take these away, wherever they are."""
        for pallet in pallets:
            self.pallets.remove(pallet)

    def hold(self, zone: str, tags: Iterable[Tag]) -> None:
        """Hold these tags into the middle of a zone, instead of those that were held there; raises KeyError."""
        self._held[self.site.zone(zone).name] = tuple(tags)

    def held(self, zone: str) -> Sequence[Tag]:
        return self._held.get(zone, ())

    def make(self, label: TagConfig) -> Tag:
        """A tag as one gets it: no two are quite alike."""
        epc = bytes.fromhex(label.epc)
        tid = bytes.fromhex("e2801160") + self.random.randbytes(8)
        loss = MATERIAL_LOSS[label.material] + self.random.uniform(0.0, _TURNED)
        sensitivity = -18.0 + self.random.uniform(-_CHIP, _CHIP)
        garbled = 0.0
        match label.condition:
            case "weak":
                sensitivity += 9.0
            case "damaged":
                garbled = 1.0
            case "dead":
                sensitivity = math.inf
        pc = stored_pc(epc) if label.pc is None else label.pc
        return Tag(epc, pc, tid, sensitivity, loss, garbled)

    def _somewhere(self) -> Point:
        """A place on the outside of the load, where labels are."""
        along, up = self.random.uniform(-0.5, 0.5) * _LENGTH, _BASE + self.random.random() * _HEIGHT
        side = self.random.choice((-0.5, 0.5))
        return (side * _WIDTH, along, up)

    def present(self, now: float) -> Iterator[tuple[Tag, Point]]:
        """Every tag that is anywhere near, with its place; always in the same order."""
        for pallet in self.pallets:
            y = pallet.y(now)
            if y is not None:
                for label in pallet.labels:
                    dx, dy, dz = label.offset
                    yield label.tag, (pallet.x + dx, y + dy, dz)
        for zone in self.site.zones:
            for tag in self.held(zone.name):
                yield tag, (zone.x, 0.0, 1.2)

    def within(self, zone: str, now: float) -> list[Tag]:
        """The tags that are in a zone, whatever anybody reads of them."""
        here = self.site.zone(zone)
        tags = [
            label.tag
            for pallet in self.pallets
            if pallet.zone == zone and _is_between(pallet.y(now), -here.depth, here.depth)
            for label in pallet.labels
        ]
        return tags + list(self.held(zone))

    def pallet_in(self, zone: str, now: float) -> str:
        """The name of the pallet in a zone, or nothing."""
        depth = self.site.zone(zone).depth
        here = (each.name for each in self.pallets if each.zone == zone and _is_between(each.y(now), -depth, depth))
        return next(here, "")

    def breaks_the_curtain(self, now: float) -> bool:
        """Whether something is between the lamps and the eyes of the light curtain."""
        curtain = self.site.curtain
        if curtain is None:
            return False
        reach = _LENGTH / 2
        passing = any(
            pallet.zone == curtain.zone and _is_between(pallet.y(now), curtain.y - reach, curtain.y + reach)
            for pallet in self.pallets
        )
        return passing or bool(self.held(curtain.zone))

    def next_change(self, now: float) -> float | None:
        """When, after now, a pallet next appears, goes, or passes the edge of a zone or of the light curtain."""
        return min((at for pallet in self.pallets for at in self._moments(pallet) if at > now + _SOON), default=None)

    def _moments(self, pallet: Pallet) -> Iterator[float]:
        yield from (pallet.arrives, pallet.gone)
        depth = self.site.zone(pallet.zone).depth
        edges = [depth, -depth]
        curtain = self.site.curtain
        if curtain is not None and curtain.zone == pallet.zone:
            edges += [curtain.y + _LENGTH / 2, curtain.y - _LENGTH / 2]
        yield from (pallet.reaches(y) for y in edges)


def _is_between(y: float | None, low: float, high: float) -> bool:
    # Half open, in the direction of travel: at the moment of `reaches` a pallet is in, or out.
    return y is not None and low + _EDGE < y <= high + _EDGE
