"""The plant of a scenario on a plant loop: devices on hosts, cables between them, and changes taken on while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lab.model.plant import HostConfig, Wiring
from lab.network.appliance import Appliance, Value
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from scenarios.folder import PlantConfig, cables_of
from scenarios.kinds import APPLIANCES, SWITCHES

Truth = Callable[[int, str, str, Value], None]
"""Called as truth(at, host, point, value) when a process value changes, `at` in ns since the Unix epoch, plant time."""


class Plant:
    """Devices of the given kinds; nothing is cabled or switched on before `boot`."""

    def __init__(self, loop: PlantLoop, kinds: Mapping[str, str], seed: int, truth: Truth) -> None:
        self.loop = loop
        self.network = Network(loop, seed)
        self.appliances: dict[str, Appliance[Any]] = {}
        self._kinds = kinds
        self._truth = truth
        self._config = PlantConfig(Wiring(), {})
        for name, kind in kinds.items():
            if kind in SWITCHES:
                self.network.add_switch(name, SWITCHES[kind])
            else:
                self.network.add_host(name, APPLIANCES[kind].ports)

    @property
    def config(self) -> PlantConfig:
        """What the plant runs with now."""
        return self._config

    async def boot(self, config: PlantConfig) -> None:
        """Cable everything, then switch the devices on in the order of the scenario."""
        self.rewire(config.wiring)
        for name, host_config in config.hosts.items():
            await self.configure(name, host_config)

    def rewire(self, wiring: Wiring) -> None:
        """Pull the cables that are gone and plug those that are new; the others are not touched."""
        before, after = cables_of(self._config.wiring), cables_of(wiring)
        for a, _ in sorted(before - after):
            self.network.unplug(a)
        for a, b in sorted(after - before):
            self.network.plug(a, b)
        self._config = replace(self._config, wiring=wiring)

    async def configure(self, name: str, config: HostConfig) -> None:
        """Give a device its configuration, and switch it on where it was off."""
        host = self.network.hosts[name]
        appliance = self.appliances.get(name)
        self._config = replace(self._config, hosts={**self._config.hosts, name: config})
        with host.current():
            host.configure(config)
            if appliance is None:
                appliance = APPLIANCES[self._kinds[name]](host, config, self._recorder(name))
                self.appliances[name] = appliance
                work = appliance.start()
            else:
                work = appliance.apply(config)
            task = self.loop.create_task(work, name=f"configure {name}")
        await task

    async def stop(self) -> None:
        """Switch everything off, and wait until it is."""
        for name in reversed(self.appliances):
            await self.network.hosts[name].spawn(self.appliances[name].stop())
        self.appliances.clear()

    def force(self, host: str, point: str, value: Value | None) -> None:
        """Hold a process value, or let it go; raises KeyError for an unknown device or point."""
        appliance = self.appliances[host]
        with appliance.host.current():
            appliance.force(point, value)

    def _recorder(self, name: str) -> Callable[[str, Value], None]:
        truth, wall_ns = self._truth, self.loop.wall_ns

        def record(point: str, value: Value) -> None:
            truth(wall_ns(), name, point, value)

        return record


def complain_to(loop: PlantLoop, listener: Callable[[str, BaseException | None], None]) -> None:
    """Tell the listener what nobody else wanted to hear: exceptions in callbacks and forgotten tasks."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # Python 3.11's streams complain of a handler that was cancelled when its server stopped.
        if not isinstance(error, asyncio.CancelledError):
            listener(str(context.get("message", "")), error)

    loop.set_exception_handler(handle)
