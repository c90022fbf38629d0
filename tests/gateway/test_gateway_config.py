"""A configuration that cannot work is refused in words, at its line, in the reader's language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.broker.config import BrokerConfig
from gateway.config import GatewayConfig
from gateway.modbus.config import ModbusTag
from gateway.registry import KINDS
from lab.model.document import FileError, parse, validate
from lab.text import LANGUAGES, Language, speak

GATEWAY = """\
site: w1
south:
  - name: boiler
    driver: modbus-tcp
    connection: {host: 10.20.10.11, unit: 7}
    groups:
      - name: fast
        tags:
          - {name: pressure, address: 30001, type: i16, scale: 0.01, unit: MPa}
          - {name: flow, table: input, address: 4, type: f32}
          - {name: running, address: {table: holding, offset: 3}, type: bool, bit: 5}
  - name: cnc
    driver: opcua
    connection: {endpoint: "opc.tcp://10.20.10.13", security_policy: none}
    groups:
      - name: all
        tags:
          - {name: state, node: "ns=2;s=CNC01.State"}
north:
  - host: 10.20.50.5
    version: 5
    topic: v1/{site}/{gateway}/{device}/telemetry
"""
BROKER = """\
allow_anonymous: false
users:
  gw-1: {password: secret}
acl:
  - {user: gw-1, topic: v1/#, access: write}
"""


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Iterator[Language]:
    speak(request.param)
    yield request.param
    speak("en")


def complaint(model: Any, text: str) -> str:
    with pytest.raises(FileError) as raised:
        validate(parse(text, "gw-1.yaml"), model)
    return str(raised.value)


def test_a_gateway_is_a_short_file() -> None:
    config = validate(parse(GATEWAY, "gw-1.yaml"), GatewayConfig)
    modbus, opcua = config.south
    assert modbus.driver == "modbus-tcp"
    assert [tag.where for tag in modbus.groups[0].tags] == [("input", 0), ("input", 4), ("holding", 3)]
    assert opcua.driver == "opcua"
    assert opcua.connection.endpoint == "opc.tcp://10.20.10.13:4840"
    assert opcua.connection.security_policy == "None"
    assert config.north[0].version == "5"


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("unit: 7", "units: 7", 5, ["units", "unit"]),
        ("unit: 7", "unit: 256", 5, ["256", "255"]),
        ("modbus-tcp", "modbus", 4, ["modbus", "modbus-tcp", "opcua"]),
        ("address: 30001", "address: 1", 9, ["1", "40011"]),
        ("address: 30001", "address: 60001", 9, ["60001", "40011"]),
        ("table: input, address: 4", "table: inputs, address: 4", 10, ["inputs", "input", "holding"]),
        ("table: input, address: 4", "table: input, address: {table: coil, offset: 4}", 10, ["input", "coil"]),
        ("table: input, address: 4", "table: input, address: 65535", 10, ["65535"]),
        ("table: input, address: 4", "table: input, address: four", 10, ["four"]),
        ("type: i16, ", "", 9, ["type", "i16", "f32"]),
        ("type: f32", "type: float", 10, ["float", "f32"]),
        ("type: f32", "type: f32, order: AB", 10, ["AB", "ABCD", "CDAB"]),
        ("type: bool, bit: 5", "type: bool", 11, ["bit"]),
        ("type: bool, bit: 5", "type: u16, bit: 5", 11, ["bit"]),
        ("type: bool, bit: 5", "type: string", 11, ["length"]),
        ("type: bool, bit: 5", "type: bool, bit: 5, scale: 2", 11, ["scale"]),
        ("name: flow", "name: pressure", 3, ["pressure"]),
        ("name: flow", "name: a/b", 10, ["a/b"]),
        ("name: cnc", "name: boiler", 1, ["boiler"]),
        ("opc.tcp://10.20.10.13", "http://10.20.10.13", 14, ["http://10.20.10.13", "opc.tcp://"]),
        ("ns=2;s=CNC01.State", "CNC01.State", 18, ["CNC01.State", "ns=2;s="]),
        ("security_policy: none", "security_policy: Basic128", 14, ["Basic128", "Basic256Sha256"]),
        ("security_policy: none", "password: x", 14, ["username"]),
        ("{device}/telemetry", "{devise}/telemetry", 22, ["devise", "device", "gateway"]),
        ("{device}/telemetry", "{device/telemetry", 22, ["{device/telemetry"]),
        ("{device}/telemetry", "#", 22, ["#"]),
        ("version: 5", "version: 4", 21, ["4", "3.1.1"]),
        ("version: 5", "qos: 3", 21, ["3", "2"]),
        ("version: 5", "password: x", 20, ["username"]),
    ],
)
def test_every_slip_is_named_at_its_line(wrong: str, right: str, line: int, words: list[str], language: str) -> None:
    assert GATEWAY.count(wrong) == 1
    said = complaint(GatewayConfig, GATEWAY.replace(wrong, right))
    assert said.startswith("gw-1.yaml:"), said
    if line > 1:
        assert said.startswith(f"gw-1.yaml:{line}:") or (line in (3, 20) and ":" in said), said
    assert "\n" not in said, f"one slip, one complaint: {said}"
    for word in words:
        assert word in said, said
    assert any("\u4e00" <= character <= "\u9fff" for character in said) is (language == "zh"), said


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("user: gw-1", "user: gw1", 1, ["gw1", "gw-1"]),
        ("v1/#", "v1/#/x", 5, ["v1/#/x"]),
        ("access: write", "access: publish", 5, ["publish", "readwrite"]),
        ("allow_anonymous", "anonymous", 1, ["anonymous", "allow_anonymous"]),
    ],
)
def test_a_broker_is_told_its_slips_too(wrong: str, right: str, line: int, words: list[str], language: str) -> None:
    said = complaint(BrokerConfig, BROKER.replace(wrong, right))
    assert said.startswith(f"gw-1.yaml:{line}:"), said
    for word in words:
        assert word in said, said
    assert any("\u4e00" <= character <= "\u9fff" for character in said) is (language == "zh"), said


def test_the_three_ways_to_write_an_address_are_the_same() -> None:
    ways: list[dict[str, Any]] = [
        {"address": {"table": "holding", "offset": 10}},
        {"table": "holding", "address": 10},
        {"address": 40011},
        {"address": "40011"},
        {"address": 400011},
        {"table": "holding", "address": "10"},
    ]
    tags = [ModbusTag.model_validate({"name": "x", "type": "u16", **way}) for way in ways]
    assert {tag.where for tag in tags} == {("holding", 10)}


def test_what_a_configuration_says_it_reads_back() -> None:
    """The editor and the evidence store configurations as JSON."""
    for model, text in ((GatewayConfig, GATEWAY), (BrokerConfig, BROKER)):
        config = validate(parse(text, "x.yaml"), model)
        assert model.model_validate(json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_editor_can_explain_every_field_in_both_languages(kind: str) -> None:
    schema = KINDS[kind].Config.model_json_schema()
    ours = {
        name: part for name, part in schema.get("$defs", {}).items() if "Interface" not in name and "Route" not in name
    }
    fields = [(name, key, field) for name, part in ours.items() for key, field in part.get("properties", {}).items()]
    fields += [
        ("", key, field) for key, field in schema["properties"].items() if key not in ("interfaces", "routes", "hosts")
    ]
    assert len(fields) >= 8
    for model, key, field in fields:
        described = field.get("description", "")
        assert any("\u4e00" <= character <= "\u9fff" for character in described), (model, key)
        assert any("a" <= character <= "z" for character in described.lower().split("。")[-1]), (model, key)
