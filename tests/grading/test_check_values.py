"""`value.fidelity` and `challenge`: what is published is what is so."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from check_kit import begun, said, spec, tell
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from grading import events
from grading.checks import Check, payload
from grading.checks.challenge import Challenge
from grading.checks.fidelity import Timeline
from grading.observations import MessagePublished
from grading.stimulus import Force
from grading.verdict import Outcome
from lab.clock import EPOCH_NS

TOPIC = "v1/s/gw-1/boiler/telemetry"
WHERE = {"client": "gw-1", "broker": "broker", "topic": TOPIC}
FIDELITY = {**WHERE, "values": {"values.pressure": "boiler/pressure", "values.flame": "boiler/flame"}}


def document(source: float, **values: Any) -> dict[str, Any]:
    return {"ts": EPOCH_NS // 1_000_000 + round(source * 1000), "values": values}


def message(at: float, said: Any) -> MessagePublished:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return MessagePublished(at, "gw-1", "broker", "10.0.0.3", (round(at * 10),), TOPIC, data, 1, False, False, True)


def pressure(at: float) -> float:
    """A process value that is another every second."""
    return 0.5 + 0.01 * (int(at) % 50)


def run(check: Check[Any], seconds: int = 20, *, lag: float = 0.0, late: float = 0.02, **wrong: Any) -> None:
    """A boiler and a gateway for a while: what is published is what was so `lag` seconds before its source time."""
    check.truth(-1.0, "boiler", "flame", True)
    for second in range(seconds):
        check.truth(float(second), "boiler", "pressure", pressure(second))
        source = second + 0.5
        values = {"pressure": pressure(source - lag), "flame": True, **wrong}
        tell(check, [message(source + late, document(source, **{k: v for k, v in values.items() if v is not ...}))])


def test_true_values_pass() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check)
    verdict = check.verdict(20.0)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.facts["messages"] == 20


def test_a_value_that_changed_within_the_slack_may_be_the_old_or_the_new_one() -> None:
    check = begun("value.fidelity", {**FIDELITY, "slack": 0.6})
    run(check, lag=1.0)
    assert check.verdict(20.0).outcome is Outcome.PASSED


def test_stale_values_are_wrong_however_fresh_their_time() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, lag=1.0)
    verdict = check.verdict(21.0)
    assert verdict.reason == "untrue"
    assert verdict.share == pytest.approx(0.5, abs=0.03)
    assert verdict.facts["by_path"] == {"values.pressure": 0.05, "values.flame": 1.0}
    assert "values.pressure is 0.68, it should be 0.69" in said(check, verdict)


def test_constants_are_wrong() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, pressure=0.51)
    assert check.verdict(21.0).share == pytest.approx(0.525)


@pytest.mark.parametrize("wrong", [None, "0.5", float(pressure(0)) * 10, True, [0.5]])
def test_a_wrong_type_or_scale_is_wrong(wrong: Any) -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, pressure=wrong)
    assert check.verdict(21.0).share == 0.5


def test_a_missing_key_is_wrong_for_that_value_alone() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, pressure=...)
    verdict = check.verdict(21.0)
    assert (verdict.reason, verdict.share, verdict.facts["path"]) == ("missing", 0.5, "values.pressure")
    assert "values.pressure is missing" in said(check, verdict)


def test_messages_that_come_too_late_are_wrong() -> None:
    check = begun("value.fidelity", {**FIDELITY, "max_age": 5.0})
    run(check, late=6.0)
    verdict = check.verdict(30.0)
    assert (verdict.reason, verdict.share) == ("stale", 0.0)
    assert "6.0 s off" in said(check, verdict)


def test_a_time_in_the_future_is_wrong() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, late=-3.0)
    assert check.verdict(30.0).reason == "stale"


@pytest.mark.parametrize("nonsense", [b"no json", {"values": {}}, {"ts": "now"}, {"ts": None}, 7])
def test_messages_without_a_time_are_wrong(nonsense: Any) -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, 5)
    tell(check, [message(6.0 + index, nonsense) for index in range(5)])
    verdict = check.verdict(30.0)
    assert (verdict.reason, verdict.share) == ("no-time", 0.5)
    assert "no source time at ts" in said(check, verdict)


def test_nobody_earns_anything_by_saying_one_thing_twice() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, 5, pressure=9.9)
    check.truth(10.0, "boiler", "pressure", 0.6)
    for index in range(100):
        tell(check, [message(10.5 + index / 100, document(10.5, pressure=0.6, flame=True))])
    assert check.verdict(30.0).facts["messages"] == 6


def test_too_few_messages_prove_nothing() -> None:
    check = begun("value.fidelity", FIDELITY)
    run(check, 4)
    verdict = check.verdict(30.0)
    assert (verdict.reason, verdict.share) == ("too-few", 0.0)
    assert said(check, verdict) == "4 messages could be compared, 5 are needed"


def test_without_a_record_of_the_truth_people_decide() -> None:
    check = begun("value.fidelity", FIDELITY)
    tell(check, [message(at + 0.5, document(at, pressure=1, flame=True)) for at in range(10)])
    assert check.verdict(30.0).outcome is Outcome.UNDECIDED
    check = begun("value.fidelity", {**FIDELITY, "values": {**FIDELITY["values"], "values.x": "boiler/x"}})
    run(check, x=1)
    verdict = check.verdict(30.0)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "no-truth")
    assert said(check, verdict) == "there is no record of boiler/x, people must decide"


def test_tolerance_and_scale_are_those_of_the_value() -> None:
    asked = {"point": "boiler/pressure", "tolerance": 5, "scale": 1000}
    check = begun("value.fidelity", {**FIDELITY, "values": {"values.kpa": asked}})
    check.truth(0.0, "boiler", "pressure", 0.63)
    for index, value in enumerate((630, 634, 626, 636, 0.63)):
        tell(check, [message(index + 0.5, document(index + 0.4, kpa=value))])
    assert check.verdict(30.0).share == pytest.approx(0.6)


def test_a_message_is_compared_only_when_the_truth_has_caught_up() -> None:
    check = begun("value.fidelity", {**FIDELITY, "values": {"values.pressure": "boiler/pressure"}, "at_least": 1})
    check.truth(0.0, "boiler", "pressure", 1)
    tell(check, [message(5.0, document(5.0, pressure=2))])
    check.truth(5.1, "boiler", "pressure", 2)  # the register was read a moment after the clock
    assert check.verdict(6.0).outcome is Outcome.PASSED


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 9)), max_size=60), st.floats(0, 200), st.floats(0, 5))
def test_a_timeline_knows_what_was_so(changes: list[tuple[float, int]], start: float, span: float) -> None:
    changes.sort(key=lambda change: change[0])
    timeline = Timeline(1000.0)
    for at, value in changes:
        timeline.record(at, value)
    before = [value for at, value in changes if at <= start][-1:]
    within = [value for at, value in changes if start < at <= start + span]
    assert timeline.between(start, start + span) == before + within


def test_a_timeline_does_not_grow() -> None:
    timeline = Timeline(10.0)
    for second in range(100_000):
        timeline.record(float(second), second)
    assert len(timeline._times) < 20
    assert timeline.between(99_999.5, 99_999.9) == [99_999]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("values.pressure", 1),
        ("/values/pressure", 1),
        ("values.CNC01.State", 2),
        ("/values/a~1b", 3),
        ("list.0.x", 4),
        ("list.1.x", payload.MISSING),
        ("values.nothing", payload.MISSING),
        ("values.pressure.deeper", payload.MISSING),
    ],
)
def test_places_in_json(path: str, found: Any) -> None:
    whole = {"values": {"pressure": 1, "CNC01.State": 2, "a/b": 3}, "list": [{"x": 4}]}
    assert payload.at(whole, path) == found


# -- challenge ---------------------------------------------------------------------------------------------------------

SECRET = {"point": "boiler/pressure", "low": 0.2, "high": 1.2, "step": 0.01}
CHALLENGE = {**WHERE, "values": {"values.pressure": SECRET}, "limit": 5.0, "rounds": 2}


def forces(seed: int = 1, **other: Any) -> list[Force]:
    made = spec("challenge", {**CHALLENGE, **other}).begin(begun("challenge", CHALLENGE).context)
    return [each for each in made.needs(random.Random(seed)) if isinstance(each, Force)]


@given(st.integers(0, 2**32))
def test_secrets_are_within_their_range_and_apart(seed: int) -> None:
    first, second = forces(seed)
    for force in (first, second):
        assert (force.host, force.point) == ("boiler", "pressure")
        assert 0.2 <= force.value <= 1.2
        assert round(force.value * 100, 6).is_integer()
        assert force.hold == 6.0
    assert abs(first.value - second.value) >= 0.19
    assert first.id != second.id


def test_secrets_are_drawn_from_the_generator_given() -> None:
    assert forces(1) == forces(1)
    assert len({force.value for seed in range(20) for force in forces(seed)}) > 10


def drive(check: Check[Any], delays: list[float | None], guess: Any = None) -> None:
    """Secrets are forced one after the other, and published after so many seconds, or never."""
    at = 1.0
    shown: float | None = None
    for force, delay in zip(forces(), delays, strict=True):
        facts = {"id": force.id, "host": force.host, "point": force.point, "value": force.value}
        check.event(at, events.FORCE_BEGAN, facts)
        for tick in range(12):
            now = at + 0.25 + tick / 2
            if delay is not None and now - at >= delay:
                shown = float(str(force.value))
            tell(check, [message(now, document(now, pressure=guess(tick) if guess else shown))])
        at += force.hold
        check.event(at, events.FORCE_ENDED, facts)
        at += 0.5


def test_secrets_that_arrive_and_stay_pass() -> None:
    check = begun("challenge", CHALLENGE)
    drive(check, [0.1, 4.0])
    verdict = check.verdict(20.0)
    assert (verdict.outcome, verdict.facts["arrived"]) == (Outcome.PASSED, 2)
    assert verdict.facts["slowest"] == pytest.approx(4.25)
    assert len(verdict.frames) == 2


def test_secrets_that_never_arrive_or_too_late_fail_in_part() -> None:
    for delay in (None, 5.2):
        check = begun("challenge", CHALLENGE)
        drive(check, [0.1, delay])
        verdict = check.verdict(20.0)
        assert (verdict.reason, verdict.share) == ("not-arrived", 0.5)
        first, second = forces()
        assert (verdict.facts["expected"], verdict.facts["point"]) == (second.value, "boiler/pressure")
        if delay is None:
            assert verdict.facts["seen"] == first.value
        assert "did not arrive in 5 s" in said(check, verdict)


def test_whoever_tries_all_values_guesses_none() -> None:
    check = begun("challenge", CHALLENGE)
    values = [force.value for force in forces()]
    drive(check, [None, None], guess=lambda tick: [*values, 0.77][tick % 3])
    verdict = check.verdict(20.0)
    assert (verdict.reason, verdict.share) == ("contradicted", 0.0)
    assert "had not changed" in said(check, verdict)


def test_in_the_work_phase_it_waits_and_without_forces_people_decide() -> None:
    waiting = begun("challenge", CHALLENGE, "work").verdict(20.0)
    assert (waiting.outcome, waiting.reason) == (Outcome.UNDECIDED, "waits-for-acceptance")
    check = begun("challenge", CHALLENGE)
    verdict = check.verdict(20.0)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "not-driven")
    assert said(check, verdict) == "0 of 2 values were set, people must decide"


def test_forces_of_others_are_not_its_own() -> None:
    check = begun("challenge", CHALLENGE)
    assert isinstance(check, Challenge)
    for id_ in ("other/1/values.pressure", "it/1/values.flame", "it"):
        check.event(1.0, events.FORCE_BEGAN, {"id": id_, "host": "boiler", "point": "pressure", "value": 0.5})
    assert check.verdict(20.0).facts["seen"] == 0


def test_a_secret_that_can_be_guessed_is_none() -> None:
    with pytest.raises(ValidationError, match="at least 5 different values"):
        spec("challenge", {**CHALLENGE, "values": {"values.pressure": {**SECRET, "high": 0.23}}})
