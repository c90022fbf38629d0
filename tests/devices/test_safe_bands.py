"""Safe bands: a plant left alone stays within them, a wrong write leaves them, and repair brings it back."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from device_kit import Lab, in_lab
from modbus_kit import Reader

from devices.process.boiler import RELIEF_OPENS, Boiler
from devices.process.cold_store import ColdStore
from devices.process.compressor import Compressor
from devices.process.feeder import Feeder
from devices.process.injection import InjectionMachine
from devices.process.packaging import PackagingMachine, State, StopReason
from devices.process.process import Process
from devices.process.safety import SafeBands
from devices.process.vibration import Vibration
from devices.process.waterworks import Waterworks
from lab.network.appliance import Value

BANDED = (Boiler, ColdStore, Compressor, Feeder, InjectionMachine, PackagingMachine, Vibration, Waterworks)
DAY = 24 * 3600


class Watched:
    """A process under observation: which points are out now, and which have been."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.truth: list[tuple[str, Value]] = []
        self.bands = SafeBands(process, lambda point, value: self.truth.append((point, value)))
        self.bands.look()

    def run(self, seconds: float, dt: float = 1.0) -> set[str]:
        """The points that have been out during this time."""
        began = len(self.truth)
        for _ in range(round(seconds / dt)):
            self.process.step(dt)
            self.bands.look()
        return set(self.bands.left) | {point[7:] for point, unsafe in self.truth[began:] if unsafe}

    def settle(self, seconds: float) -> None:
        self.run(seconds)
        assert not self.bands.left, self.bands.left


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", BANDED)
def test_nothing_done_nothing_leaves_its_band_for_a_day(kind: type[Process], seed: int) -> None:
    assert kind.safe
    assert Watched(kind(Random(seed))).run(DAY, dt=10.0) == set()


def test_bands_and_setpoints_are_points() -> None:
    for kind in BANDED:
        assert set(kind.safe) | set(kind.setpoints) <= set(kind.points)
        assert all(low < high for low, high in kind.safe.values())


@pytest.mark.parametrize(
    ("kind", "setpoint", "wrong", "hurt", "within", "recovery"),
    [
        (Boiler, "burner_enable", False, "pressure", 600, 600),
        (Boiler, "pressure_setpoint", 1.2, "pressure", 900, 1800),
        (Boiler, "level_setpoint", -150, "drum_level", 300, 900),
        (InjectionMachine, "zone_3_setpoint", 300.0, "zone_3", 600, 900),
        (InjectionMachine, "zone_1_setpoint", 20.0, "zone_1", 600, 900),
        (InjectionMachine, "remote_stop", True, "state", 5, 60),
        (Waterworks, "dosing_enable", False, "residual_chlorine", 3600, 3600),
        (Waterworks, "dosing_setpoint", 2.0, "residual_chlorine", 1800, 7200),
        (Waterworks, "dosing_setpoint", 0.0, "residual_chlorine", 3600, 3600),
        (Waterworks, "pump_frequency", 10.0, "flow", 60, 300),
    ],
)
def test_a_protected_setpoint_really_hurts_and_repair_heals(
    kind: type[Process], setpoint: str, wrong: Value, hurt: str, within: float, recovery: float
) -> None:
    plant = Watched(kind(Random(5)))
    plant.settle(300)
    right = getattr(plant.process, setpoint)
    plant.process.set(setpoint, wrong)
    assert hurt in plant.run(within)
    plant.process.set(setpoint, right)
    plant.settle(recovery)


@pytest.mark.parametrize(
    ("kind", "hurt", "within", "recovery"),
    [
        (Boiler, "pressure", 900, 1800),
        (ColdStore, "store_9", 2 * 3600, 3 * 3600),
        (ColdStore, "store_2", 2 * 3600, 3 * 3600),
        (Compressor, "outlet_pressure", 600, 600),
        (InjectionMachine, "zone_2", 300, 1200),
        (Waterworks, "flow", 60, 600),
    ],
)
def test_without_a_controller_it_drifts_out_and_with_one_it_comes_back(
    kind: type[Process], hurt: str, within: float, recovery: float
) -> None:
    plant = Watched(kind(Random(6)))
    plant.process.controlled = False
    assert hurt in plant.run(within)
    plant.process.controlled = True
    plant.settle(recovery)


def test_what_leaves_and_comes_back_is_told_once_each() -> None:
    plant = Watched(Waterworks(Random(1)))
    assert ("unsafe.residual_chlorine", False) in plant.truth
    plant.process.force("residual_chlorine", 0.9)
    plant.run(10)
    plant.process.force("residual_chlorine", 0.5)
    plant.run(10)
    told = [unsafe for point, unsafe in plant.truth if point == "unsafe.residual_chlorine"]
    assert told == [False, True, False]


def test_more_pumps_and_more_speed_give_more_water_and_a_lower_well() -> None:
    works = Waterworks(Random(2))
    plant = Watched(works)
    plant.settle(300)
    two_pumps = works.flow
    works.set("pump_3", True)
    plant.run(120)
    three_pumps = works.flow
    works.set("pump_frequency", 50.0)
    works.set("pump_4", True)
    plant.run(120)
    assert two_pumps * 1.2 < three_pumps < works.flow
    assert {"turbidity", "clear_well_level"} <= plant.run(3 * 3600), "filters at their limit, well falling"


def test_chlorine_follows_its_setpoint() -> None:
    works = Waterworks(Random(3))
    plant = Watched(works)
    for wanted in (0.40, 0.70):
        works.set("dosing_setpoint", wanted)
        plant.run(2 * 3600)
        assert works.residual_chlorine == pytest.approx(wanted, abs=0.05)


def test_the_safety_valve_opens_whatever_the_controller_does() -> None:
    boiler = Boiler(Random(1))
    boiler.pressure = RELIEF_OPENS + 0.05
    boiler.step(1.0)
    boiler.step(1.0)
    assert boiler.pressure < RELIEF_OPENS + 0.05 - 0.003


def test_the_store_defrosts_now_and_then_and_stays_cold_enough() -> None:
    store = ColdStore(Random(4))
    seen = []
    for _ in range(DAY // 10):
        store.step(10.0)
        seen.append(store.defrost)
    begun = sum(after and not before for before, after in pairwise(seen))
    assert 3 <= begun <= 5
    assert sum(seen) * 10 == pytest.approx(begun * 600, abs=700)


def test_the_packaging_machine_counts_what_it_makes_and_says_why_it_stands() -> None:
    machine = PackagingMachine(Random(8))
    before, bad = machine.prod_processed, machine.prod_defective
    reasons = set()
    for _ in range(8 * 3600):
        machine.step(1.0)
        reasons.add(machine.stop_reason)
        if machine.state_current == State.EXECUTE:
            assert machine.stop_reason == StopReason.NONE
    made = machine.prod_processed - before
    assert 0.75 * 8 * 3600 < made < 8 * 3600
    assert 0 < machine.prod_defective - bad < 0.02 * made
    assert len(reasons) > 2
    machine.force("stop_reason", int(StopReason.FILM_OUT))
    for _ in range(600):
        machine.step(1.0)
    assert (machine.state_current, round(machine.mach_speed)) == (State.HELD, 0)
    machine.force("stop_reason", None)
    for _ in range(300):
        machine.step(1.0)
    assert machine.prod_processed > before + made


def test_a_bad_sensor_does_not_hide_the_truth_about_safety() -> None:
    async def story(lab: Lab) -> None:
        lab.device.sensors["residual_chlorine"] = lambda value: 0.55  # type: ignore[attr-defined]
        await Reader(lab, 1).write_coil(8, False)
        await lab.until(3600)
        assert lab.told("residual_chlorine")[-1] == 0.55
        assert lab.told("unsafe.residual_chlorine") == [False, True]

    in_lab("water-plc", story)
