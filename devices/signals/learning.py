"""What an access point does with frames: a learning bridge whose ports come and go."""

from __future__ import annotations

from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.network.fabric import Jack
from lab.network.timer import Timer
from lab.wire.ethernet import is_group

if TYPE_CHECKING:
    from lab.network.loop import PlantLoop

_AGEING: Final = 300.0
"""Seconds (IEEE 802.1D table 7-5); an address is forgotten after one to two times half of it without a frame."""
_TABLE_LIMIT: Final = 4096
_HEADER: Final = 14
_BROADCAST: Final = b"\xff" * 6
_UPDATE: Final = bytes.fromhex("0006 0001af 810100").ljust(48, b"\0")
"""The rest of a layer 2 update frame (IEEE 802.11F section 6.1): a response to an exchange of LLC identification."""


class LearningBridge:
    """Sends a frame where its destination was last heard, else everywhere but back."""

    def __init__(self, loop: PlantLoop) -> None:
        self._jacks: list[Jack] = []
        self._table: dict[bytes, Jack] = {}
        self._heard: set[bytes] = set()
        self._timer = Timer(loop, Context(), self._age)

    def add(self, jack: Jack) -> None:
        """A port more; what arrives there is the bridge's from now on."""
        self._jacks.append(jack)
        jack.take_over(partial(self._forward, jack))

    def remove(self, jack: Jack) -> None:
        """A port less; nothing is sent there or taken from there."""
        self._jacks.remove(jack)
        jack.take_over(_nowhere)
        self.forget(jack)

    def forget(self, jack: Jack) -> None:
        """Who was heard there may be anywhere now."""
        self._table = {mac: each for mac, each in self._table.items() if each is not jack}

    def announce(self, jack: Jack) -> None:
        """Say who is behind the other ports, so that bridges out there learn where they are now (hostapd does so)."""
        for mac, each in self._table.items():
            if each is not jack:
                jack.send(_BROADCAST + mac + _UPDATE)

    def clear(self) -> None:
        for jack in tuple(self._jacks):
            self.remove(jack)
        self._heard.clear()
        self._timer.dispose()

    def _forward(self, arrived: Jack, frame: bytes) -> None:
        if len(frame) < _HEADER:
            return
        source, destination = frame[6:12], frame[:6]
        self._heard.add(source)
        if self._table.get(source) is not arrived and not is_group(source):
            self._learn(source, arrived)
        target = self._table.get(destination)
        if target is None:
            for jack in self._jacks:
                if jack is not arrived:
                    jack.send(frame)
        elif target is not arrived:
            target.send(frame)

    def _learn(self, mac: bytes, jack: Jack) -> None:
        if len(self._table) >= _TABLE_LIMIT and mac not in self._table:
            return
        self._table[mac] = jack
        if not self._timer.is_running:
            self._timer.start(_AGEING / 2)

    def _age(self) -> None:
        self._table = {mac: jack for mac, jack in self._table.items() if mac in self._heard}
        self._heard.clear()
        if self._table:
            self._timer.start(_AGEING / 2)


def _nowhere(frame: bytes) -> None:
    """Where frames for a bridge end that is off."""
