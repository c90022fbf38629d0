"""A device on RS-485 that speaks Modbus RTU: its registers, its line settings, its terminals."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import Field

from devices.modbus_unit import ModbusUnit
from devices.register_device import RegisterConfig, RegisterDevice
from devices.serial.rtu_server import RtuServer
from lab.model.frame import Port
from lab.network.appliance import RecordTruth
from lab.network.host import Host
from lab.network.serial.line import LineSettings
from lab.network.serial.port import Rs485
from lab.wire.modbus.rtu import MAX_UNIT

if TYPE_CHECKING:
    from lab.network.fabric import Network


class RtuConfig(RegisterConfig):
    """What is set at every such device, by switches or a programming tool."""

    unit: int = Field(default=1, ge=1, le=MAX_UNIT)
    line: LineSettings = LineSettings()
    termination: bool = False
    """Whether its 120 Ω resistor is switched on."""
    response_delay: float = Field(default=0.005, ge=0, le=1)
    """Seconds it takes for an answer, on average."""


C = TypeVar("C", bound=RtuConfig)


class RtuDevice(RegisterDevice[C]):
    """Shows a process in registers to the master of an RS-485 bus."""

    ports: ClassVar[tuple[str, ...]] = ()
    interfaces: ClassVar[tuple[str, ...] | None] = ()
    terminals: ClassVar[tuple[str, ...]] = ("A", "B", "GND")
    serial_port: ClassVar[str] = "serial"

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._random = Random(host.random.getrandbits(64))
        self._server: RtuServer | None = None

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = super().hardware(network, name)
        network.serial.add_port(Port(name, cls.serial_port), Rs485())
        return host

    @property
    def unit(self) -> int:
        return self.config.unit

    @property
    def line(self) -> LineSettings:
        """The settings it listens with."""
        return self.config.line

    async def open(self, unit: ModbusUnit) -> None:
        network = self.host.network
        port = network.serial.port(Port(self.host.name, self.serial_port))
        port.equip(termination=self.config.termination)
        self._server = RtuServer(
            port,
            network.loop,
            self.line,
            {self.unit: unit},
            random=self._random,
            response_delay=self.config.response_delay,
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def status(self) -> Mapping[str, object]:
        garbled = self._server.garbled if self._server is not None else 0
        return {"unit": self.unit, "line": str(self.line), "garbled": garbled, **self._seen}
