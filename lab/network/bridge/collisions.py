"""A link whose ends disagree about duplex: one sends whenever it likes, the other takes that for a collision.

The half-duplex end waits while it hears something, then sends. If the full-duplex end begins in the middle of that, the
half-duplex end breaks off: its frame is lost (a late collision, which nobody repeats), and so is the one that hit it.
The network moves a burst from hop to hop and not bit by bit, so that two frames coincide is drawn by lot: as likely as
it is with independent beginnings, given how busy the line was in the last milliseconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import exp
from typing import TYPE_CHECKING, Final

from lab.network.bridge.negotiation import Duplex, LinkMode

if TYPE_CHECKING:
    import asyncio

_OVERHEAD: Final = 24
"""Bytes of preamble, frame check sequence and gap."""
_MEMORY: Final = 0.01
"""Seconds after which what was on the line counts for 1/e."""

Pass = Callable[[bytes], None]


class _Recently:
    """A sum that fades."""

    __slots__ = ("_at", "_sum")

    def __init__(self) -> None:
        self._sum = self._at = 0.0

    def add(self, amount: float, now: float) -> None:
        self._sum = self.per_second(now) * _MEMORY + amount
        self._at = now

    def per_second(self, now: float) -> float:
        return self._sum * exp((self._at - now) / _MEMORY) / _MEMORY


class MismatchedLine:
    """Both directions of such a link, as the bridge at one end sees it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        mode: LinkMode,
        send: Pass,
        receive: Pass,
        lost: Callable[[bool], None],
        chance: random.Random,
    ) -> None:
        """`lost` is called for each lost frame that this end notices, with whether it was one of its own."""
        self._loop, self._chance = loop, chance
        self._seconds_per_byte = 8 / (mode.speed * 1_000_000)
        self._we_are_half = mode.duplex is Duplex.HALF
        self._send, self._receive, self._lost = send, receive, lost
        self._half_busy = _Recently()
        """Seconds for which the half-duplex end has been sending."""
        self._full_begun = _Recently()
        """Frames that the full-duplex end has begun."""
        self._doomed = [0.0, 0.0]
        """Until when the next frame of the full- and of the half-duplex end is the other part of a collision."""

    def carry(self, frame: bytes) -> None:
        """We send."""
        if not self._collides(frame, is_half=self._we_are_half):
            self._send(frame)
        elif self._we_are_half:
            self._lost(True)  # with full duplex nobody looks for collisions

    def arrive(self, frame: bytes) -> None:
        """The other end sends."""
        if self._collides(frame, is_half=not self._we_are_half):
            self._lost(False)
        else:
            self._receive(frame)

    def _collides(self, frame: bytes, *, is_half: bool) -> bool:
        now = self._loop.time()
        if self._doomed[is_half] > now:
            self._doomed[is_half] = 0.0
            return True
        if is_half:
            duration = (len(frame) + _OVERHEAD) * self._seconds_per_byte
            self._half_busy.add(duration, now)
            expected = duration * self._full_begun.per_second(now)
        else:
            self._full_begun.add(1.0, now)
            expected = self._half_busy.per_second(now)
        # Lots are drawn for both that meet, so each counts by half; and what hits something takes it along.
        collides = self._chance.random() > exp(-expected / 2)
        if collides:
            self._doomed[not is_half] = now + _MEMORY
        return collides
