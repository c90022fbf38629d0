"""Radio reaches as far as distance, walls, antennas and others on the channel let it; keys decide the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plant_kit import Plant, run

from lab.model.frame import Port
from lab.network.fabric import Jack
from lab.network.propagation import NOISE, Disturbance, Wall, leak, path_loss, quality, shadowing
from lab.network.wireless import (
    JOINED,
    NOT_FOUND,
    SWITCHED_OFF,
    AccessPoint,
    Client,
    Disturber,
    RadioSettings,
)
from lab.network.wpa import OTHER_SECURITY, WRONG_KEY, pairwise_master_key

T = TypeVar("T")
KEY = "correct horse battery"


def settings(**changes: Any) -> RadioSettings:
    return RadioSettings(**{"ssid": "hall", "security": "wpa2", "passphrase": KEY, **changes})


class Air:
    """Access points ap-1, ap-2 … and one client, each in a device of its own; what the client hears is in `heard`."""

    def __init__(self, plant: Plant) -> None:
        self.network = plant.network
        self.radio = plant.network.radio
        self.plant = plant
        self.jacks: dict[str, Jack] = {}
        self.heard: list[bytes] = []
        self.changes: list[tuple[float, str, bool]] = []
        """Time, device, whether its link came up."""
        self.client = self.radio.add_client(self._device("wm-1"))
        self._watch(self.client)

    def _device(self, name: str) -> Port:
        self.network.add_host(name, ())
        return Port(name, "wlan0")

    def _watch(self, station: AccessPoint | Client) -> None:
        name = station.port.host

        def changed(jack: Jack, up: bool) -> None:
            self.changes.append((self.network.loop.time(), name, up))
            self.jacks[name] = jack
            jack.take_over(self.heard.append if name == "wm-1" else lambda frame: None)

        station.link_changed = changed

    def ap(self, name: str, **changes: Any) -> AccessPoint:
        station = self.radio.add_access_point(self._device(name))
        self._watch(station)
        station.configure(settings(**changes))
        return station

    @property
    def joined(self) -> str | None:
        association = self.client.association
        return association.ap.port.host if association is not None else None

    async def send(self, count: int, size: int = 500) -> int:
        """How many of so many frames to the client arrive."""
        before = len(self.heard)
        for _ in range(count):
            self.jacks[self.joined or ""].send(bytes(size))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        return len(self.heard) - before


def on_air(story: Callable[[Air], Awaitable[T]], seed: int = 1) -> T:
    async def begin(plant: Plant) -> T:
        return await story(Air(plant))

    return run(begin, hosts=0, seed=seed)


# -- joining -----------------------------------------------------------------------------------------------------------


def test_the_key_of_the_standards_own_example() -> None:
    assert pairwise_master_key("password", "IEEE").hex() == (
        "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    )


@pytest.mark.parametrize(
    ("theirs", "mine", "reason"),
    [
        ({}, {}, JOINED),
        ({"security": "open"}, {"security": "open"}, JOINED),
        ({"security": "wpa2-wpa3"}, {"security": "wpa3"}, JOINED),
        ({}, {"passphrase": "wrong horse battery"}, WRONG_KEY),
        ({"security": "wpa3"}, {"security": "wpa2"}, OTHER_SECURITY),
        ({"security": "open"}, {}, OTHER_SECURITY),
        ({}, {"ssid": "Hall"}, NOT_FOUND),
        ({}, {"position": (2000.0, 0.0)}, NOT_FOUND),
    ],
)
def test_who_is_let_in(theirs: dict[str, Any], mine: dict[str, Any], reason: object) -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1", **theirs)
        air.client.configure(settings(**{"position": (10.0, 0.0), **mine}))
        await asyncio.sleep(2)
        assert air.client.reason is reason
        assert (air.joined is not None) is (reason is JOINED)
        assert "{" not in air.client.says()

    on_air(story)


def test_a_corrected_key_is_tried_again_on_either_side() -> None:
    async def story(air: Air) -> None:
        ap = air.ap("ap-1")
        air.client.configure(settings(passphrase="wrong horse battery"))
        await asyncio.sleep(2)
        assert air.joined is None
        ap.configure(settings(passphrase="wrong horse battery"))
        await asyncio.sleep(2)
        assert air.joined == "ap-1"
        ap.configure(settings())
        await asyncio.sleep(2)
        assert air.joined is None
        air.client.configure(settings())
        await asyncio.sleep(2)
        assert air.joined == "ap-1"

    on_air(story)


def test_power_on_either_side_is_part_of_a_link() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.client.configure(settings())
        await asyncio.sleep(2)
        for device in ("ap-1", "wm-1"):
            air.network.power(device, False)
            await asyncio.sleep(2)
            assert air.joined is None
            air.network.power(device, True)
            await asyncio.sleep(2)
            assert air.joined == "ap-1"
        air.client.configure(None)
        await asyncio.sleep(1)
        assert air.client.reason is SWITCHED_OFF

    on_air(story)


# -- reaching ----------------------------------------------------------------------------------------------------------


def test_frames_are_seen_on_the_air_where_they_arrive() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.client.configure(settings(position=(5.0, 0.0)))
        await asyncio.sleep(2)
        assert await air.send(50) == 50
        air.jacks["wm-1"].send(bytes(60))
        await asyncio.sleep(0.5)
        seen = {(str(frame.tap.sent_from), str(frame.tap.seen_at)) for frame in air.plant.frames}
        assert seen == {("ap-1/wlan0", "wm-1/wlan0"), ("wm-1/wlan0", "ap-1/wlan0")}

    on_air(story)


def test_frames_arrive_in_the_order_in_which_they_were_sent() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.client.configure(settings(position=(60.0, 0.0)))
        await asyncio.sleep(2)
        for number in range(200):
            air.jacks["ap-1"].send(number.to_bytes(2, "big") * 100)
        await asyncio.sleep(2)
        numbers = [int.from_bytes(frame[:2], "big") for frame in air.heard]
        assert numbers == sorted(numbers)
        assert len(numbers) > 100

    on_air(story)


def test_more_than_the_air_can_carry_is_dropped_and_the_queue_stays_short() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.client.configure(settings())
        await asyncio.sleep(2)
        began = air.network.loop.time()
        for _ in range(5000):
            air.jacks["ap-1"].send(bytes(1500))
        assert air.radio.busy_until[36] - began < 0.6
        await asyncio.sleep(1)
        assert 500 < len(air.heard) < 3000

    on_air(story)


def test_with_an_antenna_left_off_the_link_flaps() -> None:
    def ups(antenna: bool) -> int:
        async def story(air: Air) -> int:
            air.ap("ap-1")
            air.client.configure(settings(position=(12.0, 0.0), antenna=antenna))
            await asyncio.sleep(600)
            rssi = air.client.rssi
            assert rssi is not None
            assert (rssi > -67) is antenna
            return sum(up for _, name, up in air.changes if name == "wm-1")

        return on_air(story)

    assert ups(True) == 1
    assert ups(False) > 5


def test_a_wall_and_distance_cost_rate_and_then_frames() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.client.configure(settings(position=(30.0, 0.0)))
        await asyncio.sleep(2)
        before, rate = air.client.rssi, _rate(air)
        air.radio.walls = (Wall((15.0, -5.0), (15.0, 5.0), 12.0), Wall((15.0, 5.0), (15.0, 50.0), 12.0))
        await asyncio.sleep(1)
        assert before is not None
        assert air.client.rssi == pytest.approx(before - 12.0), "only one of the walls is in the way"
        assert _rate(air) < rate

    on_air(story)


def _rate(air: Air) -> float:
    assert air.client.association is not None
    return air.client.association.ways[0].quality.rate


# -- others on the channel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "is_hurt"), [(6, True), (7, True), (8, True), (11, False), (1, False), (36, False)]
)
def test_what_disturbs_depends_on_the_channel(channel: int, is_hurt: bool) -> None:
    async def story(air: Air) -> tuple[int, float]:
        air.ap("ap-1", channel=6)
        air.client.configure(settings(position=(25.0, 0.0)))
        await asyncio.sleep(2)
        air.radio.disturb(Disturber((27.0, 0.0), channel, power=20.0, duty=0.9))
        await asyncio.sleep(1)
        association = air.client.association
        assert association is not None
        arrived = await air.send(200)
        return arrived, association.ways[0].share

    arrived, share = on_air(story)
    assert (arrived < 190 or share < 0.2) is is_hurt


def test_a_disturbance_that_ends_leaves_no_trace() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1", channel=6)
        air.client.configure(settings(position=(25.0, 0.0)))
        await asyncio.sleep(2)
        assert air.client.association is not None
        way = air.client.association.ways[0]
        before = (way.quality, way.share)
        disturber = Disturber((27.0, 0.0), 8, duty=0.9)
        air.radio.disturb(disturber)
        await asyncio.sleep(1)
        assert (way.quality, way.share) != before
        air.radio.undisturb(disturber)
        await asyncio.sleep(1)
        assert (way.quality, way.share) == before

    on_air(story)


# -- roaming -----------------------------------------------------------------------------------------------------------


def test_a_vehicle_changes_over_once_and_after_some_tens_of_milliseconds() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.ap("ap-2", position=(60.0, 0.0), channel=44)
        air.client.configure(settings(position=(2.0, 0.0)))
        await asyncio.sleep(2)
        assert air.joined == "ap-1"
        for x in range(2, 59):
            air.client.move((float(x), 0.0))
            await asyncio.sleep(0.5)
        assert air.joined == "ap-2"
        changes = [(at, up) for at, name, up in air.changes if name == "wm-1"]
        assert [up for _, up in changes] == [True, False, True], "no going back and forth in the middle"
        assert 0.02 <= changes[2][0] - changes[1][0] <= 0.07

    on_air(story)


def test_an_access_point_that_fails_is_replaced_by_the_next_best() -> None:
    async def story(air: Air) -> None:
        air.ap("ap-1")
        air.ap("ap-2", position=(40.0, 0.0), channel=44)
        air.client.configure(settings(position=(5.0, 0.0)))
        await asyncio.sleep(2)
        assert air.joined == "ap-1"
        air.network.power("ap-1", False)
        await asyncio.sleep(2)
        assert air.joined == "ap-2"
        air.network.power("ap-1", True)
        await asyncio.sleep(2)
        assert air.joined == "ap-1", "it is better by more than the hysteresis"

    on_air(story)


# -- the model ---------------------------------------------------------------------------------------------------------

places = st.tuples(st.floats(-500, 500), st.floats(-500, 500))


@given(a=places, b=places, channel=st.sampled_from([1, 6, 13, 36, 165]))
def test_a_path_is_the_same_there_and_back(a: tuple[float, float], b: tuple[float, float], channel: int) -> None:
    walls = (Wall((0.0, -100.0), (0.0, 100.0), 10.0),)
    assert path_loss(a, b, channel, walls) == path_loss(b, a, channel, walls)
    assert shadowing(7, a, b) == shadowing(7, b, a)


@given(a=places, step=st.floats(0, 0.5))
def test_shadowing_has_no_edges(a: tuple[float, float], step: float) -> None:
    moved = (a[0] + step, a[1])
    assert abs(shadowing(3, a, (0.0, 0.0)) - shadowing(3, moved, (0.0, 0.0))) < 2.5


@given(dbm=st.floats(-100, -20), more=st.floats(0, 40))
def test_more_signal_never_means_less_throughput(dbm: float, more: float) -> None:
    weak, strong = quality(dbm), quality(dbm + more)
    assert strong.rate >= weak.rate
    assert strong.rate * (1 - strong.failures) >= weak.rate * (1 - weak.failures) * 0.999


def test_what_the_model_says_at_its_ends() -> None:
    assert quality(-40).rate == 65.0
    assert quality(-40).failures < 1e-6
    assert quality(NOISE).failures > 0.9
    assert quality(-60, [Disturbance(-60, 1.0)]).failures > 0.9
    assert leak(1, 1) == 0.0
    assert leak(1, 6) is None
    assert leak(36, 40) is None
