"""`pt100-8`: a transmitter for eight PT100 elements (device library L4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from devices.modbus_unit import Identity
from devices.process.thermometry import CHANNELS, Thermometry
from devices.registers import Registers, Variable
from devices.serial.settings import SettableConfig, SettableRtuDevice
from lab.text import Text


class Pt100Config(SettableConfig):
    channels: list[Annotated[int, Field(ge=1, le=8)]] = Field(default_factory=lambda: list(CHANNELS), max_length=8)
    """Those to which an element is connected; the others read 0x7FFF, as one that is broken does."""


class Pt100(SettableRtuDevice[Pt100Config]):
    kind: ClassVar[str] = "pt100-8"
    title: ClassVar[Text] = Text(zh="八路 PT100 温度变送器", en="Eight-channel PT100 transmitter")
    Config = Pt100Config
    Process = Thermometry
    identity: ClassVar[Identity] = Identity("Lab Sensors", "PT100-8", "V2.0")
    live: ClassVar[frozenset[str]] = frozenset({"channels"})
    process: Thermometry

    def equip(self) -> None:
        self.process.connect(frozenset(self.config.channels))

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        self.lay_out_settings(registers)
        inputs = registers.input_registers
        return {point: inputs.number(place, "i16", 0.1) for place, point in enumerate(Thermometry.points)}
