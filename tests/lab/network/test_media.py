"""Cables of the right kind carry; longer ones damage frames; wrong ones stay dark."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model.plant import Cable, Medium
from lab.network.media import (
    CATEGORY,
    DOES_NOT_FIT,
    DUPLEX_MISMATCH,
    EMPTY_CAGE,
    GOOD,
    NO_COMMON_SPEED,
    NO_SIGNAL,
    TOO_LONG,
    WAVELENGTHS,
    WEAK,
    WRONG_FIBRE,
    CopperPort,
    End,
    Link,
    SfpCage,
    link_of,
)
from lab.text import Text

RJ45 = CopperPort()
FAST = CopperPort((10, 100))
TEN_GIG = CopperPort((100, 1000, 10_000))
SX, LX, FX = SfpCage("1000BASE-SX"), SfpCage("1000BASE-LX"), SfpCage("100BASE-FX")


def link(medium: Medium, length: float, a: End, b: End) -> Link:
    return link_of(Cable.model_validate({"a": "sw/1", "b": "pc/1", "medium": medium, "length": length}), a, b)


def test_a_bare_pair_is_a_perfect_cable() -> None:
    plain = link_of(Cable.model_validate(["sw/1", "pc/1"]), RJ45, RJ45)
    assert (plain.up, plain.speed, plain.duplex, plain.impairment) == (True, 1000, "full", None)


@pytest.mark.parametrize(
    ("medium", "length", "a", "b", "speed"),
    [
        ("cat5e", 100, RJ45, RJ45, 1000),
        ("cat6", 90, RJ45, FAST, 100),
        ("cat6", 55, TEN_GIG, TEN_GIG, 10_000),
        ("cat6a", 100, TEN_GIG, TEN_GIG, 10_000),
        ("cat6", 20, SfpCage("1000BASE-T"), RJ45, 1000),
        ("om3", 550, SX, SX, 1000),
        ("om4", 300, SX, SX, 1000),
        ("om3", 2000, FX, FX, 100),
        ("os2", 10_000, LX, LX, 1000),
    ],
)
def test_what_the_standards_promise(medium: Medium, length: float, a: End, b: End, speed: int) -> None:
    found = link(medium, length, a, b)
    assert (found.up, found.speed, found.impairment, found.reason) == (True, speed, None, GOOD)


@pytest.mark.parametrize(
    ("medium", "length", "a", "b", "reason"),
    [
        pytest.param("om3", 50, LX, LX, WRONG_FIBRE, id="single-mode modules on multimode fibre"),
        pytest.param("os2", 50, SX, SX, WRONG_FIBRE, id="multimode modules on single-mode fibre"),
        pytest.param("om3", 50, SX, LX, WAVELENGTHS, id="850 nm into a receiver for 1310 nm"),
        pytest.param("om3", 50, SX, FX, WAVELENGTHS, id="another speed"),
        pytest.param("om3", 50, SX, RJ45, DOES_NOT_FIT, id="a fibre in an RJ45 socket"),
        pytest.param("cat6", 5, SX, RJ45, DOES_NOT_FIT, id="a copper lead in an optical module"),
        pytest.param("om3", 50, SX, SfpCage(), EMPTY_CAGE, id="no module"),
        pytest.param("cat6", 5, SfpCage(), RJ45, EMPTY_CAGE, id="no module for the copper lead"),
        pytest.param("cat5e", 20, TEN_GIG, CopperPort((10_000,)), CATEGORY, id="10 Gbit/s on cat5e"),
        pytest.param("cat5e", 20, FAST, CopperPort((1000,)), NO_COMMON_SPEED, id="nothing in common"),
        pytest.param("cat6", 250, RJ45, RJ45, NO_SIGNAL, id="copper, far too long"),
        pytest.param("om3", 1200, SX, SX, NO_SIGNAL, id="multimode, far too long"),
        pytest.param("os2", 40_000, LX, LX, NO_SIGNAL, id="single mode, far too long"),
    ],
)
def test_no_link_and_why(medium: Medium, length: float, a: End, b: End, reason: Text) -> None:
    for found in (link(medium, length, a, b), link(medium, length, b, a)):
        assert (found.up, found.speed, found.impairment) == (False, None, None)
        assert found.reason is reason
        assert "{" not in str(found)


@pytest.mark.parametrize(
    ("medium", "length", "end"),
    [("cat6", 118, RJ45), ("cat5e", 120, FAST), ("om3", 640, SX), ("os2", 11_500, LX), ("om4", 2300, FX)],
)
def test_a_little_too_long_damages_frames(medium: Medium, length: float, end: End) -> None:
    found = link(medium, length, end, end)
    assert found.up
    assert found.reason is TOO_LONG
    assert found.impairment is not None
    assert 0 < found.impairment.loss < 0.5


@given(
    cable=st.sampled_from([("cat5e", RJ45), ("cat6", TEN_GIG), ("om3", SX), ("om4", FX), ("os2", LX)]),
    lengths=st.lists(st.floats(1, 50_000), min_size=2, max_size=8).map(sorted),
)
def test_longer_is_never_better(cable: tuple[Medium, End], lengths: list[float]) -> None:
    def goodness(found: Link) -> float:
        if not found.up:
            return -1.0
        return 1.0 - (found.impairment.loss if found.impairment else 0.0)

    found = [goodness(link(cable[0], length, cable[1], cable[1])) for length in lengths]
    assert all(shorter >= longer for shorter, longer in pairwise(found))


def test_dirt_eats_the_budget() -> None:
    def dirty(dirt: float) -> Link:
        return link("om3", 300, SfpCage("1000BASE-SX", dirt), SX)

    assert dirty(2.0).impairment is None
    damaged = dirty(5.4)
    assert damaged.up
    assert damaged.reason is WEAK
    assert dirty(12.0).reason is NO_SIGNAL


@pytest.mark.parametrize(
    ("a", "b", "duplexes"),
    [
        (CopperPort((100,), "full", negotiates=False), FAST, ("full", "half")),
        (FAST, CopperPort((100,), "full", negotiates=False), ("half", "full")),
        (CopperPort((100,), "half", negotiates=False), FAST, ("half", "half")),
        (CopperPort((100,), negotiates=False), CopperPort((100,), negotiates=False), ("full", "full")),
        (CopperPort((10, 100), "half"), FAST, ("half", "half")),
    ],
)
def test_who_does_not_negotiate_makes_the_other_guess(a: End, b: End, duplexes: tuple[str, str]) -> None:
    found = link("cat5e", 10, a, b)
    assert found.duplexes == duplexes
    is_mismatch = duplexes[0] != duplexes[1]
    assert (found.reason is DUPLEX_MISMATCH) is is_mismatch
    assert (found.impairment is not None) is is_mismatch
