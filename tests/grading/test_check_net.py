"""`net.reach` and `net.blocked`: absence proves nothing until presence was possible.

The plant: `pc` must not reach `plc`; `gw` must, and `pc` must reach `srv`. The frames are whole; the grader reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from check_kit import spec
from grading_kit import ACK, EPOCH_NS, RST, SYN, Paper
from pydantic import ValidationError

from grading import events
from grading.checks.check import hosts_of
from grading.grader import Grader, stimuli
from grading.stimulus import Probe
from grading.task import Task
from grading.verdict import Outcome, Verdict
from lab.wire import icmp, ipv4, modbus
from lab.wire.modbus import Adu

NAMES = ("pc", "gw", "plc", "srv")
ADDRESS = {name: f"10.0.0.{number}" for number, name in enumerate(NAMES, 1)}


def way(source: str, target: str, kind: str = "tcp", **more: Any) -> dict[str, Any]:
    port = {} if kind == "ping" else {"port": 502}
    return {"from": source, "to": target, "address": ADDRESS[target], "kind": kind, **port, **more}


BY_TARGET = {**way("pc", "plc"), "control": way("gw", "plc")}
BY_SOURCE = {**way("pc", "plc"), "control": way("pc", "srv", "ping")}
BY_BOTH = {**way("pc", "plc"), "control": [way("gw", "plc"), way("pc", "srv", "ping")]}
REACH = way("gw", "plc")


class Trial:
    """An acceptance run on paper, in which each probe is a story of its own."""

    def __init__(self, check: str, given: dict[str, Any]) -> None:
        self.made = spec(check, given)
        title = {"zh": "它", "en": "it"}
        other = spec("net.reach", REACH, id="other").model_dump(by_alias=True, mode="json")
        checks = [self.made.model_dump(by_alias=True, mode="json"), other]
        self.tasks = [Task.model_validate({"id": "t", "item": "J-1", "title": title, "checks": checks})]
        self.paper = Paper(*NAMES)
        self.grader = Grader(self.tasks, NAMES, "acceptance", EPOCH_NS)
        self.told = 0
        self.event(events.SETTLED)
        self.probes = [
            each
            for each in stimuli(self.tasks, None)  # type: ignore[arg-type]  # probes hold no secrets
            if isinstance(each, Probe) and each.id.startswith("it/")
        ]

    def event(self, name: str, **facts: Any) -> None:
        for frame in self.paper.frames[self.told :]:
            self.grader.feed(frame)
        self.told = len(self.paper.frames)
        self.grader.event(EPOCH_NS + self.paper.now, name, facts)

    def tell(self, *stories: Callable[[Paper], None]) -> Verdict:
        """Each probe in its turn, and what the check says in the end."""
        for probe, story in zip(self.probes, stories, strict=True):
            self.paper.wait(1)
            self.event(events.PROBE_BEGAN, id=probe.id)
            story(self.paper)
            self.paper.wait(probe.patience)
            self.event(events.PROBE_ENDED, id=probe.id)
        return self.now(20)

    def now(self, later: float = 0.0) -> Verdict:
        self.paper.wait(later)
        self.event("AcceptanceEnded")
        return self.grader.verdicts(EPOCH_NS + self.paper.now)["it"]

    def said(self, verdict: Verdict) -> str:
        return self.made.sentence(verdict).en


def try_out(check: str, given: dict[str, Any], *stories: Callable[[Paper], None]) -> tuple[Verdict, str]:
    trial = Trial(check, given)
    verdict = trial.tell(*stories)
    return verdict, trial.said(verdict)


# What can become of an attempt.


def nothing(paper: Paper) -> None:
    """Not a frame: no cable, or no way to go."""


def through(source: str, target: str) -> Callable[[Paper], None]:
    return lambda paper: paper.connect(source, target, 502).close()


def lost(source: str, target: str) -> Callable[[Paper], None]:
    def story(paper: Paper) -> None:
        talk = paper.talk(source, target, 502)
        paper.up(source, talk.there(SYN))
        paper.wait(1)
        paper.up(source, talk.there(SYN))

    return story


def unanswered(source: str, target: str) -> Callable[[Paper], None]:
    def story(paper: Paper) -> None:
        talk = paper.talk(source, target, 502)
        talk.forth(talk.there(SYN))
        paper.up(target, talk.back(SYN | ACK))

    return story


def refused(source: str, target: str) -> Callable[[Paper], None]:
    def story(paper: Paper) -> None:
        talk = paper.talk(source, target, 502)
        talk.forth(talk.there(SYN))
        talk.sent += 1
        talk.home(talk.back(RST | ACK))

    return story


def nobody_home(source: str, target: str) -> Callable[[Paper], None]:
    return lambda paper: paper.up(source, paper.who_has(source, paper[target].ip))


def unreachable(source: str, target: str) -> Callable[[Paper], None]:
    def story(paper: Paper) -> None:
        talk = paper.talk(source, target, 502)
        paper.up(source, talk.there(SYN))
        told = icmp.Unreachable(icmp.UnreachableCode.HOST, talk.there(SYN)[14:42]).encode()
        paper.carry("srv", source, paper.packet("srv", source, ipv4.ICMP, told))

    return story


def pinged(source: str, target: str) -> Callable[[Paper], None]:
    return lambda paper: paper.ping(source, target)


def datagram(source: str, target: str) -> Callable[[Paper], None]:
    def story(paper: Paper) -> None:
        paper.carry(source, target, paper.datagram(source, target, (4000, 502)))
        paper.carry(target, source, paper.datagram(target, source, (502, 4000)))

    return story


def modbus_read(source: str, target: str) -> Callable[[Paper], None]:
    def story(paper: Paper) -> None:
        talk = paper.connect(source, target, 502)
        talk.say(Adu(1, 1, modbus.ReadHoldingRegisters(0, 1)).encode())
        talk.answer(Adu(1, 1, modbus.RegistersRead(3, (7,))).encode())
        talk.close()

    return story


# -- net.reach ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "story"),
    [("ping", pinged), ("tcp", through), ("udp", datagram), ("modbus-read", modbus_read)],
)
def test_what_left_arrived_and_came_back_has_reached(kind: str, story: Callable[..., Callable[[Paper], None]]) -> None:
    verdict, _ = try_out("net.reach", way("gw", "plc", kind), story("gw", "plc"))
    assert verdict.outcome is Outcome.PASSED
    assert len(verdict.frames) >= 3


@pytest.mark.parametrize(
    ("story", "reason", "sentence"),
    [
        (nothing, "never-left", "gw → plc (tcp 502): not a frame left gw"),
        (nobody_home("gw", "plc"), "no-neighbour", "gw → plc (tcp 502): nobody answered the ARP request of gw"),
        (lost("gw", "plc"), "lost", "gw → plc (tcp 502): left gw and never arrived at plc"),
        (unanswered("gw", "plc"), "no-answer", "gw → plc (tcp 502): arrived, but no answer came back"),
        (refused("gw", "plc"), "refused", "gw → plc (tcp 502): arrived, but port 502 refused"),
        (unreachable("gw", "plc"), "unreachable", "gw → plc (tcp 502): 10.0.0.4 says that it is unreachable"),
        (through("pc", "plc"), "never-left", "gw → plc (tcp 502): not a frame left gw"),
    ],
)
def test_how_far_it_came_is_said(story: Callable[[Paper], None], reason: str, sentence: str) -> None:
    verdict, said = try_out("net.reach", REACH, story)
    assert (verdict.outcome, verdict.reason, said) == (Outcome.FAILED, reason, sentence)


def test_another_host_with_the_address_is_not_the_target() -> None:
    def impostor(paper: Paper) -> None:
        paper.stations["srv"].number = paper.stations["plc"].number
        paper.connect("gw", "srv", 502)

    verdict, said = try_out("net.reach", REACH, impostor)
    assert (verdict.reason, verdict.facts["seen"]) == ("wrong-host", "srv")
    assert said == "gw → plc (tcp 502): 10.0.0.3 should be plc, it is srv"


def test_a_connection_to_modbus_alone_is_no_reading() -> None:
    verdict, _ = try_out("net.reach", way("gw", "plc", "modbus-read"), through("gw", "plc"))
    assert verdict.reason == "no-answer"


def test_what_happened_before_or_after_the_probe_does_not_count() -> None:
    trial = Trial("net.reach", REACH)
    trial.paper.connect("gw", "plc", 502)
    verdict = trial.tell(nothing)
    assert verdict.reason == "never-left"
    trial.paper.connect("gw", "plc", 502)
    assert trial.now(1).reason == "never-left"


def test_without_a_probe_nothing_is_said() -> None:
    trial = Trial("net.reach", REACH)
    trial.paper.connect("gw", "plc", 502)
    verdict = trial.now(5)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "not-tried")
    assert trial.said(verdict) == "it was not tried: gw → plc (tcp 502); people must decide"


@pytest.mark.parametrize("check", ["net.reach", "net.blocked"])
def test_in_the_work_phase_it_waits_for_the_acceptance_run(check: str) -> None:
    trial = Trial(check, BY_BOTH if check == "net.blocked" else REACH)
    grader = Grader(trial.tasks, NAMES, "work", EPOCH_NS)
    verdict = grader.verdicts(EPOCH_NS + 10**9)["it"]
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "waits-for-acceptance")


# -- net.blocked -------------------------------------------------------------------------------------------------------

CONTROLS = (through("gw", "plc"), pinged("pc", "srv"))


@pytest.mark.parametrize(
    ("given", "story", "controls", "attempt"),
    [
        # The attempt was seen to leave, and nothing of it to arrive.
        (BY_TARGET, lost("pc", "plc"), CONTROLS[:1], "seen"),
        (BY_SOURCE, lost("pc", "plc"), CONTROLS[1:], "seen"),
        (BY_BOTH, lost("pc", "plc"), CONTROLS, "seen"),
        (BY_BOTH, unreachable("pc", "plc"), CONTROLS, "seen"),
        # On another network, or behind no cable of the target's: it asks for a neighbour who is not there.
        (BY_TARGET, nobody_home("pc", "plc"), CONTROLS[:1], "seen"),
        # It has no way there, but the source is alive and the target too.
        (BY_BOTH, nothing, CONTROLS, "no-way"),
        (BY_SOURCE, nothing, CONTROLS[1:], "no-way"),
    ],
)
def test_what_does_not_arrive_though_it_could_have_is_blocked(
    given: dict[str, Any], story: Callable[[Paper], None], controls: Sequence[Callable[[Paper], None]], attempt: str
) -> None:
    verdict, _ = try_out("net.blocked", given, story, *controls)
    assert (verdict.outcome, verdict.facts["attempt"]) == (Outcome.PASSED, attempt)
    assert verdict.frames


@pytest.mark.parametrize("story", [through, unanswered, refused])
def test_whatever_arrives_is_not_blocked(story: Callable[[str, str], Callable[[Paper], None]]) -> None:
    verdict, said = try_out("net.blocked", BY_BOTH, story("pc", "plc"), *CONTROLS)
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, "arrived")
    assert said == "pc → plc (tcp 502): should be blocked, but arrived at plc"


def test_a_source_that_was_unplugged_is_silent_and_not_blocked() -> None:
    verdict, said = try_out("net.blocked", BY_TARGET, nothing, CONTROLS[0])
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, "source-silent")
    assert said.startswith("not a frame left pc: the source cannot talk at all")


@pytest.mark.parametrize(
    ("controls", "control", "why"),
    [
        ((nothing, CONTROLS[1]), "gw → plc (tcp 502)", "not a frame left"),
        ((lost("gw", "plc"), CONTROLS[1]), "gw → plc (tcp 502)", "it was lost on the way"),
        ((CONTROLS[0], nothing), "pc → srv (ping)", "not a frame left"),
        ((CONTROLS[0], nobody_home("pc", "srv")), "pc → srv (ping)", "nobody answered ARP"),
    ],
)
def test_where_nobody_gets_through_nothing_is_shown(
    controls: Sequence[Callable[[Paper], None]], control: str, why: str
) -> None:
    verdict, said = try_out("net.blocked", BY_BOTH, lost("pc", "plc"), *controls)
    assert (verdict.outcome, verdict.reason, verdict.share) == (Outcome.FAILED, "control-failed", 0.0)
    assert said.startswith(f"the control {control} does not get through ({why})")


def test_a_control_that_was_not_made_leaves_it_undecided() -> None:
    trial = Trial("net.blocked", BY_TARGET)
    trial.probes.pop()
    verdict = trial.tell(lost("pc", "plc"))
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "not-tried")


def test_doing_nothing_at_all_earns_nothing() -> None:
    verdict, _ = try_out("net.blocked", BY_BOTH, nothing, nothing, nothing)
    assert (verdict.outcome, verdict.share) == (Outcome.FAILED, 0.0)


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_probes_are_asked_for_in_order() -> None:
    probes = Trial("net.blocked", BY_BOTH).probes
    assert [(each.id, each.kind, each.source, each.address, each.port) for each in probes] == [
        ("it/0", "tcp", "pc", "10.0.0.3", 502),
        ("it/1", "tcp", "gw", "10.0.0.3", 502),
        ("it/2", "ping", "pc", "10.0.0.4", 0),
    ]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({**way("pc", "plc"), "control": way("gw", "srv", "ping")}, "the same source or the same target"),
        ({**way("pc", "plc"), "control": []}, "at least 1 item"),
        ({**BY_TARGET, "port": 0}, "tcp needs a port"),
        ({**BY_TARGET, "kind": "ping"}, "a ping has no port"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec("net.blocked", given)


def test_the_hosts_it_names_can_be_checked() -> None:
    assert sorted(hosts_of(spec("net.blocked", BY_BOTH).given)) == [
        (("control", 0, "from"), "gw"),
        (("control", 0, "to"), "plc"),
        (("control", 1, "from"), "pc"),
        (("control", 1, "to"), "srv"),
        (("from",), "pc"),
        (("to",), "plc"),
    ]


def test_modbus_reads_go_to_port_502_where_none_is_given() -> None:
    made = spec("net.reach", {"from": "gw", "to": "plc", "address": "10.0.0.3", "kind": "modbus-read"})
    assert made.given.port == 502  # type: ignore[attr-defined]
