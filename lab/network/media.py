"""What a cable makes of a link: categories of copper, kinds of fibre, the transceivers at its ends, and its length.

Figures are those of IEEE 802.3 (clauses 24 to 26, 38, 40) and ISO/IEC 11801 where they have them. Beyond the reach of a
standard the signal keeps fading: first frames arrive damaged, then there is no link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from lab.model.plant import Cable, Medium, Transceiver
from lab.network.fabric import Impairment
from lab.text import Text

Speed = Literal[10, 100, 1000, 10_000]
"""Mbit/s"""
Duplex = Literal["full", "half"]
Module = Transceiver

GOOD: Final = Text(zh="链路正常", en="the link is good")
TOO_LONG: Final = Text(
    zh="{length:g} m 超过 {reach:g} m，出现误码", en="{length:g} m is more than {reach:g} m: frames arrive damaged"
)
NO_SIGNAL: Final = Text(zh="信号太弱：{length:g} m 的 {medium}", en="too little arrives over {length:g} m of {medium}")
WEAK: Final = Text(zh="信号余量不足：{margin:.1f} dB", en="the signal is {margin:.1f} dB short: frames arrive damaged")
DOES_NOT_FIT: Final = Text(zh="{medium} 插不进 {socket}", en="{medium} does not fit into {socket}")
EMPTY_CAGE: Final = Text(zh="SFP 插槽中没有模块", en="there is no module in the SFP cage")
WAVELENGTHS: Final = Text(zh="两端模块不同：{a} 与 {b}", en="the modules at the ends differ: {a} and {b}")
WRONG_FIBRE: Final = Text(
    zh="{module} 与 {medium} 光纤不匹配", en="{module} does not get its light through {medium} fibre"
)
NO_COMMON_SPEED: Final = Text(zh="两端没有共同的速率", en="the ends have no speed in common")
CATEGORY: Final = Text(zh="{medium} 不支持 {speed} Mbit/s", en="{medium} is not made for {speed} Mbit/s")
DUPLEX_MISMATCH: Final = Text(zh="双工不匹配：{a} 与 {b}", en="duplex mismatch: {a} and {b}")


@dataclass(frozen=True, slots=True)
class CopperPort:
    """An RJ45 socket. Without autonegotiation it has one speed and insists on its duplex."""

    speeds: tuple[Speed, ...] = (10, 100, 1000)
    duplex: Duplex = "full"
    negotiates: bool = True


@dataclass(frozen=True, slots=True)
class SfpCage:
    """A cage for a transceiver, and which one is in it."""

    module: Module | None = None
    dirt: float = 0.0
    """dB that its connector takes from the light."""


End = CopperPort | SfpCage


@dataclass(frozen=True, slots=True)
class Link:
    """What comes of a cable between two ends."""

    up: bool
    speed: Speed | None
    duplexes: tuple[Duplex, Duplex]
    """Of either end, as each of them believes."""
    impairment: Impairment | None
    """What it does to frames; None for a good link."""
    reason: Text
    facts: dict[str, object]

    @property
    def duplex(self) -> Duplex:
        return "full" if self.duplexes == ("full", "full") else "half"

    def __str__(self) -> str:
        return self.reason.say(**self.facts)


@dataclass(frozen=True, slots=True)
class _Optics:
    speed: Speed
    wavelength: int
    """nm"""
    core: float
    """µm of the fibre it is made for."""
    budget: float
    """dB from the weakest transmitter to the least sensitive receiver."""
    reach: dict[Medium, float]
    """Metres"""


_OPTICS: Final[dict[Module, _Optics]] = {
    "100BASE-FX": _Optics(100, 1300, 50.0, 7.5, {"om3": 2000, "om4": 2000}),
    "1000BASE-SX": _Optics(1000, 850, 50.0, 7.5, {"om3": 550, "om4": 550}),
    "1000BASE-LX": _Optics(1000, 1310, 9.0, 10.5, {"os2": 10_000}),
}
_CORE: Final[dict[Medium, float]] = {"om3": 50.0, "om4": 50.0, "os2": 9.0}
"""µm"""
_FADES: Final = {
    (50.0, 850): 3.0,
    (50.0, 1300): 1.0,
    (50.0, 1310): 1.0,
    (9.0, 1310): 0.4,
    (9.0, 1300): 0.4,
    (9.0, 850): 2.0,
}
"""dB per km, by core and wavelength."""
_CONNECTORS: Final = 1.0
"""dB of both together."""

_COPPER_REACH: Final[dict[Medium, dict[Speed, float]]] = {
    "cat5e": {10: 100, 100: 100, 1000: 100},
    "cat6": {10: 100, 100: 100, 1000: 100, 10_000: 55},
    "cat6a": {10: 100, 100: 100, 1000: 100, 10_000: 100},
}
_COPPER_FADES: Final[dict[Speed, float]] = {10: 10.0, 100: 20.0, 1000: 24.0, 10_000: 45.0}
"""dB that a line as long as its reach takes from the signal, at the frequency that matters."""

_Q_AT_REACH: Final = 6.4
"""Signal over noise where a standard promises one wrong bit in 10^10."""
_BITS: Final = 4096
"""Of a frame of middling length."""
_LINK_LOST: Final = 0.5
"""Share of damaged frames at which a receiver no longer finds the signal."""
_NEGLIGIBLE: Final = 1e-6
_LATE_COLLISIONS: Final = 0.05
"""Share of frames that a mismatch of duplex costs a lively conversation."""


def link_of(cable: Cable, a: End, b: End) -> Link:
    """The link that a cable makes between two ends: the first is where `cable.a` is plugged."""
    if cable.medium in _CORE:
        return _optical(cable, a, b)
    return _electrical(cable, a, b)


def _down(reason: Text, **facts: object) -> Link:
    return Link(False, None, ("full", "full"), None, reason, facts)


def _optical(cable: Cable, a: End, b: End) -> Link:
    modules: list[Module] = []
    dirt = 0.0
    for end in (a, b):
        if isinstance(end, CopperPort) or end.module == "1000BASE-T":
            return _down(DOES_NOT_FIT, medium=cable.medium, socket="RJ45")
        if end.module is None:
            return _down(EMPTY_CAGE)
        modules.append(end.module)
        dirt += end.dirt
    module, other = modules
    if module != other:
        # Different light, or the same light in different time: no receiver makes sense of it.
        return _down(WAVELENGTHS, a=module, b=other)
    optics = _OPTICS[module]
    margin = _optical_margin(cable, optics) - dirt
    reach = optics.reach.get(cable.medium)
    damaged = _damaged(_Q_AT_REACH * 10 ** (margin / 10))
    if damaged >= _LINK_LOST:
        if reach is None:
            return _down(WRONG_FIBRE, module=module, medium=cable.medium)
        return _down(NO_SIGNAL, length=cable.length, medium=cable.medium)
    if damaged <= _NEGLIGIBLE:
        return Link(True, optics.speed, ("full", "full"), None, GOOD, {})
    bad = Impairment(loss=damaged)
    if reach is not None and cable.length > reach:
        return Link(True, optics.speed, ("full", "full"), bad, TOO_LONG, {"length": cable.length, "reach": reach})
    return Link(True, optics.speed, ("full", "full"), bad, WEAK, {"margin": -margin})


def _optical_margin(cable: Cable, optics: _Optics) -> float:
    """dB to spare. Pulses that spread cost power too, the more the longer: all that is left at the reach."""
    core = _CORE[cable.medium]
    fade = _FADES[core, optics.wavelength] / 1000
    steps = (optics.core, core, optics.core)
    # Light from a wide core into a narrow one: what falls beside it is lost.
    stray = sum(20 * math.log10(wide / narrow) for wide, narrow in pairwise(steps) if wide > narrow)
    spare = optics.budget - _CONNECTORS - stray
    reach = optics.reach.get(cable.medium)
    if reach is None:
        return spare - fade * cable.length
    spread = (spare - fade * reach) * (cable.length / reach) ** 2
    return spare - fade * cable.length - spread


def _electrical(cable: Cable, a: End, b: End) -> Link:
    ports: list[CopperPort] = []
    for end in (a, b):
        if isinstance(end, CopperPort):
            ports.append(end)
        elif end.module is None:
            return _down(EMPTY_CAGE)
        elif end.module == "1000BASE-T":
            ports.append(CopperPort(speeds=(1000,)))
        else:
            return _down(DOES_NOT_FIT, medium=cable.medium, socket=end.module)
    one, two = ports
    common = set(one.speeds) & set(two.speeds)
    if not common:
        return _down(NO_COMMON_SPEED)
    speed = max(common)
    reach = _COPPER_REACH[cable.medium].get(speed)
    if reach is None:
        return _down(CATEGORY, medium=cable.medium, speed=speed)
    margin = _COPPER_FADES[speed] * (1 - cable.length / reach)
    damaged = _damaged(_Q_AT_REACH * 10 ** (margin / 20))
    if damaged >= _LINK_LOST:
        return _down(NO_SIGNAL, length=cable.length, medium=cable.medium)
    duplexes = _duplexes(one, two)
    bad = Impairment(loss=damaged) if damaged > _NEGLIGIBLE else None
    if duplexes[0] != duplexes[1]:
        late = Impairment(loss=_LATE_COLLISIONS)
        bad = late if bad is None else bad & late
        return Link(True, speed, duplexes, bad, DUPLEX_MISMATCH, {"a": duplexes[0], "b": duplexes[1]})
    if bad is not None:
        return Link(True, speed, duplexes, bad, TOO_LONG, {"length": cable.length, "reach": reach})
    return Link(True, speed, duplexes, None, GOOD, {})


def _duplexes(a: CopperPort, b: CopperPort) -> tuple[Duplex, Duplex]:
    """IEEE 802.3 clause 28: who negotiates with somebody who does not takes half duplex for granted."""
    if a.negotiates and b.negotiates:
        both: Duplex = "full" if a.duplex == b.duplex == "full" else "half"
        return both, both
    if a.negotiates != b.negotiates:
        return ("half", b.duplex) if a.negotiates else (a.duplex, "half")
    return a.duplex, b.duplex


def _damaged(q: float) -> float:
    """Share of frames with a wrong bit, by the ratio of signal to noise; a check sequence finds and drops them."""
    wrong = 0.5 * math.erfc(q / math.sqrt(2))
    return -math.expm1(_BITS * math.log1p(-wrong)) if wrong < 1 else 1.0
