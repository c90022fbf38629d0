"""A device on Modbus TCP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field

from devices.controller import Controller, ControllerConfig
from devices.modbus_server import ModbusServer, Stranger
from devices.modbus_unit import ModbusUnit
from devices.register_device import RegisterConfig, RegisterDevice
from lab.network.appliance import RecordTruth
from lab.network.host import Host
from lab.wire.modbus import PORT


class ModbusPlcConfig(RegisterConfig):
    """What every Modbus TCP device lets one configure."""

    unit: int = Field(default=1, ge=1, le=247)
    """Unit id it answers to."""
    direct: bool = False
    """Whether it also answers to unit ids 0 and 255, which the Modbus TCP guide keeps for a device addressed by its IP
    address alone."""
    unknown_unit: Stranger = "silent"
    """What a request for another unit gets: silence, or gateway exception 0x0B."""
    port: int = Field(default=PORT, ge=1, le=65535)
    max_connections: int = Field(default=8, ge=1, le=64)
    """A client that comes when there are so many already is cut off at once."""


C = TypeVar("C", bound=ModbusPlcConfig)


class ModbusPlc(RegisterDevice[C]):
    """Shows a process in registers to Modbus TCP clients."""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._server: ModbusServer | None = None

    @property
    def unit(self) -> int:
        return self.config.unit

    async def open(self, unit: ModbusUnit) -> None:
        self._server = self.make_server(unit)
        await self._server.start(port=self.config.port)

    def make_server(self, unit: ModbusUnit) -> ModbusServer:
        return ModbusServer(
            self.by_id(unit),
            strangers=self.config.unknown_unit,
            max_connections=self.config.max_connections,
        )

    def by_id(self, unit: ModbusUnit) -> Mapping[int, ModbusUnit]:
        """The unit under every id it answers to."""
        ids = (self.config.unit, 0, 255) if self.config.direct else (self.config.unit,)
        return dict.fromkeys(ids, unit)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def status(self) -> Mapping[str, object]:
        connections = self._server.connections if self._server is not None else 0
        return {"unit": self.config.unit, "connections": connections, **self._seen}


class ModbusControllerConfig(ControllerConfig, ModbusPlcConfig):
    """What every controller on Modbus TCP lets one configure."""


M = TypeVar("M", bound=ModbusControllerConfig)


class ModbusController(Controller[M], ModbusPlc[M]):
    """A controller whose clients come by Modbus TCP."""
