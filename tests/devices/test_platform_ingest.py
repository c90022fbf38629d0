"""What devices and gateways say reaches the platform, in each of the formats, or is refused with a reason."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from platform_kit import BOILER, DEVICES, GATEWAY, TOPIC, Room, tell

from devices.platform.readings import checked_time
from devices.web.reasons import Refused


async def outcomes(room: Room, device: str = "boiler-1") -> list[tuple[str, list[str]]]:
    """Outcome and codes of the device's messages, newest first."""
    items = (await room.get(f"/api/devices/{device}/trace"))["items"]
    return [(each["outcome"], [reason["code"] for reason in each["reasons"]]) for each in items]


def after(topic: str, document: Any, **more: Any) -> tuple[dict[str, Any], list[tuple[str, list[str]]], Room]:
    """Latest values and outcomes of boiler-1 after one message."""

    async def story(room: Room) -> tuple[dict[str, Any], list[tuple[str, list[str]]], Room]:
        await room.with_broker(**more)
        client = await room.client("/sys/#", "v1/gateway/rpc")
        await room.say(client, topic, document)
        found = await room.latest(), await outcomes(room), room
        await client.disconnect()
        return found

    return tell(story)


def test_values_of_a_gateway_are_latest_values_and_history() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        ts = room.now_ms
        await room.say(client, TOPIC, {"ts": ts, "values": {"pressure": 1.5, "flame": True}, "q": {"pressure": "good"}})
        await room.say(client, TOPIC, {"ts": ts + 500, "values": {"pressure": None}, "q": {"pressure": "bad"}})
        assert await room.latest() == {"pressure": None, "flame": True}
        history = await room.get("/api/devices/boiler-1/history?property=pressure")
        assert history["items"] == [
            {"at": ts, "value": 1.5, "quality": "good"},
            {"at": ts + 500, "value": None, "quality": "bad"},
        ]
        await client.disconnect()

    tell(story)


def test_tags_as_neuron_writes_them_with_the_error_of_one() -> None:
    tags = [{"name": "pressure", "value": 1.25}, {"name": "level", "error": 3002}]
    latest, seen, _ = after(TOPIC, {"node": "boiler-1", "group": "g", "timestamp": 1767225600500, "tags": tags})
    assert latest == {"pressure": 1.25, "level": None}
    assert seen == [("partly", ["gateway-error"])]


def test_thingsboards_gateway_speaks_for_its_devices_by_name() -> None:
    latest, seen, _ = after(
        "v1/gateway/telemetry", {"boiler-1": [{"ts": 1767225600500, "values": {"pressure": 2, "mode": 1}}]}
    )
    assert latest == {"pressure": 2, "mode": 1}
    assert seen == [("accepted", [])]


def test_connect_disconnect_and_attributes_of_thingsboard() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        await room.say(client, "v1/gateway/connect", {"device": "boiler-1"})
        assert (await room.get("/api/devices/boiler-1"))["online"] is True
        await room.say(client, "v1/gateway/attributes", {"boiler-1": {"serial": "A7", "firmware": 3}})
        assert (await room.get("/api/devices/boiler-1/latest"))["attributes"] == {"serial": "A7", "firmware": 3}
        await room.say(client, "v1/gateway/disconnect", {"device": "boiler-1"})
        assert (await room.get("/api/devices/boiler-1"))["online"] is False
        await client.disconnect()

    tell(story)


def test_me_is_whom_the_configuration_names_and_nobody_otherwise() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("broker", "broker", {})
        link = {"host": room.address("broker")}
        await room.switch_on("platform", "platform", room.config(broker=link))
        await asyncio.sleep(1)
        client = await room.client()
        await room.say(client, "v1/devices/me/telemetry", {"pressure": 1})
        assert await outcomes(room) == []
        strangers = (await room.get("/api/strangers"))["items"]
        assert strangers[0]["reasons"][0]["code"] == "anonymous"
        await room.switch_on("platform", "platform", room.config(broker={**link, "me": "boiler-1"}))
        await asyncio.sleep(1)
        await room.say(client, "v1/devices/me/telemetry", [{"pressure": 1}, 7])
        assert await room.latest() == {"pressure": 1}
        assert (await outcomes(room))[0] == ("partly", ["unexpected"])
        await client.disconnect()

    tell(story)


def test_alink_is_answered_and_told_what_was_wrong() -> None:
    topic = "/sys/boiler/boiler-1/thing/event/property/post"
    params = {"pressure": {"value": 1.5, "time": 1767225600100}, "level": "high"}
    latest, seen, room = after(
        topic, {"id": "17", "version": "1.0", "method": "thing.event.property.post", "params": params}
    )
    assert latest == {"pressure": 1.5}
    assert seen == [("partly", ["wrong-type"])]
    replies = [document for heard, document in room.heard if heard == topic + "_reply"]
    assert [(each["id"], each["code"], list(each["data"])) for each in replies] == [("17", 460, ["level"])]


def test_an_alink_event_is_checked_against_the_thing_model() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client("/sys/#")
        topic = "/sys/boiler/boiler-1/thing/event/trip/post"
        await room.say(client, topic, {"id": 1, "params": {"value": {"code": 7}, "time": room.now_ms}})
        await room.say(client, topic, {"id": 2, "params": {"value": {"code": "seven"}}})
        events = await room.get("/api/devices/boiler-1/events")
        assert [(each["event"], each["level"], each["data"]) for each in events["items"]] == [
            ("trip", "error", {"code": 7})
        ]
        codes = [document["code"] for topic, document in room.heard if topic.endswith("_reply")]
        assert codes == [200, 460]
        await client.disconnect()

    tell(story)


def test_what_a_reader_has_seen_is_an_event() -> None:
    async def story(room: Room) -> None:
        reader = {"id": "rd-1", "product": "gateway", "gateway": "gw-1"}
        await room.with_broker(devices=[*DEVICES, reader])
        client = await room.client()
        seen = {
            "eventTime": "2026-01-01T08:00:01.500+08:00",
            "eventTimeZoneOffset": "+08:00",
            "epcList": ["urn:epc:id:sgtin:6901234.056789.1001"],
            "action": "OBSERVE",
            "bizStep": "receiving",
            "readPoint": "dock-1",
        }
        await room.say(client, "v1/plant/gw-1/rd-1/idevent", seen)
        await room.say(client, "v1/plant/gw-1/rd-1/idevent", {**seen, "eventTime": "yesterday"})
        await room.say(client, "v1/plant/gw-1/rd-1/idevent", {**seen, "epcList": "one"})
        events = (await room.get("/api/devices/rd-1/events"))["items"]
        assert [(each["at"], each["data"]) for each in events] == [(1767225601500, seen)]
        assert [codes for _, codes in await outcomes(room, "rd-1")] == [["unexpected"], ["bad-time"], []]
        await client.disconnect()

    tell(story)


def test_a_gateway_that_has_gone_takes_its_devices_with_it() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        online = []
        for is_online in (True, False):
            await room.say(client, "v1/plant/gw-1/status", {"online": is_online})
            online.append((await room.get("/api/devices/boiler-1"))["online"])
        assert online == [True, False]
        await client.disconnect()

    tell(story)


WRONG: dict[str, tuple[Any, list[str]]] = {
    "NaN": (b'{"values":{"pressure":NaN,"level":1}}', ["not-finite"]),
    "infinity by exponent": (b'{"values":{"pressure":1e999,"level":1}}', ["not-finite"]),
    "text in a number": ({"values": {"pressure": "1.5", "level": 1}}, ["wrong-type"]),
    "a bool in a number": ({"values": {"pressure": True, "level": 1}}, ["wrong-type"]),
    "out of range": ({"values": {"pressure": 99, "level": 1}}, ["out-of-range"]),
    "more than 64 bits": ({"values": {"pressure": 2**70, "level": 1}}, ["too-big"]),
    "not in the model": ({"values": {"speed": 1, "level": 1}}, ["undeclared"]),
    "SQL in a name": ({"values": {"x'); DROP TABLE history; --": 1, "level": 1}}, ["undeclared"]),
    "not in the enumeration": ({"values": {"mode": 7, "level": 1}}, ["not-in-enum"]),
    "too long a text": ({"values": {"note": "x" * 21, "level": 1}}, ["too-long"]),
    "half a surrogate pair": (b'{"values":{"note":"\\ud800","level":1}}', ["wrong-type"]),
    "an unknown quality": ({"values": {"pressure": 1, "level": 1}, "q": {"pressure": "fine"}}, ["bad-quality"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_value_does_not_spoil_the_others(name: str) -> None:
    document, codes = WRONG[name]
    latest, seen, _ = after(TOPIC, document)
    assert latest == {"level": 1}
    assert seen == [("partly", codes)]


HOPELESS: dict[str, tuple[Any, str]] = {
    "half a document": (b'{"values":{"pressure":', "not-json"),
    "not UTF-8": (b"\xff\xfe", "not-utf8"),
    "nothing": (b"", "not-json"),
    "a list": ([1, 2], "unexpected"),
    "neither values nor tags": ({"ts": 1767225600000}, "unexpected"),
    "values that are a list": ({"values": [1]}, "unexpected"),
    "nested too deeply": (b"[" * 100_000, "not-json"),
    "a number of 5000 digits": (b'{"values":{"pressure":' + b"9" * 5000 + b"}}", "not-json"),
    "seconds": ({"ts": 1767225600, "values": {"pressure": 1}}, "bad-time"),
    "nanoseconds": ({"ts": 1767225600000000000, "values": {"pressure": 1}}, "future"),
    "a time as text": ({"ts": "2026-01-01", "values": {"pressure": 1}}, "bad-time"),
    "a time to come": ({"ts": 1767225600000 + 3_600_000, "values": {"pressure": 1}}, "future"),
    "an infinite time": (b'{"ts":1e999,"values":{"pressure":1}}', "bad-time"),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_a_message_that_says_nothing_is_refused_with_one_reason(name: str) -> None:
    document, code = HOPELESS[name]
    latest, seen, _ = after(TOPIC, document)
    assert latest == {}
    assert seen == [("rejected", [code])]


def test_ten_megabytes_are_refused_unread_and_kept_only_at_their_beginning() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config())
        payload = b'{"values":{"note":"' + b"x" * 10_000_000 + b'"}}'

        async def take() -> None:
            await room.service.hub.hear(TOPIC, payload)
            await room.service.hub.hear("some/topic", b"{}")

        await room.hosts["platform"].spawn(take())
        (traced,) = (await room.get("/api/devices/boiler-1/trace"))["items"]
        assert (traced["size"], len(traced["payload"])) == (len(payload), 2048)
        assert traced["reasons"][0]["code"] == "too-large"
        (stranger,) = (await room.get("/api/strangers"))["items"]
        assert stranger["reasons"][0]["code"] == "no-format"

    tell(story)


def test_times_are_whole_milliseconds_and_nothing_is_guessed() -> None:
    now = 1767225600000
    assert checked_time(None, now, 300) == now
    assert checked_time(now + 300_000, now, 300) == now + 300_000
    assert checked_time(float(now), now, 300) == now
    for wrong in (True, now + 300_001, now / 1000, 0, -1, "now", [], float("nan"), float("-inf"), 10**400):
        with pytest.raises(Refused):
            checked_time(wrong, now, 300)


def test_an_older_value_goes_into_the_history_and_not_before_the_latest() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        ts = room.now_ms
        for at, value in ((ts, 1), (ts - 60_000, 2), (ts, 3)):
            await room.say(client, TOPIC, {"ts": at, "values": {"pressure": value}})
        assert await room.latest() == {"pressure": 3}
        history = await room.get("/api/devices/boiler-1/history?property=pressure&order=desc")
        # What is sent twice, as QoS 1 allows, is there once.
        assert [(each["at"], each["value"]) for each in history["items"]] == [(ts, 3), (ts - 60_000, 2)]
        await client.disconnect()

    tell(story)


def test_strangers_are_refused_unless_a_product_takes_them_in() -> None:
    async def story(room: Room) -> None:
        open_product = {
            "id": "th",
            "properties": {"temp": {"type": "double"}},
            "provision": {"devices": ["th-*"], "gateways": ["gw-*"]},
        }
        await room.with_broker(products=[BOILER, GATEWAY, open_product])
        client = await room.client()
        for name, gateway in (("pump-1", "gw-1"), ("th-1", "gw-1"), ("th-2", "gw-9"), ("boiler-1", "gw-9")):
            await room.say(client, f"v1/plant/{gateway}/{name}/telemetry", {"values": {"temp": 21.5}})
        await room.say(client, "v1/elsewhere/gw-1/th-1/telemetry", {"values": {"temp": 99}})
        listed = await room.get("/api/devices?product=th")
        assert [(each["id"], each["gateway"]) for each in listed["items"]] == [("th-1", "gw-1")]
        assert await room.latest("th-1") == {"temp": 21.5}
        strangers = (await room.get("/api/strangers"))["items"]
        assert [each["reasons"][0]["code"] for each in strangers] == [
            "wrong-site",
            "wrong-gateway",
            "unknown-device",
            "unknown-device",
        ]
        await client.disconnect()

    tell(story)


def test_a_disabled_device_is_not_heard() -> None:
    devices = [DEVICES[0], {**DEVICES[1], "enabled": False}]
    latest, seen, _ = after(TOPIC, {"values": {"pressure": 1}}, devices=devices)
    assert (latest, seen) == ({}, [])


def test_what_was_published_while_the_platform_was_away_is_not_lost() -> None:
    async def story(room: Room) -> None:
        await room.with_broker()
        client = await room.client()
        await room.switch_off("platform")
        ts = room.now_ms
        for number in range(20):
            await room.say(client, TOPIC, {"ts": ts + number, "values": {"level": number}})
        await room.switch_on("platform", "platform", room.config(broker={"host": room.address("broker")}))
        await asyncio.sleep(2)
        history = await room.get("/api/devices/boiler-1/history?property=level")
        assert [each["value"] for each in history["items"]] == list(range(20))
        await client.disconnect()

    tell(story)


def test_the_broker_may_come_later_and_go_in_between() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("platform", "platform", room.config(broker={"host": room.address("broker")}))
        await asyncio.sleep(30)
        assert (await room.get("/health", by=None))["status"] == "degraded"
        await room.switch_on("broker", "broker", {})
        await asyncio.sleep(20)
        assert (await room.get("/health", by=None)) | {"time": 0} == {
            "status": "ok",
            "database": True,
            "broker": True,
            "time": 0,
        }
        await room.switch_off("broker")
        await asyncio.sleep(5)
        await room.switch_on("broker", "broker", {})
        await asyncio.sleep(20)
        client = await room.client()
        await room.say(client, TOPIC, {"values": {"pressure": 1}})
        assert await room.latest() == {"pressure": 1}
        await client.disconnect()

    tell(story)


def test_a_broker_that_refuses_the_login_is_named() -> None:
    async def story(room: Room) -> str:
        await room.switch_on("broker", "broker", {"allow_anonymous": False, "users": {"a": {"password": "b"}}})
        await room.switch_on("platform", "platform", room.config(broker={"host": room.address("broker")}))
        await asyncio.sleep(3)
        return str(room.platform.status()["last error"])

    assert "10.0.0.2:1883 refused CONNECT: not authorised (5)" in tell(story)


def test_a_device_reports_by_http_with_its_token() -> None:
    async def story(room: Room) -> None:
        devices = [DEVICES[0], {**DEVICES[1], "token": "s3cret-token"}]
        await room.switch_on("platform", "platform", room.config(devices=devices))
        path = "/api/v1/s3cret-token/telemetry"
        taken = await room.ask("POST", path, {"ts": room.now_ms, "values": {"pressure": 1, "x": 2}}, by=None)
        assert taken.status == 200
        assert (taken.body["accepted"], [each["code"] for each in taken.body["reasons"]]) == (1, ["undeclared"])
        assert await room.latest() == {"pressure": 1}
        assert (await room.ask("POST", "/api/v1/s3cret-tokem/telemetry", {}, by=None)).status == 401
        assert (await room.ask("POST", path, data=b"{", by=None)).body["code"] == "not-json"
        assert (await room.ask("POST", "/api/v1/s3cret-token/attributes", {"serial": 7}, by=None)).body["accepted"] == 1
        trace = await room.get("/api/devices/boiler-1/trace")
        assert "s3cret" not in json.dumps(trace)

    tell(story)


def test_the_same_story_ends_in_the_same_database() -> None:
    async def story(room: Room) -> bytes:
        await room.with_broker()
        client = await room.client()
        for number in range(5):
            await room.say(client, TOPIC, {"values": {"level": number}})
        backup: bytes = (await room.ask("GET", "/api/backup")).body
        await client.disconnect()
        return backup

    assert tell(story) == tell(story)
