"""Alarms are raised once, end once, and tell silence from good news."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_kit import TOPIC, Room, tell
from pydantic import TypeAdapter, ValidationError

from devices.platform.alarms import Change, ThresholdWatch, watch
from devices.platform.rules import Rule, ThresholdRule

RULES: TypeAdapter[Any] = TypeAdapter(Rule)

OPERATORS = st.sampled_from([">", ">=", "<", "<="])
TRIGGERS = st.one_of(
    st.just({"kind": "simple"}),
    st.builds(lambda seconds: {"kind": "duration", "seconds": seconds}, st.integers(1, 5)),
    st.builds(lambda times: {"kind": "repeating", "times": times}, st.integers(2, 4)),
)
VALUES = st.lists(st.one_of(st.integers(-5, 5), st.floats(-5, 5)), max_size=60)


def rule(create: dict[str, Any], **more: Any) -> ThresholdRule:
    made = RULES.validate_python({"id": "r", "kind": "threshold", "property": "p", "create": create, **more})
    assert isinstance(made, ThresholdRule)
    return made


def changes(watched: ThresholdRule, readings: list[tuple[int, Any]]) -> list[tuple[int, Change]]:
    made = ThresholdWatch(watched)
    return [(at, change) for at, value in readings if (change := made.seen(value, at * 1000)) is not None]


@given(OPERATORS, TRIGGERS, st.one_of(st.none(), st.floats(0.1, 3)), VALUES)
def test_an_alarm_is_never_raised_twice_and_ends_only_after_it_began(
    op: str, trigger: dict[str, Any], hysteresis: float | None, values: list[float]
) -> None:
    watched = rule({"op": op, "value": 1}, trigger=trigger, hysteresis=hysteresis)
    found = [change for _, change in changes(watched, list(enumerate(values)))]
    assert found == [Change.RAISED, Change.CLEARED] * (len(found) // 2) + [Change.RAISED] * (len(found) % 2)


@given(OPERATORS, TRIGGERS, st.one_of(st.none(), st.floats(0.1, 3)), VALUES)
def test_every_change_is_justified_by_the_values(
    op: str, trigger: dict[str, Any], hysteresis: float | None, values: list[float]
) -> None:
    """A second, slower opinion: it looks at the whole past at each reading."""
    watched = rule({"op": op, "value": 1}, trigger=trigger, hysteresis=hysteresis)
    is_upward = op.startswith(">")

    def holds(value: float) -> bool:
        return {">": value > 1, ">=": value >= 1, "<": value < 1, "<=": value <= 1}[op]

    def is_back(value: float) -> bool:
        if hysteresis is None:
            return not holds(value)
        limit = 1 - hysteresis if is_upward else 1 + hysteresis
        beyond = value < limit if is_upward else value > limit
        return beyond or (value == limit and op in (">", "<"))

    expected: list[tuple[int, Change]] = []
    is_raised, began = False, 0
    for at, value in enumerate(values):
        if is_raised:
            if is_back(value):
                is_raised, began = False, at + 1
                expected.append((at, Change.CLEARED))
            continue
        row = 0
        while at - row >= began and holds(values[at - row]):
            row += 1
        enough = {
            "simple": row >= 1,
            "duration": row >= 1 and row - 1 >= trigger.get("seconds", 0),
            "repeating": row >= trigger.get("times", 0) and row >= 1,
        }[trigger["kind"]]
        if enough:
            is_raised = True
            expected.append((at, Change.RAISED))
    assert changes(watched, list(enumerate(values))) == expected


def test_hysteresis_keeps_an_alarm_from_fluttering() -> None:
    watched = rule({"op": ">", "value": 10}, hysteresis=2)
    readings = list(enumerate([9, 10.5, 9.5, 10.5, 8.5, 8.0, 9.9, 10.1]))
    assert changes(watched, readings) == [(1, Change.RAISED), (5, Change.CLEARED), (7, Change.RAISED)]


def test_values_that_cannot_be_compared_change_nothing() -> None:
    watched = rule({"op": "==", "value": "trip"}, clear={"op": "==", "value": "run"})
    readings = list(enumerate([1, "trip", 1, True, "other", "run", {"a": 1}]))
    assert changes(watched, readings) == [(1, Change.RAISED), (5, Change.CLEARED)]


def test_an_alarm_by_silence_ends_with_the_next_reading() -> None:
    made = watch(RULES.validate_python({"id": "s", "kind": "stale", "seconds": 60}))
    assert made.waits() == 60
    assert made.elapsed() is Change.RAISED
    assert made.elapsed() is None
    assert made.waits() is None
    assert made.seen(1, 0) is Change.CLEARED
    assert made.seen(1, 0) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"create": {"op": ">", "value": "hot"}}, "needs a number"),
        ({"create": {"op": ">", "value": True}}, "needs a number"),
        ({"create": {"op": ">", "value": float("nan")}}, "needs a number"),
        ({"create": {"op": "==", "value": 1}, "hysteresis": 1}, "no hysteresis"),
        ({"create": {"op": ">", "value": 1}, "hysteresis": 1, "clear": {"op": "<", "value": 0}}, "not both"),
        ({"create": {"op": ">", "value": 1}, "clear": {"op": "<", "value": 2}}, "both hold"),
        ({"create": {"op": ">", "value": 1}, "clear": {"op": "!=", "value": 7}}, "both hold"),
        ({"create": {"op": "==", "value": "a"}, "clear": {"op": "!=", "value": "b"}}, "both hold"),
        (
            {"create": {"op": ">", "value": 1}, "trigger": {"kind": "repeating", "times": 1}},
            "greater than or equal to 2",
        ),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RULES.validate_python({"id": "r", "kind": "threshold", "property": "p", **wrong})


@pytest.mark.parametrize(
    ("create", "clear"),
    [((">", 1), ("<=", 1)), (("<", 0), (">", 5)), (("==", True), ("==", False)), (("!=", 3), ("==", 3))],
)
def test_conditions_that_exclude_each_other_are_taken(create: tuple[str, Any], clear: tuple[str, Any]) -> None:
    made = rule({"op": create[0], "value": create[1]}, clear={"op": clear[0], "value": clear[1]})
    assert made.clear is not None


# -- on a plant ----------------------------------------------------------------------------------------------------------

HIGH = {
    "id": "high",
    "kind": "threshold",
    "property": "pressure",
    "create": {"op": ">", "value": 2},
    "hysteresis": 0.5,
    "severity": "critical",
    "message": "压力高",
}
LASTING = {**HIGH, "id": "lasting", "trigger": {"kind": "duration", "seconds": 30}}
SILENT = {"id": "silent", "kind": "stale", "device": "boiler-1", "seconds": 60, "severity": "warning"}


async def alarms(room: Room, query: str = "") -> list[tuple[str, bool]]:
    """Rule and whether it is still open, newest first."""
    items = (await room.get(f"/api/alarms{query}"))["items"]
    return [(each["rule"], each["cleared_at"] is None) for each in items]


def test_alarms_come_and_go_with_the_values() -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[HIGH])
        client = await room.client()
        for value in (2.5, 2.6, 1.9):
            await room.say(client, TOPIC, {"values": {"pressure": value}})
        assert await alarms(room) == [("high", True)]
        await room.say(client, TOPIC, {"values": {"pressure": 1.5}})
        assert await alarms(room) == [("high", False)]
        (past,) = (await room.get("/api/alarms?open=false"))["items"]
        assert (past["raised_value"], past["cleared_by"], past["severity"], past["message"]) == (
            "2.5",
            "",
            "critical",
            "压力高",
        )
        assert room.platform.logs["alarms"].tail(2)[0].endswith("high boiler-1/pressure critical: 2.5")
        await client.disconnect()

    tell(story)


def test_an_alarm_of_duration_needs_no_further_reading() -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[LASTING])
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"pressure": 2.5}})
        await asyncio.sleep(28)
        assert await alarms(room) == []
        await asyncio.sleep(3)
        assert await alarms(room) == [("lasting", True)]
        for value in (1, 2.5, 1):
            await room.say(client, TOPIC, {"values": {"pressure": value}})
        await asyncio.sleep(60)
        assert await alarms(room) == [("lasting", False)]
        await client.disconnect()

    tell(story)


def test_silence_is_an_alarm_also_of_a_device_that_never_spoke() -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[SILENT])
        client = await room.client()
        await asyncio.sleep(65)
        assert await alarms(room) == [("silent", True)]
        for _ in range(4):
            await room.say(client, TOPIC, {"values": {"pressure": 1}})
            await asyncio.sleep(50)
        assert await alarms(room) == [("silent", False)]
        for _ in range(4):  # bad values are no news
            await room.say(client, TOPIC, {"values": {"pressure": None}, "q": {"pressure": "bad"}})
            await asyncio.sleep(50)
        assert await alarms(room) == [("silent", True), ("silent", False)]
        await client.disconnect()

    tell(story)


def test_people_acknowledge_assign_and_clear() -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[HIGH])
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"pressure": 3}})
        seen = await room.ask("POST", "/api/alarms/1/acknowledge", by="op")
        assert (seen.status, seen.body["acknowledged_by"]) == (200, "op")
        again = await room.ask("POST", "/api/alarms/1/acknowledge", by="op")
        assert (again.status, again.body["code"]) == (409, "already-acknowledged")
        assert (await room.ask("PUT", "/api/alarms/1/assignee", {"assignee": "eye"}, by="op")).body["assignee"] == "eye"
        assert (await room.ask("PUT", "/api/alarms/1/assignee", {"assignee": "who"}, by="op")).status == 404
        cleared = await room.ask("POST", "/api/alarms/1/clear", by="op")
        assert (cleared.body["cleared_by"], cleared.body["assignee"]) == ("op", "eye")
        assert (await room.ask("POST", "/api/alarms/1/clear", by="op")).status == 409
        assert await alarms(room, "?open=true") == []
        await room.say(client, TOPIC, {"values": {"pressure": 3}})
        assert await alarms(room, "?open=true&device=boiler-1&severity=critical") == [("high", True)]
        for wrong in ("9", "x", "-1", "9" * 40):
            assert (await room.ask("POST", f"/api/alarms/{wrong}/clear")).status == 404
        await client.disconnect()

    tell(story)


def test_open_alarms_outlast_a_restart_and_end_with_their_rule(tmp_path: Any) -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[HIGH])
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"pressure": 3}})
        await room.switch_off("platform")
        room.tokens.clear()
        link = {"host": room.address("broker")}
        await room.switch_on("platform", "platform", room.config(broker=link, rules=[HIGH]))
        await asyncio.sleep(1)
        await room.say(client, TOPIC, {"values": {"pressure": 3.1}})
        assert await alarms(room) == [("high", True)]
        assert await room.latest() == {"pressure": 3.1}
        await room.switch_on("platform", "platform", room.config(broker=link, rules=[{**HIGH, "enabled": False}]))
        (gone,) = (await room.get("/api/alarms"))["items"]
        assert gone["cleared_by"] == "-"
        await client.disconnect()

    tell(story, folder=tmp_path)


def test_a_database_that_cannot_be_written_stops_neither_values_nor_alarms() -> None:
    async def story(room: Room) -> None:
        await room.with_broker(rules=[HIGH])
        client = await room.client()
        room.service.store.run("PRAGMA query_only = ON")
        await room.say(client, TOPIC, {"values": {"pressure": 3}})
        assert await room.latest() == {"pressure": 3}
        assert b"platform_write_failures_total 1" in (await room.ask("GET", "/metrics", by=None)).body
        assert "cannot be written" in room.platform.logs["ingest"].tail(1)[0]
        room.service.store.run("PRAGMA query_only = OFF")
        await room.say(client, TOPIC, {"values": {"level": 3}})
        assert await alarms(room) == [("high", True)]
        history = await room.get("/api/devices/boiler-1/history?property=pressure")
        assert [each["value"] for each in history["items"]] == [3]
        await client.disconnect()

    tell(story)


def test_rules_come_by_rest_and_are_the_same_rules() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        assert (await room.ask("POST", "/api/rules", HIGH)).status == 201
        await room.say(client, TOPIC, {"values": {"pressure": 3}})
        assert await alarms(room) == [("high", True)]
        assert (await room.ask("POST", "/api/rules", HIGH)).body["code"] == "exists"
        assert (await room.ask("POST", "/api/rules", {**HIGH, "id": "b", "device": "boiler-9"})).body[
            "code"
        ] == "unknown-device"
        assert (await room.ask("PUT", "/api/rules/high", {**HIGH, "create": {"op": ">", "value": "x"}})).status == 400
        listed = (await room.get("/api/rules"))["items"]
        assert [(each["id"], each["declared"]) for each in listed] == [("high", False)]
        assert (await room.ask("DELETE", "/api/rules/high")).status == 200
        assert await alarms(room) == [("high", False)]
        assert (await room.ask("DELETE", "/api/rules/high")).status == 404
        await client.disconnect()

    tell(story)
