"""Calls a protocol's state machine when its deadline has come: once, not too early, and however busy the network is."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Final

from lab.network.timer import Timer

if TYPE_CHECKING:
    import asyncio

_NEVER: Final = float("inf")
_A_MOMENT: Final = 1e-6
"""Seconds. The loop's clock counts whole nanoseconds and deadlines are sums of floats, so a timer may call a little
early. The protocol would do nothing and ask to be called at once, for ever; so it is told of a time a moment later."""


class Alarm:
    """Calls back with the time. Setting the same deadline again changes nothing, or whoever is told of every frame would
    put off what is overdue for as long as frames come in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[float], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._due = _NEVER
        self._timer = Timer(loop, Context(), self._called)

    def set(self, due: float) -> None:
        """Call back at this time of the loop; infinity is never."""
        if due == self._due:
            return
        self._due = due
        if due == _NEVER:
            self._timer.stop()
        else:
            self._timer.start(max(0.0, due - self._loop.time()))

    def dispose(self) -> None:
        """Do not call, and leave nothing in the loop."""
        self._due = _NEVER
        self._timer.dispose()

    def _called(self) -> None:
        self._due = _NEVER
        self._callback(self._loop.time() + _A_MOMENT)
