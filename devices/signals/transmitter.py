"""What transmitters have in common: a measuring range, a quantity, 4–20 mA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Final, TypeVar

from pydantic import model_validator

from devices.signals.field_device import FieldDevice
from devices.signals.quantity import Quantity
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig
from lab.network.appliance import RecordTruth, Value
from lab.network.host import Host
from lab.network.signals.sources import Failure, Transmitter
from lab.text import Text

_STEPS: Final = 10_000
"""Into which the truth divides a measuring range."""
NO_SPAN: Final = Text(zh="量程上下限相同：{low}", en="the measuring range begins and ends at {low}")
DARK: Final = Text(zh="熄灭", en="dark")


class TransmitterConfig(HostConfig):
    """What is set at a transmitter."""

    range: tuple[float, float] | None = None
    """Values at 4 mA and 20 mA, in the unit of its kind."""
    failure: Failure = "low"
    """What it says when its sensor has failed (NAMUR NE 43): at most 3.6 mA, or at least 21 mA."""
    around: float | None = None
    """The value about which its quantity moves."""

    @model_validator(mode="after")
    def _has_a_span(self) -> TransmitterConfig:
        if self.range is not None and self.range[0] == self.range[1]:
            raise KnownValueError(NO_SPAN, low=self.range[0])
        return self


C = TypeVar("C", bound=TransmitterConfig)


class TransmitterDevice(FieldDevice[C]):
    unit: ClassVar[str]
    as_delivered: ClassVar[tuple[float, float]]
    """Its measuring range before somebody sets another one."""
    process: Quantity

    def __init__(self, host: Host, config: C, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._reading = self.process.value

    @property
    def source(self) -> Transmitter:
        return self.host.network.circuit.part(self.host.name, Transmitter)

    @property
    def span(self) -> tuple[float, float]:
        return self.config.range or self.as_delivered

    def equip(self) -> None:
        self.source.on_failure = self.config.failure
        if self.config.around is not None:
            self.process.around = self.config.around

    def show(self) -> None:
        low, high = self.span
        self._reading = self.source.sense(self.process.value)
        self.source.show((self._reading - low) / (high - low))

    def shown(self, value: Value) -> Value:
        if not isinstance(value, float) or not math.isfinite(value):
            return value
        low, high = self.as_delivered
        step = (high - low) / _STEPS
        return round(round(value / step) * step, 9)

    def status(self) -> Mapping[str, object]:
        source = self.source
        if not source.is_alive:
            return {"display": str(DARK)}
        low, high = self.span
        return {
            self.process.points[0]: self.shown(self._reading),
            "unit": self.unit,
            "range": f"{low:g} … {high:g}",
            "signal_mA": round(source.signal * 1000, 3),
        }
