"""Sparkplug B as the platform hears it: births, data by alias, gaps, deaths, and commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from platform_kit import Room, tell

from devices.platform.ingest.ingest import Call, Message, Outcome, Presence, Telemetry, Unreadable
from devices.platform.ingest.sparkplug import Sparkplug
from devices.platform.registry import Address
from devices.web.reasons import Refused
from lab.wire import sparkplug
from lab.wire.sparkplug import BAD, STALE, DataType, Metric, Payload, quality, wire_value

NODE = Address("gw-1", None, "plant")
DEVICE = Address("boiler-1", "gw-1", "plant")
TS = 1767225600123


def metric(name: str | None, kind: DataType, value: Any, **more: Any) -> Metric:
    return Metric(name=name, datatype=kind, value=wire_value(kind, value), **more)


def nbirth(bd_seq: int = 0) -> bytes:
    rebirth = metric("Node Control/Rebirth", DataType.BOOLEAN, False)
    return Payload(TS, (metric("bdSeq", DataType.INT64, bd_seq), rebirth), 0).encode()


def dbirth(seq: int = 1) -> bytes:
    pressure = metric("pressure", DataType.DOUBLE, 1.5, alias=1)
    level = metric("level", DataType.INT16, -5, alias=2)
    flame = Metric("flame", 3, datatype=DataType.BOOLEAN, is_null=True)
    return Payload(TS, (pressure, level, flame), seq).encode()


def ddata(seq: int, *metrics: Metric) -> bytes:
    return Payload(TS + 1000, metrics, seq).encode()


class Host:
    """An ingest that has heard what it was told, by verb."""

    def __init__(self) -> None:
        self.ingest = Sparkplug()
        self.asked: list[str] = []

    def hear(self, verb: str, payload: bytes) -> Sequence[Any]:
        topic = f"spBv1.0/plant/{verb}/gw-1" + ("/boiler-1" if verb.startswith("D") else "")
        heard: Sequence[Any]
        try:
            heard = self.ingest.read(topic, payload)
        except Refused as error:
            heard = [error.reason.code]
        if (asked := self.ingest.answer(topic, payload, Outcome())) is not None:
            self.asked.append(asked.topic)
        return heard

    def values(self, heard: Sequence[Any]) -> dict[str, Any]:
        return {each.name: each.value for said in heard if isinstance(said, Telemetry) for each in said.readings}


def born() -> Host:
    host = Host()
    assert host.hear("NBIRTH", nbirth()) == [Presence(NODE, True)]
    presence, *values = host.hear("DBIRTH", dbirth())
    assert presence == Presence(DEVICE, True)
    assert host.values(values) == {"pressure": 1.5, "level": -5, "flame": None}
    return host


def test_data_by_alias_has_the_name_and_the_type_of_the_birth() -> None:
    host = born()
    level = Metric(alias=2, value=wire_value(DataType.INT16, -7), properties=quality(STALE), timestamp=TS + 500)
    pressure = Metric(alias=1, value=wire_value(DataType.DOUBLE, 2.5), properties=quality(BAD))
    (said,) = host.hear("DDATA", ddata(2, level, pressure))
    assert said.who == DEVICE
    assert [tuple(each[:4]) for each in said.readings] == [
        ("level", -7, "uncertain", TS + 500),
        ("pressure", 2.5, "bad", TS + 1000),
    ]
    assert host.asked == []


def test_data_before_the_birth_asks_for_one_and_not_each_time() -> None:
    host = Host()
    assert [host.hear("DDATA", ddata(5)) for _ in range(50)] == [["unborn"]] * 50
    assert host.asked == ["spBv1.0/plant/NCMD/gw-1"]
    assert host.hear("DDATA", ddata(5)) == ["unborn"]
    assert len(host.asked) == 2


def test_a_gap_is_noticed_and_what_came_is_taken_all_the_same() -> None:
    host = born()
    heard = host.hear("DDATA", ddata(7, metric("pressure", DataType.DOUBLE, 3.0)))
    assert isinstance(heard[0], Unreadable)
    assert heard[0].reason.facts == {"expected": 2, "found": 7}
    assert host.values(heard) == {"pressure": 3.0}
    assert host.asked == ["spBv1.0/plant/NCMD/gw-1"]
    assert host.values(host.hear("DDATA", ddata(8, metric("pressure", DataType.DOUBLE, 4.0)))) == {"pressure": 4.0}


def test_sequence_numbers_begin_anew_after_255() -> None:
    host = born()
    for number in range(2, 600):
        assert host.hear("DDATA", ddata(number % 256)) == []


def test_a_death_takes_the_devices_along_unless_it_is_of_an_earlier_connection() -> None:
    host = born()
    old = Payload(TS, (metric("bdSeq", DataType.INT64, 9),)).encode()
    assert host.hear("NDEATH", old) == []
    now = Payload(TS, (metric("bdSeq", DataType.INT64, 0),)).encode()
    assert host.hear("NDEATH", now) == [Presence(NODE, False), Presence(DEVICE, False)]
    assert host.hear("DDATA", ddata(2)) == ["unborn"]


def test_one_unknown_alias_does_not_spoil_the_others() -> None:
    host = born()
    stranger = Metric(alias=99, value=wire_value(DataType.DOUBLE, 1.0))
    bad, good = host.hear("DDATA", ddata(2, stranger, metric("pressure", DataType.DOUBLE, 3.0)))
    assert bad.reason.code == "unknown-alias"
    assert host.values([good]) == {"pressure": 3.0}


def test_what_is_no_sparkplug_is_refused() -> None:
    host = born()
    assert host.hear("DDATA", b"\xff\xff\xff") == ["malformed"]
    assert host.hear("XDATA", b"") == ["malformed"]
    assert host.hear("NCMD", b"anything") == []


def test_only_what_was_born_is_written_in_the_type_of_its_birth() -> None:
    host = born()

    def call(**values: Any) -> Message | None:
        return host.ingest.call(Call("17", "set", values, "boiler-1", "gw-1", "plant", "boiler"))

    message = call(pressure=2, level=-3)
    assert message is not None
    assert message.topic == "spBv1.0/plant/DCMD/gw-1/boiler-1"
    written = sparkplug.decode(message.payload).metrics
    assert [(each.name, sparkplug.meaning(each.datatype or 0, each.value)) for each in written if each.value] == [
        ("pressure", 2.0),
        ("level", -3),
    ]
    assert call(speed=1) is None
    assert call(level=70_000) is None


def test_a_node_is_heard_over_the_broker_and_asked_to_be_born() -> None:
    async def story(room: Room) -> None:
        await room.switch_on("broker", "broker", {})
        link = {"host": room.address("broker"), "host_id": "scada"}
        await room.switch_on("platform", "platform", room.config(broker=link))
        client = await room.client("spBv1.0/STATE/+")
        await room.say(client, "spBv1.0/plant/DDATA/gw-1/boiler-1", ddata(5))
        await room.say(client, "spBv1.0/plant/NBIRTH/gw-1", nbirth())
        await room.say(client, "spBv1.0/plant/DBIRTH/gw-1/boiler-1", dbirth())
        assert await room.latest() == {"pressure": 1.5, "level": -5, "flame": None}
        device = await room.get("/api/devices/boiler-1")
        assert (device["online"], device["format"]) == (True, "sparkplug")
        sent = await room.ask("POST", "/api/devices/boiler-1/rpc", {"service": "reset", "params": {"delay": 1}})
        assert (sent.status, sent.body["code"]) == (409, "no-way")
        await room.switch_off("platform")
        await asyncio.sleep(1)
        states = [document for topic, document in room.heard if topic == "spBv1.0/STATE/scada"]
        assert [each["online"] for each in states] == [True, False]
        assert states[0]["timestamp"] == states[1]["timestamp"]
        await client.disconnect()

    tell(story)


def test_the_broker_tells_when_the_host_application_breaks_off() -> None:
    async def story(room: Room) -> list[Any]:
        await room.switch_on("broker", "broker", {})
        link = {"host": room.address("broker"), "host_id": "scada", "keep_alive": 10}
        await room.switch_on("platform", "platform", room.config(broker=link))
        client = await room.client("spBv1.0/STATE/+")
        room.service.link._drop()
        await room.say(client, "nothing", {})
        found = [json.dumps(document["online"]) for topic, document in room.heard if topic.endswith("scada")]
        await client.disconnect()
        return found

    assert tell(story)[:3] == ["true", "false", "true"]
