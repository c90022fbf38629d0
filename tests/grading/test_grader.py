"""The grader as a whole: live or offline the same, bounded, and our own bugs cost nobody marks."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from check_kit import spec
from grading_kit import EPOCH_NS, Paper

from grading import events
from grading.bundle import Bundle
from grading.checks.modbus import ModbusRead
from grading.dissector import Dissector
from grading.grader import EvidenceError, Grader, grade, stimuli, verdicts_of
from grading.score import Score, score
from grading.task import Task
from grading.verdict import Outcome
from lab.model.frame import Frame, Port, Tap
from lab.wire import modbus, mqtt, pcapng
from lab.wire.modbus import Adu

HOSTS = ("gw", "boiler", "broker", "ws")
READ = {"client": "gw", "server": "boiler", "unit": 7, "table": "input", "address": 0, "quantity": 1, "period": 1.0}
TOPIC = "v1/s/gw/boiler/telemetry"
WHERE = {"client": "gw", "broker": "broker", "topic": TOPIC}
PUB = {**WHERE, "period": 1.0, "qos": 1}
TRUE = {**WHERE, "values": {"values.p": {"point": "boiler/p"}}}
SECRET = {"point": "boiler/p", "low": 0, "high": 100, "step": 1}
CHECKS = [
    ("read", "modbus.read", READ, {}),
    ("quiet", "modbus.no_write", {"server": "boiler"}, {"gate": "read"}),
    ("pub", "mqtt.pub", PUB, {}),
    ("true", "value.fidelity", TRUE, {}),
    ("secret", "challenge", {**WHERE, "values": {"values.p": SECRET}, "limit": 3, "rounds": 2}, {}),
    ("session", "mqtt.session", {"client": "gw", "broker": "broker", "client_id": "gw"}, {"phase": "work"}),
]


def tasks(*ids: str) -> list[Task]:
    title = {"zh": "任务", "en": "task"}
    checks = [
        spec(check, given, id=id_, **more).model_dump(by_alias=True, mode="json")
        for id_, check, given, more in CHECKS
        if not ids or id_ in ids
    ]
    return [Task.model_validate({"id": "task", "item": "J-1.2.3", "title": title, "checks": checks})]


class Attempt:
    """A gateway that polls a boiler once a second and publishes what it read; everything is written down."""

    def __init__(self, *, wrong: int = 0, writes: bool = False) -> None:
        self.paper = Paper(*HOSTS)
        self.wrong = wrong
        """Added to what is published."""
        self.journal: list[dict[str, Any]] = []
        self.truth: list[dict[str, Any]] = []
        self.value = 0
        self.transaction = 0
        self.south = self.paper.connect("gw", "boiler", 502)
        self.north = self.paper.connect("gw", "broker", 1883)
        self.north.say(mqtt.Connect("gw").encode())
        self.north.answer(mqtt.Connack().encode())
        if writes:
            self.converse(modbus.WriteSingleRegister(0, 1), modbus.RegisterWritten(0, 1))

    def note(self, event: str, **facts: Any) -> None:
        self.journal.append({"at": EPOCH_NS + self.paper.now, "event": event, **facts})

    def become(self, value: int) -> None:
        self.value = value
        self.truth.append({"at": EPOCH_NS + self.paper.now, "host": "boiler", "point": "p", "value": value})

    def converse(self, request: modbus.Request, answer: modbus.Response) -> None:
        self.transaction += 1
        self.south.say(Adu(self.transaction, 7, request).encode())
        self.south.answer(Adu(self.transaction, 7, answer).encode())

    def cycle(self) -> None:
        began = self.paper.now
        self.converse(modbus.ReadInputRegisters(0, 1), modbus.RegistersRead(4, (self.value,)))
        now = (EPOCH_NS + self.paper.now) // 1_000_000
        payload = json.dumps({"ts": now, "values": {"p": self.value + self.wrong}}).encode()
        self.north.say(mqtt.Publish(TOPIC, payload, 1, packet_id=self.transaction % 60_000 + 1).encode())
        self.north.answer(mqtt.Puback(self.transaction % 60_000 + 1).encode())
        self.paper.now = began + 10**9

    def members(self) -> dict[str, bytes]:
        writer = pcapng.Writer()
        frames = b"".join(writer.frame(frame.tap, frame.at, frame.data) for frame in self.paper.frames)
        lines = ("".join(json.dumps(each) + "\n" for each in record) for record in (self.journal, self.truth))
        journal, truth = (each.encode() for each in lines)
        return {"capture.pcapng": writer.section() + frames, "journal.jsonl": journal, "truth.jsonl": truth}


def acceptance(**how: Any) -> Attempt:
    """An acceptance run with all the checks ask for."""
    attempt = Attempt(**how)
    attempt.become(1)
    attempt.paper.until(0.5)
    attempt.note(events.SETTLED)
    for index in range(4):
        attempt.cycle()
        attempt.become(index + 2)
    for force in stimuli(tasks(), random.Random(1)):
        facts = {"id": force.id, "host": force.host, "point": force.point, "value": force.value}  # type: ignore[union-attr]
        attempt.note(events.FORCE_BEGAN, **facts)
        attempt.become(int(facts["value"]))
        for _ in range(4):
            attempt.cycle()
        attempt.note(events.FORCE_ENDED, **facts)
        attempt.become(5)
    attempt.note("AcceptanceEnded")
    return attempt


def bundle(run: Attempt, work: Attempt | None = None) -> Bundle:
    members = {f"acceptance/{name}": data for name, data in run.members().items()}
    members |= {f"work/{name}": data for name, data in (work or Attempt()).members().items()}
    began = {"work": EPOCH_NS, "acceptance": EPOCH_NS}
    return Bundle({"endpoints": list(HOSTS), "began_ns": began}, members, bytes(32))


def outcomes(result: Score) -> dict[str, str]:
    return {id_: check.verdict.reason or check.verdict.outcome for id_, check in result.checks().items()}


RUN = acceptance()


def test_a_good_attempt_earns_everything() -> None:
    result = grade(bundle(RUN), tasks())
    assert set(outcomes(result).values()) == {"passed"}
    assert result.is_full


def test_a_wrong_one_loses_what_it_should_and_nothing_else() -> None:
    result = grade(bundle(acceptance(wrong=1)), tasks())
    lost = {id_: reason for id_, reason in outcomes(result).items() if reason != "passed"}
    assert lost == {"true": "untrue", "secret": "not-arrived"}
    assert result.earned == 40


def test_each_phase_is_judged_by_its_own_evidence() -> None:
    work = Attempt()
    work.north.say(mqtt.Disconnect().encode())
    work.north.close()
    result = grade(bundle(RUN, work), tasks())
    assert outcomes(result)["session"] == "gone"
    assert result.earned == 50


def test_an_untouched_plant_earns_nothing() -> None:
    idle = Attempt()
    idle.become(1)
    idle.note(events.SETTLED)
    idle.note("AcceptanceEnded")
    result = grade(bundle(idle, idle), tasks("read", "quiet", "pub", "true"))
    assert result.earned == 0
    assert result.undecided == 0


def test_writing_costs_what_is_gated_and_more() -> None:
    offence = acceptance()
    offence.converse(modbus.WriteSingleRegister(0, 1), modbus.RegisterWritten(0, 1))
    assert outcomes(grade(bundle(offence), tasks()))["quiet"] == "written"


def test_live_and_offline_say_the_same() -> None:
    """Live, truth and journal come when they happen and somebody asks every half second."""
    phase = "acceptance"
    live = Grader(tasks(), HOSTS, phase, EPOCH_NS)
    fed: list[tuple[int, int, Any]] = [(frame.at, 2, frame) for frame in RUN.paper.frames]
    fed += [(record["at"], 1, record) for record in RUN.truth]
    fed += [(record["at"], 0, record) for record in RUN.journal]
    asked = EPOCH_NS
    for at, _, what in sorted(fed, key=lambda each: each[:2]):
        while asked < at:
            live.verdicts(asked)
            asked += 500_000_000
        if isinstance(what, Frame):
            live.feed(what)
        elif "event" in what:
            live.event(at, what["event"], what)
        else:
            live.truth(at, what["host"], what["point"], what["value"])
    end = EPOCH_NS + RUN.paper.now
    assert live.verdicts(end) == verdicts_of(phase, RUN.members(), tasks(), HOSTS, EPOCH_NS)


def test_lamps_light_up_while_one_works() -> None:
    attempt = Attempt()
    lamps = Grader(tasks("read", "pub", "secret"), HOSTS, "work", EPOCH_NS)
    seen: list[Mapping[str, str]] = []

    def look() -> None:
        for frame in attempt.paper.frames[look.done :]:  # type: ignore[attr-defined]
            lamps.feed(frame)
        look.done = len(attempt.paper.frames)  # type: ignore[attr-defined]
        seen.append({id_: verdict.reason for id_, verdict in lamps.verdicts(EPOCH_NS + attempt.paper.now).items()})

    look.done = 0  # type: ignore[attr-defined]
    look()
    for _ in range(2):
        attempt.cycle()
    look()
    for _ in range(3):
        attempt.cycle()
    look()
    lamps.event(EPOCH_NS + attempt.paper.now, events.CONFIGURATION_APPLIED, {"file": "config/gw.yaml"})
    look()
    waits = "waits-for-acceptance"
    assert seen == [
        {"read": "never-read", "pub": "never-published", "secret": waits},
        {"read": "too-few", "pub": "too-few", "secret": waits},
        {"read": "", "pub": "", "secret": waits},
        {"read": "never-read", "pub": "never-published", "secret": waits},
    ]


@pytest.mark.parametrize("where", ["observe", "verdict", "truth", "event"])
def test_a_check_that_fails_is_undecided_and_the_others_go_on(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError("our bug")

    monkeypatch.setattr(ModbusRead, where, fail)
    result = grade(bundle(RUN), tasks())
    verdict = result.checks()["read"].verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "error")
    assert "ZeroDivisionError: our bug" in str(verdict.facts["traceback"])
    assert result.checks()["read"].sentence.en == (
        "the grader failed here, people must decide: ZeroDivisionError: our bug"
    )
    # What the broken one gates hangs in the air with it; nothing else does.
    assert result.undecided == 20
    assert result.earned == 40


def test_a_dissector_that_fails_leaves_only_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Dissector.feed
    frames = len(RUN.paper.frames)

    def fail(self: Dissector, frame: Frame) -> Any:
        if frame.number == frames - 3:
            raise ZeroDivisionError("our bug")
        return real(self, frame)

    monkeypatch.setattr(Dissector, "feed", fail)
    found = verdicts_of("acceptance", RUN.members(), tasks(), HOSTS, EPOCH_NS)
    assert found["read"].outcome is Outcome.PASSED
    assert found["quiet"].outcome is Outcome.UNDECIDED  # what was not seen proves nothing now


def test_a_run_of_ours_that_failed_takes_no_marks() -> None:
    run = acceptance(wrong=1)
    run.note(events.RUN_FAILED, traceback="Traceback …")
    result = grade(bundle(run), tasks())
    assert outcomes(result) == {
        "read": "passed",
        "quiet": "run-failed",
        "pub": "passed",
        "true": "run-failed",
        "secret": "run-failed",
        "session": "passed",
    }


def test_a_capture_that_lacks_frames_proves_only_what_it_has() -> None:
    members = acceptance(wrong=1).members()
    writer = pcapng.Writer()
    tap = RUN.paper.frames[0].tap
    lacking = writer.section() + writer.statistics(tap, EPOCH_NS, 10, 3)
    members["capture.pcapng"] += lacking
    found = verdicts_of("acceptance", members, tasks(), HOSTS, EPOCH_NS)
    assert {id_: verdict.reason for id_, verdict in found.items()} == {
        "read": "",
        "quiet": "frames-missing",
        "pub": "",
        "true": "frames-missing",
        "secret": "frames-missing",
        "session": "",
    }
    offence = acceptance(writes=True)
    offence.converse(modbus.WriteSingleRegister(0, 1), modbus.RegisterWritten(0, 1))
    members = offence.members()
    members["capture.pcapng"] += lacking
    assert verdicts_of("acceptance", members, tasks(), HOSTS, EPOCH_NS)["quiet"].reason == "written"


def test_frames_of_other_media_are_left_out() -> None:
    members = RUN.members()
    writer = pcapng.Writer()
    bus = Tap(Port("gw", "eth0"), Port("bus", "1"))
    begun = writer.section() + writer.interface(bus, 252)
    members["capture.pcapng"] += begun + writer.frame(bus, EPOCH_NS, bytes.fromhex("07040000000131ac"))
    found = verdicts_of("acceptance", members, tasks(), HOSTS, EPOCH_NS)
    assert found == verdicts_of("acceptance", RUN.members(), tasks(), HOSTS, EPOCH_NS)


def test_a_plant_that_drowns_in_its_frames_is_no_excuse() -> None:
    run = Attempt()
    run.note(events.SETTLED)
    run.note(events.OVERLOADED, frames=300_000)
    found = grade(bundle(run), tasks("secret")).checks()["secret"]
    assert (found.verdict.outcome, found.verdict.reason) == (Outcome.FAILED, "plant-overloaded")
    assert "ring of cables" in found.sentence.en


@pytest.mark.parametrize(
    ("member", "data", "complaint"),
    [
        ("journal.jsonl", b'{"at": 1, "event": "x"}\nnonsense\n', "acceptance/journal.jsonl: line 2 is not the record"),
        ("journal.jsonl", b'{"at": 1}\n', "acceptance/journal.jsonl: line 1"),
        ("truth.jsonl", b'{"at": 1, "host": "boiler"}\n', "acceptance/truth.jsonl: line 1"),
        ("truth.jsonl", b"[1]\n", "acceptance/truth.jsonl: line 1"),
        ("truth.jsonl", b'{"at": "now"}\n', "acceptance/truth.jsonl: line 1"),
        ("capture.pcapng", b"PK\x03\x04", "acceptance/capture.pcapng: the capture cannot be read: not a pcapng"),
        ("capture.pcapng", RUN.members()["capture.pcapng"][:-3], "acceptance/capture.pcapng: the capture cannot"),
    ],
)
def test_evidence_that_makes_no_sense_is_named(member: str, data: bytes, complaint: str) -> None:
    whole = bundle(RUN)
    broken = Bundle(whole.facts, {**whole.members, f"acceptance/{member}": data}, whole.sealed_by)
    with pytest.raises(EvidenceError) as caught:
        grade(broken, tasks())
    assert str(caught.value).startswith(complaint)


def test_without_a_capture_nothing_is_decided() -> None:
    result = grade(Bundle({"endpoints": [], "began_ns": {}}, {}, bytes(32)), tasks())
    assert result.undecided == result.points
    assert result == score(tasks(), {})


def test_stimuli_of_work_checks_are_not_driven() -> None:
    assert {each.id for each in stimuli(tasks(), random.Random(3))} == {"secret/1/values.p", "secret/2/values.p"}
    assert not stimuli(tasks("session"), random.Random(3))


def test_memory_does_not_grow_with_the_capture() -> None:
    attempt = Attempt()
    grader = Grader(tasks(), HOSTS, "work", EPOCH_NS)
    sizes = []
    for _ in range(3):
        for _ in range(1500):
            attempt.become(attempt.value + 1)
            grader.truth(attempt.truth[-1]["at"], "boiler", "p", attempt.value)
            attempt.cycle()
        for frame in attempt.paper.frames:
            grader.feed(frame)
        attempt.paper.frames.clear()
        sizes.append(_size(grader))
    assert sizes[2] <= sizes[1] * 1.1


def _size(thing: object, seen: set[int] | None = None) -> int:
    """How many containers and things hang on this one."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, (type, str, bytes, int, float)):
        return 0
    seen.add(id(thing))
    inner: list[object] = []
    if isinstance(thing, dict):
        inner += [*thing.keys(), *thing.values()]
    elif hasattr(thing, "__iter__") and hasattr(thing, "__len__"):
        inner += list(thing)
    inner += list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    inner += [getattr(thing, slot, None) for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ())]
    return 1 + sum(_size(each, seen) for each in inner) + (len(thing) if isinstance(thing, (dict, set, list)) else 0)
