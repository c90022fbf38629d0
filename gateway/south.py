"""A device the gateway reads from: its connection kept, its groups read on schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from operator import attrgetter
from random import Random
from typing import Any, Final

from gateway.config import DeviceConfig
from gateway.driver import NOT_CONNECTED_YET, Driver, Reader
from gateway.drivers import driver_for
from gateway.log import GatewayLog, Level
from gateway.samples import IdentifierEvent, Quality, Reason, Report, Sample, Unreachable, bad
from gateway.serial_ports import SerialPorts
from gateway.tags import GroupState
from gateway.tasks import cancel, supervised
from gateway.timing import Backoff, Schedule
from lab.clock import now_ns
from lab.text import Text

CONNECTED = Text(zh="已连接", en="connected")
LOST = Text(zh="连接中断：{why}", en="the connection is lost: {why}")
FAILED = Text(zh="连接失败：{why}", en="connecting failed: {why}")
OVERRUN = Text(
    zh="组 {group} 来不及，又跳过 {count} 个周期", en="the group {group} is late and has skipped {count} more cycles"
)
READ = Text(zh="组 {group} 读到 {good} 个好值，{bad} 个坏值", en="group {group}: {good} values good, {bad} not")


CAUTION, CAUTION_LIMIT = 1.0, 30.0
"""Seconds between attempts where we are not let in: whoever hurries then may find the account locked."""


class Device:
    """One device: a driver that is reconnected for ever, and a task for each group."""

    def __init__(
        self,
        config: DeviceConfig,
        gateway: str,
        random: Random,
        publish: Callable[[Report], None],
        log: GatewayLog,
        ports: SerialPorts,
    ) -> None:
        self.config = config
        self._publish = publish
        self._log = log
        self._driver: Driver = driver_for(config, gateway, random, ports)
        self._driver.saw = self._saw
        self._attempted = asyncio.Event()
        self._connections = 0
        connection = config.connection
        self._backoff = Backoff(random, connection.reconnect_min_ms / 1000, connection.reconnect_max_ms / 1000)
        self._caution = Backoff(random, CAUTION, max(CAUTION_LIMIT, connection.reconnect_max_ms / 1000))
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
        if _foundations(config) != _foundations(self.config):
            return False
        self.config = config
        wanted: list[Any] = [*config.groups]
        changed = [state for state in self._groups.values() if state.config not in wanted]
        await cancel([state.task for state in changed])
        for state in changed:
            del self._groups[state.config.name]
        self._take_on(config.groups)
        return True

    def tag(self, name: str) -> tuple[Any, Any] | None:
        """A tag and its group, as configured."""
        for group in self.config.groups:
            for tag in group.tags:
                if tag.name == name:
                    return group, tag
        return None

    @property
    def driver(self) -> Driver:
        return self._driver

    def status(self) -> dict[str, object]:
        driver = self._driver
        return {
            "driver": self.config.driver,
            "connected": driver.up.is_set(),
            "connections": self._connections,
            "requests": driver.requests,
            "errors": driver.errors,
            **driver.roundtrips.status(),
            "last_error": "" if driver.trouble is NOT_CONNECTED_YET else str(driver.trouble),
            **driver.status(),
            "groups": {name: group.status() for name, group in self._groups.items()},
            "tags": {name: tag for group in self._groups.values() for name, tag in group.tags_status().items()},
        }

    def _take_on(self, groups: Any) -> None:
        self._driver.serve(groups)
        for config in groups:
            if config.name not in self._groups:
                state = self._groups[config.name] = GroupState(config, self.config.stale_after_ms)
                work: Coroutine[Any, Any, None]
                work = self._follow(state) if self._driver.subscribes else self._poll(state)
                state.task = supervised(work)

    async def _keep_connected(self) -> None:
        driver, name = self._driver, self.config.name
        loop = asyncio.get_running_loop()
        told: Reason | None = None
        while True:
            began, answers = loop.time(), driver.answers
            pauses = self._backoff
            try:
                await driver.open()
            except Unreachable as error:
                self._attempted.set()
                # The same thing again and again is worth saying once.
                level: Level = "debug" if told == error.reason else "warning"
                told = error.reason
                if error.is_refusal:
                    pauses = self._caution
                self._log.say(level, name, FAILED, why=error.reason)
            else:
                told = None
                self._connections += 1
                self._attempted.set()
                self._log.say("info", name, CONNECTED)
                await driver.down.wait()
                self._log.say("warning", name, LOST, why=driver.trouble)
                if driver.answers > answers:
                    self._backoff.lasted(loop.time() - began)
                    self._caution.lasted(loop.time() - began)
            await driver.close()
            await asyncio.sleep(pauses.pause())

    async def _poll(self, group: GroupState) -> None:
        # The first cycle should find a connection, not come just before it.
        await self._attempted.wait()
        driver = self._driver
        reader: Reader = driver.reader(group.config)
        group.reader = reader
        schedule = group.schedule = Schedule(group.config.period_ms / 1000)
        is_tick = True
        while True:
            samples = await reader.read() if driver.up.is_set() else self._all_bad(group)
            if is_tick or schedule.is_due or any(sample.quality is Quality.GOOD for sample in samples.values()):
                self._report(group, samples)
            late = schedule.overruns
            # Whoever comes back is read at once; that it has not really come back is no news.
            is_tick = await schedule.next_tick(None if driver.up.is_set() else driver.up)
            if schedule.overruns > late:
                self._log.say("debug", self.config.name, OVERRUN, group=group.name, count=schedule.overruns - late)

    async def _follow(self, group: GroupState) -> None:
        driver = self._driver
        while True:
            await driver.up.wait()
            passing = asyncio.create_task(self._pass_on(group))
            down = asyncio.create_task(driver.down.wait())
            signs = asyncio.create_task(self._give_signs(group))
            try:
                await asyncio.wait((passing, down), return_when=asyncio.FIRST_COMPLETED)
                if passing.done():
                    passing.result()
            finally:
                await cancel((passing, down, signs))
            self._report(group, self._all_bad(group))

    async def _pass_on(self, group: GroupState) -> None:
        try:
            async for samples in self._driver.changes(group.config):
                self._report(group, samples)
        except Unreachable:
            pass

    async def _give_signs(self, group: GroupState) -> None:
        patience = group.patience
        while patience is not None:
            await asyncio.sleep(patience)
            if overdue := group.overdue(now_ns()):
                self._pass(group, overdue)

    def _all_bad(self, group: GroupState) -> Mapping[str, Sample]:
        sample = bad(self._driver.trouble, now_ns())
        return dict.fromkeys(group.tags, sample)

    def _report(self, group: GroupState, samples: Mapping[str, Sample]) -> None:
        now = now_ns()
        passed = group.take(samples, now)
        if self._log.wants("debug", self.config.name):
            good = sum(sample.quality == "good" for sample in samples.values())
            self._log.say("debug", self.config.name, READ, group=group.name, good=good, bad=len(samples) - good)
        if passed:
            self._pass(group, passed)

    def _pass(self, group: GroupState, samples: Mapping[str, Sample]) -> None:
        at = max(map(_AT, samples.values()))
        self._publish(Report(self.config.name, group.name, at, samples))

    def _saw(self, event: IdentifierEvent) -> None:
        group = next(iter(self._groups), "")
        self._publish(Report(self.config.name, group, event.at, {}, event))


_AT: Final = attrgetter("at")


def _foundations(config: DeviceConfig) -> dict[str, Any]:
    """All that cannot change without another connection."""
    return config.model_dump(exclude={"groups"})
