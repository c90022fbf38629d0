"""`th485`: a wall sensor for temperature and humidity (device library L4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from devices.modbus_unit import Identity
from devices.process.climate import Climate
from devices.registers import Registers, Variable
from devices.serial.settings import SettableConfig, SettableRtuDevice
from lab.text import Text


class Th485(SettableRtuDevice[SettableConfig]):
    kind: ClassVar[str] = "th485"
    title: ClassVar[Text] = Text(zh="RS-485 温湿度变送器", en="RS-485 temperature and humidity sensor")
    Config = SettableConfig
    Process = Climate
    identity: ClassVar[Identity] = Identity("Lab Sensors", "TH-485", "V1.4")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        self.lay_out_settings(registers)
        inputs = registers.input_registers
        return {"temperature": inputs.number(0, "i16", 0.1), "humidity": inputs.number(1, "u16", 0.1)}
