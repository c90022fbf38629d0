"""The air between antennas and tags: power, distance, material and crowds decide what is read."""

from __future__ import annotations

from random import Random

import pytest
from pydantic import ValidationError

from devices.rfid.air import AirInterface, Round
from devices.rfid.population import TagPopulation
from devices.rfid.site import PalletConfig, Point, SiteConfig, TagConfig
from devices.rfid.tags import Tag, filter_value, stored_pc

EPC = bytes.fromhex("3035A537C8377540000003E9")
IN_DOCK_3: Point = (0.0, 0.0, 1.2)


def air() -> AirInterface:
    return AirInterface(SiteConfig(), Random(1))


def tag(**other: float) -> Tag:
    return Tag(EPC, stored_pc(EPC), **other)  # type: ignore[arg-type]


def reads(power: float, place: Point, antenna: int = 1, rounds: int = 100, **other: float) -> int:
    """In how many rounds a tag is read that stands alone at this place."""
    interface, it = air(), tag(**other)
    return sum(bool(interface.inventory(antenna, power, [(it, place)], n / 10, 0).heard) for n in range(rounds))


def test_the_link_budget_is_friis() -> None:
    antenna = air().antennas[1]
    near, far = (air().gain(antenna, (antenna.x + metres, 0.0, antenna.z)) for metres in (1.0, 2.0))
    assert near - far == pytest.approx(6.02, abs=0.01)  # twice the distance, a quarter of the power
    # 8.5 dBi - 1 dB cable - 31.74 dB over one metre at 922.375 MHz - 3 dB polarisation + 2 dBi
    assert near == pytest.approx(-25.24, abs=0.01)


def test_behind_a_panel_there_is_a_hundredth_of_the_power() -> None:
    antenna = air().antennas[1]
    ahead, behind = (air().gain(antenna, (antenna.x + metres, 0.0, antenna.z)) for metres in (2.0, -2.0))
    assert ahead - behind == pytest.approx(20.0)


def test_more_power_never_reads_less_and_enough_reads_always() -> None:
    shares = [reads(power, IN_DOCK_3) for power in (0.0, 8.0, 10.0, 12.0, 14.0, 20.0)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0 < shares[2] < 100 or 0 < shares[3] < 100
    assert shares[-1] == 100


def test_metal_and_a_tired_chip_cost_range() -> None:
    assert reads(20.0, IN_DOCK_3, loss=2.5) == 100
    assert reads(20.0, IN_DOCK_3, loss=14.0) < 20
    assert reads(14.0, IN_DOCK_3, sensitivity=-9.0) == 0


def test_an_antenna_that_is_not_there_hears_nothing() -> None:
    site = SiteConfig.model_validate({"antennas": [{"number": 1, "x": -1.6, "facing": 0}]})
    assert AirInterface(site, Random(1)).inventory(3, 30.0, [(tag(), IN_DOCK_3)], 0.0).heard == ()


def crowd(number: int) -> list[tuple[Tag, Point]]:
    epcs = [EPC[:-2] + serial.to_bytes(2, "big") for serial in range(number)]
    return [(Tag(epc, stored_pc(epc)), IN_DOCK_3) for epc in epcs]


def test_a_crowd_collides_and_takes_longer_and_all_are_read_in_the_end() -> None:
    one, many = air().inventory(1, 30.0, crowd(1), 0.0), air().inventory(1, 30.0, crowd(60), 0.0)
    assert (one.collided, len(one.heard)) == (0, 1)
    assert many.collided > 0
    assert many.seconds > one.seconds
    assert {each.epc for each in many.heard} == {each.epc for each, _ in crowd(60)}


def test_no_reader_gets_more_than_a_few_hundred_answers_a_second() -> None:
    interface, tags = air(), crowd(400)
    now, answers = 0.0, 0
    while now < 5.0:
        result = interface.inventory(1, 30.0, tags, now, session=0)
        now += result.seconds
        answers += len(result.heard)
        assert all(0 < each.after <= result.seconds for each in result.heard)
    assert 150 < answers / now < 400


def test_a_tag_that_was_inventoried_is_silent_until_the_others_have_been() -> None:
    interface, tags = air(), crowd(2)
    first = interface.inventory(1, 30.0, tags, 0.0, session=2)
    second = interface.inventory(1, 30.0, tags, 0.1, session=2)
    third = interface.inventory(1, 30.0, tags, 0.2, session=2)
    assert [len(each.heard) for each in (first, second, third)] == [2, 0, 2]


def heard_of(label: TagConfig) -> Round:
    made = TagPopulation(SiteConfig(), Random(1)).make(label)
    return air().inventory(1, 30.0, [(made, IN_DOCK_3)], 0.0)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (TagConfig(epc=EPC.hex()), EPC),
        (TagConfig(epc=EPC.hex(), pc=5 << 11), EPC[:10]),  # it says less than it has
        (TagConfig(epc=EPC.hex(), pc=8 << 11), EPC + bytes(4)),  # and more: the rest of its memory
        (TagConfig(epc=EPC.hex(), pc=12 << 11), None),  # more than any memory there: the CRC cannot be right
        (TagConfig(epc=EPC.hex(), condition="damaged"), None),
        (TagConfig(epc=""), b""),
    ],
)
def test_a_tag_sends_as_many_words_as_its_pc_says(label: TagConfig, expected: bytes | None) -> None:
    (heard,) = heard_of(label).heard
    assert heard.epc == expected


def test_a_dead_tag_says_nothing() -> None:
    assert heard_of(TagConfig(epc=EPC.hex(), condition="dead")).heard == ()


@pytest.mark.parametrize(
    ("epc", "value"),
    [
        ("3074257BF7194E4000001A85", 3),
        ("3034257BF7194E4000003039", 1),
        ("3035A537C8377540000003E9", 1),
        ("303CA537C8377540000003E9", None),  # partition 7 is reserved
        ("E2801160200074CF21AB0C37", None),
        ("30", None),
        ("", None),
    ],
)
def test_the_filter_value_stands_in_three_bits_behind_the_header(epc: str, value: int | None) -> None:
    assert filter_value(bytes.fromhex(epc)) == value


def test_a_pallet_comes_waits_and_goes() -> None:
    population = TagPopulation(SiteConfig(), Random(1))
    population.arrive(PalletConfig(name="PAL", zone="dock-3", arrives=0, stays=4.0, tags=[TagConfig(epc="AABB")]), 10.0)
    assert population.next_change(0.0) == 10.0
    moments = [10.0]
    while (moment := population.next_change(moments[-1])) is not None:
        moments.append(moment)
    assert moments == pytest.approx([10.0, 13.0, 13.6, 19.8 - 4.0 - 1.0, 21.0, 24.0], abs=1.0)
    assert [population.pallet_in("dock-3", at) for at in (12.9, 13.0, 15.0, 20.9, 21.0)] == [
        "",
        "PAL",
        "PAL",
        "PAL",
        "",
    ]
    assert [population.breaks_the_curtain(at) for at in (13.5, 13.6, 14.7, 14.9)] == [False, True, True, False]
    assert list(population.present(9.0)) == list(population.present(24.0)) == []


@pytest.mark.parametrize(
    "site",
    [
        {"antennas": [{"number": 1, "x": 0, "facing": 0}, {"number": 1, "x": 1, "facing": 0}]},
        {"zones": [{"name": "a", "x": 0}, {"name": "a", "x": 1}], "curtain": None},
        {"curtain": {"zone": "dock-9"}},
    ],
)
def test_a_site_that_cannot_be_is_refused(site: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SiteConfig.model_validate(site)
