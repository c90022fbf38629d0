"""`th485`: a wall sensor for temperature and humidity (device library L4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from devices.modbus_unit import Identity
from devices.process.climate import Climate
from devices.registers import Number, Registers, Variable
from devices.serial.rtu_device import RtuConfig, RtuDevice
from lab.network.appliance import RecordTruth
from lab.network.host import Host
from lab.network.serial.line import LineSettings
from lab.text import Text
from lab.wire.modbus.rtu import MAX_UNIT

BAUD_CODES: Final = (2400, 4800, 9600, 19200, 38400, 115200)
PARITY_CODES: Final = ("none", "odd", "even")
UNIT_REGISTER, BAUD_REGISTER, PARITY_REGISTER = 256, 257, 258


class Th485(RtuDevice[RtuConfig]):
    """What is written to registers 256 to 258 is kept without power and takes effect when it is switched on next.

    A configuration file with another unit or line is the maker's tool: it replaces what was written.
    """

    kind: ClassVar[str] = "th485"
    title: ClassVar[Text] = Text(zh="RS-485 温湿度变送器", en="RS-485 temperature and humidity sensor")
    Config = RtuConfig
    Process = Climate
    identity: ClassVar[Identity] = Identity("Lab Sensors", "TH-485", "V1.4")

    def __init__(self, host: Host, config: RtuConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._kept: tuple[int, LineSettings] | None = None
        """Written over the bus: unit and line."""
        self._in_use = (config.unit, config.line)
        self._settings: tuple[Number, Number, Number] | None = None

    @property
    def unit(self) -> int:
        return self._in_use[0]

    @property
    def line(self) -> LineSettings:
        return self._in_use[1]

    async def start(self) -> None:
        self._in_use = self._kept or (self.config.unit, self.config.line)
        await super().start()

    async def apply(self, config: RtuConfig) -> None:
        if (config.unit, config.line) != (self.config.unit, self.config.line):
            self._kept = None
        await super().apply(config)

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        holding, inputs = registers.holding_registers, registers.input_registers
        unit, line = self._in_use
        self._settings = (
            holding.number(UNIT_REGISTER, "u16", writable=True),
            holding.number(BAUD_REGISTER, "u16", writable=True),
            holding.number(PARITY_REGISTER, "u16", writable=True),
        )
        holding.limits[UNIT_REGISTER] = range(1, MAX_UNIT + 1)
        holding.limits[BAUD_REGISTER] = range(len(BAUD_CODES))
        holding.limits[PARITY_REGISTER] = range(len(PARITY_CODES))
        codes = (unit, BAUD_CODES.index(line.baud) if line.baud in BAUD_CODES else 0, PARITY_CODES.index(line.parity))
        for number, code in zip(self._settings, codes, strict=True):
            number.write(code)
        return {"temperature": inputs.number(0, "i16", 0.1), "humidity": inputs.number(1, "u16", 0.1)}

    def _written(self) -> None:
        super()._written()
        if self._settings is not None:
            unit, baud, parity = (int(number.read()) for number in self._settings)
            line = {"baud": BAUD_CODES[baud], "parity": PARITY_CODES[parity]}
            self._kept = (unit, LineSettings.model_validate({**self.line.model_dump(), **line}))
