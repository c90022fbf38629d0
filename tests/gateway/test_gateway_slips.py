"""What cannot work in the south of a gateway's file is said at its line, in both languages; and the schema knows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import GatewayConfig
from lab.cli import main
from lab.cli.gateway import schema
from lab.model.document import FileError, parse, validate
from lab.text import LANGUAGES, Language, speak

GOOD = """\
serial: {"1": {line: {baud: 19200, parity: none}, termination: true}}
south:
  - name: plc
    driver: modbus-tcp
    order: CDAB
    stale_after_ms: 3000
    connection: {host: 10.0.0.2, unit: 1, max_gap: 8}
    groups:
      - name: fast
        period_ms: 100
        report: both
        tags:
          - {name: level, address: 40001, type: i16, raw: [0, 27648], range: [0, 10], deadband: 1%}
          - {name: mode, address: 40002, type: u16, bits: {start: 4, length: 3}, unit_id: 7}
          - {name: setpoint, address: 40003, type: u16, write: true, write_range: [0, 100]}
          - {name: text, address: 40010, type: string, length: 8, encoding: gbk}
  - name: line
    driver: modbus-rtu
    connection: {serial: "1", unit: 3}
    groups: [{name: g, tags: [{name: t, address: 30001, type: i16}]}]
  - name: cnc
    driver: opcua
    connection: {endpoint: "opc.tcp://10.0.0.3", security_policy: Aes256_Sha256_RsaPss, trusted: ["THUMBPRINT"]}
    groups: [{name: g, tags: [{name: s, node: "ns=2;s=S", write: true}]}]
  - {name: dock, driver: rfid, connection: {host: 10.0.0.4}}
  - {name: hand, driver: scanner, connection: {host: 10.0.0.5}}
log: {level: info, devices: {plc: debug}}
""".replace("THUMBPRINT", "0123456789abcdef0123456789abcdef01234567")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    speak(request.param)
    yield request.param
    speak("en")


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("order: CDAB", "order: BACD", 5, ["BACD", "BADC"]),
        ("unit: 1,", "unit: 248,", 3, ["248", "254"]),
        ("unit: 3", "unit: 0", 17, ["0", "247"]),
        ("unit: 3", "unit: 248", 17, ["248", "247"]),
        ("unit_id: 7", "unit_id: 300", 14, ["300", "255"]),
        ('serial: "1"', 'serial: "3"', 19, ["3", "1", "2"]),
        ("baud: 19200", "baud: 19201", 1, ["19201", "19200"]),
        ("max_gap: 8", "max_gaps: 8", 7, ["max_gaps", "max_gap"]),
        ("max_gap: 8", "max_registers: 3", 3, ["text", "4", "3"]),
        ("report: both", "report: always", 11, ["always", "change"]),
        ("raw: [0, 27648]", "raw: [5, 5]", 13, ["5"]),
        ("raw: [0, 27648], range: [0, 10]", "raw: [0, 27648]", 13, ["raw", "range"]),
        ("raw: [0, 27648]", "raw: [0, 27648], scale: 2", 13, ["scale", "raw"]),
        ("raw: [0, 27648], range: [0, 10]", "scale: .nan", 13, ["nan"]),
        ("raw: [0, 27648], range: [0, 10]", "scale: 0", 13, ["scale", "0"]),
        ("raw: [0, 27648], range: [0, 10]", "clamp: true", 13, ["clamp", "range"]),
        ("deadband: 1%", "deadband: a bit", 13, ["a bit", "2%"]),
        ("start: 4, length: 3", "start: 14, length: 3", 14, ["14", "16"]),
        ("type: u16, bits", "type: f32, bits", 14, ["f32", "bits"]),
        ("address: 40003, type: u16, write: true", "address: 30003, type: u16, write: true", 15, ["input"]),
        ("write: true, write_range", "write_range", 15, ["write_range", "write: true"]),
        ("write: true, write_range", "write_function: 15, write: true, write_range", 15, ["15", "16"]),
        ("encoding: gbk", "encoding: hex", 16, ["hex", "gbk"]),
        ("name: mode", "name: level", 3, ["level"]),
        ("0123456789abcdef0123456789abcdef01234567", "0123", 23, ["0123", "SHA-256"]),
        ("Aes256_Sha256_RsaPss", "None", 23, ["trusted", "security_policy"]),
        ("devices: {plc: debug}", "devices: {plx: debug}", 1, ["plx", "plc"]),
        ("level: info", "level: loud", 27, ["loud", "debug"]),
        (
            "driver: scanner, connection: {host: 10.0.0.5}",
            "driver: scanner, connection: {hots: 10.0.0.5}",
            26,
            ["hots"],
        ),
    ],
)
def test_every_slip_of_the_south_is_named_at_its_line(
    wrong: str, right: str, line: int, words: list[str], language: str
) -> None:
    assert GOOD.count(wrong) == 1, wrong
    with pytest.raises(FileError) as raised:
        validate(parse(GOOD.replace(wrong, right), "gw.yaml"), GatewayConfig)
    said = str(raised.value)
    assert said.startswith(f"gw.yaml:{line}:"), said
    for word in words:
        assert word in said, said
    assert any("\u4e00" <= character <= "\u9fff" for character in said) is (language == "zh"), said


def test_a_good_file_is_what_the_schema_describes() -> None:
    """No validator of schemas is at hand: every key of a good file is followed through the schema by hand."""
    whole = schema()
    assert whole["$schema"].endswith("2020-12/schema")
    validate(parse(GOOD, "gw.yaml"), GatewayConfig)
    document = yaml.safe_load(GOOD)
    seen = 0

    def alternatives(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "$ref" in part:
            yield from alternatives(whole["$defs"][part["$ref"].rsplit("/", 1)[1]])
        nested = [*part.get("anyOf", ()), *part.get("oneOf", ())]
        yield part
        for each in nested:
            yield from alternatives(each)

    def fits(value: Any, part: dict[str, Any]) -> bool:
        nonlocal seen
        for option in alternatives(part):
            properties = option.get("properties", {})
            if isinstance(value, dict):
                others = option.get("additionalProperties", True)
                inner = {key: properties.get(key, others) for key in value}
                is_object = option.get("type") == "object" and set(option.get("required", ())) <= set(value)
                if is_object and all(
                    inside is not False and (inside is True or fits(value[key], inside))
                    for key, inside in inner.items()
                ):
                    seen += len(value)
                    return True
            elif isinstance(value, list):
                places = option.get("prefixItems") or [option.get("items", {})] * len(value)
                if option.get("type") == "array" and all(map(fits, value, places)):
                    return True
            elif "const" in option or "enum" in option:
                if value in option.get("enum", [option.get("const")]):
                    return True
            elif option.get("type") in _TYPES.get(type(value), ()):
                return True
        return False

    assert fits(document, whole)
    assert seen > 60
    document["south"][0]["conection"] = {}
    assert not fits(document, whole)


_TYPES = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    type(None): ("null",),
}


def test_the_plan_of_a_file_is_shown_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gw.yaml"
    file.write_text(GOOD, "utf-8")
    assert main(["gateway", "plan", str(file), "--json", "--lang", "en"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [
        (row["device"], row["unit"], row["function"], row["first"], row["read"], row["wanted"]) for row in rows
    ] == [
        ("plc", 1, 3, 0, 13, 6),
        ("plc", 7, 3, 1, 1, 1),
        ("line", 3, 4, 0, 1, 1),
    ]
    assert rows[0]["reference"] == "400001"
    assert main(["gateway", "plan", str(file), "--lang", "zh"]) == 0
    shown = capsys.readouterr().out
    assert "功能码" in shown
    assert "holding 0–12" in shown
    assert "13/6" in shown


def test_the_plan_of_a_wrong_file_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gw.yaml"
    file.write_text(GOOD.replace("driver: modbus-rtu", "driver: modbus-rtx"), "utf-8")
    assert main(["gateway", "plan", str(file), "--lang", "en"]) == 2
    said = capsys.readouterr().err
    assert f"{file}:18:" in said
    assert "modbus-rtu" in said
    assert main(["gateway", "plan", "--lang", "en"]) == 2
    assert main(["gateway", "plan", str(tmp_path / "none.yaml"), "--lang", "en"]) == 2


def test_the_schema_and_the_help_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
    assert main(["gateway", "--help", "--lang", "en"]) == 0
    assert "iiotlab gateway plan config/gw-1.yaml" in capsys.readouterr().out
