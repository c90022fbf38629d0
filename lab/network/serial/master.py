"""A Modbus RTU master: one request after the other on a serial port, with time-outs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Final, NamedTuple

from lab.network.loop import PlantLoop
from lab.network.serial.line import LineSettings
from lab.network.serial.port import SerialPort
from lab.network.serial.rtu import RtuLink
from lab.network.timer import Timer
from lab.wire.malformed import Malformed
from lab.wire.modbus.rtu import BROADCAST, Framed, RtuAdu, decode_framed

Answered = Callable[[bytes | None], None]
"""Called with the PDU of the response, empty after a broadcast, None where no right one came in time."""

_EXCEPTION: Final = 0x80


class _Pending(NamedTuple):
    owner: object
    adu: RtuAdu
    answered: Answered
    timeout: float


class RtuMaster:
    """Requests wait in a queue of bounded length; what comes unasked or too late is passed over."""

    def __init__(
        self,
        port: SerialPort,
        loop: PlantLoop,
        settings: LineSettings,
        *,
        response_timeout: float = 1.0,
        turnaround: float = 0.1,
        limit: int = 16,
    ) -> None:
        self._response_timeout = response_timeout
        self._turnaround = turnaround
        self._limit = limit
        self._queue: deque[_Pending] = deque()
        self._current: _Pending | None = None
        self._timer = Timer(loop, copy_context(), self._time_out)
        self._link = RtuLink(port, loop, settings, self._took, sent=self._sent)
        self.timeouts = 0
        self.garbled = 0
        """Frames that nobody could read while an answer was waited for."""

    @property
    def waiting(self) -> int:
        """Requests that have not been sent yet."""
        return len(self._queue)

    def request(
        self, owner: object, unit: int, pdu: bytes, answered: Answered, *, timeout: float | None = None
    ) -> bool:
        """Send a request when its turn comes; False where the queue is full, and then nothing happens.

        `timeout` is for this request alone, in seconds from the end of its last character.
        """
        if len(self._queue) >= self._limit:
            return False
        patience = self._response_timeout if timeout is None else timeout
        self._queue.append(_Pending(owner, RtuAdu(unit, pdu), answered, patience))
        if self._current is None:
            self._next()
        return True

    def withdraw(self, owner: object) -> None:
        """Forget the requests of somebody who is gone; one that is on the line runs its course."""
        self._queue = deque(pending for pending in self._queue if pending.owner is not owner)

    def close(self) -> None:
        """Give the port back; what waits is never answered."""
        self._timer.dispose()
        self._queue.clear()
        self._current = None
        self._link.close()

    def _next(self) -> None:
        self._current = None
        if self._queue:
            self._current = self._queue.popleft()
            self._link.send(self._current.adu.encode())

    def _sent(self) -> None:
        if self._current is not None:
            # Section 2.4.1: a master waits for a response, or after a broadcast so long that all have worked it off.
            is_broadcast = self._current.adu.unit == BROADCAST
            self._timer.start(self._turnaround if is_broadcast else self._current.timeout)

    def _took(self, framed: Framed) -> None:
        asked = self._current
        if asked is None or not self._timer.is_running or asked.adu.unit == BROADCAST:
            return
        try:
            adu = decode_framed(framed)
        except Malformed:
            self.garbled += 1
            return
        if adu.unit == asked.adu.unit and adu.pdu[0] & ~_EXCEPTION == asked.adu.pdu[0] & ~_EXCEPTION:
            self._finish(asked, adu.pdu)

    def _time_out(self) -> None:
        asked = self._current
        if asked is not None:
            is_broadcast = asked.adu.unit == BROADCAST
            self.timeouts += not is_broadcast
            self._finish(asked, b"" if is_broadcast else None)

    def _finish(self, asked: _Pending, pdu: bytes | None) -> None:
        self._timer.stop()
        self._next()
        asked.answered(pdu)
