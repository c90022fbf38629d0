"""`vib485`: a vibration sensor on a bearing (device library L4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from devices.modbus_unit import Identity
from devices.process.vibration import Vibration
from devices.registers import Registers, Variable
from devices.serial.settings import SettableConfig, SettableRtuDevice
from lab.text import Text


class Vib485(SettableRtuDevice[SettableConfig]):
    kind: ClassVar[str] = "vib485"
    title: ClassVar[Text] = Text(zh="RS-485 振动温度传感器", en="RS-485 vibration sensor")
    Config = SettableConfig
    Process = Vibration
    identity: ClassVar[Identity] = Identity("Lab Sensors", "VIB-485", "V1.1")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        self.lay_out_settings(registers)
        inputs = registers.input_registers
        return {"velocity": inputs.number(0, "f32"), "temperature": inputs.number(2, "i16", 0.1)}
