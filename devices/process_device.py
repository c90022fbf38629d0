"""A process on one side, a scan cycle, and whatever shows the process to clients on the other."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from random import Random
from typing import ClassVar, Final, TypeVar

from devices.modbus_unit import Identity
from devices.process.process import Process
from devices.process.safety import SafeBands
from devices.scan import ScanCycle
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host

_STEPS: Final = 2000
"""In which a process makes up for the time its device was off."""

H = TypeVar("H", bound=HostConfig)


class ProcessDevice(Appliance[H]):
    """The process goes on through restarts and reconfigurations, as boilers do; while the device is off, uncontrolled."""

    Process: ClassVar[type[Process]]
    identity: ClassVar[Identity]
    scan_period: ClassVar[float] = 0.5
    """Seconds"""

    def __init__(self, host: Host, config: H, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        # A stream of its own, so that what the network draws does not move the process.
        self.process = self.Process(Random(host.random.getrandbits(64)))
        self._seen: dict[str, Value] = {}
        self._safe_bands = SafeBands(self.process, record)
        self._scan_cycle = ScanCycle(self.scan_period, self._scan)
        self._off_since: float | None = None
        """Seconds on the loop's clock."""
        self.sensors: dict[str, Callable[[Value], Value]] = {}
        """What a bad sensor makes of a process value, by point; clients see that."""

    @property
    def who(self) -> Identity:
        """Who it says it is now."""
        return self.identity

    @abstractmethod
    def _show(self) -> None:
        """Let clients see the process as it is, and tell the truth where they would see a difference."""

    async def start(self) -> None:
        """Scan, with nobody to show it to yet."""
        self._catch_up()
        self._scan_cycle.start()

    async def stop(self) -> None:
        self._rest()

    def switched(self) -> None:
        """Called when the controller has been set running, or stopped."""
        self._update()

    def points(self) -> Mapping[str, Value]:
        return dict(self._seen)

    def force(self, point: str, value: Value | None) -> None:
        self.process.force(point, value)
        self._update()

    def _catch_up(self) -> None:
        """Let the process live through what the device did not see."""
        since, self._off_since = self._off_since, None
        seconds = 0.0 if since is None else asyncio.get_running_loop().time() - since
        if seconds >= self.scan_period:
            was_controlled, self.process.controlled = self.process.controlled, False
            step = max(self.scan_period, seconds / _STEPS)
            for _ in range(round(seconds / step)):
                self.process.step(step)
            self.process.controlled = was_controlled

    def _scan(self, seconds: float) -> None:
        self.process.step(seconds)
        self._update()

    def _rest(self) -> None:
        """Scan no more."""
        self._scan_cycle.stop()
        self._off_since = asyncio.get_running_loop().time()

    def _update(self) -> None:
        if self.process.controlled:
            self._show()
        self._safe_bands.look()

    def _measured(self, point: str, value: Value) -> Value:
        """What the controller gets of a process value."""
        return self.sensors[point](value) if point in self.sensors else value

    def _tell(self, point: str, seen: Value) -> None:
        if self._seen.get(point) != seen:
            self._seen[point] = seen
            self.record(point, seen)
