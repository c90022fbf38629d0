"""A plant of parts in a cabinet for tests: wired, configured and read over Modbus as a trainee would."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from plant_time import on_plant_loop
from pymodbus.client import AsyncModbusTcpClient

from lab.model.frame import Frame, Tap
from lab.model.plant import Wiring
from lab.network.appliance import Value
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES, SWITCHES

T = TypeVar("T")
SETTLING = 0.5
"""Seconds within which every part of a cabinet has answered to a change."""


class Cabinet:
    def __init__(self, loop: PlantLoop, kinds: Mapping[str, str]) -> None:
        self.loop = loop
        self.kinds = dict(kinds)
        self.told: list[tuple[str, str, Value]] = []
        """Truth: device, point, value."""
        self.frames: list[Frame] = []
        self.plant = Plant(loop, kinds, 1, lambda at, host, point, value: self.told.append((host, point, value)))
        self.network = self.plant.network
        self.network.taps.append(self._see)

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))

    async def boot(self, wires: str = "", cables: str = "", **configs: Mapping[str, Any]) -> None:
        """Wires such as `ps/L+ io/L+, ps/M io/M`, cables likewise, configurations by device."""
        wiring = Wiring.model_validate({"wires": _pairs(wires), "cables": _pairs(cables)})
        hosts = {
            name: APPLIANCES[kind].Config.model_validate(configs.get(name, {}))
            for name, kind in self.kinds.items()
            if kind not in SWITCHES
        }
        await self.plant.boot(PlantConfig(wiring, hosts))
        await asyncio.sleep(SETTLING)

    async def rewire(self, wires: str, cables: str = "") -> None:
        self.plant.rewire(Wiring.model_validate({"wires": _pairs(wires), "cables": _pairs(cables)}))
        await asyncio.sleep(SETTLING)

    async def set(self, name: str, **config: Any) -> None:
        """A new configuration for a device."""
        await self.plant.configure(name, APPLIANCES[self.kinds[name]].Config.model_validate(config))
        await asyncio.sleep(SETTLING)

    async def force(self, name: str, point: str, value: Value | None) -> None:
        self.plant.force(name, point, value)
        await asyncio.sleep(SETTLING)

    def status(self, name: str) -> Mapping[str, object]:
        with self.network.hosts[name].current():
            return self.plant.appliances[name].status()

    def point(self, name: str, point: str) -> Any:
        return self.plant.appliances[name].points()[point]

    async def read(self, address: int, count: int, *, reader: str = "pc", device: str = "10.0.0.1") -> list[int]:
        """Input registers of a device, as a computer reads them; an empty list where nobody answers."""

        async def ask() -> list[int]:
            async with asyncio.timeout(5), AsyncModbusTcpClient(device, timeout=1, retries=0) as client:
                return list((await client.read_input_registers(address, count=count)).registers)

        try:
            return await self.network.hosts[reader].spawn(ask())
        except Exception:
            return []


def _pairs(text: str) -> list[list[str]]:
    return [pair.split() for pair in text.split(", ") if pair]


def signed(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


def f32(words: list[int]) -> float:
    value: float = struct.unpack("!f", struct.pack("!HH", *words))[0]
    return value


def address(ip: str, port: str = "eth0") -> dict[str, Any]:
    return {"interfaces": {port: {"address": f"{ip}/24"}}}


def in_cabinet(story: Callable[[Cabinet], Awaitable[T]], **kinds: str) -> T:
    """Tell a story in virtual time; a complaint of the loop fails the test."""

    async def main(loop: PlantLoop) -> T:
        cabinet = Cabinet(loop, {name.replace("_", "-"): kind for name, kind in kinds.items()})
        result = await story(cabinet)
        await cabinet.plant.stop()
        return result

    return on_plant_loop(main, forgives_cancelled=True)
