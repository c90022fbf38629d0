"""`lt-2w`, `pt-2w`, `pt-3w`, `tt-pt100` and `ft-4w`: transmitters of level, pressure, temperature and flow.

Terminals: two-wire `+` and `-`; three-wire `L+`, `OUT` and `M`; four-wire supply `L+` and `M`, signal `I+` and `I-`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from devices.signals.quantity import Flow, Level, Pressure, Temperature
from devices.signals.transmitter import TransmitterConfig, TransmitterDevice
from lab.model.frame import Port
from lab.network.signals.sources import FourWire, ThreeWire, TwoWire
from lab.text import Text


class TwoWireConfig(TransmitterConfig):
    lead_resistance: float = Field(default=0.0, ge=0, le=2000)
    """Ohms of each conductor of its cable."""


class TwoWireTransmitter(TransmitterDevice[TwoWireConfig]):
    """Lives on the current of the loop it signals in."""

    Config = TwoWireConfig
    terminals: ClassVar[tuple[str, ...]] = ("+", "-")

    @classmethod
    def electrics(cls, *terminals: Port) -> TwoWire:
        return TwoWire(*terminals)

    @property
    def source(self) -> TwoWire:
        return self.host.network.circuit.part(self.host.name, TwoWire)

    def equip(self) -> None:
        super().equip()
        self.source.equip(self.config.lead_resistance)


class LevelTransmitter(TwoWireTransmitter):
    kind: ClassVar[str] = "lt-2w"
    title: ClassVar[Text] = Text(zh="液位变送器（两线制）", en="Level transmitter, two-wire")
    Process = Level
    unit: ClassVar[str] = "m"
    as_delivered: ClassVar[tuple[float, float]] = (0.0, 3.0)


class PressureTransmitter(TwoWireTransmitter):
    kind: ClassVar[str] = "pt-2w"
    title: ClassVar[Text] = Text(zh="压力变送器（两线制）", en="Pressure transmitter, two-wire")
    Process = Pressure
    unit: ClassVar[str] = "MPa"
    as_delivered: ClassVar[tuple[float, float]] = (0.0, 1.0)


class HeadTransmitter(TwoWireTransmitter):
    """Sits in the head of a thermometer, on a PT100 element of its own."""

    kind: ClassVar[str] = "tt-pt100"
    title: ClassVar[Text] = Text(zh="PT100 温度变送器（两线制）", en="PT100 head transmitter, two-wire")
    Process = Temperature
    unit: ClassVar[str] = "°C"
    as_delivered: ClassVar[tuple[float, float]] = (0.0, 150.0)


class ThreeWireConfig(TransmitterConfig):
    output: Literal["4-20mA", "0-10V"] = "4-20mA"


class ThreeWireTransmitter(TransmitterDevice[ThreeWireConfig]):
    kind: ClassVar[str] = "pt-3w"
    title: ClassVar[Text] = Text(zh="压力变送器（三线制）", en="Pressure transmitter, three-wire")
    Config = ThreeWireConfig
    Process = Pressure
    terminals: ClassVar[tuple[str, ...]] = ("L+", "OUT", "M")
    unit: ClassVar[str] = "MPa"
    as_delivered: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @classmethod
    def electrics(cls, *terminals: Port) -> ThreeWire:
        return ThreeWire(*terminals)

    @property
    def source(self) -> ThreeWire:
        return self.host.network.circuit.part(self.host.name, ThreeWire)

    def equip(self) -> None:
        super().equip()
        self.source.equip(self.config.output)


class FlowTransmitter(TransmitterDevice[TransmitterConfig]):
    kind: ClassVar[str] = "ft-4w"
    title: ClassVar[Text] = Text(zh="电磁流量计（四线制）", en="Magnetic flow meter, four-wire")
    Config = TransmitterConfig
    Process = Flow
    terminals: ClassVar[tuple[str, ...]] = ("L+", "M", "I+", "I-")
    unit: ClassVar[str] = "m³/h"
    as_delivered: ClassVar[tuple[float, float]] = (0.0, 100.0)

    @classmethod
    def electrics(cls, *terminals: Port) -> FourWire:
        return FourWire(*terminals)
