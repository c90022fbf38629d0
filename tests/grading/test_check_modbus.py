"""`modbus.read` and `modbus.no_write`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from check_kit import begun, said, tell

from grading import events
from grading.observations import ModbusException, ModbusUnanswered, Observation, RegistersRead, RegistersWritten, Table
from grading.verdict import Outcome

READ = {
    "client": "gw-1",
    "server": "boiler",
    "unit": 7,
    "table": "input",
    "address": 0,
    "quantity": 9,
    "period": 1.0,
}


def read(at: float, address: int = 0, quantity: int = 9, **other: Any) -> RegistersRead:
    whole = RegistersRead(
        at + 0.01,
        "gw-1",
        "boiler",
        "10.0.0.2",
        (1, 2),
        7,
        "input",
        address,
        (0,) * quantity,
        at,
        4,
    )
    return replace(whole, **other)


def refusal(at: float, function: int = 4, address: int = 90) -> ModbusException:
    return ModbusException(at, "gw-1", "boiler", "10.0.0.2", (5, 6), 7, function, 2, address, 9, at)


def polled(*times: float) -> list[Observation]:
    return [read(at) for at in times]


def test_registers_read_every_second_pass() -> None:
    check = begun("modbus.read", READ)
    tell(check, polled(0.0, 1.0, 2.0, 3.0))
    verdict = check.verdict(3.5)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.facts["mean"] == 1.0
    assert verdict.frames == (1, 2)


@pytest.mark.parametrize("blocks", [[(0, 5), (5, 4)], [(0, 9), (0, 2)], [(0, 20)], [(3, 6), (0, 4)]])
def test_any_blocks_that_cover_the_registers_will_do(blocks: list[tuple[int, int]]) -> None:
    check = begun("modbus.read", READ)
    for at in range(5):
        tell(check, [read(at + 0.1 * index, *block) for index, block in enumerate(blocks)])
    assert check.verdict(5.0).outcome is Outcome.PASSED


def test_one_block_that_is_read_more_seldom_sets_the_pace() -> None:
    check = begun("modbus.read", READ)
    for at in range(12):
        tell(check, [read(at, 0, 5)])
        if at % 3 == 0:
            tell(check, [read(at + 0.1, 5, 4)])
    verdict = check.verdict(12.0)
    assert (verdict.reason, verdict.share) == ("too-slow", 0.5)
    assert verdict.facts["mean"] == pytest.approx(3.0)
    assert said(check, verdict) == "the mean period is 3.00 s; it should be 1 s ±20%"


@pytest.mark.parametrize(("period", "reason"), [(1.19, ""), (1.25, "too-slow"), (0.81, ""), (0.75, "too-fast")])
def test_the_mean_period_may_be_a_fifth_off(period: float, reason: str) -> None:
    check = begun("modbus.read", READ)
    tell(check, polled(*(index * period for index in range(20))))
    assert check.verdict(19 * period).reason == reason


def test_a_hole_is_found_even_where_the_mean_is_right() -> None:
    check = begun("modbus.read", READ)
    tell(check, polled(*(float(at) for at in range(30) if at not in (10, 11))))
    verdict = check.verdict(29.5)
    assert verdict.reason == "gaps"
    assert verdict.facts["slowest"] == 3.0


def test_polling_that_has_stopped_earns_nothing() -> None:
    check = begun("modbus.read", READ)
    tell(check, polled(0.0, 1.0, 2.0, 3.0))
    verdict = check.verdict(20.0)
    assert (verdict.reason, verdict.share) == ("stopped", 0.0)
    assert "17.0 s ago" in said(check, verdict)


def test_too_few_reads_are_no_rhythm() -> None:
    check = begun("modbus.read", READ)
    tell(check, polled(0.0, 1.0))
    assert check.verdict(1.5).facts == {**check.verdict(1.5).facts, "seen": 2, "needed": 3}
    assert check.verdict(1.5).reason == "too-few"


@pytest.mark.parametrize(
    ("astray", "reason", "sentence"),
    [
        ({"unit": 1}, "wrong-unit", "unit 1 is read, it should be 7"),
        ({"table": "holding"}, "wrong-table", "holding registers are read, it should be input registers"),
        ({"address": 30001}, "wrong-range", "addresses 30001–30009 are read, they should include 0–8"),
        ({"client": "ws-1"}, "never-read", "gw-1 has not been seen to read boiler"),
    ],
)
def test_what_is_read_instead_is_named(astray: dict[str, Any], reason: str, sentence: str) -> None:
    check = begun("modbus.read", READ)
    tell(check, [replace(read(at), **astray) for at in range(5)])
    verdict = check.verdict(5.0)
    assert (verdict.outcome, verdict.reason, verdict.share) == (Outcome.FAILED, reason, 0.0)
    assert said(check, verdict) == sentence


def test_some_of_the_registers_are_worth_something() -> None:
    check = begun("modbus.read", READ)
    tell(check, [read(float(at), 0, 6) for at in range(5)])
    verdict = check.verdict(5.0)
    assert verdict.reason == "partly-read"
    assert verdict.share == pytest.approx(0.2)
    assert (verdict.facts["seen"], verdict.facts["missing"]) == (6, 6)


def test_nothing_but_refusals_names_the_exception() -> None:
    check = begun("modbus.read", READ)
    tell(check, [refusal(float(at)) for at in range(5)])
    verdict = check.verdict(5.0)
    assert (verdict.reason, verdict.share) == ("exceptions", 0.0)
    assert verdict.facts["meaning"] == "ILLEGAL_DATA_ADDRESS"
    assert "exception 2 (address 90" in said(check, verdict)


def test_a_refusal_is_held_against_good_polling_for_a_minute() -> None:
    check = begun("modbus.read", READ)
    tell(check, [refusal(0.5)])
    tell(check, polled(*map(float, range(100))))
    assert check.verdict(50.0).reason == "exceptions"
    assert check.verdict(50.0).share == 0.5
    assert check.verdict(99.5).outcome is Outcome.PASSED


def test_silence_of_the_device_is_told_from_silence_of_the_client() -> None:
    check = begun("modbus.read", READ)
    tell(check, [ModbusUnanswered(5.0, "gw-1", "boiler", "10.0.0.2", (3,), 7, 4, 0, 9, 0.0)])
    assert check.verdict(6.0).reason == "unanswered"


@pytest.mark.parametrize("event", [events.CONFIGURATION_APPLIED, events.SEAT_OPENED])
def test_a_new_configuration_and_a_resumed_attempt_begin_a_new_window(event: str) -> None:
    check = begun("modbus.read", READ, "work")
    tell(check, [refusal(0.5), *polled(*map(float, range(5)))])
    assert check.verdict(5.0).reason == "exceptions"
    check.event(5.0, event, {})
    assert check.verdict(5.0).reason == "never-read"
    tell(check, polled(*map(float, range(5, 10))))
    assert check.verdict(10.0).outcome is Outcome.PASSED


def test_nothing_counts_before_the_acceptance_run_has_settled() -> None:
    check = begun("modbus.read", READ, "work")
    check.since = None
    tell(check, polled(*map(float, range(5))))
    assert check.verdict(5.0).outcome is Outcome.UNDECIDED
    check.event(5.0, events.SETTLED, {})
    tell(check, polled(4.9))
    assert check.verdict(5.0).reason == "never-read"


# -- modbus.no_write ---------------------------------------------------------------------------------------------------

PROTECTED = {"server": "boiler", "ranges": [{"table": "holding", "address": 100, "quantity": 2}]}


def write(function: int = 16, table: Table = "holding", address: int = 100, quantity: int = 1) -> RegistersWritten:
    where = (3.0, "ws-1", "boiler", "10.0.0.2", (8, 9))
    return RegistersWritten(*where, 7, table, address, quantity, (1,) * quantity, 2.9, function)


def test_reading_alone_is_no_offence() -> None:
    check = begun("modbus.no_write", PROTECTED)
    tell(check, polled(1.0))
    assert check.verdict(5.0).outcome is Outcome.PASSED


def test_where_nobody_has_spoken_nothing_is_shown() -> None:
    check = begun("modbus.no_write", PROTECTED)
    assert check.verdict(5.0).reason == "nothing-seen"
    assert "nobody has talked to boiler" in said(check, check.verdict(5.0))


@pytest.mark.parametrize(
    "offence",
    [
        write(),
        write(address=99, quantity=2),
        write(function=22),
        refusal(3.0, 6, 101),
        ModbusUnanswered(5.0, "gw-1", "boiler", "10.0.0.2", (3,), 7, 16, 101, 1, 0.0),
    ],
)
def test_whoever_tries_to_write_is_named(offence: RegistersWritten | ModbusException | ModbusUnanswered) -> None:
    check = begun("modbus.no_write", PROTECTED)
    tell(check, [offence, offence])
    verdict = check.verdict(5.0)
    assert (verdict.reason, verdict.share, verdict.frames) == ("written", 0.0, offence.frames)
    assert (verdict.facts["client"], verdict.facts["times"]) == (offence.client, 2)
    assert offence.client in said(check, verdict)


@pytest.mark.parametrize(
    "harmless", [write(address=102), write(5, "coil"), write(address=98, quantity=2), refusal(1.0, 3, 100)]
)
def test_what_is_not_protected_may_be_written(harmless: Observation) -> None:
    check = begun("modbus.no_write", PROTECTED)
    tell(check, [harmless])
    assert check.verdict(5.0).outcome is Outcome.PASSED


def test_those_who_may_write_may() -> None:
    check = begun("modbus.no_write", {**PROTECTED, "except_by": ["ws-1"]})
    tell(check, [write()])
    assert check.verdict(5.0).outcome is Outcome.PASSED


def test_another_unit_is_another_device() -> None:
    check = begun("modbus.no_write", {"server": "boiler", "unit": 3})
    tell(check, [write()])
    assert check.verdict(5.0).outcome is Outcome.PASSED


@pytest.mark.parametrize("event", [events.CONFIGURATION_APPLIED, events.SEAT_OPENED])
def test_a_new_configuration_and_a_resumed_attempt_excuse_nothing(event: str) -> None:
    check = begun("modbus.no_write", PROTECTED, "work")
    tell(check, [write()])
    check.event(4.0, event, {})
    assert check.verdict(5.0).reason == "written"
