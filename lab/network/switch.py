"""An unmanaged learning switch (IEEE 802.1D section 7, without spanning tree)."""

from __future__ import annotations

from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING

from lab.model.address import format_mac
from lab.model.frame import Port
from lab.network.timer import Timer
from lab.wire.ethernet import is_group

if TYPE_CHECKING:
    from lab.network.fabric import Jack, Network

AGEING_SECONDS = 300.0
"""IEEE 802.1D table 7-5. An address is forgotten after one to two times this half of it without a frame."""
_TABLE_LIMIT = 8192


class Switch:
    """Sends a frame where its destination was last heard, else everywhere but back."""

    def __init__(self, network: Network, name: str, ports: int) -> None:
        self.name = name
        self.jacks: tuple[Jack, ...] = ()
        self._table: dict[bytes, Jack] = {}
        self._heard: set[bytes] = set()
        jacks: list[Jack] = []
        for number in range(1, ports + 1):
            port = Port(name, f"p{number}")
            jack = network.add_jack(port, lambda frame: None, partial(self._link_changed, number - 1))
            jack.receive = partial(self._forward, jack)
            jacks.append(jack)
        self.jacks = tuple(jacks)
        self._ageing = Timer(network.loop, Context(), self._age)

    @property
    def table(self) -> dict[str, str]:
        """Where each address was last heard: MAC to port name."""
        return {format_mac(mac): jack.port.name for mac, jack in self._table.items()}

    def _forward(self, arrived: Jack, frame: bytes) -> None:
        source, destination = frame[6:12], frame[:6]
        self._heard.add(source)
        table = self._table
        if table.get(source) is not arrived and not is_group(source):
            self._learn(source, arrived)
        target = table.get(destination)
        if target is None:
            for jack in self.jacks:
                if jack is not arrived and jack.way is not None:
                    jack.way.carry(frame)
        elif target is not arrived and target.way is not None:
            target.way.carry(frame)

    def _learn(self, mac: bytes, jack: Jack) -> None:
        if len(self._table) >= _TABLE_LIMIT and mac not in self._table:
            return  # a full table floods, as attackers of real switches know
        self._table[mac] = jack
        if not self._ageing.is_running:
            self._ageing.start(AGEING_SECONDS / 2)

    def _age(self) -> None:
        self._table = {mac: jack for mac, jack in self._table.items() if mac in self._heard}
        self._heard.clear()
        if self._table:
            self._ageing.start(AGEING_SECONDS / 2)

    def _link_changed(self, index: int, up: bool) -> None:
        if not up:
            down = self.jacks[index]
            self._table = {mac: jack for mac, jack in self._table.items() if jack is not down}
