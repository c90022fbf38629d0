"""A process on one side, registers on the other, a scan cycle in between; how they are reached is left to others."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar, Final, TypeVar

from pydantic import Field

from devices.modbus_unit import MAX_REGISTERS, Identity, ModbusUnit
from devices.process.process import Process
from devices.process.safety import SafeBands
from devices.registers import Registers, Variable
from devices.scan import ScanCycle
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host

_STEPS: Final = 2000
"""In which a process makes up for the time its device was off."""


class RegisterConfig(HostConfig):
    """What every device with registers lets one configure."""

    max_registers: int = Field(
        default=MAX_REGISTERS,
        ge=1,
        le=MAX_REGISTERS,
        description="一次请求最多的寄存器数，再多答异常 3。Most registers in one request; more is exception 3.",
    )


C = TypeVar("C", bound=RegisterConfig)


class RegisterDevice(Appliance[C]):
    """Shows a process in registers.

    The process goes on through restarts and reconfigurations, as boilers do; while the device is off, uncontrolled.
    """

    Process: ClassVar[type[Process]]
    identity: ClassVar[Identity]
    scan_period: ClassVar[float] = 0.5
    """Seconds"""
    live: ClassVar[frozenset[str]] = frozenset()
    """Keys of the configuration that take effect while clients stay connected; any other is a restart."""

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        # A stream of its own, so that what the network draws does not move the process.
        self.process = self.Process(Random(host.random.getrandbits(64)))
        self._seen: dict[str, Value] = {}
        self._variables: Mapping[str, Variable] = {}
        self._modbus: ModbusUnit | None = None
        self._safe_bands = SafeBands(self.process, record)
        self._scan_cycle = ScanCycle(self.scan_period, self._scan)
        self._off_since: float | None = None
        """Seconds on the loop's clock."""
        self.sensors: dict[str, Callable[[Value], Value]] = {}
        """What a bad sensor makes of a process value, by point; the registers show that."""

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

    @property
    def who(self) -> Identity:
        """What it says in function 43/14 now."""
        return self.identity

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
        self._scan_cycle.stop()
        self._off_since = asyncio.get_running_loop().time()
        self._modbus = None

    def _catch_up(self) -> None:
        """Let the process live through what the device did not see."""
        since, self._off_since = self._off_since, None
        seconds = 0.0 if since is None else asyncio.get_running_loop().time() - since
        if seconds >= self.scan_period:
            was_controlled, self.process.controlled = self.process.controlled, False
            step = max(self.scan_period, seconds / _STEPS)
            for _ in range(round(seconds / step)):
                self.process.step(step)
            self.process.controlled = was_controlled

    def points(self) -> Mapping[str, Value]:
        return dict(self._seen)

    def force(self, point: str, value: Value | None) -> None:
        self.process.force(point, value)
        self._update()

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

    def _scan(self, seconds: float) -> None:
        self.process.step(seconds)
        self._update()

    def _written(self) -> None:
        """Clients have changed something: a controller that does not run takes no notice."""
        if self.process.controlled:
            self._obey()
            self._update()

    def _update(self) -> None:
        if self.process.controlled:
            self._show()
        self._safe_bands.look()

    def _obey(self) -> None:
        """Give the process the set-points that stand in the registers."""
        for point in self.process.setpoints:
            self.process.set(point, self._variables[point].read())

    def _show(self) -> None:
        """Bring the registers up to date, and tell the truth where a reader of them would see a difference."""
        for point, value in self.process.values().items():
            variable = self._variables[point]
            if point in self.sensors:
                value = self.sensors[point](value)
            variable.write(value)
            self._tell(point, variable.read())

    def _tell(self, point: str, seen: Value) -> None:
        if self._seen.get(point) != seen:
            self._seen[point] = seen
            self.record(point, seen)
