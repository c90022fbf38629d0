"""Physical processes: repeatable, within their bounds, and obedient where they should be."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.process.boiler import Boiler
from devices.process.cold_store import ColdStore
from devices.process.injection import InjectionMachine
from devices.process.injection import State as MouldingState
from devices.process.machining import MachiningCentre
from devices.process.machining import State as MachiningState
from devices.process.packaging import PackagingMachine
from devices.process.process import Process
from devices.process.waterworks import Waterworks

HELD = {
    Boiler: "pressure",
    ColdStore: "store_2",
    InjectionMachine: "zone_2",
    MachiningCentre: "spindle_load",
    PackagingMachine: "mach_speed",
    Waterworks: "residual_chlorine",
}
ALL = tuple(HELD)
every_process = pytest.mark.parametrize("kind", ALL)


def run(process: Process, seconds: float, dt: float = 0.5) -> None:
    for _ in range(round(seconds / dt)):
        process.step(dt)


@every_process
def test_the_same_seed_lives_the_same_life(kind: type[Process]) -> None:
    one, two, other = kind(Random(1)), kind(Random(1)), kind(Random(2))
    for process in (one, two, other):
        run(process, 100)
    assert one.values() == two.values()
    assert one.values() != other.values()


@every_process
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.floats(0.01, 600.0), max_size=30), data=st.data())
def test_no_step_and_no_forced_value_breaks_it(
    kind: type[Process], seed: int, steps: list[float], data: st.DataObject
) -> None:
    process = kind(Random(seed))
    for dt in steps:
        point = data.draw(st.sampled_from(process.points))
        if not isinstance(getattr(process, point), str):
            process.force(point, data.draw(st.floats(-1e5, 1e5)))
        process.controlled = data.draw(st.booleans())
        process.step(dt)
        assert all(math.isfinite(value) for value in process.values().values() if not isinstance(value, str))


@every_process
def test_a_held_point_stays_until_it_is_let_go(kind: type[Process]) -> None:
    process = kind(Random(1))
    point = HELD[kind]
    process.force(point, 42.0)
    assert process.values()[point] == 42.0
    run(process, 10)
    assert process.values()[point] == 42.0
    process.force(point, None)
    run(process, 10)
    assert process.values()[point] != 42.0


@every_process
def test_a_foreign_point_cannot_be_held(kind: type[Process]) -> None:
    with pytest.raises(KeyError, match="melting_point"):
        kind(Random(1)).force("melting_point", 1.0)


def test_a_setpoint_that_is_held_does_not_move() -> None:
    boiler = Boiler(Random(1))
    boiler.force("pressure_setpoint", 0.5)
    boiler.set("pressure_setpoint", 0.9)
    assert boiler.pressure_setpoint == 0.5


def test_the_boiler_keeps_its_pressure_and_burns_gas() -> None:
    boiler = Boiler(Random(7))
    before = boiler.gas_total
    run(boiler, 3600)
    assert boiler.flame
    assert boiler.pressure == pytest.approx(0.8, abs=0.05)
    assert boiler.drum_level == pytest.approx(0.0, abs=40.0)
    assert 30.0 < boiler.gas_total - before < 420.0


def test_the_boiler_follows_its_setpoint() -> None:
    boiler = Boiler(Random(7))
    boiler.set("pressure_setpoint", 0.6)
    run(boiler, 1800)
    assert boiler.pressure == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize(
    ("point", "value", "trip"), [("drum_level", -120.0, "low_water_trip"), ("pressure", 1.2, "high_pressure")]
)
def test_a_trip_puts_the_flame_out_and_it_comes_back_after_a_purge(point: str, value: float, trip: str) -> None:
    boiler = Boiler(Random(7))
    boiler.force(point, value)
    boiler.step(0.5)
    assert getattr(boiler, trip)
    assert not boiler.flame
    assert boiler.gas_flow == 0.0
    boiler.force(point, 0.8)
    run(boiler, 10)
    assert not getattr(boiler, trip)
    assert not boiler.flame
    run(boiler, 10)
    assert boiler.flame


def test_without_its_burner_the_boiler_cools_and_sees_air() -> None:
    boiler = Boiler(Random(7))
    boiler.set("burner_enable", False)
    run(boiler, 120)
    assert boiler.pressure < 0.75
    assert boiler.oxygen > 20.0


def test_the_moulding_machine_shoots_every_eighteen_seconds() -> None:
    machine = InjectionMachine(Random(3))
    before = machine.shot_count
    run(machine, 1800)
    assert machine.state == MouldingState.AUTO
    assert 97 <= machine.shot_count - before <= 103
    assert machine.cycle_time == pytest.approx(18.0, abs=0.6)


def test_a_stopped_moulding_machine_makes_no_parts_and_lets_go_of_the_mould() -> None:
    machine = InjectionMachine(Random(3))
    machine.set("remote_stop", True)
    before = machine.shot_count
    run(machine, 60)
    assert (machine.state, machine.shot_count, machine.clamp_force) == (MouldingState.STOP, before, 0)
    machine.set("remote_stop", False)
    run(machine, 60)
    assert machine.shot_count > before


def test_a_cold_zone_is_an_alarm_of_its_number() -> None:
    machine = InjectionMachine(Random(3))
    machine.force("zone_3", 150.0)
    run(machine, 1)
    assert (machine.state, machine.alarm_code) == (MouldingState.ALARM, 103)


def test_the_machining_centre_makes_a_part_every_45_seconds_and_wears_its_tool() -> None:
    machine = MachiningCentre(Random(5))
    parts, wear = machine.part_count, machine.tool_wear
    run(machine, 450)
    assert machine.part_count - parts == 10
    assert machine.tool_wear == pytest.approx(wear + 100 * 10 * 30 / 1500, abs=1.5)


def test_feed_override_sets_the_pace_and_at_zero_holds() -> None:
    machine = MachiningCentre(Random(5))
    machine.set("feed_override", 50.0)
    parts = machine.part_count
    run(machine, 900)
    assert machine.part_count - parts == 10
    machine.set("feed_override", 0.0)
    run(machine, 1)
    assert (machine.state, machine.feed_rate) == (MachiningState.HOLD, 0.0)
