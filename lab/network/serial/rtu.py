"""Modbus RTU on a serial port: frames between silences, both ways."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context

from lab.network.loop import PlantLoop
from lab.network.serial.line import LineSettings
from lab.network.serial.medium import Reception
from lab.network.serial.port import SerialPort
from lab.network.timer import Timer
from lab.wire.modbus.rtu import Framed, Framer


class Silence:
    """Tells where a frame ends: 3.5 characters after the last one, unless another begins."""

    def __init__(self, loop: PlantLoop, settings: LineSettings, took: Callable[[Framed], None]) -> None:
        self._loop = loop
        self._took = took
        self._t35 = settings.t35
        self._framer = Framer(settings.t15, settings.t35)
        self._timer = Timer(loop, copy_context(), self._over)

    def busy(self) -> None:
        """Characters begin to arrive."""
        self._timer.stop()

    def heard(self, reception: Reception) -> None:
        """They are through."""
        before = self._framer.feed(
            reception.data, reception.began, reception.ended, is_good=not reception.flaws and bool(reception.data)
        )
        self._timer.start(max(reception.ended + self._t35 - self._loop.time(), 0.0))
        if before is not None:
            self._took(before)

    def close(self) -> None:
        self._timer.dispose()

    def finish(self) -> None:
        """Take what has come as a frame, without waiting."""
        self._timer.dispose()
        self._over()

    def _over(self) -> None:
        framed = self._framer.finish()
        if framed is not None:
            self._took(framed)


class RtuLink:
    """A port that is used for Modbus RTU; `took` is given each frame that is heard, good or bad."""

    def __init__(
        self,
        port: SerialPort,
        loop: PlantLoop,
        settings: LineSettings,
        took: Callable[[Framed], None],
        *,
        sent: Callable[[], None] = lambda: None,
    ) -> None:
        self._port = port
        self._loop = loop
        self._settings = settings
        self._silence = Silence(loop, settings, took)
        self._sent = sent
        self._quiet_since = float("-inf")
        self._next: list[bytes] = []
        self._start = Timer(loop, copy_context(), self._write)
        port.open(settings, self._heard, busy=self._silence.busy, drained=self._drained)

    def send(self, frame: bytes) -> None:
        """Send one frame as soon as the line has been quiet for 3.5 characters; `sent` is called when it is through.

        A frame that has not begun to be sent gives way to a later one.
        """
        self._next = [frame]
        self._start.start(max(self._quiet_since + self._settings.t35 - self._loop.time(), 0.0))

    def close(self) -> None:
        """Give the port back."""
        self._start.dispose()
        self._silence.close()
        self._next.clear()
        self._port.close()

    def _write(self) -> None:
        if self._next:
            self._port.write(self._next.pop())

    def _heard(self, reception: Reception) -> None:
        self._quiet_since = reception.ended
        self._silence.heard(reception)

    def _drained(self) -> None:
        self._quiet_since = self._loop.time()
        self._sent()
