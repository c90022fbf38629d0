"""`imm-plc`: the controller of an injection moulding machine (device library L1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_unit import Identity
from devices.process.injection import InjectionMachine
from devices.registers import Registers, Variable, WordOrder
from lab.text import Text


class ImmPlcConfig(ModbusControllerConfig):
    firmware: Literal["V3.1", "V3.2"] = "V3.1"
    base: int = Field(default=0, ge=0, le=65000)
    """Added to every address of a holding register."""
    swap_words: bool = False
    """Whether the two f32 change their word orders with one another."""


class ImmPlc(ModbusController[ImmPlcConfig]):
    kind: ClassVar[str] = "imm-plc"
    title: ClassVar[Text] = Text(zh="注塑机控制器", en="Injection moulding machine controller")
    Config = ImmPlcConfig
    Process = InjectionMachine
    identity: ClassVar[Identity] = Identity("Lab Plastics Machinery", "IMM-200", "V3.1")
    live: ClassVar[frozenset[str]] = ModbusController.live | {"base", "swap_words"}

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        holding, base = registers.holding_registers, self.config.base
        orders: tuple[WordOrder, WordOrder] = ("ABCD", "CDAB")
        cycle_order, pressure_order = reversed(orders) if self.config.swap_words else orders
        zones = range(1, 5)
        return {
            "state": holding.number(base, "u16"),
            "mould_number": holding.number(base + 1, "u16"),
            "cycle_time": holding.number(base + 2, "f32", order=cycle_order),
            "shot_count": holding.number(base + 4, "u32"),
            **{f"zone_{zone}": holding.number(base + 5 + zone, "i16", 0.1) for zone in zones},
            "injection_pressure": holding.number(base + 10, "f32", order=pressure_order),
            "clamp_force": holding.number(base + 12, "u16"),
            "alarm_code": holding.number(base + 13, "u16"),
            **{f"zone_{zone}_setpoint": holding.number(base + 19 + zone, "i16", 0.1, writable=True) for zone in zones},
            "remote_stop": registers.coils.bit(0, writable=True),
        }
