"""A controller on Modbus TCP: a process on one side, registers on the other, a scan cycle in between."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from random import Random
from typing import ClassVar, TypeVar

from pydantic import Field

from devices.modbus_server import ModbusServer, Stranger
from devices.modbus_unit import Identity, ModbusUnit
from devices.process.process import Process
from devices.registers import Registers, Variable
from devices.scan import ScanCycle
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
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


class ModbusPlc(Appliance[C]):
    """Shows a process in registers. The process goes on through restarts and reconfigurations, as boilers do."""

    Process: ClassVar[type[Process]]
    identity: ClassVar[Identity]
    setpoints: ClassVar[tuple[str, ...]]
    """Points that clients write and the process obeys."""
    scan_period: ClassVar[float] = 0.5
    """Seconds"""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        # A stream of its own, so that what the network draws does not move the process.
        self.process = self.Process(Random(host.random.getrandbits(64)))
        self._seen: dict[str, Value] = {}
        self._variables: Mapping[str, Variable] = {}
        self._server: ModbusServer | None = None
        self._scan_cycle = ScanCycle(self.scan_period, self._scan)

    @abstractmethod
    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        """The register map: a variable for every point of the process."""

    async def start(self) -> None:
        registers = Registers()
        self._variables = self.lay_out(registers)
        self._show()
        unit = ModbusUnit(registers, self.identity, written=self._written, server_id=self.config.unit)
        ids = (self.config.unit, 0, 255) if self.config.direct else (self.config.unit,)
        self._server = ModbusServer(
            dict.fromkeys(ids, unit),
            strangers=self.config.unknown_unit,
            max_connections=self.config.max_connections,
        )
        await self._server.start(port=self.config.port)
        self._scan_cycle.start()

    async def stop(self) -> None:
        self._scan_cycle.stop()
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def points(self) -> Mapping[str, Value]:
        return dict(self._seen)

    def force(self, point: str, value: Value | None) -> None:
        self.process.force(point, value)
        self._show()

    def status(self) -> Mapping[str, object]:
        connections = self._server.connections if self._server is not None else 0
        return {"unit": self.config.unit, "connections": connections, **self._seen}

    def _scan(self, seconds: float) -> None:
        self.process.step(seconds)
        self._show()

    def _written(self) -> None:
        for point in self.setpoints:
            self.process.set(point, self._variables[point].read())
        self._show()

    def _show(self) -> None:
        """Bring the registers up to date, and tell the truth where a reader of them would see a difference."""
        for point, value in self.process.values().items():
            variable = self._variables[point]
            variable.write(value)
            seen = variable.read()
            if self._seen.get(point) != seen:
                self._seen[point] = seen
                self.record(point, seen)
