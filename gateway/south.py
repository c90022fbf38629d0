"""A device the gateway reads from: its connection kept, its groups read on schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.config import DeviceConfig
from gateway.driver import NOT_CONNECTED_YET, Driver, Group, Tag
from gateway.modbus.config import ModbusDevice
from gateway.samples import Quality, Report, Sample, Unreachable, bad
from gateway.tasks import cancel, supervised
from gateway.timing import Backoff, Schedule
from lab.clock import now_ns


def driver_for(config: DeviceConfig, gateway: str) -> Driver:
    """The driver a device needs; its library is loaded only now, as asyncua alone takes a second and 70 MiB."""
    if isinstance(config, ModbusDevice):
        from gateway.modbus.driver import ModbusDriver

        return ModbusDriver(config.connection)
    from gateway.opcua.driver import OpcUaDriver

    return OpcUaDriver(config.connection, gateway)


@dataclass(slots=True)
class TagState:
    """What is known of a tag."""

    unit: str
    sample: Sample
    good: int = 0
    bad: int = 0
    """Samples that were not good."""

    def take(self, sample: Sample) -> None:
        self.sample = sample
        if sample.quality is Quality.GOOD:
            self.good += 1
        else:
            self.bad += 1

    def status(self) -> dict[str, object]:
        sample = self.sample
        return {
            "value": sample.value,
            "unit": self.unit,
            "quality": str(sample.quality),
            "ts": sample.at // 1_000_000,
            "good": self.good,
            "bad": self.bad,
            "reason": str(sample.reason) if sample.reason else "",
        }


class GroupState:
    """A group at work."""

    def __init__(self, config: Group) -> None:
        self.config = config
        self.cycles = 0
        self.schedule: Schedule | None = None
        now = now_ns()
        self.tags = {tag.name: TagState(tag.unit, bad(NOT_CONNECTED_YET, now)) for tag in self._tags()}
        self.task: asyncio.Task[None] | None = None

    def _tags(self) -> list[Tag]:
        tags: list[Tag] = self.config.tags
        return tags

    def status(self) -> dict[str, object]:
        return {
            "period_ms": self.config.period_ms,
            "cycles": self.cycles,
            "overruns": self.schedule.overruns if self.schedule else 0,
        }


class Device:
    """One device: a driver that is reconnected for ever, and a task for each group."""

    def __init__(self, config: DeviceConfig, gateway: str, random: Random, publish: Callable[[Report], None]) -> None:
        self.config = config
        self._publish = publish
        self._driver = driver_for(config, gateway)
        self._attempted = asyncio.Event()
        self._connections = 0
        connection = config.connection
        self._backoff = Backoff(random, connection.reconnect_min_ms / 1000, connection.reconnect_max_ms / 1000)
        self._groups: dict[str, GroupState] = {}
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = supervised(self._keep_connected())
        self._take_on(self.config.groups)

    async def stop(self) -> None:
        await cancel([self._keeper, *(group.task for group in self._groups.values())])
        await self._driver.close()

    async def apply(self, config: DeviceConfig) -> bool:
        """Take on other groups on the same connection; False where the connection itself has to change."""
        if (config.driver, config.connection) != (self.config.driver, self.config.connection):
            return False
        self.config = config
        wanted: list[Group] = [*config.groups]
        changed = [state for state in self._groups.values() if state.config not in wanted]
        await cancel([state.task for state in changed])
        for state in changed:
            del self._groups[state.config.name]
        self._take_on(config.groups)
        return True

    def status(self) -> dict[str, object]:
        driver = self._driver
        return {
            "driver": self.config.driver,
            "connected": driver.up.is_set(),
            "connections": self._connections,
            "requests": driver.requests,
            "errors": driver.errors,
            "rtt_ms": None if driver.rtt is None else round(driver.rtt * 1000, 3),
            "last_error": "" if driver.trouble is NOT_CONNECTED_YET else str(driver.trouble),
            "groups": {name: group.status() for name, group in self._groups.items()},
            "tags": {name: tag.status() for group in self._groups.values() for name, tag in group.tags.items()},
        }

    def _take_on(self, groups: Any) -> None:
        for config in groups:
            if config.name not in self._groups:
                state = self._groups[config.name] = GroupState(config)
                work: Coroutine[Any, Any, None]
                work = self._follow(state) if self._driver.subscribes else self._poll(state)
                state.task = supervised(work)

    async def _keep_connected(self) -> None:
        driver = self._driver
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await driver.open()
            except Unreachable:
                self._attempted.set()
            else:
                self._connections += 1
                self._attempted.set()
                await driver.down.wait()
                self._backoff.lasted(loop.time() - began)
            await driver.close()
            await asyncio.sleep(self._backoff.pause())

    async def _poll(self, group: GroupState) -> None:
        # The first cycle should find a connection, not come just before it.
        await self._attempted.wait()
        driver = self._driver
        reader = driver.reader(group.config)
        group.schedule = Schedule(group.config.period_ms / 1000)
        while True:
            self._report(group, await reader.read() if driver.up.is_set() else self._all_bad(group))
            await group.schedule.next_tick()

    async def _follow(self, group: GroupState) -> None:
        driver = self._driver
        while True:
            await driver.up.wait()
            passing = asyncio.create_task(self._pass_on(group))
            down = asyncio.create_task(driver.down.wait())
            try:
                await asyncio.wait((passing, down), return_when=asyncio.FIRST_COMPLETED)
                if passing.done():
                    passing.result()
            finally:
                await cancel((passing, down))
            self._report(group, self._all_bad(group))

    async def _pass_on(self, group: GroupState) -> None:
        try:
            async for samples in self._driver.changes(group.config):
                self._report(group, samples)
        except Unreachable:
            pass

    def _all_bad(self, group: GroupState) -> Mapping[str, Sample]:
        sample = bad(self._driver.trouble, now_ns())
        return dict.fromkeys(group.tags, sample)

    def _report(self, group: GroupState, samples: Mapping[str, Sample]) -> None:
        group.cycles += 1
        for name, sample in samples.items():
            group.tags[name].take(sample)
        at = max(sample.at for sample in samples.values())
        self._publish(Report(self.config.name, group.config.name, at, samples))
