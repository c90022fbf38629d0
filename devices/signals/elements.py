"""`te-pt100`, `prox-pnp`, `prox-npn` and `contact`: elements and switches without a range.

Terminals: `te-pt100` 1 and 2 at one end of the element, 3 and 4 at the other; `prox-…` BN (plus), BK (output) and BU
(minus); `contact` 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from devices.signals.field_device import FieldDevice
from devices.signals.quantity import Gate, Parts, Temperature
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Value
from lab.network.signals.sources import Contact, Proximity, Pt100
from lab.text import Text


class ElementConfig(HostConfig):
    lead_resistance: float = Field(default=0.0, ge=0, le=200)
    """Ohms of each conductor of its cable."""
    around: float | None = None
    """°C about which its temperature moves."""


class Element(FieldDevice[ElementConfig]):
    """A thermometer: a resistor and nothing else."""

    kind: ClassVar[str] = "te-pt100"
    title: ClassVar[Text] = Text(zh="PT100 铂电阻", en="PT100 element")
    Config = ElementConfig
    Process = Temperature
    terminals: ClassVar[tuple[str, ...]] = ("1", "2", "3", "4")
    process: Temperature

    @classmethod
    def electrics(cls, *terminals: Port) -> Pt100:
        return Pt100(*terminals)

    @property
    def source(self) -> Pt100:
        return self.host.network.circuit.part(self.host.name, Pt100)

    def equip(self) -> None:
        self.source.equip(self.config.lead_resistance)
        if self.config.around is not None:
            self.process.around = self.config.around

    def show(self) -> None:
        self.source.show(self.source.sense(self.process.value))

    def shown(self, value: Value) -> Value:
        return round(value, 2) if isinstance(value, float) else value


class ProximityConfig(HostConfig):
    parts_per_minute: float = Field(default=0.0, ge=0, le=120)
    """How many pass in front of it."""
    function: Literal["no", "nc"] = "no"
    """Whether its output conducts while something is in front of it, or while nothing is."""


class ProximitySwitch(FieldDevice[ProximityConfig]):
    Config = ProximityConfig
    Process = Parts
    scan_period: ClassVar[float] = 0.1
    terminals: ClassVar[tuple[str, ...]] = ("BN", "BK", "BU")
    transistor: ClassVar[Literal["pnp", "npn"]]
    process: Parts

    @classmethod
    def electrics(cls, *terminals: Port) -> Proximity:
        return Proximity(*terminals, transistor=cls.transistor)

    @property
    def source(self) -> Proximity:
        return self.host.network.circuit.part(self.host.name, Proximity)

    def equip(self) -> None:
        self.process.per_minute = self.config.parts_per_minute

    def show(self) -> None:
        is_near = self.source.sense(float(self.process.part)) >= 0.5
        self.source.switch(is_near == (self.config.function == "no"))

    def status(self) -> Mapping[str, object]:
        source = self.source
        return {"power": source.electronics.work, "output": source.electronics.work and source.is_on}


class ProximityPnp(ProximitySwitch):
    kind: ClassVar[str] = "prox-pnp"
    title: ClassVar[Text] = Text(zh="接近开关（PNP）", en="Proximity switch, PNP")
    transistor: ClassVar[Literal["pnp", "npn"]] = "pnp"


class ProximityNpn(ProximitySwitch):
    kind: ClassVar[str] = "prox-npn"
    title: ClassVar[Text] = Text(zh="接近开关（NPN）", en="Proximity switch, NPN")
    transistor: ClassVar[Literal["pnp", "npn"]] = "npn"


class DryContact(FieldDevice[HostConfig]):
    """A limit switch; it is forced open or closed."""

    kind: ClassVar[str] = "contact"
    title: ClassVar[Text] = Text(zh="干接点（行程开关）", en="Dry contact")
    Config = HostConfig
    Process = Gate
    terminals: ClassVar[tuple[str, ...]] = ("1", "2")
    process: Gate

    @classmethod
    def electrics(cls, *terminals: Port) -> Contact:
        return Contact(*terminals)

    @property
    def source(self) -> Contact:
        return self.host.network.circuit.part(self.host.name, Contact)

    def equip(self) -> None:
        """There is nothing to set."""

    def show(self) -> None:
        self.source.switch(self.source.sense(float(self.process.closed)) >= 0.5)

    def status(self) -> Mapping[str, object]:
        return {"closed": self.source.is_closed}
