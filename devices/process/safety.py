"""Truth about safety: when a process leaves its safe bands, and when it is back."""

from __future__ import annotations

from devices.process.process import Process
from lab.network.appliance import RecordTruth


class SafeBands:
    """Records `unsafe.<point>` for each point with a safe band: False at first, then whatever it has become.

    It looks at the process itself: a bad sensor or a controller that is stopped hides nothing.
    """

    def __init__(self, process: Process, record: RecordTruth) -> None:
        self._process = process
        self._record = record
        self._told: dict[str, bool] = {}

    def look(self) -> None:
        for point, (low, high) in self._process.safe.items():
            unsafe = not low <= getattr(self._process, point) <= high
            if self._told.get(point) is not unsafe:
                self._told[point] = unsafe
                self._record(f"unsafe.{point}", unsafe)

    @property
    def left(self) -> tuple[str, ...]:
        """The points that are outside their bands."""
        return tuple(point for point, unsafe in self._told.items() if unsafe)
