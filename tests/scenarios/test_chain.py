"""From the goods and the process to the platform, by way of real devices, the gateway and the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from lab.model.frame import Port
from lab.model.plant import Wiring
from lab.network.appliance import Value
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

KINDS = {
    "reader": "rfid-reader", "scan": "scanner", "boiler": "boiler-plc", "gw": "gw-edge", "broker": "broker",
    "platform": "platform", "pc": "workstation", "sw": "switch-8",
}  # fmt: skip
HOSTS = [name for name in KINDS if name != "sw"]
CARTON = "3035A537C8377540{:08X}"
CODES = [f"(01)06901234567892(21){serial}" for serial in range(2001, 2006)]


def address(name: str) -> str:
    return f"10.0.0.{HOSTS.index(name) + 1}"


def reader() -> dict[str, Any]:
    """A dock door; five pallets of four cartons pass it, half a minute apart."""
    pallets = [
        {
            "name": f"PAL-{number}",
            "zone": "dock-3",
            "arrives": 10.0 + 30 * number,
            "tags": [{"epc": CARTON.format(1000 + 10 * number + carton)} for carton in range(4)],
        }
        for number in range(5)
    ]
    settings = {"power": 25.0, "antennas": [1, 2], "dwell_ms": 1500, "filter": 1}
    return {"reader": settings, "pallets": pallets, "opcua": {"enabled": False}, "llrp": {"enabled": False}}


def scanner() -> dict[str, Any]:
    belt = [
        {"at": 12.0 + 30 * number, "carrier": {"symbology": "gs1-128", "text": text}}
        for number, text in enumerate(CODES)
    ]
    return {"symbologies": ["gs1-128"], "trigger": "edge", "belt": belt}


def gateway() -> dict[str, Any]:
    tags = [
        {"name": "pressure", "table": "input", "address": 0, "type": "i16", "scale": 0.01, "unit": "MPa"},
        {
            "name": "setpoint",
            "table": "holding",
            "address": 100,
            "type": "i16",
            "scale": 0.01,
            "write": True,
            "write_range": [0.2, 1.2],
        },
    ]
    south = [
        {"name": "dock-3", "driver": "rfid", "connection": {"host": address("reader")}, "repeat_after_ms": 20_000},
        {"name": "line-1", "driver": "scanner", "connection": {"host": address("scan")}},
        {
            "name": "boiler-1",
            "driver": "modbus-tcp",
            "connection": {"host": address("boiler"), "unit": 1},
            "groups": [{"name": "all", "period_ms": 1000, "report": "period", "tags": tags}],
        },
    ]
    north = {"name": "plant", "host": address("broker"), "commands": {}}
    return {"site": "works", "south": south, "north": [north]}


def platform() -> dict[str, Any]:
    pressure = {"type": "double", "unit": "MPa"}
    setpoint = {**pressure, "access": "rw", "min": 0, "max": 2}
    products = [
        {"id": "gateway"},
        {"id": "reader", "properties": {"epc": {"type": "text"}, "status": {"type": "int"}}},
        {"id": "scanner", "properties": {"code": {"type": "text"}, "symbology": {"type": "text"}}},
        {"id": "boiler", "properties": {"pressure": pressure, "setpoint": setpoint}},
    ]
    devices = [
        {"id": "gw", "product": "gateway", "site": "works"},
        {"id": "dock-3", "product": "reader", "gateway": "gw"},
        {"id": "line-1", "product": "scanner", "gateway": "gw"},
        {"id": "boiler-1", "product": "boiler", "gateway": "gw"},
    ]
    stale = {"id": "stale", "kind": "stale", "device": "boiler-1", "property": "pressure", "seconds": 10}
    return {
        "users": {"root": {"role": "admin", "password": "r"}},
        "broker": {"host": address("broker")},
        "products": products,
        "devices": devices,
        "rules": [stale],
    }


class Works:
    """The plant, and somebody at the platform's REST."""

    def __init__(self, plant: Plant, truth: list[tuple[str, str, Value]]) -> None:
        self.plant, self.truth = plant, truth
        self._token = ""

    async def ask(self, method: str, path: str, document: Any = None) -> Any:
        if not self._token and path != "/api/login":
            self._token = (await self.ask("POST", "/api/login", {"user": "root", "password": "r"}))["token"]

        async def fetch() -> Any:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(
                    method, f"http://{address('platform')}{path}", json=document, headers=headers
                ) as answer,
            ):
                assert answer.status < 300, await answer.text()
                return await answer.json()

        return await self.plant.network.hosts["pc"].spawn(fetch())

    async def events(self, device: str) -> list[Any]:
        """Oldest first."""
        found = await self.ask("GET", f"/api/devices/{device}/events?limit=1000")
        return [each["data"] for each in reversed(found["items"])]

    def told(self, host: str, point: str) -> list[Value]:
        return [value for name, each, value in self.truth if (name, each) == (host, point)]


def at_the_works(story: Callable[[Works], Awaitable[None]], folder: Path, **more: dict[str, Any]) -> None:
    loop = PlantLoop(fast=True)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    configs = {"reader": reader(), "scan": scanner(), "gw": gateway(), "platform": platform(), **more}
    cables = [[f"{name}/eth0", f"sw/p{place}"] for place, name in enumerate(HOSTS, 1)]
    config = PlantConfig(
        Wiring.model_validate({"cables": cables}),
        {
            name: APPLIANCES[KINDS[name]].Config.model_validate(
                {"interfaces": {"eth0": {"address": f"{address(name)}/24"}}, **configs.get(name, {})}
            )
            for name in HOSTS
        },
    )

    async def main() -> None:
        truth: list[tuple[str, str, Value]] = []
        plant = Plant(loop, KINDS, 1, lambda _, host, point, value: truth.append((host, point, value)), disks=folder)
        await plant.boot(config)
        await story(Works(plant, truth))
        await plant.stop()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert not complaints, complaints


def test_every_identifier_that_passes_arrives_once_and_with_its_meaning(tmp_path: Path) -> None:
    async def story(works: Works) -> None:
        await asyncio.sleep(180)
        cartons = [CARTON.format(1000 + 10 * pallet + carton) for pallet in range(5) for carton in range(4)]
        events = await works.events("dock-3")
        heard = [code for event in events for code in event["epcList"]]
        assert len(heard) == len(set(heard)), "nothing twice"
        assert sorted(heard) == [f"urn:epc:id:sgtin:6901234.056789.{int(epc[-8:], 16)}" for epc in cartons]
        assert {event["action"] for event in events} == {"OBSERVE"}
        assert {event["bizStep"] for event in events} == {"receiving"}
        scanned = [code for event in await works.events("line-1") for code in event["epcList"]]
        assert len(scanned) == len(CODES)
        assert all(str(serial) in code for serial, code in zip(range(2001, 2006), scanned, strict=True))
        assert len(works.told("scan", "reading")) == len(CODES)

    at_the_works(story, tmp_path)


def test_identifiers_that_are_read_while_the_broker_is_away_arrive_late_and_in_order(tmp_path: Path) -> None:
    async def story(works: Works) -> None:
        await asyncio.sleep(35)
        before = len(await works.events("line-1"))
        cable = works.plant.network.cable_at(Port("broker", "eth0"))
        assert cable is not None
        works.plant.network.set_carrying(cable, False)
        await asyncio.sleep(65)
        assert len(await works.events("line-1")) == before
        works.plant.network.set_carrying(cable, True)
        await asyncio.sleep(80)
        for device, count in (("line-1", 5), ("dock-3", 20)):
            events = await works.events(device)
            assert sum(len(event["epcList"]) for event in events) == count
            times = [event["eventTime"] for event in events]
            assert times == sorted(times)

    at_the_works(story, tmp_path)


def test_a_setpoint_goes_down_from_the_platform_and_its_value_comes_back_up(tmp_path: Path) -> None:
    async def story(works: Works) -> None:
        await asyncio.sleep(20)
        latest = {each["property"]: each for each in (await works.ask("GET", "/api/devices/boiler-1/latest"))["values"]}
        truth = float(works.plant.appliances["boiler"].points()["pressure"])
        assert abs(latest["pressure"]["value"] - truth) < 0.05
        assert latest["pressure"]["quality"] == "good"
        written = await works.ask("PUT", "/api/devices/boiler-1/properties", {"values": {"setpoint": 0.75}})
        assert written["state"] == "succeeded", written
        await asyncio.sleep(3)
        latest = {each["property"]: each for each in (await works.ask("GET", "/api/devices/boiler-1/latest"))["values"]}
        assert latest["setpoint"]["value"] == 0.75
        assert works.plant.appliances["boiler"].points()["pressure_setpoint"] == 0.75
        refused = await works.ask("PUT", "/api/devices/boiler-1/properties", {"values": {"setpoint": 1.9}})
        assert refused["state"] == "failed", "the gateway's own limit"
        assert works.plant.appliances["boiler"].points()["pressure_setpoint"] == 0.75
        audit = works.plant.appliances["gw"].logs["audit"].tail(10)
        assert any("0.75" in line for line in audit)

    at_the_works(story, tmp_path)


def test_a_device_that_falls_silent_raises_an_alarm_which_clears_when_it_is_back(tmp_path: Path) -> None:
    async def story(works: Works) -> None:
        await asyncio.sleep(20)
        alarms = await works.ask("GET", "/api/alarms")
        assert not alarms["items"]
        cable = works.plant.network.cable_at(Port("boiler", "eth0"))
        assert cable is not None
        works.plant.network.set_carrying(cable, False)
        await asyncio.sleep(40)
        (alarm,) = (await works.ask("GET", "/api/alarms"))["items"]
        assert alarm["device"] == "boiler-1"
        works.plant.network.set_carrying(cable, True)
        await asyncio.sleep(40)
        (alarm,) = (await works.ask("GET", "/api/alarms"))["items"]
        assert alarm["cleared_at"]

    at_the_works(story, tmp_path)


def test_no_second_is_missing_after_the_broker_was_cut_off_and_without_power(tmp_path: Path) -> None:
    async def story(works: Works) -> None:
        network = works.plant.network
        cable = network.cable_at(Port("broker", "eth0"))
        assert cable is not None
        await asyncio.sleep(100)
        network.set_carrying(cable, False)
        await asyncio.sleep(12)
        network.set_carrying(cable, True)
        await asyncio.sleep(100)
        network.power("broker", False)
        await asyncio.sleep(12)
        network.power("broker", True)
        await asyncio.sleep(100)
        history = await works.ask("GET", "/api/devices/boiler-1/history?property=pressure&limit=1000")
        stamps = sorted(each["at"] for each in history["items"])
        seconds = [stamp // 1000 for stamp in stamps[2:]]  # the first two come before the first whole second
        assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
        assert len(seconds) >= 320

    at_the_works(story, tmp_path)
