"""`water-plc`: the controller of a waterworks (device library L6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_unit import Identity
from devices.process.waterworks import PUMPS, Waterworks
from devices.registers import Registers, Variable
from lab.text import Text

DOSING_REGISTER, FREQUENCY_REGISTER = 40, 41


class WaterPlcConfig(ModbusControllerConfig):
    firmware: Literal["V5.0", "V5.1"] = "V5.0"


def water_map(registers: Registers) -> Mapping[str, Variable]:
    holding, coils = registers.holding_registers, registers.coils
    holding.limits[DOSING_REGISTER] = range(201)
    holding.limits[FREQUENCY_REGISTER] = range(501)
    return {
        "turbidity": holding.number(0, "u16", 0.01),
        "clear_well_level": holding.number(1, "u16"),
        "residual_chlorine": holding.number(2, "u16", 0.01),
        "ph": holding.number(3, "u16", 0.01),
        "flow": holding.number(4, "f32"),
        "dosing_setpoint": holding.number(DOSING_REGISTER, "u16", 0.01, writable=True),
        "pump_frequency": holding.number(FREQUENCY_REGISTER, "u16", 0.1, writable=True),
        **{f"pump_{pump}": coils.bit(pump - 1, writable=True) for pump in PUMPS},
        "dosing_enable": coils.bit(8, writable=True),
    }


class WaterPlc(ModbusController[WaterPlcConfig]):
    kind: ClassVar[str] = "water-plc"
    title: ClassVar[Text] = Text(zh="水厂加药控制器", en="Waterworks controller")
    Config = WaterPlcConfig
    Process = Waterworks
    identity: ClassVar[Identity] = Identity("Lab Water Systems", "WTP-6", "V5.0")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        return water_map(registers)
