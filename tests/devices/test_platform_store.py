"""History, aggregates, retention and backups of the platform's database, and the models things are checked against."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_kit import BOILER
from pydantic import ValidationError

from devices.platform.config import PlatformConfig
from devices.platform.model import Datum, ThingModel
from devices.platform.registry import Address, Registry
from devices.platform.store import Point, Store
from devices.platform.things import Device, Product
from devices.platform.tsl import from_tsl, to_tsl
from devices.web.reasons import Refused

NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6), st.booleans(), st.none(), st.text(max_size=3))
POINTS = st.dictionaries(st.integers(0, 200), NUMBERS, max_size=60)


def store_with(values: dict[int, Any]) -> Store:
    store = Store(None)
    for at, value in values.items():
        store.add("d", "p", Point(at, value, "bad" if value is None else "good"), is_latest=True)
    return store


@given(POINTS, st.integers(0, 200), st.integers(1, 200), st.integers(1, 70))
def test_aggregates_are_those_a_child_would_compute(
    values: dict[int, Any], start: int, span: int, interval: int
) -> None:
    store = store_with(values)
    found = store.aggregate("d", "p", start, start + span, interval, 10_000)
    expected: dict[int, list[float]] = {}
    for at, value in values.items():
        if start <= at < start + span and isinstance(value, (int, float)):
            expected.setdefault(start + (at - start) // interval * interval, []).append(value)
    assert [each.start for each in found] == sorted(expected)
    for each in found:
        numbers = expected[each.start]
        assert (each.count, each.least, each.greatest) == (len(numbers), min(numbers), max(numbers))
        assert math.isclose(each.total, sum(numbers), rel_tol=1e-9, abs_tol=1e-6)
        assert math.isclose(each.average, sum(numbers) / len(numbers), rel_tol=1e-9, abs_tol=1e-6)
    store.close()


@given(POINTS, st.integers(0, 200), st.integers(1, 200), st.integers(1, 80), st.integers(0, 20), st.booleans())
def test_history_is_a_slice_of_what_was_said_with_types_kept(
    values: dict[int, Any], start: int, span: int, limit: int, offset: int, newest_first: bool
) -> None:
    store = store_with(values)
    found = store.history("d", "p", start, start + span, limit, offset, newest_first=newest_first)
    inside = sorted((at for at in values if start <= at < start + span), reverse=newest_first)
    assert [each.at for each in found] == inside[offset : offset + limit]
    assert [(each.value, type(each.value)) for each in found] == [
        (values[each.at], type(values[each.at])) for each in found
    ]
    assert store.count("d", "p", start, start + span) == len(inside)
    store.close()


def test_names_never_become_statements() -> None:
    store = Store(None)
    name = "x'); DROP TABLE history; --"
    store.add(name, name, Point(1, 2, "good"), is_latest=True)
    store.add_event(name, 1, name, "info", {name: name})
    assert store.history(name, name, 0, 2, 10) == [Point(1, 2, "good")]
    assert store.events(name, 10, 0)[0] == 1
    assert [tuple(each) for each in store.latest()] == [(name, name, Point(1, 2, "good"))]
    store.forget_device(name)
    assert store.count(name, name, 0, 2) == 0
    store.close()


def test_what_is_old_is_deleted() -> None:
    store = store_with({number: number for number in range(100)})
    store.add_event("d", 5, "e", "info", {})
    assert store.trim(history_before=40, events_before=10) == 40
    assert store.count("d", "p", 0, 1000) == 60
    assert store.events("d", 10, 0) == (0, [])
    store.close()


def test_what_cannot_be_written_waits_and_is_not_lost() -> None:
    store = store_with({1: 1})
    store.flush()
    store.run("PRAGMA query_only = ON")
    store.add("d", "another", Point(2, 2, "good"), is_latest=True)
    store.add_event("d", 3, "e", "info", {})
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            store.flush()
    store.run("PRAGMA query_only = OFF")
    assert store.history("d", "another", 0, 10, 10) == [Point(2, 2, "good")]
    assert store.events("d", 10, 0)[0] == 1
    store.close()


def test_ten_thousand_values_take_a_small_part_of_a_second() -> None:
    store = Store(None)
    began = time.process_time()
    for number in range(10_000):
        store.add(f"d{number % 100}", "p", Point(number, number / 7, "good"), is_latest=True)
    store.flush()
    assert time.process_time() - began < 0.5
    store.close()


def test_a_file_outlasts_the_program(tmp_path: Path) -> None:
    path = tmp_path / "host" / "platform.sqlite"
    store = Store(path)
    store.add("d", "p", Point(1, {"a": 1}, "uncertain"), is_latest=True)
    store.put_entities("device", [("d", {"id": "d"})])
    store.close()
    again = Store(path)
    assert [point for *_, point in again.latest()] == [Point(1, {"a": 1}, "uncertain")]
    assert again.entities("device") == {"d": {"id": "d"}}
    again.close()


def test_a_backup_restores_and_nothing_else_does(tmp_path: Path) -> None:
    store = Store(tmp_path / "platform.sqlite")
    store.add("d", "p", Point(1, 1.5, "good"), is_latest=True)
    backup = store.backup()
    other = Store(tmp_path / "other.sqlite")
    other.add("d", "p", Point(7, 7, "good"), is_latest=True)
    other.restore(backup)
    assert other.history("d", "p", 0, 100, 10) == [Point(1, 1.5, "good")]

    foreign = sqlite3.connect(tmp_path / "x.sqlite")
    foreign.execute("CREATE TABLE a (b)")
    foreign.commit()
    foreign.close()
    trojan = sqlite3.connect(":memory:")
    trojan.deserialize(backup)
    trojan.execute("CREATE TRIGGER t AFTER INSERT ON history BEGIN DELETE FROM entities; END")
    trojan.commit()
    forged = sqlite3.connect(":memory:")
    forged.deserialize(backup)
    forged.execute("UPDATE latest SET quality = 9")
    forged.commit()
    damaged = bytearray(backup)
    damaged[4096 : len(damaged) - 100] = bytes(len(damaged) - 100 - 4096)
    for wrong in (
        b"",
        b"hello",
        backup[:5000],
        bytes(damaged),
        (tmp_path / "x.sqlite").read_bytes(),
        trojan.serialize(),
        forged.serialize(),
    ):
        with pytest.raises(Refused) as refused:
            other.restore(wrong)
        assert refused.value.reason.code == "not-a-backup"
        assert other.history("d", "p", 0, 100, 10) == [Point(1, 1.5, "good")]
    trojan.close()
    forged.close()
    store.close()
    other.close()


# -- thing models --------------------------------------------------------------------------------------------------------


def model(**parts: Any) -> ThingModel:
    return ThingModel.model_validate(parts)


STRUCT = {"type": "struct", "fields": {"x": {"type": "int"}, "y": {"type": "text", "length": 3}}}
FULL = {
    **{key: BOILER[key] for key in ("properties", "events", "services")},
    "properties": {**BOILER["properties"], "place": STRUCT},  # type: ignore[dict-item]
}


def test_a_thing_model_survives_export_and_import() -> None:
    made = model(**FULL)
    assert from_tsl(json.loads(json.dumps(to_tsl("boiler", made)))) == made


def test_tsl_of_another_platform_is_read() -> None:
    document = {
        "schema": "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json",
        "profile": {"productKey": "a1"},
        "properties": [
            {
                "identifier": "Temperature",
                "name": "温度",
                "accessMode": "rw",
                "required": True,
                "dataType": {
                    "type": "double",
                    "specs": {"min": "-40", "max": "55", "unit": "°C", "unitName": "摄氏度", "step": "0.01"},
                },
            },
            {"identifier": "Switch", "dataType": {"type": "bool", "specs": {"0": "关", "1": "开"}}},
            {"identifier": "Mode", "dataType": {"type": "enum", "specs": {"0": "off", "2": "auto"}}},
        ],
        "events": [
            {"identifier": "err", "type": "error", "outputData": [{"identifier": "c", "dataType": {"type": "int32"}}]}
        ],
        "services": [{"identifier": "reboot", "callType": "async", "inputData": [], "outputData": []}],
    }
    made = from_tsl(document)
    temperature = made.properties["Temperature"]
    assert (temperature.min, temperature.max, temperature.step, temperature.unit) == (-40, 55, 0.01, "°C")
    assert (temperature.access, temperature.required, temperature.name) == ("rw", True, "温度")
    assert made.properties["Mode"].enum == {0: "off", 2: "auto"}
    assert made.events["err"].outputs["c"].type == "int"
    assert list(made.services) == ["reboot"]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"properties": {}},
        {"properties": [1]},
        {"properties": [{"identifier": 1}]},
        {"properties": [{"identifier": "a"}]},
        {"properties": [{"identifier": "a", "dataType": {"type": "matrix"}}]},
        {"properties": [{"identifier": "a", "dataType": {"type": ["int"]}}]},
        {"properties": [{"identifier": "a", "dataType": {"type": "int", "specs": {"min": "low"}}}]},
        {"properties": [{"identifier": "a", "dataType": {"type": "int", "specs": {"min": "9", "max": "1"}}}]},
        {"properties": [{"identifier": "a", "dataType": {"type": "int", "specs": {"min": "nan"}}}]},
        {"properties": [{"identifier": "a", "dataType": {"type": "enum", "specs": {"on": "1"}}}]},
        {"properties": [{"identifier": "a/b", "dataType": {"type": "int"}}]},
        {"properties": [{"identifier": "a", "dataType": {"type": "int"}}] * 2},
        {"properties": [{"identifier": "a", "accessMode": "w", "dataType": {"type": "int"}}]},
        {"events": [{"identifier": "e", "type": "fatal"}]},
        {"services": [{"identifier": "s", "inputData": 5}]},
    ],
)
def test_wrong_tsl_is_refused_with_a_reason_in_both_languages(wrong: Any) -> None:
    with pytest.raises(Refused) as refused:
        from_tsl(wrong)
    reason = refused.value.reason
    assert reason.code == "bad-tsl"
    assert reason.say("zh") != reason.say("en")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["int", "float", "double", "bool", "text", "enum", "struct"]))
def test_a_value_is_of_its_type_or_refused(value: Any, kind: str) -> None:
    more: dict[str, Any] = {"enum": {"enum": {1: "a"}}, "struct": {"fields": {"x": {"type": "int"}}}}.get(kind, {})
    datum = Datum.model_validate({"type": kind, **more})
    types = {
        "int": int,
        "float": (int, float),
        "double": (int, float),
        "bool": bool,
        "text": str,
        "enum": int,
        "struct": dict,
    }
    refusal = None
    try:
        kept = datum.check("p", value)
    except Refused as error:
        refusal = error.reason
    if refusal is not None:
        assert refusal.say("zh")
        assert refusal.say("en")
    else:
        assert isinstance(kept, types[kind])  # type: ignore[arg-type]
        store = store_with({1: kept})
        assert store.history("d", "p", 0, 2, 1)[0].value == kept
        store.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "text", "min": 1},
        {"type": "int", "enum": {1: "a"}},
        {"type": "enum"},
        {"type": "struct"},
        {"type": "struct", "fields": {"a": STRUCT}},
        {"type": "int", "min": 2, "max": 1},
        {"type": "double", "max": float("inf")},
    ],
)
def test_a_type_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Datum.model_validate(wrong)


# -- the registry --------------------------------------------------------------------------------------------------------


def registry(*devices: dict[str, Any]) -> Registry:
    made = Registry(100)
    product = Product.model_validate(BOILER)
    made.replace(
        {"boiler": product}, {each["id"]: Device.model_validate({"product": "boiler", **each}) for each in devices}
    )
    return made


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ([{"id": "a", "gateway": "a"}], "a → a"),
        ([{"id": "a", "gateway": "b"}, {"id": "b", "gateway": "c"}, {"id": "c", "gateway": "a"}], "cycle"),
        ([{"id": "a", "gateway": "nobody"}], "no gateway nobody"),
        ([{"id": "a", "product": "nothing"}], "no product nothing"),
        ([{"id": "a", "address": "x"}, {"id": "b", "address": "x"}], "same name"),
        ([{"id": "a", "token": "12345678"}, {"id": "b", "token": "12345678"}], "share a token"),
    ],
)
def test_contradictions_are_named(devices: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(Refused, match=says):
        registry(*devices)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"), max_size=8))
def test_parents_form_a_forest_or_are_refused(parents: dict[str, str]) -> None:
    def is_cyclic(name: str) -> bool:
        seen = set()
        while name in parents and name not in seen:
            seen.add(name)
            name = parents[name]
        return name in seen

    devices = [{"id": name, "gateway": parents.get(name)} for name in "abcdefgh"]
    try:
        registry(*devices)
    except Refused:
        assert any(map(is_cyclic, parents))
    else:
        assert not any(map(is_cyclic, parents))


def test_the_same_name_behind_two_gateways_is_two_devices() -> None:
    made = registry(
        {"id": "g1"},
        {"id": "g2"},
        {"id": "p1", "gateway": "g1", "address": "pump"},
        {"id": "p2", "gateway": "g2", "address": "pump"},
    )
    assert made.find(Address("pump", "g1")).id == "p1"
    assert made.find(Address("pump", "g2")).id == "p2"
    with pytest.raises(Refused, match="more than one"):
        made.find(Address("pump"))
    with pytest.raises(Refused, match="is a boiler"):
        made.find(Address("g1", product="kettle"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"users": {"a": {"role": "god", "password": "x"}}}, "role"),
        ({"users": {"a": {"role": "admin"}}}, "exactly one of password"),
        ({"users": {"a": {"password_hash": "md5:1"}}}, "pbkdf2_sha256"),
        ({"broker": {"host": "b", "password": "x"}}, "needs a username"),
        ({"broker": {"host": "b", "me": "nobody"}}, "no device 'nobody'"),
        ({"products": [BOILER, BOILER]}, "used twice"),
        ({"devices": [{"id": "a", "product": "x"}]}, "no product x"),
        ({"rules": [{"id": "r", "kind": "stale", "seconds": 5, "product": "x"}]}, "no product 'x'"),
        ({"rules": [{"id": "r", "kind": "stale", "seconds": 5, "device": "x"}]}, "no device 'x'"),
        ({"retention": {"history_days": 0}}, "greater than 0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PlatformConfig.model_validate(wrong)
