"""Formats by example: reports and the messages they become, commands and what comes of them (north_cases/*.yaml)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_kit import north
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import GatewayConfig
from gateway.formats.format import Format, Heard, Names
from gateway.formats.registry import format_for
from gateway.mqtt.config import MqttDestination
from gateway.samples import Reason, Report, bad, good
from gateway.topics import is_topic_name, matches
from lab.text import LANGUAGES, Text, speak

AT = 1_767_225_600_123_456_789
GONE = Reason(Text(zh="断了", en="gone"))
CASES = [
    pytest.param(case, id=f"{path.stem}-{case['says']}")
    for path in sorted(Path(__file__).with_name("north_cases").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


def made(config: dict[str, Any]) -> Format:
    destination = MqttDestination.model_validate(north("b", **config)[0])
    return format_for(destination, Names("plant", "gw"))


def report(told: dict[str, Any]) -> Report:
    samples = {tag: bad(GONE, AT) if value is None else good(value, AT) for tag, value in told["values"].items()}
    return Report(told["device"], told["group"], AT, samples)


@pytest.mark.parametrize("case", CASES)
def test_reports_become_these_messages_and_commands_these_writes(case: dict[str, Any]) -> None:
    form = made(case["config"])
    messages = [each for told in case.get("reports", []) for each in form.kept(report(told))]
    expected = case.get("expect", [])
    assert [topic for topic, _ in messages] == [each["topic"] for each in expected]
    for (topic, payload), each in zip(messages, expected, strict=True):
        assert is_topic_name(topic)
        if "text" in each:
            assert payload.decode() == each["text"]
        else:
            assert json.loads(payload) == each["json"]
    for told in case.get("hears", []):
        heard = form.hear(told["topic"], told["text"].encode(), False)
        if "writes" in told:
            assert any(matches(each, told["topic"]) for each in form.filters), "it has subscribed to that"
        _check(told, heard)


def _check(told: dict[str, Any], heard: Heard) -> None:
    assert (heard.complaint is not None) == ("complains" in told)
    assert told.get("complains", "") in str(heard.complaint)
    assert {command.device: dict(command.values) for command in heard.commands} == told.get("writes", {})
    for command in heard.commands:
        fails = told.get("fails", {})
        reasons = {tag: Reason(Text(zh=fails[tag], en=fails[tag])) if tag in fails else None for tag in command.values}
        answer = command.answer(reasons)
        said = None if answer is None else {"topic": answer.topic, "text": answer.payload.decode()}
        assert said == told.get("answer")


FORMATS: list[dict[str, Any]] = [
    {"format": "values"},
    {"format": "tags"},
    {"format": "thingsboard"},
    {"format": "alink", "alink": {"product_key": "p"}},
    {"format": "template", "template": {"line": '{"tag":"{device}","v":{value}}'}},
    {"format": "template", "template": {"body": '{"v":{values},"g":{good},"q":{qualities}}'}},
    {"format": "sparkplug"},
]
keys = st.sampled_from(["device", "data", "values", "tag", "value", "params", "method", "id"])
numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.text(max_size=5))
documents = st.recursive(
    st.none() | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
).map(lambda each: json.dumps(each).encode())


@pytest.mark.parametrize("config", FORMATS, ids=lambda each: f"{each['format']}-{len(str(each))}")
@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abcd"), st.none() | numbers, min_size=1))
def test_whatever_is_measured_can_be_said(config: dict[str, Any], values: dict[str, Any]) -> None:
    for _, payload in made(config).kept(report({"device": "d", "group": "g", "values": values})):
        if config["format"] != "sparkplug":
            for line in payload.decode().split("\n") if "line" in str(config) else [payload]:
                json.loads(line)


@pytest.mark.parametrize("config", FORMATS, ids=lambda each: f"{each['format']}-{len(str(each))}")
@settings(max_examples=25)
@given(st.binary(max_size=50) | documents)
def test_whatever_is_heard_does_no_harm(config: dict[str, Any], payload: bytes) -> None:
    form = made({**config, "commands": {}})
    for topic in (*(each.replace("+", "x") for each in form.filters), "unasked/for"):
        heard = form.hear(topic, payload, False)
        for command in heard.commands:
            answer = command.answer(dict.fromkeys(command.values))
            assert answer is None or json.loads(answer.payload)


COMPLAINTS: list[tuple[dict[str, Any], str, str]] = [
    ({"format": "xml"}, "values", "values"),
    ({"format": "template"}, "also needs template", "还需要 template"),
    ({"format": "alink"}, "also needs alink", "还需要 alink"),
    ({"template": {"body": "x"}}, "is for format: template only", "只用于 format: template"),
    ({"sparkplug": {}}, "is for format: sparkplug only", "只用于 format: sparkplug"),
    ({"format": "thingsboard", "topic": "a"}, "topics of its own", "由协议规定"),
    ({"topic": "a/#"}, "no + and #", "不能含 + 和 #"),
    ({"topic": "a/{devise}"}, "no placeholder {devise}", "没有 {devise} 这个占位符"),
    ({"format": "template", "template": {"body": "{valeus}"}}, "no placeholder {valeus}", "没有 {valeus} 这个占位符"),
    ({"format": "template", "template": {"line": "{values}"}}, "no placeholder {values}", "没有 {values} 这个占位符"),
    ({"commands": {"topic": "a/b"}}, "which device it is for", "不知道命令给哪台设备"),
    ({"commands": {"topic": "a/x{device}"}}, "which device it is for", "不知道命令给哪台设备"),
    ({"metrics": {"topic": "a/+"}}, "no + and #", "不能含 + 和 #"),
    ({"events": "a/{device}"}, "no placeholder {device}", "没有 {device} 这个占位符"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "en", "zh"), COMPLAINTS, ids=[str(case[0]) for case in COMPLAINTS])
def test_what_cannot_work_is_refused_in_words(config: dict[str, Any], en: str, zh: str) -> None:
    for language, words in zip(("en", "zh"), (en, zh), strict=True):
        speak(language)  # type: ignore[arg-type]
        try:
            with pytest.raises(ValueError) as raised:  # noqa: PT011
                GatewayConfig.model_validate({"interfaces": {}, "north": north("b", **config)})
        finally:
            speak("en")
        assert words in str(raised.value)
    assert set(LANGUAGES) == {"en", "zh"}


def test_two_clients_of_one_broker_need_two_names() -> None:
    twice = [*north("b"), {**north("b")[0], "name": "again"}]
    with pytest.raises(ValueError, match="give one a client_id of its own"):
        GatewayConfig.model_validate({"interfaces": {}, "north": twice})
    twice[1]["client_id"] = "another"
    GatewayConfig.model_validate({"interfaces": {}, "north": twice})
