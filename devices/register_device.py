"""A process on one side, registers on the other, a scan cycle in between; how they are reached is left to others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from pydantic import Field

from devices.modbus_unit import MAX_REGISTERS, ModbusUnit
from devices.process_device import ProcessDevice
from devices.registers import Registers, Variable
from lab.model.plant import HostConfig
from lab.network.appliance import RecordTruth
from lab.network.host import Host


class RegisterConfig(HostConfig):
    """What every device with registers lets one configure."""

    max_registers: int = Field(
        default=MAX_REGISTERS,
        ge=1,
        le=MAX_REGISTERS,
        description="一次请求最多的寄存器数，再多答异常 3。Most registers in one request; more is exception 3.",
    )


C = TypeVar("C", bound=RegisterConfig)


class RegisterDevice(ProcessDevice[C]):
    """Shows a process in registers."""

    live: ClassVar[frozenset[str]] = frozenset()
    """Keys of the configuration that take effect while clients stay connected; any other is a restart."""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._variables: Mapping[str, Variable] = {}
        self._modbus: ModbusUnit | None = None

    @property
    @abstractmethod
    def unit(self) -> int:
        """The unit id it answers to."""

    @abstractmethod
    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        """The register map: a variable for every point of the process."""

    @abstractmethod
    async def open(self, unit: ModbusUnit) -> None:
        """Let clients come."""

    @abstractmethod
    async def close(self) -> None:
        """Send them away, if they could come at all."""

    def equip(self) -> None:
        """Take on what the configuration says of the device itself; the registers are laid out afterwards."""

    async def start(self) -> None:
        await self.open(self.begin(self.unit))

    async def stop(self) -> None:
        self.end()
        await self.close()

    async def apply(self, config: C) -> None:
        """Where only `live` keys differ, another register map takes effect on the connections there are."""
        changed = {key for key in type(config).model_fields if getattr(config, key) != getattr(self.config, key)}
        if self._modbus is None or not changed <= self.live:
            await super().apply(config)
            return
        self.config = config
        self.equip()
        self._modbus.registers = self._laid_out()

    def begin(self, server_id: int) -> ModbusUnit:
        """Lay out the registers and begin to scan; the unit answers for them."""
        self._catch_up()
        self.equip()
        registers = self._laid_out()
        self._scan_cycle.start()
        self._modbus = self.make_unit(registers, server_id)
        self._modbus.running = self.process.controlled
        return self._modbus

    def make_unit(self, registers: Registers, server_id: int) -> ModbusUnit:
        return ModbusUnit(
            registers,
            self.who,
            written=self._written,
            server_id=server_id,
            max_registers=self.config.max_registers,
        )

    def end(self) -> None:
        """Scan no more."""
        self._rest()
        self._modbus = None

    def _laid_out(self) -> Registers:
        """A new map, with the values that variables of the same names had in the one before."""
        registers = Registers()
        kept = {point: variable.read() for point, variable in self._variables.items()}
        self._variables = self.lay_out(registers)
        for point, value in kept.items():
            if point in self._variables:
                self._variables[point].write(value)
        if not kept:
            self._show()
        self._update()
        return registers

    def switched(self) -> None:
        if self._modbus is not None:
            self._modbus.running = self.process.controlled
        if self._variables and self.process.controlled:
            self._obey()  # what was written while it stood still
            self._update()

    def _written(self) -> None:
        """Clients have changed something: a controller that does not run takes no notice."""
        if self.process.controlled:
            self._obey()
            self._update()

    def _obey(self) -> None:
        """Give the process the set-points that stand in the registers."""
        for point in self.process.setpoints:
            self.process.set(point, self._variables[point].read())

    def _show(self) -> None:
        """Bring the registers up to date, and tell the truth where a reader of them would see a difference."""
        for point, value in self.process.values().items():
            variable = self._variables[point]
            variable.write(self._measured(point, value))
            self._tell(point, variable.read())
