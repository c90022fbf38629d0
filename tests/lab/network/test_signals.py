"""Right and wrong wirings, and the milliamperes and volts that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_kit import Bench, bench

from lab.network.signals.fault import SignalFault
from lab.network.signals.inputs import AnalogMode, LeadMode
from lab.network.signals.power import Supply
from lab.network.signals.pt100 import ohms_at, temperature_of


@pytest.fixture(name="desk")
def _desk() -> Iterator[Bench]:
    with bench() as desk:
        yield desk


# -- current loops -----------------------------------------------------------------------------------------------------

HALF = 0.5
"""Of the measuring range: 12 mA."""


@pytest.mark.parametrize(
    ("wires", "mode", "leads", "expected"),
    [
        pytest.param("pt/+ io/ai+, pt/- io/ai-", "current", "2w", 12.0, id="fed by its channel"),
        pytest.param("ps/L+ pt/+, pt/- io/ai+, io/ai- ps/M", "current", "4w", 12.0, id="fed from the rail"),
        pytest.param("ps/L+ io/ai+, io/ai- pt/+, pt/- ps/M", "current", "4w", 12.0, id="the channel on the plus side"),
        pytest.param("pt/- io/ai+, pt/+ io/ai-", "current", "2w", 0.0, id="polarity swapped"),
        pytest.param("ps/L+ pt/-, pt/+ io/ai+, io/ai- ps/M", "current", "4w", 0.0, id="swapped on the rail"),
        pytest.param("pt/+ io/ai+, pt/- io/ai-", "current", "4w", 0.0, id="nobody feeds the loop"),
        pytest.param("pt/+ io/ai+", "current", "2w", 0.0, id="one wire missing"),
        pytest.param("ps/L+ pt/+, pt/- io/ai+", "current", "4w", 0.0, id="no way back"),
        pytest.param("io/ai+ io/ai-", "current", "2w", 30.0, id="short circuit, as much as the channel gives"),
        pytest.param("ps/L+ io/ai+, io/ai- ps/M", "current", "4w", 30.0, id="24 V on the shunt, which protects itself"),
        pytest.param("ps/L+ io/ai-, io/ai+ pt/+, pt/- ps/M", "current", "4w", -12.0, id="channel reversed"),
    ],
)
def test_a_two_wire_transmitter(desk: Bench, wires: str, mode: AnalogMode, leads: LeadMode, expected: float) -> None:
    desk.two_wire().show(HALF)
    desk.wire(*wires.split(", "))
    assert desk.reads(mode, leads) == pytest.approx(expected, abs=0.03)


def test_a_current_signal_on_a_voltage_input_is_as_high_as_the_transmitter_can_drive_it(desk: Bench) -> None:
    desk.two_wire().show(HALF)
    desk.wire("ps/L+ pt/+", "pt/- io/ai+", "io/ai- ps/M")
    assert desk.reads("voltage") == pytest.approx(24 - 10, abs=0.1), "24 V less what the transmitter needs"


def test_too_much_resistance_limits_the_current(desk: Bench) -> None:
    transmitter = desk.two_wire(lead=400)
    desk.wire("ps/L+ pt/+", "pt/- io/ai+", "io/ai- ps/M")
    transmitter.show(0.25)
    assert desk.reads("current") == pytest.approx(8.0, abs=0.01), "8 mA over 1050 Ω leave 15.6 V"
    transmitter.show(1.0)
    assert desk.reads("current") == pytest.approx((24 - 10) / (800 + 250 + 25) * 1000, abs=0.05), "not 20 mA"


def test_of_two_transmitters_in_one_loop_the_smaller_current_rules(desk: Bench) -> None:
    desk.two_wire("a").show(0.25)
    desk.two_wire("b").show(0.75)
    desk.wire("ps/L+ a/+", "a/- b/+", "b/- io/ai+", "io/ai- ps/M")
    assert desk.reads("current") == pytest.approx(8.0, abs=0.01)
    assert desk.volts("b/+", "b/-") == pytest.approx(10.2, abs=0.1), "it would let more through, and finds no more"
    assert desk.volts("a/+", "a/-") == pytest.approx(24 - 2 - 10.2, abs=0.1)


def test_two_transmitters_side_by_side_add_up(desk: Bench) -> None:
    desk.two_wire("a").show(0.25)
    desk.two_wire("b").show(0.75)
    desk.wire("ps/L+ a/+", "a/- io/ai+", "ps/L+ b/+", "b/- io/ai+", "io/ai- ps/M")
    assert desk.reads("current") == pytest.approx(24.0, abs=0.01)


def test_without_a_common_a_second_supply_drives_nothing(desk: Bench) -> None:
    desk.circuit.add("ps2", Supply(desk.network, "ps2"))
    desk.two_wire().show(HALF)
    desk.wire("ps2/L+ pt/+", "pt/- io/ai+", "io/ai- ps/M")
    assert desk.reads("current") == pytest.approx(0.0, abs=0.01)
    desk.wire("ps2/M ps/M")
    assert desk.reads("current") == pytest.approx(12.0, abs=0.01)


def test_a_four_wire_transmitter_drives_its_own_current(desk: Bench) -> None:
    meter = desk.four_wire()
    meter.show(HALF)
    desk.wire("ft/I+ io/ai+", "ft/I- io/ai-")
    assert desk.reads("current") == pytest.approx(0.0, abs=0.01), "it has no power yet"
    desk.wire("ps/L+ ft/L+", "ps/M ft/M")
    assert desk.reads("current") == pytest.approx(12.0, abs=0.01)
    assert desk.reads("current", "2w") == pytest.approx(0.0, abs=0.5), "two sources face one another"
    desk.unwire("ft/I- io/ai-")
    assert desk.reads("current") == pytest.approx(0.0, abs=0.01)


def test_a_three_wire_transmitter_in_both_its_forms(desk: Bench) -> None:
    transmitter = desk.three_wire()
    transmitter.show(HALF)
    desk.wire("ps/L+ pt/L+", "ps/M pt/M", "pt/out io/ai+", "io/ai- ps/M")
    assert desk.reads("current") == pytest.approx(12.0, abs=0.01)
    transmitter.equip("0-10V")
    assert desk.reads("voltage") == pytest.approx(5.0, abs=0.01)
    assert desk.reads("current") == pytest.approx(10.0, abs=0.1), "as much as its output gives, not what it means"
    desk.unwire("ps/M pt/M")
    assert desk.reads("voltage") == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize(("share", "expected"), [(-0.5, 3.8), (0.0, 4.0), (1.0, 20.0), (1.5, 20.5)])
def test_measured_values_stay_within_namur_limits(desk: Bench, share: float, expected: float) -> None:
    desk.two_wire().show(share)
    desk.wire("pt/+ io/ai+", "pt/- io/ai-")
    assert desk.reads("current", "2w") == pytest.approx(expected, abs=0.01)


def test_a_transmitter_says_that_its_sensor_has_failed_and_cannot_speak_of_its_wires(desk: Bench) -> None:
    transmitter = desk.two_wire()
    transmitter.show(HALF)
    desk.wire("pt/+ io/ai+", "pt/- io/ai-")
    transmitter.fault = SignalFault("sensor")
    assert desk.reads("current", "2w") <= 3.6
    transmitter.on_failure = "high"
    transmitter.fault = SignalFault("sensor")
    assert desk.reads("current", "2w") >= 21.0
    transmitter.fault = SignalFault("open")
    assert desk.reads("current", "2w") == pytest.approx(0.0, abs=0.01)
    transmitter.fault = SignalFault("short")
    assert desk.reads("current", "2w") == pytest.approx(30.0, abs=0.1)
    transmitter.fault = None
    assert desk.reads("current", "2w") == pytest.approx(12.0, abs=0.01)


@given(share=st.floats(-0.2, 1.2), lead=st.floats(0, 2000), others=st.lists(st.floats(-0.2, 1.2), max_size=3))
def test_what_goes_into_a_loop_comes_out_of_it(share: float, lead: float, others: list[float]) -> None:
    with bench() as desk:
        transmitters = [desk.two_wire("t0", lead)]
        transmitters += [desk.two_wire(f"t{number}") for number in range(1, len(others) + 1)]
        for transmitter, each in zip(transmitters, (share, *others), strict=True):
            transmitter.show(each)
        names = [f"t{number}" for number in range(len(transmitters))]
        desk.wire("ps/L+ t0/+", *(f"{a}/- {b}/+" for a, b in pairwise(names)))
        desk.wire(f"{names[-1]}/- io/ai+", "io/ai- ps/M")
        measured = desk.reads("current") / 1000
        assert all(each.amperes == pytest.approx(measured, abs=1e-6) for each in transmitters)
        assert -1e-6 <= measured <= min(each.signal for each in transmitters) + 1e-6


@given(share=st.floats(0, 1), leads=st.sampled_from(["2w", "4w"]), mode=st.sampled_from(["current", "voltage"]))
def test_a_swap_of_both_ends_is_no_swap(share: float, leads: LeadMode, mode: AnalogMode) -> None:
    def measured(*wires: str) -> float:
        with bench() as desk:
            desk.two_wire().show(share)
            desk.wire(*wires)
            return desk.reads(mode, leads)

    straight = measured("ps/L+ pt/+", "pt/- io/ai+", "io/ai- ps/M")
    mirrored = measured("ps/M pt/-", "pt/+ io/ai-", "io/ai+ ps/L+")
    if leads == "4w" or mode == "voltage":
        assert mirrored == pytest.approx(straight, abs=0.01), "a loop does not care where the channel sits"
    only_pt = measured("ps/L+ pt/-", "pt/+ io/ai+", "io/ai- ps/M")
    only_supply = measured("ps/M pt/+", "pt/- io/ai+", "io/ai- ps/L+")
    if leads == "4w" or mode == "voltage":
        assert only_pt == pytest.approx(-only_supply, abs=0.01)


# -- platinum resistors ------------------------------------------------------------------------------------------------


def test_the_scale_of_iec_60751() -> None:
    assert ohms_at(0) == 100.0
    assert ohms_at(100) == pytest.approx(138.5055)
    assert ohms_at(-200) == pytest.approx(18.52, abs=0.005)
    assert ohms_at(850) == pytest.approx(390.481, abs=0.001)


@given(st.floats(-200, 850))
def test_a_temperature_comes_back_from_its_resistance(temperature: float) -> None:
    assert temperature_of(ohms_at(temperature)) == pytest.approx(temperature, abs=1e-4)


@pytest.mark.parametrize(
    ("leads", "wires", "expected"),
    [
        pytest.param("4w", "te/1 io/aii+, te/2 io/ai+, te/3 io/ai-, te/4 io/aii-", 138.51, id="four wires: exact"),
        pytest.param("3w", "te/1 io/ai+, te/3 io/ai-, te/4 io/aii-", 138.51, id="three: compensated"),
        pytest.param("2w", "te/1 io/ai+, te/3 io/ai-", 148.51, id="two: 5 Ω of each lead are 26 K too much"),
        pytest.param("3w", "te/1 io/ai+, te/3 io/ai-, io/ai- io/aii-", 148.51, id="a bridge in place of the third"),
    ],
)
def test_leads_of_five_ohms(desk: Bench, leads: LeadMode, wires: str, expected: float) -> None:
    desk.pt100(lead=5.0).show(100.0)
    desk.wire(*wires.split(", "))
    assert desk.reads("pt100", leads) == pytest.approx(expected, abs=0.02)


def test_a_broken_element_and_a_short_one(desk: Bench) -> None:
    element = desk.pt100()
    element.show(100.0)
    desk.wire("te/1 io/ai+", "te/3 io/ai-")
    element.fault = SignalFault("open")
    assert desk.reads("pt100", "2w") > 2000
    element.fault = SignalFault("short")
    assert desk.reads("pt100", "2w") < 1


# -- switches ----------------------------------------------------------------------------------------------------------

Build = Callable[[Bench], None]


def _pnp(desk: Bench) -> None:
    desk.pnp().switch(True)


def _npn(desk: Bench) -> None:
    desk.npn().switch(True)


def _contact(desk: Bench) -> None:
    desk.contact("px").switch(True)


FED = "ps/L+ px/BN, px/BU ps/M"


@pytest.mark.parametrize(
    ("build", "wires", "sourcing", "is_on"),
    [
        pytest.param(_pnp, f"{FED}, px/BK io/di", False, True, id="PNP on a sinking input"),
        pytest.param(_npn, f"{FED}, px/BK io/di", True, True, id="NPN on a sourcing input"),
        pytest.param(_npn, f"{FED}, px/BK io/di", False, False, id="NPN on a sinking input"),
        pytest.param(_pnp, f"{FED}, px/BK io/di", True, False, id="PNP on a sourcing input"),
        pytest.param(_pnp, "ps/L+ px/BN, px/BK io/di", False, False, id="PNP without minus"),
        pytest.param(_pnp, "ps/L+ px/BU, px/BN ps/M, px/BK io/di", False, False, id="PNP with brown and blue swapped"),
        pytest.param(_pnp, "ps/L+ px/BN, px/BU ps/M", False, False, id="PNP, black not connected"),
        pytest.param(_contact, "ps/L+ px/1, px/2 io/di", False, True, id="a contact from plus"),
        pytest.param(_contact, "ps/M px/1, px/2 io/di", True, True, id="a contact from minus"),
        pytest.param(_contact, "ps/M px/1, px/2 io/di", False, False, id="a contact from minus on a sinking input"),
        pytest.param(_contact, "ps/L+ px/2, px/1 io/di", False, True, id="a contact has no polarity"),
    ],
)
def test_switches_on_inputs(desk: Bench, build: Build, wires: str, sourcing: bool, is_on: bool) -> None:
    desk.digital.equip(sourcing=sourcing)
    build(desk)
    desk.wire(*wires.split(", "))
    desk.circuit.settle()
    assert desk.digital.is_on is is_on


def test_an_input_counts_the_parts_that_pass(desk: Bench) -> None:
    switch = desk.pnp()
    desk.wire(*FED.split(", "), "px/BK io/di")
    heard: list[bool] = []
    desk.digital.changed = lambda: heard.append(desk.digital.is_on)
    for _ in range(3):
        switch.switch(True)
        desk.circuit.settle()
        switch.switch(False)
        desk.circuit.settle()
    assert heard == [True, False] * 3
    assert desk.digital.edges == 3


def test_a_short_circuit_of_a_pnp_output_is_limited(desk: Bench) -> None:
    switch = desk.pnp()
    switch.switch(True)
    desk.wire(*FED.split(", "), "px/BK ps/M")
    desk.circuit.settle()
    assert desk.circuit.amperes(switch.output) == pytest.approx(0.2, abs=0.001)
    assert desk.has_power("io"), "the supply hardly notices"


# -- 24 V --------------------------------------------------------------------------------------------------------------


def test_a_device_lives_by_its_supply_terminals(desk: Bench) -> None:
    assert desk.has_power("io")
    desk.unwire("ps/M io/M")
    assert not desk.has_power("io")
    desk.wire("ps/M io/M")
    assert desk.has_power("io")
    desk.supply.fault = "no-output"
    assert not desk.has_power("io")


def test_the_wrong_way_round_nothing_lives_and_nothing_burns(desk: Bench) -> None:
    desk.device("fw", 0.5)
    desk.wire("ps/L+ fw/M", "ps/M fw/L+")
    assert not desk.has_power("fw")
    assert desk.has_power("io")


def test_an_overload_takes_everybody_down_until_it_is_gone(desk: Bench) -> None:
    desk.supply.equip(24.0, 2.5, "limit", decoupled=False)
    for number in range(1, 4):
        desk.device(f"d{number}", 1.0)
    desk.wire("ps/L+ d1/L+", "ps/M d1/M", "ps/L+ d2/L+", "ps/M d2/M")
    assert desk.has_power("d1")
    assert desk.supply.is_good
    assert desk.supply.output == (pytest.approx(24, abs=0.2), pytest.approx(2.2, abs=0.01))
    desk.wire("ps/L+ d3/L+", "ps/M d3/M")
    assert not any(desk.has_power(name) for name in ("io", "d1", "d2", "d3")), "3.2 A of 2.5 A"
    assert desk.supply.is_overloaded
    assert not desk.supply.is_good
    assert desk.supply.output[0] < 18
    desk.unwire("ps/L+ d1/L+")
    assert [desk.has_power(name) for name in ("io", "d1", "d2", "d3")] == [True, False, True, True]


def test_a_short_circuit_on_the_rail(desk: Bench) -> None:
    desk.wire("ps/L+ ps/M")
    assert not desk.has_power("io")
    assert desk.supply.output == (pytest.approx(0, abs=0.01), pytest.approx(5.0, abs=0.01))


def _two_supplies(desk: Bench, *, decoupled: bool) -> None:
    second = desk.circuit.add("ps2", Supply(desk.network, "ps2"))
    for supply in (desk.supply, second):
        supply.equip(24.0, 5.0, "limit", decoupled=decoupled)
    desk.wire("ps2/L+ ps/L+", "ps2/M ps/M")


@pytest.mark.parametrize(
    ("decoupled", "fault", "lives"),
    [(True, "no-output", True), (True, "short", True), (False, "no-output", True), (False, "short", False)],
)
def test_two_supplies_on_one_rail(desk: Bench, decoupled: bool, fault: str, lives: bool) -> None:
    _two_supplies(desk, decoupled=decoupled)
    assert desk.has_power("io")
    desk.supply.fault = fault  # type: ignore[assignment]
    assert desk.has_power("io") is lives


def test_a_device_with_two_feeds_survives_the_loss_of_either(desk: Bench) -> None:
    second = desk.circuit.add("ps2", Supply(desk.network, "ps2"))
    switch = desk.device("sw", 0.4, ("L1+", "M1"), ("L2+", "M2"))
    desk.wire("ps/L+ sw/L1+", "ps/M sw/M1")
    assert switch.live == (True, False)
    desk.wire("ps2/L+ sw/L2+", "ps2/M sw/M2")
    assert switch.live == (True, True)
    desk.supply.switch(False)
    assert switch.live == (False, True)
    assert desk.has_power("sw")
    second.switch(False)
    assert not desk.has_power("sw")


def test_a_dead_rail_leaves_nothing_alive(desk: Bench) -> None:
    desk.two_wire().show(HALF)
    desk.pnp().switch(True)
    desk.wire(*FED.split(", "), "px/BK io/di", "pt/+ io/ai+", "pt/- io/ai-")
    assert desk.reads("current", "2w") == pytest.approx(12.0, abs=0.01)
    assert desk.digital.is_on
    desk.supply.switch(False)
    assert desk.reads("current", "2w") == pytest.approx(0.0, abs=0.01)
    assert not desk.digital.is_on
    assert not desk.has_power("io")


def test_a_value_that_changes_is_computed_when_somebody_reads_it(desk: Bench) -> None:
    transmitter = desk.two_wire()
    desk.wire("pt/+ io/ai+", "pt/- io/ai-")
    desk.reads("current", "2w")
    before = desk.circuit.solved
    for step in range(100):
        transmitter.show(step / 100)
    assert desk.circuit.solved == before
    assert desk.analog.reading * 1000 == pytest.approx(4 + 16 * 0.99, abs=0.01)
    assert desk.circuit.solved <= before + 2
