"""`mqtt.pub` and `mqtt.session`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from check_kit import begun, said, spec, tell
from pydantic import ValidationError

from grading.observations import (
    ConnectionClosed,
    MessagePublished,
    MqttConnected,
    MqttDisconnected,
    MqttWill,
    TlsHandshake,
)
from grading.verdict import Outcome

PUB = {
    "client": "gw-1",
    "broker": "broker",
    "topic": "v1/+/gw-1/boiler/telemetry",
    "period": 1.0,
    "qos": 1,
    "retain": False,
    "required": {"ts": "integer", "values.pressure": "number"},
}
TOPIC = "v1/site/gw-1/boiler/telemetry"
GOOD = {"ts": 1, "values": {"pressure": 0.5}}


def message(at: float, document: Any = GOOD, **other: Any) -> MessagePublished:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    whole = MessagePublished(at, "gw-1", "broker", "10.0.0.3", (4, 5), TOPIC, payload, 1, False, False, True)
    return replace(whole, **other)


def published(count: int = 5, **other: Any) -> list[MessagePublished]:
    return [message(float(at), **other) for at in range(count)]


def test_good_messages_every_second_pass() -> None:
    check = begun("mqtt.pub", PUB)
    tell(check, published())
    assert check.verdict(5.0).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("other", "reason", "sentence"),
    [
        ({"qos": 0}, "wrong-qos", "the QoS is 0, it should be 1"),
        ({"retain": True}, "wrong-retain", "the retain flag is True, it should be False"),
        ({"document": b"0.5 bar"}, "not-json", f"the payload at {TOPIC} is no JSON"),
        ({"document": b'{"ts": NaN}'}, "not-json", f"the payload at {TOPIC} is no JSON"),
        ({"document": {"ts": 1, "values": {}}}, "missing-key", "values.pressure is missing"),
        (
            {"document": {"ts": 1, "values": {"pressure": "0.5"}}},
            "wrong-shape",
            "values.pressure should be of type number, found 0.5",
        ),
    ],
)
def test_what_is_wrong_with_messages_is_named_and_the_rest_is_worth_something(
    other: dict[str, Any], reason: str, sentence: str
) -> None:
    check = begun("mqtt.pub", PUB)
    tell(check, published(**other))
    verdict = check.verdict(5.0)
    assert (verdict.reason, verdict.share, verdict.frames) == (reason, 0.75, (4, 5))
    assert said(check, verdict) == sentence


def test_two_faults_cost_two_shares() -> None:
    check = begun("mqtt.pub", PUB)
    tell(check, [message(at * 3.0, qos=0) for at in range(5)])
    verdict = check.verdict(12.5)
    assert (verdict.reason, verdict.share) == ("wrong-qos", 0.5)


def test_a_wrong_rate_is_named() -> None:
    check = begun("mqtt.pub", PUB)
    tell(check, [message(at * 3.0) for at in range(5)])
    verdict = check.verdict(12.5)
    assert (verdict.reason, verdict.share) == ("too-slow", 0.75)


def test_a_message_sent_again_does_not_make_the_rate() -> None:
    check = begun("mqtt.pub", PUB)
    tell(check, [message(float(at), duplicate=at % 2 == 1) for at in range(10)])
    assert check.verdict(9.5).reason == "too-slow"


def test_each_topic_keeps_its_own_rhythm() -> None:
    check = begun("mqtt.pub", {**PUB, "topic": "v1/#"})
    tell(check, [message(at / 2, topic=f"v1/{at % 2}") for at in range(12)])
    assert check.verdict(6.0).outcome is Outcome.PASSED
    tell(check, [message(6.0 + at / 2, topic="v1/0") for at in range(0, 12, 2)])
    assert check.verdict(12.0).reason == "stopped"
    assert check.verdict(12.0).facts["seen_topic"] == "v1/1"


def test_nothing_published_and_something_elsewhere() -> None:
    check = begun("mqtt.pub", PUB)
    assert check.verdict(5.0).reason == "never-published"
    assert said(check, check.verdict(5.0)) == f"gw-1 has not been seen to publish to {PUB['topic']} at broker"
    tell(check, [message(1.0, topic="telemetry")])
    assert check.verdict(5.0).reason == "wrong-topic"
    assert "published to telemetry" in said(check, check.verdict(5.0))


def test_messages_of_others_do_not_count() -> None:
    check = begun("mqtt.pub", PUB)
    tell(check, published(client="ws-1"))
    assert check.verdict(5.0).reason == "never-published"


def test_a_topic_filter_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no topic filter"):
        spec("mqtt.pub", {**PUB, "topic": "v1/#/x"})


# -- mqtt.session ------------------------------------------------------------------------------------------------------

SESSION = {
    "client": "gw-1",
    "broker": "broker",
    "client_id": "gw-1",
    "user": "gw",
    "keep_alive": 30,
    "will": {"topic": "v1/s/status", "payload": {"online": False}, "retain": True},
}
WILL = MqttWill("v1/s/status", b'{"online": false}', 1, True)


def session(at: float = 1.0, **other: Any) -> MqttConnected:
    whole = MqttConnected(
        at,
        "gw-1",
        "broker",
        "10.0.0.3",
        (1, 2),
        at,
        "gw-1",
        4,
        True,
        30,
        "gw",
        True,
        WILL,
        False,
        0,
    )
    return replace(whole, **other)


def goodbye(at: float, opened_at: float) -> MqttDisconnected:
    return MqttDisconnected(at, "gw-1", "broker", "10.0.0.3", (), opened_at, "gw-1", True)


def test_a_session_as_asked_for_passes() -> None:
    check = begun("mqtt.session", SESSION)
    tell(check, [session()])
    assert check.verdict(5.0).outcome is Outcome.PASSED


def test_a_session_may_be_older_than_the_window() -> None:
    check = begun("mqtt.session", SESSION)
    tell(check, [session(-3.0)])
    assert check.verdict(5.0).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("other", "setting", "share"),
    [
        ({"client_id": "x"}, "client_id", 5 / 6),
        ({"user": ""}, "user", 5 / 6),
        ({"keep_alive": 60}, "keep_alive", 5 / 6),
        ({"will": None}, "will", 3 / 4),
        ({"will": replace(WILL, retain=False)}, "will.retain", 5 / 6),
        ({"will": replace(WILL, payload=b'{"online": true}')}, "will.payload", 5 / 6),
        ({"client_id": "x", "user": "y"}, "client_id", 4 / 6),
    ],
)
def test_settings_that_differ_are_named_and_cost_their_part(other: dict[str, Any], setting: str, share: float) -> None:
    check = begun("mqtt.session", SESSION)
    tell(check, [session(**other)])
    verdict = check.verdict(5.0)
    assert (verdict.reason, verdict.facts["setting"]) == ("wrong-setting", setting)
    assert verdict.share == pytest.approx(share)
    assert said(check, verdict).startswith(f"{setting} is ")


def test_never_connected_refused_and_gone_are_told_apart() -> None:
    check = begun("mqtt.session", SESSION)
    assert check.verdict(5.0).reason == "never-connected"
    tell(check, [session(return_code=5)])
    assert check.verdict(5.0).reason == "refused"
    assert said(check, check.verdict(5.0)) == "broker refused gw-1 (return code 5)"
    tell(check, [session(2.0), goodbye(3.0, 2.0)])
    assert check.verdict(5.0).reason == "gone"


def test_a_session_taken_over_is_not_ended_by_the_old_connection() -> None:
    check = begun("mqtt.session", SESSION)
    tell(check, [session(1.0), session(2.0), goodbye(2.5, 1.0)])
    assert check.verdict(5.0).outcome is Outcome.PASSED


def handshake(**other: Any) -> TlsHandshake:
    whole = TlsHandshake(1.0, "gw-1", "broker", "10.0.0.3", (1,), 8883, "TLS 1.3", "broker", "", "x", None, True, "")
    return replace(whole, **other)


def test_inside_tls_the_handshake_is_what_can_be_seen() -> None:
    asked = {"client": "gw-1", "broker": "broker", "tls": True, "server_name": "broker"}
    check = begun("mqtt.session", asked)
    assert check.verdict(5.0).reason == "never-connected"
    tell(check, [session()])
    assert check.verdict(5.0).reason == "not-encrypted"
    tell(check, [goodbye(1.5, 1.0), handshake(is_complete=False, alert="client: unknown_ca")])
    assert "client: unknown_ca" in said(check, check.verdict(5.0))
    tell(check, [handshake(server_name="")])
    assert (check.verdict(5.0).reason, check.verdict(5.0).share) == ("wrong-setting", 0.5)
    tell(check, [handshake()])
    assert check.verdict(5.0).outcome is Outcome.PASSED
    closed = ConnectionClosed(6.0, "gw-1", "broker", "10.0.0.3", (9,), 8883, 0.5, True, False)
    tell(check, [closed])
    assert check.verdict(7.0).reason == "gone"


def test_nothing_can_be_asked_of_what_is_inside_tls() -> None:
    with pytest.raises(ValidationError, match="inside TLS cannot be seen"):
        spec("mqtt.session", {**SESSION, "tls": True})
