"""`boiler-plc`: the controller of a steam boiler (device library L3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_unit import Identity
from devices.process.boiler import Boiler
from devices.registers import Registers, Variable
from lab.text import Text


class BoilerPlcConfig(ModbusControllerConfig):
    firmware: Literal["V2.3", "V2.4"] = "V2.3"


class BoilerPlc(ModbusController[BoilerPlcConfig]):
    kind: ClassVar[str] = "boiler-plc"
    title: ClassVar[Text] = Text(zh="锅炉控制器", en="Boiler controller")
    Config = BoilerPlcConfig
    Process = Boiler
    identity: ClassVar[Identity] = Identity("Lab Thermal Works", "BLR-4", "V2.3")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        inputs, holding = registers.input_registers, registers.holding_registers
        return {
            "pressure": inputs.number(0, "i16", 0.01),
            "drum_level": inputs.number(1, "i16"),
            "flue_gas_temperature": inputs.number(2, "i16", 0.1),
            "oxygen": inputs.number(3, "u16", 0.1),
            "gas_flow": inputs.number(4, "f32"),
            "gas_total": inputs.number(6, "u32", 0.1),
            "feed_water_temperature": inputs.number(8, "i16", 0.1),
            "flame": registers.discrete_inputs.bit(0),
            "low_water_trip": registers.discrete_inputs.bit(1),
            "high_pressure": registers.discrete_inputs.bit(2),
            "pressure_setpoint": holding.number(100, "i16", 0.01, writable=True),
            "level_setpoint": holding.number(101, "i16", writable=True),
            "burner_enable": registers.coils.bit(10, writable=True),
        }
