"""One plant with a device of every kind there is: all start, run, answer, and leave without a word of complaint."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

from lab.model.plant import HostConfig, Wiring
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES, interfaces_of, ports_of

SWITCHES = ("core-1", "core-2", "core-3")
MORE: dict[str, dict[str, Any]] = {
    "idn-node": {"role": "secondary", "prefixes": ["88.900"]},
    "server": {"dns": {}, "ntp": {}, "syslog": {}},
    "vpn": {"private_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
    "platform": {"users": {"root": {"role": "admin", "password": "r"}}},
}
WIRES = [
    ["psu-24/L+", "io-module/L+"],
    ["psu-24/M", "io-module/M"],
    ["psu-24/L+", "ap-ind/L+"],
    ["psu-24/M", "ap-ind/M"],
]
PORTS = {
    "boiler-plc": (502,), "broker": (1883,), "cnc-plc": (4840,), "cold-plc": (502,), "idn-node": (8000,),
    "imm-plc": (502,), "io-module": (502,), "meter-tcp": (502,), "pack-line": (502, 4840), "platform": (80,),
    "plc": (502,), "rfid-reader": (502, 4840, 5084), "rtu-old": (502,), "scanner": (2001,), "water-plc": (502,),
}  # fmt: skip
"""Where each answers over TCP."""


def plant() -> tuple[dict[str, str], PlantConfig, dict[str, str]]:
    """Kinds by host, how they are configured, and their addresses."""
    hosts = {kind: kind for kind in APPLIANCES if not kind.startswith("sw-ind")}
    kinds = {**hosts, **dict.fromkeys(SWITCHES, "sw-ind-16"), "ring-8": "sw-ind-8", "ring-12": "sw-ind-12"}
    addresses, cables, configs = {}, [], {}
    for place, host in enumerate(hosts):
        interfaces = {}
        if names := interfaces_of(kinds[host]):
            addresses[host] = f"10.0.0.{place + 10}"
            interfaces[names[0]] = {"address": addresses[host] + "/24"}
        if ports := ports_of(kinds[host]):
            number = len(cables)
            cables.append([f"{host}/{ports[0]}", f"{SWITCHES[number // 14]}/p{number % 14 + 1}"])
        config = {"interfaces": interfaces, **MORE.get(host, {})}
        configs[host] = APPLIANCES[kinds[host]].Config.model_validate(config)
    cables += [["core-1/p15", "core-2/p15"], ["core-2/p16", "core-3/p16"], ["core-3/p15", "ring-8/p1"]]
    cables.append(["ring-8/p2", "ring-12/p1"])
    configs |= {name: APPLIANCES[kinds[name]].Config.model_validate({}) for name in (*SWITCHES, "ring-8", "ring-12")}
    return kinds, PlantConfig(Wiring.model_validate({"cables": cables, "wires": WIRES}), configs), addresses


def test_a_device_of_every_kind_starts_answers_and_goes_in_peace(tmp_path: Path, caplog: Any) -> None:
    kinds, config, addresses = plant()
    assert set(kinds.values()) == set(APPLIANCES)
    loop = PlantLoop(fast=True)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))

    async def ask(kind: str, port: int) -> bool:
        _, writer = await asyncio.open_connection(addresses[kind], port)
        writer.close()
        return True

    async def main() -> None:
        works = Plant(loop, kinds, 1, lambda at, host, point, value: None, disks=tmp_path)
        await works.boot(config)
        assert isinstance(config.hosts["workstation"], HostConfig)
        await asyncio.sleep(60)
        pc = works.network.hosts["workstation"]
        for kind, ports in PORTS.items():
            for port in ports:
                async with asyncio.timeout(5):
                    assert await pc.spawn(ask(kind, port)), (kind, port)
        await asyncio.sleep(300)
        for name, appliance in works.appliances.items():
            with works.network.hosts[name].current():
                assert isinstance(dict(appliance.status()), dict)
                assert isinstance(dict(appliance.points()), dict)
        await works.stop()
        await asyncio.sleep(5)
        left = {repr(task.get_coro()) for task in asyncio.all_tasks() - {asyncio.current_task()}}
        assert not left, left

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    gc.collect()
    assert not complaints, complaints
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
