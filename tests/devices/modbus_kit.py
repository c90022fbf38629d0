"""Reads a Modbus device as a person with a manual would, with somebody else's client."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from device_kit import Lab
from pymodbus.client import AsyncModbusTcpClient


def i16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


def u32(words: list[int]) -> int:
    return words[0] << 16 | words[1]


def f32(words: list[int]) -> float:
    value: float = struct.unpack("!f", struct.pack("!HH", *words))[0]
    return value


class Reader:
    """Reads a device as a person with a manual would."""

    def __init__(self, lab: Lab, unit: int) -> None:
        self.lab, self.unit = lab, unit
        self.pause = 0.0
        """Seconds before each connection."""

    async def ask(self, deed: str, *arguments: Any, **options: Any) -> Any:
        async def ask() -> Any:
            await asyncio.sleep(self.pause)
            async with AsyncModbusTcpClient("10.0.0.1", timeout=1, retries=0) as client:
                return await getattr(client, deed)(*arguments, device_id=self.unit, **options)

        return await self.lab.from_pc(ask)

    async def inputs(self, address: int, count: int) -> list[int]:
        return list((await self.ask("read_input_registers", address, count=count)).registers)

    async def holding(self, address: int, count: int) -> list[int]:
        return list((await self.ask("read_holding_registers", address, count=count)).registers)

    async def discrete(self, address: int, count: int) -> list[bool]:
        return list((await self.ask("read_discrete_inputs", address, count=count)).bits[:count])

    async def coils(self, address: int, count: int) -> list[bool]:
        return list((await self.ask("read_coils", address, count=count)).bits[:count])

    async def write(self, address: int, value: int) -> bool:
        return not (await self.ask("write_register", address, value)).isError()

    async def write_coil(self, address: int, value: bool) -> bool:
        return not (await self.ask("write_coil", address, value)).isError()

    async def identity(self) -> dict[int, bytes]:
        return dict((await self.ask("read_device_information", read_code=1, object_id=0)).information)
