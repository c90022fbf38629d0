"""Who may come in to the broker, and what they may say and hear."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import Room, tell
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_broker import Client, broker

from gateway.broker.access import Access
from gateway.broker.config import BrokerConfig
from gateway.broker.passwords import hash_password, is_right
from gateway.topics import is_topic_filter, matches
from lab.wire import mqtt
from lab.wire.mqtt import Subscribe, Subscription


def access(*acl: dict[str, str], users: tuple[str, ...] = ("ann", "bob")) -> Access:
    return Access(BrokerConfig.model_validate({"users": {name: {"password": "x"} for name in users}, "acl": acl}))


# -- passwords ---------------------------------------------------------------------------------------------------------


# HMAC pads short keys with zeros (RFC 2104, section 2), so that a password and the same with NUL behind it are one.
TYPED = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


@given(TYPED, TYPED, st.binary(min_size=1, max_size=20))
def test_a_hashed_password_admits_itself_and_nothing_else(password: str, other: str, salt: bytes) -> None:
    stored = hash_password(password, salt, 2)
    assert is_right(stored, password.encode())
    assert is_right(stored, other.encode()) is (password == other)
    assert is_right(stored, None) is (password == "")


@pytest.mark.foreign
def test_what_mosquitto_passwd_writes_is_understood(tmp_path: Path, mosquitto_sub: str) -> None:
    file = tmp_path / "passwords"
    program = mosquitto_sub.replace("_sub", "_passwd")
    try:
        subprocess.run([program, "-b", "-c", file, "ann", "s3cret"], check=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("mosquitto_passwd is not installed")
    stored = file.read_text().strip().removeprefix("ann:")
    users = {"ann": {"password": stored}}
    config = BrokerConfig.model_validate({"users": users})
    assert Access(config).admits("ann", b"s3cret")
    assert not Access(config).admits("ann", b"secret")


@pytest.mark.parametrize(
    "stored", ["$7$", "$7$101$c2FsdA==$c2hvcnQ=", "$7$many$c2FsdA==$x", "$7$9999999$c2FsdA==$" + "A" * 88]
)
def test_a_password_that_looks_hashed_and_is_not_is_an_error_in_words(stored: str) -> None:
    with pytest.raises(ValidationError, match="mosquitto_passwd"):
        BrokerConfig.model_validate({"users": {"ann": {"password": stored}}})


# -- rules -------------------------------------------------------------------------------------------------------------


def test_patterns_stand_for_the_name_of_the_user_and_of_the_client() -> None:
    rules = access({"topic": "home/%u/#"}, {"topic": "own/%c", "access": "write"})
    assert rules.permits("ann", "c1", "publish", "home/ann/t")
    assert not rules.permits("ann", "c1", "publish", "home/bob/t")
    assert rules.permits("ann", "c1", "subscribe", "home/ann/+")
    assert not rules.permits("ann", "c1", "subscribe", "home/+/t")
    assert rules.permits("bob", "c1", "publish", "own/c1")
    assert not rules.permits("bob", "c1", "receive", "own/c1")
    assert not rules.permits(None, "c1", "publish", "home//t"), "somebody without a name has no home"


@pytest.mark.parametrize("name", ["+", "#", "a/b", "+/x"])
def test_a_name_that_is_itself_a_pattern_opens_nothing_and_escapes_no_prohibition(name: str) -> None:
    opening = access({"topic": "home/%c/#"})
    assert not opening.permits(None, name, "receive", "home/ann/t")
    assert not opening.permits(None, name, "subscribe", f"home/{name}/t")
    closing = access({"topic": "#"}, {"topic": "jail/%c/#", "access": "deny"})
    assert not closing.permits(None, name, "publish", "jail/a")


NAMES = st.text(st.sampled_from("ab+#/%u"), min_size=1, max_size=4)
LEVELS = st.lists(st.sampled_from(["a", "b", "%u", "%c", "+", "#"]), min_size=1, max_size=3).map("/".join)
TOPICS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map("/".join)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "topic": LEVELS.filter(is_topic_filter),
            "access": st.sampled_from(["read", "write", "readwrite", "deny"]),
            "user": st.sampled_from([None, "ann", "bob"]),
        }
    ),
    min_size=1,
    max_size=4,
)


@given(RULES, st.sampled_from([None, "ann", "bob"]), NAMES, TOPICS, LEVELS.filter(is_topic_filter))
def test_what_is_denied_stays_denied_and_order_does_not_matter(
    rules: list[dict[str, Any]], user: str | None, client: str, topic: str, topic_filter: str
) -> None:
    forward, backward = access(*rules), access(*reversed(rules))
    for action in ("publish", "receive"):
        allowed = forward.permits(user, client, action, topic)
        assert allowed == backward.permits(user, client, action, topic)
        denied = access(*rules, {"topic": topic, "access": "deny"})
        assert not denied.permits(user, client, action, topic)
    # Who may subscribe to a filter hears nothing through it that a rule does not let them read.
    if matches(topic_filter, topic) and not any(rule["access"] == "deny" for rule in rules):
        subscribed = forward.permits(user, client, "subscribe", topic_filter)
        assert not subscribed or forward.permits(user, client, "receive", topic)


def test_a_will_is_published_only_where_its_client_may_publish() -> None:
    async def story(room: Room) -> None:
        await broker(room, acl=[{"topic": "#", "access": "read"}, {"topic": "ok/#", "access": "write"}])
        ear = Client(room)
        await ear.connect("ear")
        await ear.subscribe("#")
        for topic in ("secret", "ok/will"):
            client = Client(room, "plc-1")
            await client.connect("client", will=mqtt.Will(topic, b"gone", retain=True))
            client.writer.transport.abort()
        message = await ear.next()
        assert isinstance(message, mqtt.Publish)
        assert message.topic == "ok/will"
        late = Client(room)
        await late.connect("late")
        late.send(Subscribe(1, (Subscription("#"),)))
        assert isinstance(await late.next(), mqtt.Suback)
        kept = await late.next()
        assert isinstance(kept, mqtt.Publish)
        assert (kept.topic, kept.retain) == ("ok/will", True)
        ear.close()
        late.close()

    tell(story)


def test_the_broker_says_of_itself_how_it_is() -> None:
    async def story(room: Room) -> None:
        await broker(room, sys_interval_s=10)
        ear, other = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("$SYS/broker/clients/connected")
        assert isinstance(first := await ear.next(), mqtt.Publish)
        assert (first.payload, first.retain) == (b"1", True)
        await other.connect("other")
        began = room.loop.time()
        assert isinstance(second := await ear.next(), mqtt.Publish)
        assert (second.payload, second.retain) == (b"2", False)
        assert room.loop.time() - began == pytest.approx(10, abs=0.1)
        ear.close()
        other.close()

    tell(story)
