"""`terminal-block`: sixteen numbered feed-through terminals, and the bridges that join some of them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import Field

from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.network.host import Host
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.fabric import Network

_SIZE: Final = 16


class TerminalBlockConfig(HostConfig):
    bridges: list[Annotated[list[Annotated[int, Field(ge=1, le=_SIZE)]], Field(min_length=2)]] = Field(
        default_factory=list, max_length=_SIZE
    )
    """Each the numbers of terminals that one bridge joins: `[[1, 2, 3], [5, 6]]`."""

    @property
    def joints(self) -> frozenset[tuple[int, int]]:
        return frozenset(pair for bridge in self.bridges for pair in pairwise(sorted(set(bridge))))


class TerminalBlock(Appliance[TerminalBlockConfig]):
    kind: ClassVar[str] = "terminal-block"
    title: ClassVar[Text] = Text(zh="接线端子排", en="Terminal block")
    Config = TerminalBlockConfig
    ports: ClassVar[tuple[str, ...]] = ()
    interfaces: ClassVar[tuple[str, ...] | None] = ()
    terminals: ClassVar[tuple[str, ...]] = tuple(str(number) for number in range(1, _SIZE + 1))
    _bridged: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def hardware(cls, network: Network, name: str) -> Host:
        for terminal in cls.terminals:
            network.conductors.add_terminal(Port(name, terminal), _unmoved)
        return super().hardware(network, name)

    async def start(self) -> None:
        conductors, wanted = self.host.network.conductors, self.config.joints
        for a, b in sorted(self._bridged - wanted):
            conductors.unwire(self._terminal(a), self._terminal(b))
        for a, b in sorted(wanted - self._bridged):
            conductors.wire(self._terminal(a), self._terminal(b))
        self._bridged = wanted

    async def stop(self) -> None:
        """Bridges stay where they are."""

    def _terminal(self, number: int) -> Port:
        return Port(self.host.name, str(number))

    def status(self) -> Mapping[str, object]:
        return {"bridges": "; ".join(f"{a}–{b}" for a, b in sorted(self._bridged))}


def _unmoved() -> None:
    """A piece of metal does nothing when it is wired."""
