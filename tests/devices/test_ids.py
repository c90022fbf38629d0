"""An intrusion detection system behind a mirror port: what it sees, what it tells, and that it says nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from devices.ids.ids import Ids
from lab.model.frame import Port
from lab.model.plant import Wiring
from lab.network.loop import PlantLoop
from lab.wire import modbus
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

T = TypeVar("T")
KINDS = {
    "plc": "boiler-plc",
    "eng": "workstation",
    "bad": "workstation",
    "sw": "sw-ind-8",
    "ids": "ids",
    "log": "server",
}
RULES = """
# somebody writes who should not
alert modbus !$ENGINEERING any -> $PLCS 502 (msg:"unexpected write"; \\
  modbus: access write; classtype:policy-violation; sid:1001; rev:2; priority:1;)
alert tcp any any -> $PLCS any (msg:"port scan"; flags:S; \\
  detection_filter: track by_src, count 10, seconds 10; sid:1002; classtype:network-scan; priority:2;)
"""
CONFIG = {
    "interfaces": {"eth0": {"address": "10.0.0.40/24"}},
    "variables": {"ENGINEERING": "10.0.0.8", "PLCS": "10.0.0.11"},
    "rules": RULES,
    "syslog": {"collector": "10.0.0.50"},
}


def run(story: Callable[[Plant, Ids], Awaitable[T]]) -> T:
    async def main() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None)
        ports = {"plc": "p1", "eng": "p2", "bad": "p3", "log": "p5", "ids": "p6"}
        cables = [[f"{name}/eth0", f"sw/{port}"] for name, port in ports.items()] + [["ids/mon0", "sw/p8"]]
        given: dict[str, dict[str, Any]] = {
            "plc": {"interfaces": {"eth0": {"address": "10.0.0.11/24"}}},
            "eng": {"interfaces": {"eth0": {"address": "10.0.0.8/24"}}},
            "bad": {"interfaces": {"eth0": {"address": "10.0.0.66/24"}}},
            "sw": {"mirror": {"to": "p8", "from": ["p1"]}},
            "ids": CONFIG,
            "log": {"interfaces": {"eth0": {"address": "10.0.0.50/24"}}, "syslog": {}},
        }
        hosts = {name: APPLIANCES[KINDS[name]].Config.model_validate(config) for name, config in given.items()}
        try:
            await plant.boot(PlantConfig(Wiring.model_validate({"cables": cables}), hosts))
            await asyncio.sleep(5)
            ids = plant.appliances["ids"]
            assert isinstance(ids, Ids)
            return await story(plant, ids)
        finally:
            await plant.stop()

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        return runner.run(main())


async def ask(plant: Plant, host: str, pdu: modbus.Request) -> None:
    async def there() -> None:
        reader, writer = await asyncio.open_connection("10.0.0.11", 502)
        writer.write(modbus.Adu(3, 1, pdu).encode())
        await reader.read(300)
        writer.close()

    await plant.network.hosts[host].spawn(there())
    await asyncio.sleep(0.5)


def test_a_write_by_a_stranger_is_told_and_one_by_the_engineer_is_not() -> None:
    async def story(plant: Plant, ids: Ids) -> None:
        await ask(plant, "eng", modbus.WriteSingleRegister(100, 70))
        await ask(plant, "bad", modbus.ReadInputRegisters(0, 2))
        assert not ids.alerts
        await ask(plant, "bad", modbus.WriteSingleRegister(100, 70))
        (alert,) = ids.alerts
        assert alert["event_type"] == "alert"
        assert (alert["src_ip"], alert["dest_ip"], alert["dest_port"]) == ("10.0.0.66", "10.0.0.11", 502)
        assert alert["alert"]["signature_id"] == 1001
        assert alert["alert"]["severity"] == 1
        assert alert["timestamp"].endswith("+0000")
        assert alert["app_proto"] == "modbus"
        (line,) = ids.status()["latest"]  # type: ignore[misc]
        assert "unexpected write" in line
        assert "unexpected write" in ids.logs["eve.json"].tail(1)[0]

    run(story)


def test_a_scan_is_told_once_it_is_one() -> None:
    async def story(plant: Plant, ids: Ids) -> None:
        async def scan() -> None:
            for port in range(20, 40):
                try:
                    _, writer = await asyncio.open_connection("10.0.0.11", port)
                    writer.close()
                except ConnectionRefusedError:
                    pass

        await plant.network.hosts["bad"].spawn(scan())
        assert ids.counts == {1002: 10}

    run(story)


def test_what_is_said_in_modbus_is_logged_as_zeek_would() -> None:
    async def story(plant: Plant, ids: Ids) -> None:
        await ask(plant, "eng", modbus.ReadInputRegisters(0, 2))
        await ask(plant, "eng", modbus.ReadHoldingRegisters(900, 2))
        lines = [(each["func"], each["pdu_type"], each.get("exception")) for each in ids.modbus]
        assert lines == [
            ("READ_INPUT_REGISTERS", "REQ", None),
            ("READ_INPUT_REGISTERS", "RESP", None),
            ("READ_HOLDING_REGISTERS", "REQ", None),
            ("READ_HOLDING_REGISTERS_EXCEPTION", "RESP", "ILLEGAL_DATA_ADDRESS"),
        ]
        asked, answered = list(ids.modbus_detailed)[:2]
        assert (asked["request_response"], asked["address"], asked["quantity"]) == ("REQUEST", 0, 2)
        assert len(answered["values"].split(",")) == 2
        assert answered["id.resp_h"] == "10.0.0.11"

    run(story)


def test_alerts_go_to_the_collector_too() -> None:
    async def story(plant: Plant, ids: Ids) -> None:
        await ask(plant, "bad", modbus.WriteSingleRegister(100, 70))
        await asyncio.sleep(1)
        lines = plant.appliances["log"].syslog.tail(5)  # type: ignore[attr-defined]
        assert "unexpected write" in str(lines)

    run(story)


def test_it_says_nothing_on_its_monitoring_port() -> None:
    async def story(plant: Plant, ids: Ids) -> None:
        said: list[bytes] = []
        plant.network.taps.append(
            lambda tap, at, frame: said.append(frame) if tap.sent_from == Port("ids", "mon0") else None
        )
        await ask(plant, "bad", modbus.WriteSingleRegister(100, 70))
        assert said == []

    run(story)


def test_new_rules_hold_at_once() -> None:
    async def story(plant: Plant, ids: Ids) -> None:
        rules = 'alert modbus any any -> any 502 (msg:"read"; modbus: access read; sid:7;)'
        await plant.configure("ids", Ids.Config.model_validate({**CONFIG, "rules": rules}))
        await ask(plant, "eng", modbus.ReadInputRegisters(0, 2))
        assert ids.counts == {7: 1}

    run(story)


def test_rules_that_do_not_parse_are_refused_with_their_line() -> None:
    with pytest.raises(ValueError, match="2"):
        Ids.Config.model_validate({**CONFIG, "rules": "\nalert tcp any -> any any (sid:1;)"})
