"""`cold-plc`: the controller of a cold store (device library L8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from devices.controller import Mode
from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_unit import Identity
from devices.process.cold_store import STORES, ColdStore
from devices.registers import Number, Registers, Variable
from lab.text import Text

MODE_REGISTER: Final = 200
MODES: Final[tuple[Mode, ...]] = ("STOP", "RUN")


class ColdPlcConfig(ModbusControllerConfig):
    firmware: Literal["V1.6", "V1.7"] = "V1.6"


class ColdPlc(ModbusController[ColdPlcConfig]):
    """Whoever can write register 200 can stop it."""

    kind: ClassVar[str] = "cold-plc"
    title: ClassVar[Text] = Text(zh="冷库控制器", en="Cold store controller")
    Config = ColdPlcConfig
    Process = ColdStore
    identity: ClassVar[Identity] = Identity("Lab Refrigeration", "CSC-12", "V1.6")
    scan_period: ClassVar[float] = 1.0
    _mode_register: Number

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        inputs, bits, holding = registers.input_registers, registers.discrete_inputs, registers.holding_registers
        self._mode_register = holding.number(MODE_REGISTER, "u16", writable=True)
        holding.limits[MODE_REGISTER] = range(len(MODES))
        self._show_mode(self.mode)
        pressures = ("suction_1", "discharge_1", "suction_2", "discharge_2")
        return {
            **{f"store_{store}": inputs.number(store - 1, "i16", 0.1) for store in STORES},
            **{point: inputs.number(place, "i16", 0.01) for place, point in enumerate(pressures, 12)},
            **{f"compressor_{number}": bits.bit(number - 1) for number in range(1, 5)},
            "defrost": bits.bit(4),
            "scan_time": holding.number(201, "u16", 0.1),
            "battery_low": holding.number(202, "u16"),
            "io_errors": holding.number(203, "u16"),
            "clock_offset": holding.number(204, "i16"),
        }

    def switch(self, mode: Mode) -> None:
        super().switch(mode)
        if self._variables:
            self._show_mode(mode)

    def _show_mode(self, mode: Mode) -> None:
        self._mode_register.write(MODES.index(mode))

    def _written(self) -> None:
        self.switch(MODES[int(self._mode_register.read())])
        super()._written()
