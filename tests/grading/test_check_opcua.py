"""`opcua.sub`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from check_kit import begun, said, spec, tell
from grading_kit import foreign
from pydantic import ValidationError

from grading.dissector import Dissector
from grading.observations import (
    ChannelSecured,
    ConnectionClosed,
    DataChanged,
    MonitoredItem,
    MonitoredItemsCreated,
    Observation,
    ServiceFailed,
    SessionOpened,
)
from grading.verdict import Outcome

GOLDEN = Path(__file__).parent.parent / "golden"
STATE, SPEED = "ns=2;s=CNC01.State", "ns=2;s=CNC01.SpindleSpeed"
SUB = {
    "client": "gw-1",
    "server": "cnc",
    "policy": "Basic256Sha256",
    "mode": "Sign",
    "user": "acq",
    "nodes": [STATE, SPEED],
    "sampling": 1000,
    "publishing": 1000,
}
WHERE = ("gw-1", "cnc", "10.0.0.2")
SECURED = ChannelSecured(1.0, *WHERE, (1,), 0.5, "Basic256Sha256", "Sign")
SESSION = SessionOpened(2.0, *WHERE, (2,), 0.5, "Basic256Sha256", "Sign", "user-name", "acq")


def item(node: str, **other: Any) -> MonitoredItem:
    return replace(MonitoredItem(node, 13, 1000.0, 2, "Good"), **other)


def monitored(*items: MonitoredItem, interval: float = 1000.0) -> MonitoredItemsCreated:
    return MonitoredItemsCreated(3.0, *WHERE, (3,), 0.5, 7, interval, items)


def changed(node: str, status: str = "Good") -> DataChanged:
    return DataChanged(4.0, *WHERE, (4,), 0.5, 7, node, 1, status, None)


GOOD: list[Observation] = [SECURED, SESSION, monitored(item(STATE), item(SPEED)), changed(STATE), changed(SPEED)]


def test_nodes_monitored_over_the_right_channel_pass() -> None:
    check = begun("opcua.sub", SUB)
    tell(check, GOOD)
    verdict = check.verdict(5.0)
    assert (verdict.outcome, verdict.facts["nodes"]) == (Outcome.PASSED, 2)


@pytest.mark.parametrize(
    ("index", "instead", "reason", "share", "sentence"),
    [
        (
            0,
            replace(SECURED, policy="None", mode="None"),
            "wrong-security",
            0.5,
            "policy and mode are None / None, they should be Basic256Sha256 / Sign",
        ),
        (1, replace(SESSION, user=""), "wrong-user", 0.5, "the user is '', it should be 'acq'"),
        (2, monitored(item(STATE)), "not-monitored", 0.25, f"1 of 2 nodes are monitored; {SPEED} is not"),
        (
            2,
            monitored(item(STATE, mode=0), item(SPEED)),
            "not-monitored",
            0.25,
            f"1 of 2 nodes are monitored; {STATE} is not",
        ),
        (
            2,
            monitored(item(STATE), item(SPEED, status="Bad_NodeIdUnknown")),
            "bad-status",
            0.25,
            f"the status of {SPEED} is Bad_NodeIdUnknown",
        ),
        (4, changed(SPEED, "Bad_NoCommunication"), "bad-status", 0.5, f"the status of {SPEED} is Bad_NoCommunication"),
        (4, changed(STATE), "no-values", 0.5, f"no value of {SPEED} has come yet"),
        (
            2,
            monitored(item(STATE), item(SPEED, sampling_interval=5000.0)),
            "wrong-sampling",
            0.7,
            "the sampling interval is 5000 ms, at most 1000 ms are allowed",
        ),
        (
            2,
            monitored(item(STATE), item(SPEED), interval=500.0),
            "wrong-publishing",
            0.7,
            "the publishing interval is 500 ms, it should be 1000 ms",
        ),
    ],
)
def test_what_is_wrong_is_named(index: int, instead: Observation, reason: str, share: float, sentence: str) -> None:
    check = begun("opcua.sub", SUB)
    tell(check, [*GOOD[:index], instead, *GOOD[index + 1 :]])
    verdict = check.verdict(5.0)
    assert (verdict.outcome, verdict.reason, verdict.share) == (Outcome.FAILED, reason, share)
    assert said(check, verdict) == sentence


def test_nobody_there_refused_and_gone() -> None:
    check = begun("opcua.sub", SUB)
    assert check.verdict(5.0).reason == "never-connected"
    tell(check, [ServiceFailed(1.0, *WHERE, (9,), "ActivateSession", "Bad_UserAccessDenied")])
    assert said(check, check.verdict(5.0)) == "cnc refused ActivateSession: Bad_UserAccessDenied"
    tell(check, GOOD)
    assert check.verdict(5.0).outcome is Outcome.PASSED
    tell(check, [ConnectionClosed(5.0, *WHERE, (9,), 4840, 0.5, True, False)])
    assert check.verdict(6.0).outcome is Outcome.FAILED


def test_a_short_connection_to_look_for_endpoints_changes_nothing() -> None:
    check = begun("opcua.sub", SUB)
    look = replace(SECURED, policy="None", mode="None", opened_at=0.1)
    tell(check, [look, *GOOD, ConnectionClosed(5.0, *WHERE, (9,), 4840, 0.1, True, False)])
    assert check.verdict(6.0).outcome is Outcome.PASSED


def test_what_an_encrypted_channel_hides_is_for_people_to_decide() -> None:
    check = begun("opcua.sub", {**SUB, "mode": "SignAndEncrypt"})
    tell(check, [replace(SECURED, mode="SignAndEncrypt")])
    verdict = check.verdict(5.0)
    assert (verdict.outcome, verdict.reason) == (Outcome.UNDECIDED, "encrypted")
    outside = {key: SUB[key] for key in ("client", "server", "policy")}
    check = begun("opcua.sub", {**outside, "mode": "SignAndEncrypt"})
    tell(check, [replace(SECURED, mode="SignAndEncrypt")])
    assert check.verdict(5.0).outcome is Outcome.PASSED
    tell(check, [replace(SECURED, mode="None", policy="None")])
    assert (check.verdict(5.0).reason, check.verdict(5.0).share) == ("wrong-security", 0.0)


def test_a_subscription_of_a_foreign_client_and_server() -> None:
    frames = foreign(GOLDEN / "opcua/node.pcapng", 14840)
    looking = Dissector(["client", "server"], frames[0].at, {14840: "opcua"})
    asked = {
        "client": "client",
        "server": "server",
        "policy": "None",
        "user": "acq",
        "nodes": ["ns=2;s=CNC01.PartCount"],
        "sampling": 100,
        "publishing": 100,
    }
    check = begun("opcua.sub", asked)
    for frame in frames[:-4]:
        for observation in looking.feed(frame):
            if type(observation) in check.wants:
                check.observe(observation)
    assert check.verdict(5.0).outcome is Outcome.PASSED


def test_a_node_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="no node id such as"):
        spec("opcua.sub", {**SUB, "nodes": ["CNC01.State"]})
