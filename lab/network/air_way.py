"""One direction of an association over the air: frames that wait their turn, fail, are repeated, and arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lab.network.fabric import Jack, Way
from lab.network.propagation import Quality

if TYPE_CHECKING:
    from lab.network.fabric import Network

_ATTEMPTS: Final = 7
_OVERHEAD: Final = 150e-6
"""Seconds of an attempt besides its bits: gaps, back-off, preamble, acknowledgement."""
_PATIENCE: Final = 0.5
"""Seconds that a frame waits for its turn before it is dropped."""


class AirWay(Way):
    """One direction of an association. A frame waits until the channel is free and is sent until it is acknowledged."""

    __slots__ = ("_radio", "channel", "quality", "share")

    def __init__(self, network: Network, origin: Jack, target: Jack, channel: int) -> None:
        super().__init__(network, origin, target)
        self._radio = network.radio
        self.channel = channel
        self.quality = Quality(6.5, 0.0)
        self.share = 1.0
        """Of the time, that others on the channel leave."""

    def carry(self, frame: bytes) -> None:
        now = self._network.loop.time()
        begins = max(now, self._radio.busy_until.get(self.channel, 0.0))
        if begins - now > _PATIENCE:
            self.lost += 1
            return
        attempt = (_OVERHEAD + len(frame) * 8e-6 / self.quality.rate) / self.share
        attempts, is_through = 0, False
        while not is_through and attempts < _ATTEMPTS:
            attempts += 1
            is_through = self._radio.chance.random() >= self.quality.failures
        ends = self._radio.busy_until[self.channel] = begins + attempts * attempt
        if is_through:
            self._network.post_later(self, frame, ends - now)
        else:
            self.lost += 1
