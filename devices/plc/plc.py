"""`plc`: a general controller with inputs of its own, whose variables are declared in its configuration.

Terminals: its 24 V sensor supply `L+` and `M`, 0.3 A; analog channels `ai0+`, `ai0-`, `ai0i+`, `ai0i-` to `ai3…`;
digital inputs `di0` to `di7`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final

from devices.modbus_plc import ModbusController
from devices.modbus_unit import Identity
from devices.plc.config import BIT_TABLES, PlcConfig, PlcVariable
from devices.plc.machines import MACHINES, NoMachine
from devices.process.safety import SafeBands
from devices.registers import Registers, Variable
from devices.signals.channel import Reading
from devices.signals.input_card import ANALOG, DIGITAL, TERMINALS, InputCard
from lab.network.appliance import RecordTruth, Value
from lab.network.host import Host
from lab.network.signals.power import Supply
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network

_SUPPLIES: Final = 0.3
"""Amperes for sensors."""


class Plc(ModbusController[PlcConfig]):
    """Truth is told of the process and the inputs, whether or not there are variables for them."""

    kind: ClassVar[str] = "plc"
    title: ClassVar[Text] = Text(zh="通用控制器", en="General controller")
    Config = PlcConfig
    Process = NoMachine
    terminals: ClassVar[tuple[str, ...]] = TERMINALS
    identity: ClassVar[Identity] = Identity("Lab Automation", "PLC-1200", "V2.0")
    live: ClassVar[frozenset[str]] = ModbusController.live | {"channels", "machine", "variables"}
    scan_period: ClassVar[float] = 0.25

    def __init__(self, host: Host, config: PlcConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._card = InputCard(host.network, host.name)
        self._machine = "none"
        self._declared: dict[str, PlcVariable] = {}
        """The variables that are laid out now, by name."""
        self._stood_for: set[str | None] = set()
        """Sources that a variable has."""
        self._memory: dict[str, Value] = {}
        """Of variables without a source."""
        self._shown: dict[str, Value] = {}
        """What a reader found in each variable last, before any client wrote there."""

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = super().hardware(network, name)
        InputCard.install(network, name, network.circuit.add(f"{name}/supply", Supply(network, name)))
        return host

    def equip(self) -> None:
        config = self.config
        if config.machine != self._machine:
            self._machine = config.machine
            self.process = MACHINES[config.machine](Random(self.host.random.getrandbits(64)))
            self._safe_bands = SafeBands(self.process, self.record)
            self._seen.clear()
            self._declared, self._variables = {}, {}
        supply = self.host.network.circuit.part(f"{self.host.name}/supply", Supply)
        supply.equip(24.0, _SUPPLIES, "limit", decoupled=False)
        self._card.equip(config.channels)
        super().equip()

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        self._declared = {each.name: each for each in self.config.variables}
        self._stood_for = {each.source for each in self.config.variables}
        self._memory = {name: value for name, value in self._memory.items() if self._is_memory(name)}
        return {name: _laid_over(registers, each) for name, each in self._declared.items()}

    def _is_memory(self, name: str) -> bool:
        return name in self._declared and self._declared[name].source is None

    def _laid_out(self) -> Registers:
        """A variable that is new or declared anew begins with what it stands for, even while the program stands."""
        before = self._declared
        registers = super()._laid_out()
        self._shown = {name: value for name, value in self._shown.items() if name in self._declared}
        sources = self._sources()
        for name, declared in self._declared.items():
            if before.get(name) != declared:
                self._show_variable(declared, sources)
        return registers

    def _obey(self) -> None:
        """Take from the registers what clients have put there."""
        for declared in self._declared.values():
            if not declared.writable:
                continue
            value = self._variables[declared.name].read()
            if value == self._shown.get(declared.name) or not isfinite(float(value)):
                continue
            if declared.source is None:
                self._memory[declared.name] = value
            else:
                self.process.set(declared.source, type(getattr(self.process, declared.source))(value))

    def _show(self) -> None:
        sources = self._sources()
        for point, value in sources.items():
            if "." not in point:
                self._tell(point, _as_told(value, exactly=point in self._stood_for))
        for declared in self._declared.values():
            self._show_variable(declared, sources)

    def _show_variable(self, declared: PlcVariable, sources: Mapping[str, Value]) -> None:
        variable = self._variables[declared.name]
        if declared.source is None:
            variable.write(self._memory.get(declared.name, declared.initial))
        else:
            variable.write(sources[declared.source])
        self._shown[declared.name] = variable.read()

    def _sources(self) -> dict[str, Value]:
        """All that a variable can stand for, as the controller knows it."""
        sources: dict[str, Value] = dict(self.process.values())
        for name, reading in zip(ANALOG, self._card.readings(), strict=True):
            sources |= _of_channel(name, reading)
        for name, digital in zip(DIGITAL, self._card.digital, strict=True):
            sources[name] = digital.is_on
            sources[f"{name}.count"] = digital.edges & 0xFFFF
        for point, sensor in self.sensors.items():
            if point in sources:
                sources[point] = sensor(sources[point])
        return sources

    def status(self) -> Mapping[str, object]:
        shown = super().status()
        head = {key: value for key, value in shown.items() if key not in self._seen}
        return {**head, **self._shown}


def _laid_over(registers: Registers, declared: PlcVariable) -> Variable:
    address, writable = declared.address, declared.writable
    if declared.table in BIT_TABLES:
        bits = registers.coils if declared.table == "coil" else registers.discrete_inputs
        return bits.bit(address, writable=writable)
    words = registers.holding_registers if declared.table == "holding" else registers.input_registers
    if declared.kind == "bool":
        return words.flag(address, declared.bit or 0, writable=writable)
    if declared.range is not None:
        low, high = (round(end / declared.scale) for end in declared.range)
        words.limits[address] = frozenset(value & 0xFFFF for value in range(max(low, -0x8000), min(high, 0xFFFF) + 1))
    return words.number(address, declared.kind, declared.scale, declared.order or "ABCD", writable=writable)


def _of_channel(name: str, reading: Reading) -> dict[str, Value]:
    return {name: reading.value, f"{name}.raw": reading.raw, f"{name}.status": int(reading.status)}


def _as_told(value: Value, *, exactly: bool) -> Value:
    """What a variable stands for is told to six digits; the rest as a display would show it, or there is no end to it."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if exactly else round(value, 1 if abs(value) >= 1 else 2)
