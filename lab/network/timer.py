"""A timer that is cheap to restart, for protocols that restart theirs with every packet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context


class Timer:
    """Calls back once after the latest `start`.

    Stopping or postponing touches no heap: the pending loop handle looks at the deadline when it fires, and goes back
    to sleep where that has moved.
    """

    __slots__ = ("_callback", "_context", "_deadline", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._context = context
        self._callback = callback
        self._deadline: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self, delay: float) -> None:
        """Call back `delay` seconds from now, instead of whenever it was to be."""
        deadline = self._deadline = self._loop.time() + delay
        handle = self._handle
        if handle is None:
            self._handle = self._loop.call_at(deadline, self._fire, context=self._context)
        elif deadline < handle.when():
            handle.cancel()
            self._handle = self._loop.call_at(deadline, self._fire, context=self._context)

    def stop(self) -> None:
        self._deadline = None

    @property
    def is_running(self) -> bool:
        return self._deadline is not None

    def dispose(self) -> None:
        """Stop, and take the pending handle out of the loop too."""
        self._deadline = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        handle, self._handle = self._handle, None
        deadline = self._deadline
        if deadline is None or handle is None:
            return
        if deadline > handle.when():
            self._handle = self._loop.call_at(deadline, self._fire, context=self._context)
            return
        self._deadline = None
        self._callback()
