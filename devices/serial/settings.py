"""Registers 256 to 258, by which a device on RS-485 is given its address, speed and parity over the bus."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import model_validator

from devices.registers import Number, Registers
from devices.serial.rtu_device import RtuConfig, RtuDevice
from lab.model.document import KnownValueError
from lab.network.appliance import RecordTruth
from lab.network.host import Host
from lab.network.serial.line import LineSettings
from lab.text import Text
from lab.wire.modbus.rtu import MAX_UNIT

BAUD_CODES: Final = (2400, 4800, 9600, 19200, 38400, 115200)
PARITY_CODES: Final = ("none", "odd", "even")
UNIT_REGISTER, BAUD_REGISTER, PARITY_REGISTER = 256, 257, 258
NO_SUCH_BAUD: Final = Text(zh="这台设备没有 {baud} 波特", en="this device does not know {baud} baud")


class SettableConfig(RtuConfig):
    """Its line has a speed that there is a code for."""

    @model_validator(mode="after")
    def _has_a_code(self) -> SettableConfig:
        if self.line.baud not in BAUD_CODES:
            raise KnownValueError(NO_SUCH_BAUD, baud=self.line.baud, known=map(str, BAUD_CODES))
        return self


C = TypeVar("C", bound=SettableConfig)


class SettableRtuDevice(RtuDevice[C]):
    """What is written to registers 256 to 258 is kept without power and takes effect when it is switched on next.

    A configuration file with another unit or line is the maker's tool: it replaces what was written.
    """

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
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

    async def apply(self, config: C) -> None:
        if (config.unit, config.line) != (self.config.unit, self.config.line):
            self._kept = None
        await super().apply(config)

    def lay_out_settings(self, registers: Registers) -> None:
        """Put the three registers into the map; they show what was written last, in use or not."""
        holding = registers.holding_registers
        unit, line = self._kept or self._in_use
        self._settings = (
            holding.number(UNIT_REGISTER, "u16", writable=True),
            holding.number(BAUD_REGISTER, "u16", writable=True),
            holding.number(PARITY_REGISTER, "u16", writable=True),
        )
        holding.limits[UNIT_REGISTER] = range(1, MAX_UNIT + 1)
        holding.limits[BAUD_REGISTER] = range(len(BAUD_CODES))
        holding.limits[PARITY_REGISTER] = range(len(PARITY_CODES))
        codes = (unit, BAUD_CODES.index(line.baud), PARITY_CODES.index(line.parity))
        for number, code in zip(self._settings, codes, strict=True):
            number.write(code)

    def _written(self) -> None:
        super()._written()
        if self._settings is not None:
            unit, baud, parity = (int(number.read()) for number in self._settings)
            line = {"baud": BAUD_CODES[baud], "parity": PARITY_CODES[parity]}
            self._kept = (unit, LineSettings.model_validate({**self.line.model_dump(), **line}))
