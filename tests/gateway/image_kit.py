"""A Modbus device that is a picture: tables of values, addresses it refuses, units that are silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import yaml

from gateway.config import GatewayConfig
from gateway.modbus.address import BIT_TABLES, Table
from gateway.modbus.channel import READ_CODES, Answer, Channel, Refused, Silent
from gateway.modbus.driver import ModbusDriver
from gateway.samples import Sample

CASES = Path(__file__).parent / "cases"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((CASES / f"{name}.yaml").read_text("utf-8"))
    return found


class Image(Channel):
    """Answers from its tables, and remembers what it was asked."""

    def __init__(self, tables: Mapping[str, Mapping[int, Sequence[int]]]) -> None:
        self.tables: dict[str, dict[int, int]] = {
            table: {first + place: value for first, values in runs.items() for place, value in enumerate(values)}
            for table, runs in tables.items()
        }
        self.forbidden: set[tuple[str, int]] = set()
        self.most = 125
        self.dead: set[int] = set()
        self.reads: list[tuple[int, int, int]] = []
        """Function code, offset, quantity."""
        self.units: list[int] = []
        self.writes: list[list[Any]] = []

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def read(self, unit: int, table: Table, offset: int, quantity: int, timeout: float) -> Answer:
        self.reads.append((READ_CODES[table], offset, quantity))
        self.units.append(unit)
        if unit in self.dead:
            await asyncio.sleep(timeout)
            raise Silent
        span = range(offset, offset + quantity)
        if quantity > self.most or any((table, address) in self.forbidden for address in span):
            raise Refused(2)
        values = [self.tables.get(table, {}).get(address, 0) for address in span]
        if table in BIT_TABLES:
            return [bool(value) for value in values] + [False] * (-quantity % 8)
        return values

    async def write(
        self, unit: int, function: int, offset: int, values: Sequence[int] | Sequence[bool], timeout: float
    ) -> None:
        self.writes.append([function, offset, [int(value) for value in values]])
        table = "coil" if function in (5, 15) else "holding"
        self.tables.setdefault(table, {}).update({offset + place: int(value) for place, value in enumerate(values)})


def device_of(
    tags: Sequence[Mapping[str, Any]],
    device: Mapping[str, Any] | None = None,
    group: Mapping[str, Any] | None = None,
) -> Any:
    """A device with one group; tags without a name are called t0, t1 …"""
    named = [{"name": f"t{number}", **tag} for number, tag in enumerate(tags)]
    more = dict(device or {})
    connection = {"host": "10.0.0.9", **more.pop("connection", {})}
    groups = [{"name": "g", "tags": named, **(group or {})}]
    written = {"name": "plc", "driver": "modbus-tcp", "connection": connection, "groups": groups, **more}
    return GatewayConfig.model_validate({"south": [written]}).south[0]


async def driver_of(config: Any, image: Image) -> ModbusDriver:
    driver = ModbusDriver(config, image, Random(1))
    driver.serve(config.groups)
    await driver.open()
    return driver


async def read_once(config: Any, image: Image) -> Mapping[str, Sample]:
    driver = await driver_of(config, image)
    return await driver.reader(config.groups[0]).read()
