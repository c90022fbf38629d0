"""What the gateway makes of registers, case by case: see cases/*.yaml."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from image_kit import Image, cases, device_of, driver_of, read_once

from gateway.commands import Commands
from gateway.modbus.registers import DATA_TYPES, orders_of
from gateway.samples import Quality, Reason, bad, good
from gateway.tags import GroupState
from lab.network.logbook import Log
from lab.text import Text

READS = [case for name in ("types", "addresses", "scaling") for case in cases(name)]


def of(case: dict[str, Any]) -> str:
    said: str = case["says"]
    return said


@pytest.mark.parametrize("case", READS, ids=of)
def test_registers_become_values(case: dict[str, Any]) -> None:
    image = Image(case["image"])
    config = device_of(case["tags"], case.get("device"), case.get("group"))
    samples = asyncio.run(read_once(config, image))
    expected = case["expect"] if "expect" in case else [case["all"]] * len(case["tags"])
    assert [sample.value for sample in samples.values()] == expected
    assert [type(sample.value) for sample in samples.values()] == [type(value) for value in expected]
    for sample in samples.values():
        assert (sample.quality is Quality.GOOD) == (sample.value is not None)
        assert (sample.reason is None) == (sample.quality is Quality.GOOD)
    assert list(samples) == [f"t{number}" for number in range(len(expected))], "in the order of the file"
    if "requests" in case:
        assert image.reads == [tuple(request) for request in case["requests"]]
    if "units" in case:
        assert image.units == case["units"]


def test_the_cases_have_every_type_in_every_order() -> None:
    have = {(tag.get("type", "bool"), tag.get("order")) for case in READS for tag in case["tags"]}
    want = {(kind, order) for kind in DATA_TYPES for order in orders_of(kind)}
    assert want <= have


@pytest.mark.parametrize("case", cases("reports"), ids=of)
def test_what_is_passed_on(case: dict[str, Any]) -> None:
    config = device_of([{"address": 40001, "type": "u16", **case["tag"]}], group=case.get("group"))
    image = Image({})

    async def story() -> list[bool]:
        driver = await driver_of(config, image)
        reader = driver.reader(config.groups[0])
        group = GroupState(config.groups[0], 0)
        passed: list[bool] = []
        for second, value in enumerate(case["values"]):
            image.forbidden = {("holding", 0)} if value is None else set()
            image.tables = {"holding": {0: value or 0}}
            passed.append("t0" in group.take(await reader.read(), second * 1_000_000_000))
        return passed

    assert asyncio.run(story()) == case["passed"]


class _Target:
    """As much of a device as a command needs."""

    def __init__(self, config: Any, driver: Any) -> None:
        self.driver = driver
        self._config = config

    def tag(self, name: str) -> Any:
        group = self._config.groups[0]
        return next(((group, tag) for tag in group.tags if tag.name == name), None)


@pytest.mark.parametrize("case", cases("writes"), ids=of)
def test_commands_are_checked_encoded_and_read_back(case: dict[str, Any]) -> None:
    config = device_of([{"write": True, **case["tag"]}])
    tag = config.groups[0].tags[0]
    image = Image({tag.address.table: {tag.address.offset: case["before"]}})
    log = Log()

    async def story() -> Any:
        targets: Any = {"plc": _Target(config, await driver_of(config, image))}
        return await Commands(log).write(targets, "plc", "t0", case["value"], "operator")

    entry = asyncio.run(story())
    if "refused" in case:
        assert case["refused"] in str(entry.reason)
        assert entry.outcome in ("refused", "failed")
        assert not image.writes
    else:
        assert image.writes == [case["sent"]]
        assert (entry.outcome, entry.after, entry.reason) == ("done", case["after"], None)
    assert (entry.who, entry.device, entry.tag) == ("operator", "plc", "t0")
    assert "operator plc/t0" in log.tail(1)[0]


def test_a_command_that_the_device_does_not_keep_is_not_called_done() -> None:
    class Stubborn(Image):
        async def write(self, *_: Any) -> None:
            pass

    config = device_of([{"address": 40001, "type": "u16", "write": True}])

    async def story() -> Any:
        targets: Any = {"plc": _Target(config, await driver_of(config, Stubborn({"holding": {0: [7]}})))}
        return await Commands(Log()).write(targets, "plc", "t0", 8, "")

    entry = asyncio.run(story())
    assert (entry.outcome, entry.before, entry.after) == ("unconfirmed", 7, 7)
    assert "7" in str(entry.reason)


@pytest.mark.parametrize(("device", "tag", "word"), [("plx", "t0", "plx"), ("plc", "t9", "t9")])
def test_a_command_to_nobody_is_refused_and_audited(device: str, tag: str, word: str) -> None:
    config = device_of([{"address": 40001, "type": "u16", "write": True}])

    async def story() -> Any:
        targets: Any = {"plc": _Target(config, await driver_of(config, Image({})))}
        commands = Commands(Log())
        entry = await commands.write(targets, device, tag, 8, "mes")
        assert list(commands.audit) == [entry]
        return entry

    entry = asyncio.run(story())
    assert entry.outcome == "refused"
    assert word in str(entry.reason)


def test_the_last_good_value_stays_for_a_while_and_says_that_it_is_old() -> None:
    config = device_of([{"address": 40001, "type": "u16"}])
    group = GroupState(config.groups[0], stale_after_ms=2500)

    away = Reason(Text(zh="断线", en="away"))
    second = 1_000_000_000
    passed = [group.take({"t0": good(5, 0)}, 0)["t0"]]
    passed += [group.take({"t0": bad(away, at * second)}, at * second)["t0"] for at in (1, 2, 3)]
    assert [(sample.value, str(sample.quality), sample.at) for sample in passed] == [
        (5, "good", 0),
        (5, "uncertain", 0),
        (5, "uncertain", 0),
        (None, "bad", 3 * second),
    ]
    assert all(sample.reason is away for sample in passed[1:])
    assert group.tags_status()["t0"]["bad"] == 3
