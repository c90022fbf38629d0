"""`pack-line`: the controller of a packaging machine, as Modbus shows it (device library L7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_unit import Identity
from devices.process.packaging import PackagingMachine
from devices.registers import Registers, Variable
from lab.text import Text


class PackLineConfig(ModbusControllerConfig):
    firmware: Literal["V6.2", "V6.3"] = "V6.2"


class PackLine(ModbusController[PackLineConfig]):
    kind: ClassVar[str] = "pack-line"
    title: ClassVar[Text] = Text(zh="包装线控制器", en="Packaging line controller")
    Config = PackLineConfig
    Process = PackagingMachine
    identity: ClassVar[Identity] = Identity("Lab Packaging", "PKL-60", "V6.2")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        holding = registers.holding_registers
        return {
            "state_current": holding.number(0, "u16"),
            "mach_speed": holding.number(1, "f32"),
            "prod_processed": holding.number(3, "u32"),
            "prod_defective": holding.number(5, "u32"),
            "stop_reason": holding.number(7, "u16"),
        }
