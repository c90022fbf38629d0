"""Faults of signals and of the supplies behind them."""

from __future__ import annotations

from typing import Any, Final, Literal

from devices.signals.field_device import FieldDevice
from lab.network.signals.fault import SignalFault
from lab.network.signals.power import Supply
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import CannotInject, Repair, fault
from scenarios.faults.sensors import set_signal_fault

NO_SIGNAL: Final = Text(zh="{host} 不是变送器或传感器", en="{host} is no transmitter or sensor")
NO_SUPPLY: Final = Text(zh="{host} 不是电源", en="{host} is no power supply")


def _field_device(plant: Plant, host: str) -> FieldDevice[Any]:
    device = plant.appliances[host]
    if not isinstance(device, FieldDevice):
        raise CannotInject(NO_SIGNAL, host=host)
    return device


@fault(
    "signal-open",
    "signal",
    title=Text(zh="信号线断线", en="Signal wire broken"),
    symptom=Text(
        zh="4–20 mA 回路电流为零，模块报断线", en="The loop carries no current, and the module reports a wire break"
    ),
)
def signal_open(plant: Plant, where: OnHost) -> Repair:
    return set_signal_fault(_field_device(plant, where.host), SignalFault("open"))


@fault(
    "signal-short",
    "signal",
    title=Text(zh="信号线短路", en="Signal wires shorted"),
    symptom=Text(zh="电流超上限，模块报超量程", en="Current beyond the range, and the module reports overrange"),
)
def signal_short(plant: Plant, where: OnHost) -> Repair:
    return set_signal_fault(_field_device(plant, where.host), SignalFault("short"))


@fault(
    "sensor-failed",
    "signal",
    title=Text(zh="敏感元件损坏（NE 43 故障电流）", en="Sensor element failed (NE 43 failure current)"),
    symptom=Text(zh="变送器输出故障电流", en="The transmitter sends its failure current"),
)
def sensor_failed(plant: Plant, where: OnHost) -> Repair:
    return set_signal_fault(_field_device(plant, where.host), SignalFault("sensor"))


def _supply(plant: Plant, host: str, wrong: Literal["no-output", "short"]) -> Repair:
    plant.appliances[host]
    try:
        supply = plant.network.circuit.part(host, Supply)
    except (KeyError, TypeError):
        raise CannotInject(NO_SUPPLY, host=host) from None
    supply.fault = wrong
    plant.network.circuit.changed()

    def mend() -> None:
        if supply.fault == wrong:
            supply.fault = None
            plant.network.circuit.changed()

    return mend


@fault(
    "supply-dead",
    "power",
    title=Text(zh="24 V 电源无输出", en="24 V supply without output"),
    symptom=Text(zh="由它供电的设备全部熄灭", en="Everything it feeds is dark"),
)
def supply_dead(plant: Plant, where: OnHost) -> Repair:
    return _supply(plant, where.host, "no-output")


@fault(
    "supply-shorted",
    "power",
    title=Text(zh="24 V 回路短路", en="Short circuit on the 24 V rail"),
    symptom=Text(zh="电源过载保护，电压跌落", en="The supply goes into overload, its voltage collapses"),
)
def supply_shorted(plant: Plant, where: OnHost) -> Repair:
    return _supply(plant, where.host, "short")
