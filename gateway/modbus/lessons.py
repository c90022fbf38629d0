"""What a unit has taught by refusing requests: which gaps it does not let one read across, which tags it has not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from gateway.modbus.plan import Block, Gap, Located, Place, place_of, poll_plan

T = TypeVar("T", bound=Located)

TEACHES: Final = (2, 3)
"""Illegal data address; and illegal data value, with which some devices refuse a request that is too long."""


class Lessons:
    """Kept for as long as the connection to the device is configured as it is."""

    def __init__(self, max_registers: int, max_gap: int, max_bits: int) -> None:
        self._limits = (max_registers, max_gap, max_bits)
        self.closed: set[Gap] = set()
        self.alone: set[Place] = set()

    @property
    def count(self) -> int:
        return len(self.closed) + len(self.alone)

    def plan(self, tags: Iterable[T]) -> tuple[Block[T], ...]:
        """The blocks to read from now on."""
        return poll_plan(tags, *self._limits, closed=self.closed, alone=self.alone)

    async def learn(self, block: Block[T], accepts: Callable[[Block[T]], Awaitable[bool]]) -> None:
        """Take apart a block that was refused, by halves, until it is clear what was at fault.

        `accepts` reads a block, and hands on what it reads or why not, so that no value is lost on the way.
        """
        seams = block.seams()
        if seams:
            seam = seams[len(seams) // 2]
            before, behind = block.cut(seam)
            verdicts = [await self._try(half, accepts) for half in (before, behind)]
            if all(verdicts):  # so only what is between them can have been at fault
                self.closed.add(seam)
            return
        places = block.places()
        if len(places) == 1:
            self.alone.add(place_of(block.tags[0]))
            return
        for place in places:
            if not await accepts(place):
                self.alone.add(place_of(place.tags[0]))

    async def _try(self, half: Block[T], accepts: Callable[[Block[T]], Awaitable[bool]]) -> bool:
        if await accepts(half):
            return True
        await self.learn(half, accepts)
        return False
