"""Serial lines of the gateway, units behind serial servers, and how little a dead one costs the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from gateway_kit import Room, modbus_device, tell

from devices.registry import KINDS as DEVICES
from gateway.registry import KINDS
from gateway.samples import Report
from lab.model.frame import Port
from lab.network.appliance import Appliance

LINE = {"baud": 9600, "parity": "even"}
TEMPERATURE = {"name": "temperature", "address": 30001, "type": "i16", "scale": 0.1}


class Ear:
    """Stands in the place of a destination and hears every report."""

    def __init__(self, room: Room, gateway: Any) -> None:
        self.heard: list[tuple[float, Report]] = []
        self.events: list[tuple[str, Any]] = []
        """(reader, what was said)"""
        self._room = room
        gateway._north = {"ear": self}

    def publish(self, report: Report) -> None:
        self.heard.append((self._room.loop.time(), report))

    def publish_event(self, reader: str, payload: bytes) -> None:
        self.events.append((reader, json.loads(payload)))

    def status(self) -> dict[str, object]:
        return {}

    async def stop(self) -> None:
        pass


class Cabinet:
    """A gateway or a serial server `box`, and RS-485 devices on its port 1."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._last = ""

    async def add(self, name: str, kind: str, config: Mapping[str, Any], *, plugged: str = "") -> Appliance[Any]:
        appliance = (KINDS | DEVICES)[kind]
        host = appliance.hardware(self.room.network, name)
        model = appliance.Config.model_validate(config)
        host.configure(model)
        if plugged:
            self.room.network.plug(Port(name, "eth0"), Port("sw", plugged))
        running = appliance(host, model, lambda point, value: None)
        await host.spawn(running.start())
        return running

    async def sensor(self, name: str, unit: int, box: str, **more: Any) -> Appliance[Any]:
        """On the line behind the one before."""
        sensor = await self.add(name, "th485", {"unit": unit, "line": LINE, **more})
        for terminal in ("A", "B", "GND"):
            end = Port(self._last, terminal) if self._last else Port(box, f"{terminal}1")
            self.room.network.conductors.wire(end, Port(name, terminal))
        self._last = name
        return sensor


def on_the_line(name: str, unit: int, *tags: dict[str, Any], **connection: Any) -> dict[str, Any]:
    groups = [{"name": "g", "period_ms": 500, "tags": list(tags) or [TEMPERATURE]}]
    return {"name": name, "driver": "modbus-rtu", "connection": {"unit": unit, **connection}, "groups": groups}


def test_the_gateway_is_master_of_its_own_line() -> None:
    async def story(room: Room) -> Any:
        cabinet = Cabinet(room)
        south = [on_the_line("th-1", 3), on_the_line("th-2", 4)]
        gateway = await cabinet.add("edge", "gw-edge", {"serial": {"1": {"line": LINE}}, "south": south})
        one = await cabinet.sensor("th-1", 3, "edge")
        await cabinet.sensor("th-2", 4, "edge", termination=True)
        await asyncio.sleep(10)
        status: Any = gateway.status()
        truth = one.points()["temperature"]
        await gateway.host.spawn(gateway.stop())
        return status, truth

    status, truth = tell(story)
    first = status["south"]["th-1"]["tags"]["temperature"]
    assert (first["value"], first["quality"]) == (round(float(truth), 1), "good")
    assert first["good"] >= 16
    assert status["south"]["th-2"]["tags"]["temperature"]["quality"] == "good"
    assert (status["serial"]["1"]["line"], status["serial"]["1"]["devices"]) == ("9600 8E1", 2)
    # Eight characters there, seven back, two silences, and the sensor's own 5 ms.
    assert 20 < status["south"]["th-1"]["rtt_p50_ms"] < 60


def test_a_line_set_wrongly_is_silent_and_says_so_until_it_is_set_right() -> None:
    async def story(room: Room) -> list[Any]:
        cabinet = Cabinet(room)
        config: dict[str, Any] = {"serial": {"1": {"line": {"baud": 19200}}}, "south": [on_the_line("th-1", 3)]}
        gateway = await cabinet.add("edge", "gw-edge", config)
        await cabinet.sensor("th-1", 3, "edge")
        await asyncio.sleep(10)
        said = [gateway.status()]
        right = gateway.Config.model_validate(config | {"serial": {"1": {"line": LINE}}})
        await gateway.host.spawn(gateway.apply(right))
        await asyncio.sleep(5)
        said.append(gateway.status())
        await gateway.host.spawn(gateway.stop())
        return said

    wrong, right = tell(story)
    assert "no answer from unit 3" in wrong["south"]["th-1"]["tags"]["temperature"]["reason"]
    assert right["south"]["th-1"]["tags"]["temperature"]["quality"] == "good"
    assert any("serial.1.line.baud 19200 -> 9600" in line for line in right["changes"])


@pytest.mark.parametrize(
    ("driver", "server"),
    [("modbus-rtu-tcp", {"mode": "transparent", "tcp_port": 4001}), ("modbus-tcp", {"tcp_port": 4001})],
)
def test_a_dead_unit_behind_a_serial_server_hardly_delays_its_neighbours(driver: str, server: dict[str, Any]) -> None:
    async def story(room: Room) -> Any:
        cabinet = Cabinet(room)
        await cabinet.add(
            "ser",
            "sersrv",
            {
                "interfaces": {"eth0": {"address": "10.0.0.50/24"}},
                "serial": {"1": {"line": LINE, "response_timeout": 0.2, **server}},
            },
            plugged="p9",
        )
        await cabinet.sensor("th-1", 3, "ser")
        await cabinet.sensor("th-2", 4, "ser")
        device = {
            "name": "line",
            "driver": driver,
            "connection": {"host": "10.0.0.50", "port": 4001, "unit": 3},
            "groups": [
                {"name": "a", "period_ms": 1000, "tags": [TEMPERATURE]},
                {"name": "dead", "period_ms": 1000, "unit_id": 9, "tags": [{**TEMPERATURE, "name": "nobody"}]},
                {"name": "b", "period_ms": 1000, "unit_id": 4, "tags": [{**TEMPERATURE, "name": "other"}]},
            ],
        }
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        ear = Ear(room, gateway)
        await asyncio.sleep(120)
        return [at for at, report in ear.heard if report.group == "a"], gateway.status()["south"]["line"]

    times, status = tell(story)
    late = [later - earlier for earlier, later in pairwise(times[5:]) if later - earlier > 1.4]
    assert not late, "its neighbours keep their period"
    assert status["connections"] == 1
    assert status["tags"]["temperature"]["bad"] <= 2
    assert status["groups"]["b"]["overruns"] <= 3
    assert (status["tags"]["nobody"]["quality"], status["units"][9]["resting"]) == ("bad", True)
    assert status["units"][9]["silent"] < 40, "it is asked ever more rarely"
    assert status["tags"]["nobody"]["reason"]


def test_a_unit_that_returns_is_read_again_within_moments() -> None:
    async def story(room: Room) -> Any:
        cabinet = Cabinet(room)
        serial = {"serial": {"1": {"line": LINE}}, "south": [on_the_line("th-1", 3), on_the_line("th-2", 4)]}
        gateway = await cabinet.add("edge", "gw-edge", serial)
        await cabinet.sensor("th-1", 3, "edge")
        two = await cabinet.sensor("th-2", 4, "edge")
        await asyncio.sleep(10)
        await two.host.spawn(two.stop())
        await asyncio.sleep(8)
        dead = gateway.status()["south"]["th-2"]["tags"]["temperature"]["quality"]
        await two.host.spawn(two.start())
        await asyncio.sleep(1.0)
        alive = gateway.status()["south"]["th-2"]["tags"]["temperature"]["quality"]
        await gateway.host.spawn(gateway.stop())
        return dead, alive

    assert tell(story) == ("bad", "good")


def test_a_device_that_was_away_for_eight_seconds_is_read_within_one_after_its_return() -> None:
    async def story(room: Room) -> list[float]:
        await room.modbus_server("plc-1", [7] * 8)
        tags = [{"name": "level", "address": 40001, "type": "u16"}]
        gateway = await room.switch_on("gw", "gw-edge", {"south": [modbus_device("plc", room.address("plc-1"), tags)]})
        ear = Ear(room, gateway)
        resumed: list[float] = []
        for number in range(8):
            await asyncio.sleep(20 + number * 0.13)
            room.network.unplug(Port("plc-1", "eth0"))
            await asyncio.sleep(8)
            room.network.plug(Port("plc-1", "eth0"), Port("sw", "p4"))
            back = room.loop.time()
            await asyncio.sleep(3)
            good = [at for at, report in ear.heard if at > back and report.samples["level"].quality == "good"]
            resumed.append(good[0] - back)
        return resumed

    assert max(tell(story)) <= 1.0


def test_values_do_not_grow_older_under_ten_times_the_load_a_device_can_bear() -> None:
    """One request takes a second, ten a second are wanted."""

    async def story(room: Room) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    request = await reader.readexactly(12)
                    at = int(room.loop.time() * 10) & 0xFFFF
                    await asyncio.sleep(1.0)
                    writer.write(request[:4] + b"\0\5" + request[6:7] + b"\3\2" + at.to_bytes(2, "big"))
            except asyncio.IncompleteReadError:
                writer.close()

        await room.hosts["plc-1"].spawn(asyncio.start_server(serve, "0.0.0.0", 502))
        tags = [{"name": "asked", "address": 40001, "type": "u16"}]
        device = modbus_device("plc", room.address("plc-1"), tags, timeout_ms=5000)
        device["groups"][0]["period_ms"] = 100
        gateway = await room.switch_on("gw", "gw-edge", {"south": [device]})
        ear = Ear(room, gateway)
        await asyncio.sleep(300)
        ages = [at - float(report.samples["asked"].value or 0) / 10 for at, report in ear.heard]
        return ages, gateway.status()["south"]["plc"]["groups"]["g"]

    ages, group = tell(story)
    assert max(ages[1:]) < 1.3
    assert group["overruns"] > 2500
