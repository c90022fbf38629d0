"""A process on one side, registers on the other, a scan cycle in between; how they are reached is left to others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar, TypeVar

from devices.modbus_unit import Identity, ModbusUnit
from devices.process.process import Process
from devices.registers import Registers, Variable
from devices.scan import ScanCycle
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host

C = TypeVar("C", bound=HostConfig)


class RegisterDevice(Appliance[C]):
    """Shows a process in registers. The process goes on through restarts and reconfigurations, as boilers do."""

    Process: ClassVar[type[Process]]
    identity: ClassVar[Identity]
    setpoints: ClassVar[tuple[str, ...]] = ()
    """Points that clients write and the process obeys."""
    scan_period: ClassVar[float] = 0.5
    """Seconds"""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        # A stream of its own, so that what the network draws does not move the process.
        self.process = self.Process(Random(host.random.getrandbits(64)))
        self._seen: dict[str, Value] = {}
        self._variables: Mapping[str, Variable] = {}
        self._scan_cycle = ScanCycle(self.scan_period, self._scan)
        self.sensors: dict[str, Callable[[Value], Value]] = {}
        """What a bad sensor makes of a process value, by point; the registers show that."""

    @abstractmethod
    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        """The register map: a variable for every point of the process."""

    def begin(self, server_id: int) -> ModbusUnit:
        """Lay out the registers and begin to scan; the unit answers for them."""
        registers = Registers()
        self._variables = self.lay_out(registers)
        self._show()
        self._scan_cycle.start()
        return ModbusUnit(registers, self.identity, written=self._written, server_id=server_id)

    def end(self) -> None:
        """Scan no more."""
        self._scan_cycle.stop()

    def points(self) -> Mapping[str, Value]:
        return dict(self._seen)

    def force(self, point: str, value: Value | None) -> None:
        self.process.force(point, value)
        self._show()

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
            if point in self.sensors:
                value = self.sensors[point](value)
            variable.write(value)
            seen = variable.read()
            if self._seen.get(point) != seen:
                self._seen[point] = seen
                self.record(point, seen)
