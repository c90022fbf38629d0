"""The acceptance run: the same from the same files, driven as asked, and never for ever."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from scenario_kit import Draft

from grading.stimulus import Force, Probe
from grading.verdict import Outcome
from lab.model.document import FileError
from lab.model.frame import Frame, Port, Tap
from scenarios import acceptance, stimuli
from scenarios.acceptance import run
from scenarios.assembly import Plant
from scenarios.framelines import line
from scenarios.marking import examine, examine_again
from scenarios.recorded import CAPTURE, JOURNAL, TRUTH
from scenarios.reporting import report
from scenarios.scenario import Instance, Scenario, find
from scenarios.stimuli import chance


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return Draft(tmp_path_factory.mktemp("acceptance")).load().instantiate(1)


@pytest.fixture(scope="module")
def boiler() -> Instance:
    return Scenario.load(find("first-poll")).instantiate(1)


def events(journal: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in journal.splitlines()]


def test_the_same_files_give_the_same_evidence_to_the_byte(boiler: Instance) -> None:
    first, second = (examine(boiler, boiler.reference.files, b"secret") for _ in range(2))
    assert first.bundle.members == second.bundle.members
    assert first.score == second.score
    assert first.score.earned == 100


def test_other_secrets_force_other_values_and_give_the_same_marks(boiler: Instance) -> None:
    runs = [examine(boiler, boiler.reference.files, secret) for secret in (b"one", b"two")]
    forced = [
        [
            event["value"]
            for event in events(each.bundle.members[f"acceptance/{JOURNAL}"])
            if event["event"] == "ForceBegan"
        ]
        for each in runs
    ]
    assert forced[0] != forced[1]
    assert [each.score.earned for each in runs] == [100, 100]


def test_secret_values_depend_on_the_frozen_files() -> None:
    drawn = {chance(b"s", "tiny", 1, files).random() for files in ({"a": "1"}, {"a": "2"}, {"a": "", "1": ""})}
    assert len(drawn) == 3
    assert (
        chance(b"s", "tiny", 1, {"a": "1", "b": "2"}).random() == chance(b"s", "tiny", 1, {"b": "2", "a": "1"}).random()
    )


def test_a_replay_from_the_evidence_is_the_same_evidence(boiler: Instance) -> None:
    sealed = examine(boiler, boiler.reference.files, b"secret").bundle
    again = examine_again(boiler, sealed).bundle
    assert {name: data for name, data in again.members.items() if not name.startswith("work/")} == sealed.members


def test_forces_are_seen_in_the_truth_and_let_go(boiler: Instance) -> None:
    ended = run(boiler, boiler.start, [Force("f", "boiler", "drum_level", -77, 2.0)])
    truth = [json.loads(line) for line in ended.members[TRUTH].splitlines()]
    levels = [(each["at"], each["value"]) for each in truth if each["point"] == "drum_level"]
    began, let_go = (
        int(str(event["at"]))
        for event in events(ended.members[JOURNAL])
        if event["event"] in ("ForceBegan", "ForceEnded")
    )
    assert [value for at, value in levels if began <= at <= let_go] == [-77]
    assert levels[-1][1] != -77


@pytest.mark.parametrize(
    ("probe", "outcome"),
    [
        (Probe("p", "ping", "ws-1", "10.{c}.10.11"), "answered"),
        (Probe("p", "ping", "ws-1", "10.{c}.10.99", patience=0.5), "timeout"),
        (Probe("p", "ping", "ws-1", "10.99.99.99", patience=0.5), "timeout"),
        (Probe("p", "tcp", "ws-1", "10.{c}.10.11", 502), "answered"),
        (Probe("p", "tcp", "ws-1", "10.{c}.10.11", 503), "ECONNREFUSED"),
        (Probe("p", "tcp", "ws-1", "10.{c}.10.99", 502, patience=0.5), "timeout"),
        (Probe("p", "tcp", "ws-1", "10.99.99.99", 502), "ENETUNREACH"),
        (Probe("p", "udp", "ws-1", "10.{c}.10.11", 99), "ECONNREFUSED"),
        (Probe("p", "modbus-read", "ws-1", "10.{c}.10.11", 502), "answered"),
        (Probe("p", "modbus-read", "ws-1", "10.{c}.10.11", 502, unit=9, patience=0.5), "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.kind} {value.address} {value.port} {value.unit}",
)
def test_a_probe_says_what_came_of_it(instance: Instance, probe: Probe, outcome: str) -> None:
    address = probe.address.format(c=instance.parameters["c"])
    asked = Probe(probe.id, probe.kind, probe.source, address, probe.port, probe.unit, probe.patience)
    ended = run(instance, instance.reference.files, [asked])
    assert not ended.failure
    (said,) = [event["outcome"] for event in events(ended.members[JOURNAL]) if event["event"] == "ProbeEnded"]
    assert said == outcome


def test_files_that_are_no_plant_are_refused_before_anything_runs(instance: Instance) -> None:
    with pytest.raises(FileError, match=r"wiring\.yaml: the file is missing"):
        run(instance, {"config/ws-1.yaml": instance.start["config/ws-1.yaml"]}, [])


def test_our_own_failure_costs_nobody_marks(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(plant: Plant, stimulus: object, report: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(acceptance, "carry_out", fail)
    attempt = examine(instance, instance.reference.files, b"s")
    assert "RuntimeError: a bug of ours" in attempt.failure
    assert {check.verdict.outcome for check in attempt.score.checks().values()} == {Outcome.UNDECIDED}
    assert (attempt.score.earned, attempt.score.undecided) == (0, 100)
    (failed,) = [event for event in events(attempt.bundle.members[f"acceptance/{JOURNAL}"]) if "traceback" in event]
    assert "a bug of ours" in str(failed["traceback"])


def test_a_run_that_does_not_end_is_given_up(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(plant: Plant, stimulus: object, report: object) -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await loop.create_future()

    monkeypatch.setattr(acceptance, "carry_out", for_ever)
    ended = run(instance, instance.reference.files, [Force("f", "plc-1", "state", 1, 1.0)], deadline=0.3)
    assert "not done in time" in ended.failure
    assert len(ended.members[CAPTURE]) > 100


def test_a_ring_of_cables_ends_the_run_and_is_the_trainees_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.recorded.MOST_FRAMES", 5_000)
    instance = Scenario.load(find("who-may-write")).instantiate(1)
    ring = "  - [sw-cell/p7, sw-office/p7]\n  - [sw-cell/p8, sw-office/p8]\n"
    files = dict(instance.reference.files)
    files["wiring.yaml"] += ring
    attempt = examine(instance, files, b"s")
    assert not attempt.failure
    assert attempt.score.earned == 0
    reach = attempt.score.checks()["engineer-reaches-boiler"]
    assert reach.verdict.outcome is Outcome.FAILED
    assert "drowned in its own frames" in reach.sentence.en


def test_progress_goes_forward_to_the_end(instance: Instance) -> None:
    told: list[tuple[str, float]] = []
    examine(
        instance, instance.reference.files, b"s", progress=lambda stage, done, total: told.append((stage, done / total))
    )
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["boot", "settle", "drive", "grade"]
    driving = [share for stage, share in told if stage == "drive"]
    assert driving == sorted(driving)
    assert driving[-1] == 1


def test_no_evidence_names_a_path_of_this_computer(instance: Instance, tmp_path: Path) -> None:
    bundle = examine(instance, instance.reference.files, b"s").bundle
    assert str(instance.scenario.folder) not in json.dumps(bundle.facts)
    assert all(str(instance.scenario.folder).encode() not in data for data in bundle.members.values())


def test_how_long_a_stimulus_takes_is_known_beforehand() -> None:
    assert stimuli.length(Force("f", "h", "p", 1, 4.0)) >= 4.0
    assert stimuli.length(Probe("p", "ping", "h", "10.0.0.1", patience=2.0)) >= 2.0


def test_a_report_shows_the_frames_a_verdict_rests_on(boiler: Instance) -> None:
    attempt = examine(boiler, boiler.reference.files, b"s")
    shown = report(attempt.bundle, boiler, attempt.score)
    read = shown.frames["gas-flow-is-polled"]
    assert "Modbus unit" in " ".join(line.summary for line in read)
    published = shown.frames["telemetry-is-published"]
    assert "MQTT Publish" in " ".join(line.summary for line in published)
    assert all(f".{boiler.parameters['c']}.10." in line.source for line in (*read, *published))
    assert not any("malformed" in line.summary for lines in shown.frames.values() for line in lines)


def test_any_frame_has_a_line() -> None:
    tap = Tap(Port("a", "eth0"), Port("b", "eth0"))
    for data in (bytes(60), bytes(14) + b"\x45" * 40, b"\xff" * 12 + b"\x08\x00" + b"\x45" + bytes(45), b"short"):
        assert line(Frame(1, 5_000_000_000, tap, data), 0).at == 5
