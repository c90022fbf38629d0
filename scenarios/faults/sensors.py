"""Faults of sensors: what a controller measures is not what the process is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import Field

from devices.register_device import RegisterDevice
from devices.signals.field_device import FieldDevice
from lab.network.appliance import Value
from lab.network.signals.fault import SignalFault
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import CannotInject, Repair, fault


def set_signal_fault(device: FieldDevice[Any], wrong: SignalFault) -> Repair:
    """Let a device that sends a signal have this fault."""
    device.source.fault = wrong

    def replace_device() -> None:
        if device.source.fault is wrong:
            device.source.fault = None

    return replace_device


NO_SENSOR: Final = Text(zh="{host} 没有测点 {point}；有：{known}", en="{host} measures no {point}, only {known}")


class AtPoint(OnHost):
    point: str
    """A process value that the device measures."""


def _through(
    plant: Plant, where: AtPoint, distort: Callable[[float], Value], signal: SignalFault | None = None
) -> Repair:
    """Let a measured value go through a bad sensor; `signal` is the same fault for a device that sends a signal."""
    device = plant.appliances[where.host]
    if isinstance(device, FieldDevice) and signal is not None and where.point in device.points():
        return set_signal_fault(device, signal)
    known = sorted(name for name, value in device.points().items() if not isinstance(value, str))
    if not isinstance(device, RegisterDevice) or where.point not in known:
        raise CannotInject(NO_SENSOR, host=where.host, point=where.point, known=", ".join(known) or "–")
    sensors = device.sensors

    def sensor(value: Value) -> Value:
        distorted = distort(float(value))
        return type(value)(distorted) if isinstance(value, (bool, int)) else distorted

    sensors[where.point] = sensor

    def replace_sensor() -> None:
        if sensors.get(where.point) is sensor:
            del sensors[where.point]

    return replace_sensor


@fault(
    "sensor-stuck",
    "signal",
    title=Text(zh="传感器卡死", en="Stuck sensor"),
    symptom=Text(zh="数值长时间一点不变", en="A value does not change at all any more"),
)
def sensor_stuck(plant: Plant, where: AtPoint) -> Repair:
    held: list[float] = []

    def stick(value: float) -> float:
        held.append(value) if not held else None
        return held[0]

    return _through(plant, where, stick, SignalFault("stuck"))


class Drifting(AtPoint):
    per_hour: float
    """In the point's unit."""


@fault(
    "sensor-drift",
    "signal",
    title=Text(zh="传感器漂移", en="Drifting sensor"),
    symptom=Text(zh="读数慢慢偏离实际值", en="Readings move slowly away from the truth"),
)
def sensor_drift(plant: Plant, where: Drifting) -> Repair:
    began = plant.loop.time()
    return _through(
        plant,
        where,
        lambda value: value + where.per_hour * (plant.loop.time() - began) / 3600,
        SignalFault("drift", where.per_hour),
    )


class Shifted(AtPoint):
    by: float


@fault(
    "sensor-offset",
    "signal",
    title=Text(zh="传感器零点偏移", en="Sensor with an offset"),
    symptom=Text(zh="读数总是差同样多", en="Readings are off by the same amount, always"),
)
def sensor_offset(plant: Plant, where: Shifted) -> Repair:
    return _through(plant, where, lambda value: value + where.by)


class Noisy(AtPoint):
    deviation: float = Field(gt=0)
    """Standard deviation, in the point's unit."""


@fault(
    "sensor-noise",
    "signal",
    title=Text(zh="传感器噪声大", en="Noisy sensor"),
    symptom=Text(zh="读数上下乱跳", en="Readings jump up and down"),
)
def sensor_noise(plant: Plant, where: Noisy) -> Repair:
    chance = plant.network.random_for(f"sensor-noise/{where.host}/{where.point}")
    return _through(
        plant, where, lambda value: value + chance.gauss(0.0, where.deviation), SignalFault("noise", where.deviation)
    )


class Spiking(AtPoint):
    to: float
    every: float = Field(30.0, gt=0, le=86_400)
    """Seconds from one spike to the next; each lasts for one scan of the controller."""


@fault(
    "sensor-spike",
    "signal",
    title=Text(zh="传感器偶发尖峰", en="Sensor with spikes"),
    symptom=Text(zh="偶尔冒出一个离谱的数，随即恢复", en="Now and then one absurd value, and then all is well again"),
)
def sensor_spike(plant: Plant, where: Spiking) -> Repair:
    next_at = [plant.loop.time() + where.every]

    def spike(value: float) -> float:
        if plant.loop.time() < next_at[0]:
            return value
        next_at[0] = plant.loop.time() + where.every
        return where.to

    return _through(plant, where, spike)
