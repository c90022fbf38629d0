"""`psu-24`: a power supply for a cabinet, 24 V DC at `L+` and `M`, with a DC OK contact at 13 and 14."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.network.host import Host
from lab.network.signals.power import Overload, Supply
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network


class PowerSupplyConfig(HostConfig):
    volts: float = Field(default=24.0, ge=22.5, le=28.0)
    current: float = Field(default=5.0, gt=0, le=40)
    """Amperes that it gives at most."""
    overload: Overload = "limit"
    """At an overload: hold the current while the voltage falls, or hiccup."""
    decoupled: bool = False
    """Whether there is a diode in its output, so that two of them can feed one rail."""


class PowerSupply(Appliance[PowerSupplyConfig]):
    """What is wrong with it is in the `fault` of its `Supply`."""

    kind: ClassVar[str] = "psu-24"
    title: ClassVar[Text] = Text(zh="24 V 开关电源", en="24 V power supply")
    Config = PowerSupplyConfig
    ports: ClassVar[tuple[str, ...]] = ()
    interfaces: ClassVar[tuple[str, ...] | None] = ()
    terminals: ClassVar[tuple[str, ...]] = ("L+", "M", "13", "14")

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        network.circuit.add(name, Supply(network, name))
        return super().hardware(network, name)

    @property
    def supply(self) -> Supply:
        return self.host.network.circuit.part(self.host.name, Supply)

    async def start(self) -> None:
        config = self.config
        self.supply.equip(config.volts, config.current, config.overload, decoupled=config.decoupled)

    async def stop(self) -> None:
        """It gives voltage for as long as it has mains."""

    async def apply(self, config: PowerSupplyConfig) -> None:
        self.config = config
        await self.start()

    def status(self) -> Mapping[str, object]:
        supply = self.supply
        volts, amperes = supply.output
        return {
            "dc_ok": supply.is_good,
            "volts": round(volts, 1) + 0.0,
            "amperes": round(amperes, 2) + 0.0,
            "load_percent": round(100 * amperes / supply.limit),
            "overload": supply.is_overloaded or supply.is_resting,
        }
