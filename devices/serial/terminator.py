"""`terminator`: a 120 Ω resistor for the end of an RS-485 line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.network.host import Host
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network


class Resistor(Appliance[HostConfig]):
    """Two legs and nothing to configure."""

    kind: ClassVar[str] = "terminator"
    title: ClassVar[Text] = Text(zh="120 Ω 终端电阻", en="120 Ω terminating resistor")
    Config = HostConfig
    ports: ClassVar[tuple[str, ...]] = ()
    interfaces: ClassVar[tuple[str, ...] | None] = ()
    terminals: ClassVar[tuple[str, ...]] = ("1", "2")

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        network.serial.add_terminator(name, ("1", "2"))
        return super().hardware(network, name)

    async def start(self) -> None:
        """A resistor needs no power."""

    async def stop(self) -> None:
        """And cannot be switched off."""
