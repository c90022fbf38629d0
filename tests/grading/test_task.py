"""What scenario authors write about tasks, and what they are told when they err."""

from __future__ import annotations

import json
import re
import string

import pytest
from check_kit import spec
from pydantic import Field

from grading.checks import CHECKS
from grading.checks.check import ALWAYS
from grading.task import SPECS, Task, complaints
from grading.verdict import failed, passed
from lab.model.document import FileError, parse, validate
from lab.model.plant import Strict

YAML = """
tasks:
  - id: poll
    item: J-1.2.3
    title: {zh: 采集, en: Poll}
    checks:
      - id: is-polled
        check: modbus.read
        points: 15
        title: {zh: 每秒读, en: Read every second}
        says:
          too-slow: {zh: "慢：{mean:.1f}", en: "slow: {mean:.1f}"}
        with: {client: gw-1, server: boiler, unit: 7, table: input, address: 0, quantity: 9, period: 1.0}
      - id: is-not-written
        check: modbus.no_write
        points: 5
        gate: is-polled
        phase: work
        title: {zh: 不写, en: Not written}
        with: {server: boiler}
      - id: is-true
        check: value.fidelity
        points: 5
        title: {zh: 真实, en: Nothing but the truth}
        with: {client: gw-1, broker: broker, topic: v1/+/x, values: {values.pressure: boiler/pressure}}
"""
HOSTS = ("gw-1", "boiler", "broker")


class File(Strict):
    tasks: list[Task] = Field(min_length=1)


def load(text: str = YAML) -> list[Task]:
    return validate(parse(text, "scenario.yaml"), File).tasks


def test_a_task_is_read_with_its_checks() -> None:
    (task,) = load()
    assert [check.id for check in task.checks] == ["is-polled", "is-not-written", "is-true"]
    assert [check.phase for check in task.checks] == ["acceptance", "work", "acceptance"]
    assert task.name.en == "Poll"
    assert not list(complaints([task], HOSTS))


@pytest.mark.parametrize(
    ("right", "wrong", "line", "complaint"),
    [
        ("modbus.read", "modbus.raed", 8, "did you mean 'modbus.read'?"),
        ("unit: 7", "units: 7", 13, "unknown key 'units'; did you mean 'unit'?"),
        ("unit: 7", "unit: 700", 13, "700 should be at most 255"),
        ("unit: 7", "unit: '7'", 13, "expected a whole number, found '7'"),
        ("table: input", "table: inputs", 13, "did you mean 'input'?"),
        (", period: 1.0", "", 13, "missing key 'period'"),
        ("quantity: 9", "quantity: 65536, address: 9", 13, "duplicate key"),
        ("        gate: is-polled\n", "", 14, "modbus.no_write holds where nothing was done"),
        ("gate: is-polled", "gate: is-not-written", 14, "cannot be its own gate"),
        ("too-slow: {", "to-slow: {", 7, "knows no reason 'to-slow'"),
        ("phase: work", "phase: wrok", 18, "did you mean 'work'?"),
        ("v1/+/x", "v1/x+", 25, "is no topic filter"),
        ("boiler/pressure", "pressure", 25, "should be host/point"),
    ],
)
def test_mistakes_are_named_at_their_line(right: str, wrong: str, line: int, complaint: str) -> None:
    with pytest.raises(FileError) as caught:
        load(YAML.replace(right, wrong, 1))
    assert [problem.line for problem in caught.value.problems if complaint in str(problem)] == [line]


@pytest.mark.parametrize(
    ("right", "wrong", "loc", "what"),
    [
        ("gate: is-polled", "gate: is-poled", (0, "checks", 1, "gate"), "is-poled"),
        ("server: boiler, unit", "server: boilr, unit", (0, "checks", 0, "with", "server"), "boilr"),
        ("boiler/pressure", "boilr/pressure", (0, "checks", 2, "with", "values", "values.pressure", "point"), "boilr"),
    ],
)
def test_names_that_lead_nowhere_are_found(right: str, wrong: str, loc: tuple[object, ...], what: str) -> None:
    ((found, _, facts, known),) = complaints(load(YAML.replace(right, wrong, 1)), HOSTS)
    assert (found, facts["text"]) == (loc, what)
    assert known


def test_a_ring_of_gates_is_found() -> None:
    text = YAML.replace("        check: modbus.read\n", "        check: modbus.read\n        gate: is-not-written\n")
    found = [(loc, facts) for loc, _, facts, _ in complaints(load(text), HOSTS)]
    assert [loc for loc, _ in found] == [(0, "checks", 0, "gate"), (0, "checks", 1, "gate")]
    assert found[0][1] == {"ring": "is-polled → is-not-written → is-polled"}


def test_an_author_may_say_it_in_other_words() -> None:
    check = load()[0].checks[0]
    assert check.sentence(failed("too-slow", mean=2.04)).zh == "慢：2.0"
    assert (
        check.sentence(failed("stopped", silent=3.0, period=1.0)).en
        == "the last was 3.0 s ago; the period should be 1 s"
    )
    assert check.sentence(passed()).en == ""


def test_words_that_ask_for_facts_that_are_not_there_give_way_to_the_checks_own() -> None:
    check = load(YAML.replace("慢：{mean:.1f}", "慢：{men}"))[0].checks[0]
    facts = {"mean": 2.0, "period": 1.0, "percent": 20}
    assert check.sentence(failed("too-slow", **facts)).zh == "平均周期 2.00 秒，应为 1 秒（±20%）"


def test_facts_are_read_as_words_in_both_languages() -> None:
    sentence = load()[0].checks[0].sentence(failed("wrong-table", seen="holding", expected="input"))
    assert (sentence.zh, sentence.en) == (
        "读的是保持寄存器，应为输入寄存器",
        "holding registers are read, it should be input registers",
    )


@pytest.mark.parametrize("name", CHECKS)
def test_every_sentence_is_there_in_both_languages_and_asks_for_the_same(name: str) -> None:
    for sentence in (*CHECKS[name].sentences.values(), *ALWAYS.values()):
        assert re.search("[一-鿿]", sentence.zh)
        assert not re.search("[一-鿿]", sentence.en)
        zh, en = (
            {field for _, field, _, _ in string.Formatter().parse(text) if field} for text in (sentence.zh, sentence.en)
        )
        assert zh == en or zh | en == zh


@pytest.mark.parametrize("name", CHECKS)
def test_every_parameter_is_described_in_both_languages_for_editors(name: str) -> None:
    schema = SPECS[name].model_json_schema(by_alias=True)
    json.dumps(schema)
    for model in (schema, *schema["$defs"].values()):
        for field, about in model.get("properties", {}).items():
            if "Bilingual" in model["title"]:
                continue
            assert re.search("[一-鿿].*[a-z]", about.get("description", "")), f"{model['title']}.{field}"


def test_every_check_says_what_it_does() -> None:
    for check in CHECKS.values():
        assert check.__doc__
        assert SPECS[check.name].kind is check


def test_points_are_what_something_is_worth() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        spec("modbus.no_write", {"server": "boiler"}, points=0)
