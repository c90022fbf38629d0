"""Where the other side of a gap puts what has crossed: in registers of its own, or into documents it sends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from devices.gap.config import DataSet, Delivery, ModbusTarget
from devices.gap.documents import Record, to_json, to_registers
from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from lab.network.host import Host

_PATIENCE: Final = 5.0
"""Seconds until a document is delivered."""
_IDENTITY: Final = Identity("iiotlab", "GAP", "V1.0")


class Outlet(ABC):
    """Gives out one data set on a host, until `stop`."""

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    async def give(self, record: Record) -> str | None:
        """What went wrong, or None."""


class ModbusOutlet(Outlet):
    """The latest record, in holding and input registers; before the first there are no such addresses."""

    def __init__(self, host: Host, dataset: DataSet, target: ModbusTarget) -> None:
        self._host, self._dataset, self._target = host, dataset, target
        self._registers = Registers()
        self._server = ModbusServer({target.unit: ModbusUnit(self._registers, _IDENTITY, server_id=target.unit)})

    async def start(self) -> None:
        with self._host.current():
            await self._server.start(port=self._target.port)

    async def stop(self) -> None:
        await self._server.stop()

    async def give(self, record: Record) -> str | None:
        words = dict(enumerate(to_registers(record, self._dataset), self._target.address))
        self._registers.holding_registers.values.update(words)
        self._registers.input_registers.values.update(words)
        return None


class UdpOutlet(Outlet):
    def __init__(self, host: Host, target: Delivery) -> None:
        self._host, self._target = host, target
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        with self._host.current():
            self._transport, _ = self._host.open_datagrams(asyncio.DatagramProtocol, ("0.0.0.0", 0), None)

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def give(self, record: Record) -> str | None:
        if self._transport is None:
            return "stopped"
        self._transport.sendto(to_json(record), (str(self._target.host), self._target.port))
        return None


class TcpOutlet(Outlet):
    """A connection of its own for each document."""

    def __init__(self, host: Host, target: Delivery) -> None:
        self._host, self._target = host, target

    async def start(self) -> None:
        """Nothing is open between two documents."""

    async def stop(self) -> None:
        """Nothing is open between two documents."""

    async def give(self, record: Record) -> str | None:
        target = self._target
        try:
            async with asyncio.timeout(_PATIENCE):
                _, writer = await asyncio.open_connection(str(target.host), target.port)
                try:
                    writer.write(to_json(record))
                    await writer.drain()
                finally:
                    writer.close()
                await writer.wait_closed()
        except OSError as error:
            return f"not delivered to {target.host}: {error.strerror or 'timeout'}"
        return None


def outlet(host: Host, dataset: DataSet) -> Outlet:
    """What gives out a data set on its target's side."""
    target = dataset.target
    if target.modbus is not None:
        return ModbusOutlet(host, dataset, target.modbus)
    if target.udp is not None:
        return UdpOutlet(host, target.udp)
    assert target.tcp is not None
    return TcpOutlet(host, target.tcp)
