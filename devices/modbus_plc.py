"""A controller on Modbus TCP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field

from devices.modbus_server import ModbusServer, Stranger
from devices.register_device import RegisterDevice
from lab.model.plant import HostConfig
from lab.network.appliance import RecordTruth
from lab.network.host import Host
from lab.wire.modbus import PORT


class ModbusPlcConfig(HostConfig):
    """What every Modbus controller lets one configure."""

    unit: int = Field(default=1, ge=1, le=247)
    """Unit id it answers to."""
    direct: bool = False
    """Whether it also answers to unit ids 0 and 255, which the Modbus TCP guide keeps for a device addressed by its IP
    address alone."""
    unknown_unit: Stranger = "silent"
    """What a request for another unit gets: silence, or gateway exception 0x0B."""
    port: int = Field(default=PORT, ge=1, le=65535)
    max_connections: int = Field(default=8, ge=1, le=64)


C = TypeVar("C", bound=ModbusPlcConfig)


class ModbusPlc(RegisterDevice[C]):
    """Shows a process in registers to Modbus TCP clients."""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._server: ModbusServer | None = None

    async def start(self) -> None:
        unit = self.begin(self.config.unit)
        ids = (self.config.unit, 0, 255) if self.config.direct else (self.config.unit,)
        self._server = ModbusServer(
            dict.fromkeys(ids, unit),
            strangers=self.config.unknown_unit,
            max_connections=self.config.max_connections,
        )
        await self._server.start(port=self.config.port)

    async def stop(self) -> None:
        self.end()
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def status(self) -> Mapping[str, object]:
        connections = self._server.connections if self._server is not None else 0
        return {"unit": self.config.unit, "connections": connections, **self._seen}
