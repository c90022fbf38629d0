"""`meter` and `meter-tcp`: a three-phase power meter, on RS-485 or on Ethernet (device library L5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from devices.modbus_plc import ModbusPlc, ModbusPlcConfig
from devices.modbus_unit import Identity
from devices.process.feeder import Feeder
from devices.registers import Registers, Variable
from devices.serial.rtu_device import RtuConfig, RtuDevice
from lab.text import Text

CT_RATIO_REGISTER: Final = 22
_FLOATS: Final = Feeder.points[:10]
"""Voltages, currents, P, Q, power factor and frequency, as they follow one another from register 0."""


def _lay_out(registers: Registers) -> Mapping[str, Variable]:
    holding = registers.holding_registers
    holding.limits[CT_RATIO_REGISTER] = range(1, 10_000)
    return {
        **{point: holding.number(2 * place, "f32") for place, point in enumerate(_FLOATS)},
        "energy": holding.number(20, "u32", 0.01),
        "ct_ratio": holding.number(CT_RATIO_REGISTER, "u16", writable=True),
    }


class Meter(RtuDevice[RtuConfig]):
    kind: ClassVar[str] = "meter"
    title: ClassVar[Text] = Text(zh="三相电表（RS-485）", en="Power meter (RS-485)")
    Config = RtuConfig
    Process = Feeder
    identity: ClassVar[Identity] = Identity("Lab Metering", "PM-3R", "V3.2")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        return _lay_out(registers)


class MeterTcp(ModbusPlc[ModbusPlcConfig]):
    kind: ClassVar[str] = "meter-tcp"
    title: ClassVar[Text] = Text(zh="三相电表（以太网）", en="Power meter (Ethernet)")
    Config = ModbusPlcConfig
    Process = Feeder
    identity: ClassVar[Identity] = Identity("Lab Metering", "PM-3E", "V3.2")

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        return _lay_out(registers)
