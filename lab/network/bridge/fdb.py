"""The filtering database of a bridge (IEEE 802.1Q section 8.8): by VLAN, where each address was last heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Final

from lab.network.bridge.bridge_port import BridgePort
from lab.network.timer import Timer

if TYPE_CHECKING:
    import asyncio

TABLE_LIMIT: Final = 8192

Entries = dict[bytes, BridgePort]


class FilteringDatabase:
    """`forget` is called before an entry moves or goes, so that nothing outlives it that was derived from it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, forget: Callable[[], None]) -> None:
        self.ageing = 300.0
        """Seconds after which an address that has not been heard is forgotten (802.1Q table 8-6)."""
        self._forget = forget
        self._tables: dict[int, Entries] = {}
        self._heard: set[tuple[int, bytes]] = set()
        """Since the table was last gone through; nothing that is not in it."""
        self._static: frozenset[tuple[int, bytes]] = frozenset()
        self._timer = Timer(loop, Context(), self._age)

    def of(self, vid: int) -> Entries:
        """What is known of one VLAN."""
        table = self._tables.get(vid)
        if table is None:
            table = self._tables[vid] = {}
        return table

    def heard(self, vid: int, mac: bytes) -> None:
        """A known address has been heard again."""
        self._heard.add((vid, mac))

    def learn(self, vid: int, mac: bytes, port: BridgePort) -> None:
        """An address has been heard at a port that the table does not say."""
        if (vid, mac) in self._static:
            return
        table = self.of(vid)
        if mac in table:
            self._forget()  # it has moved
        elif sum(map(len, self._tables.values())) >= TABLE_LIMIT:
            return  # a full table floods, as attackers of real switches know
        table[mac] = port
        self._heard.add((vid, mac))
        if not self._timer.is_running:
            self._timer.start(self.ageing / 2)

    def set_static(self, entries: Mapping[tuple[int, bytes], BridgePort]) -> None:
        """Entries that neither age nor move, in place of those before."""
        self._forget()
        for vid, mac in self._static - entries.keys():
            self._tables.get(vid, {}).pop(mac, None)
        self._static = frozenset(entries)
        for (vid, mac), port in entries.items():
            self.of(vid)[mac] = port

    def flush(self, port: BridgePort) -> None:
        """Forget what was learnt at a port."""
        self._keep(lambda key, at: at is not port)

    def clear(self) -> None:
        """Forget everything, static entries too."""
        self._forget()
        self._tables.clear()
        self._heard.clear()
        self._static = frozenset()
        self._timer.dispose()

    def entries(self) -> Iterator[tuple[int, bytes, BridgePort, bool]]:
        """VLAN, address, port, and whether it is static, in order."""
        for vid, table in sorted(self._tables.items()):
            for mac, port in sorted(table.items(), key=lambda entry: entry[0]):
                yield vid, mac, port, (vid, mac) in self._static

    def _age(self) -> None:
        self._forget()
        self._keep(lambda key, at: key in self._heard)
        self._heard.clear()
        if self._tables:
            self._timer.start(self.ageing / 2)

    def _keep(self, is_kept: Callable[[tuple[int, bytes], BridgePort], bool]) -> None:
        """Static entries always stay."""
        self._forget()
        kept = {
            vid: {mac: at for mac, at in table.items() if (vid, mac) in self._static or is_kept((vid, mac), at)}
            for vid, table in self._tables.items()
        }
        self._tables = {vid: table for vid, table in kept.items() if table}
