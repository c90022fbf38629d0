"""`io-module`: a remote I/O station on Modbus TCP with four analog and eight digital inputs.

Terminals: supply `L+` and `M`; analog channels `ai0+`, `ai0-` and, to excite platinum resistors, `ai0i+`, `ai0i-`; up
to `ai3…`; digital inputs `di0` to `di7`.

Input registers: 0-3 raw values (i16), 4-7 diagnosis (0 good, 1 wire break, 2 over range, 3 under range), 10-17 values in
engineering units (f32, ABCD), 20-27 rising edges of the digital inputs (u16, rolling over). Discrete inputs: 0-7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field

from devices.modbus_plc import ModbusPlcConfig
from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers, Variable
from devices.scan import ScanCycle
from devices.signals.channel import Reading, Status
from devices.signals.input_card import ANALOG, DIGITAL, TERMINALS, Channels, InputCard
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host
from lab.network.signals.power import Feed, feed
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network

_SCAN: Final = 0.1
"""Seconds of a conversion cycle."""
_DRAWS: Final = 0.15
"""Amperes"""
SAID: Final = {
    Status.GOOD: Text(zh="正常", en="good"),
    Status.WIRE_BREAK: Text(zh="断线", en="wire break"),
    Status.OVER_RANGE: Text(zh="超上限", en="over range"),
    Status.UNDER_RANGE: Text(zh="超下限", en="under range"),
}
ON, OFF = Text(zh="通", en="on"), Text(zh="断", en="off")


class IoModuleConfig(ModbusPlcConfig):
    channels: Channels = Field(default_factory=Channels)


class IoModule(Appliance[IoModuleConfig]):
    """Its values come from its terminals and from nowhere else; to change one, force the transmitter."""

    kind: ClassVar[str] = "io-module"
    title: ClassVar[Text] = Text(zh="远程 I/O 模块", en="Remote I/O station")
    Config = IoModuleConfig
    terminals: ClassVar[tuple[str, ...]] = TERMINALS
    identity: ClassVar[Identity] = Identity("Lab Automation", "RIO-48", "V1.2")

    def __init__(self, host: Host, config: IoModuleConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._feed = host.network.circuit.part(f"{host.name}/feed", Feed)
        self._card = InputCard(host.network, host.name)
        self._server: ModbusServer | None = None
        self._readings: tuple[Reading, ...] = ()
        self._variables: dict[str, Variable] = {}
        self._seen: dict[str, Value] = {}
        self._scan_cycle = ScanCycle(_SCAN, lambda seconds: self._scan())

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        host = super().hardware(network, name)
        InputCard.install(network, name, feed(network, name, amperes=_DRAWS))
        return host

    async def start(self) -> None:
        config, registers = self.config, Registers()
        self._card.equip(config.channels)
        self._lay_out(registers)
        self._readings = ()
        self._scan()
        self._show_digital()
        self._scan_cycle.start()
        self._card.watch(self._show_digital)
        unit = ModbusUnit(registers, self.identity, server_id=config.unit, max_registers=config.max_registers)
        ids = (config.unit, 0, 255) if config.direct else (config.unit,)
        self._server = ModbusServer(
            dict.fromkeys(ids, unit), strangers=config.unknown_unit, max_connections=config.max_connections
        )
        await self._server.start(port=config.port)

    async def stop(self) -> None:
        self._scan_cycle.stop()
        self._card.watch(_ignore)
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def _lay_out(self, registers: Registers) -> None:
        inputs, bits, variables = registers.input_registers, registers.discrete_inputs, self._variables
        variables.clear()
        for place, name in enumerate(ANALOG):
            variables[f"{name}_raw"] = inputs.number(place, "i16")
            variables[f"{name}_status"] = inputs.number(4 + place, "u16")
            variables[name] = inputs.number(10 + 2 * place, "f32")
        for place, name in enumerate(DIGITAL):
            variables[name] = bits.bit(place)
            variables[f"{name}_count"] = inputs.number(20 + place, "u16")

    def _scan(self) -> None:
        readings = self._card.readings()
        if readings != self._readings:
            self._readings = readings
            for name, reading in zip(ANALOG, readings, strict=True):
                self._show(f"{name}_raw", reading.raw)
                self._show(f"{name}_status", int(reading.status))
                self._show(name, reading.value)

    def _show_digital(self) -> None:
        for name, digital in zip(DIGITAL, self._card.digital, strict=True):
            self._show(name, digital.is_on)
            self._show(f"{name}_count", digital.edges & 0xFFFF)

    def _show(self, point: str, value: Value) -> None:
        variable = self._variables[point]
        variable.write(value)
        seen = variable.read()
        if self._seen.get(point) != seen:
            self._seen[point] = seen
            self.record(point, seen)

    def points(self) -> Mapping[str, Value]:
        return dict(self._seen)

    def status(self) -> Mapping[str, object]:
        shown: dict[str, object] = {"power": self._feed.is_alive}
        for name, reading, channel in zip(ANALOG, self._readings, self.config.channels.analog, strict=False):
            unit = channel.unit or ("°C" if channel.type == "pt100" else "")
            shown[name] = f"{reading.value:.3f} {unit} ({channel.type}, {SAID[reading.status]})"
        for name, digital in zip(DIGITAL, self._card.digital, strict=True):
            shown[name] = str(ON if digital.is_on else OFF)
        return shown


def _ignore() -> None:
    """A station that is off sees nothing."""
