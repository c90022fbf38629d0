"""`comp-plc`: the controller of an air compressor (device library L9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from devices.controller import Controller, ControllerConfig
from devices.modbus_unit import Identity
from devices.process.compressor import Compressor
from devices.registers import Registers, Variable
from devices.serial.rtu_device import RtuConfig, RtuDevice
from lab.text import Text


class CompPlcConfig(ControllerConfig, RtuConfig):
    firmware: Literal["V4.0", "V4.1"] = "V4.0"


class CompPlc(Controller[CompPlcConfig], RtuDevice[CompPlcConfig]):
    """Its registers can only be read: whoever wants to stop it goes there."""

    kind: ClassVar[str] = "comp-plc"
    title: ClassVar[Text] = Text(zh="空压机控制器", en="Air compressor controller")
    Config = CompPlcConfig
    Process = Compressor
    identity: ClassVar[Identity] = Identity("Lab Air Systems", "GA-75C", "V4.0")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        holding = registers.holding_registers
        return {
            "state": holding.number(0, "u16"),
            "outlet_pressure": holding.number(1, "i16", 0.01),
            "outlet_temperature": holding.number(2, "i16", 0.1),
            "load_rate": holding.number(3, "u16", 0.1),
            "run_hours": holding.number(4, "u32"),
            "load_hours": holding.number(6, "u32"),
            "current": holding.number(8, "u16", 0.1),
            "alarm": holding.number(9, "u16"),
        }
