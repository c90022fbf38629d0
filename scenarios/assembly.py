"""The plant of a scenario on a plant loop: devices on hosts, cables between them, and changes taken on while it runs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.model.frame import Port
from lab.model.plant import Cable as CableConfig
from lab.model.plant import HostConfig, Wiring
from lab.network.appliance import Appliance, Value
from lab.network.automatic import Automatic
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.network.media import CopperPort, End, SfpCage, link_of
from scenarios.folder import PlantConfig, cables_of, wires_of
from scenarios.kinds import APPLIANCES, SWITCHES

Truth = Callable[[int, str, str, Value], None]
"""Called as truth(at, host, point, value) when a process value changes, `at` in ns since the Unix epoch, plant time."""


class Plant:
    """Devices of the given kinds; nothing is cabled or switched on before `boot`.

    With `disks`, what programs of a host store lies in a folder there by its name, and outlasts the plant.
    """

    def __init__(
        self, loop: PlantLoop, kinds: Mapping[str, str], seed: int, truth: Truth, disks: Path | None = None
    ) -> None:
        self.loop = loop
        self.network = Network(loop, seed)
        self.appliances: dict[str, Appliance[Any]] = {}
        self._kinds = kinds
        self._truth = truth
        self._config = PlantConfig(Wiring(), {})
        self._running: set[str] = set()
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One thing at a time is done to a device."""
        self._automatic: dict[str, Automatic] = {}
        self._following: list[asyncio.Task[None]] = []
        for name, kind in kinds.items():
            if kind in SWITCHES:
                self.network.add_switch(name, SWITCHES[kind])
            else:
                APPLIANCES[kind].hardware(self.network, name)
                host = self.network.hosts[name]
                host.disk.folder = disks and disks / name
                self._automatic[name] = Automatic(host)
        self.network.power_listeners.append(self._power_changed)

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
        """Take away the cables and wires that are gone and put in those that are new; the others are not touched."""
        network = self.network
        before, after = cables_of(self._config.wiring), cables_of(wiring)
        for ends in sorted(ends for ends, cable in before.items() if after.get(ends) != cable):
            network.unplug(ends[0])
        for ends in sorted(ends for ends, cable in after.items() if before.get(ends) != cable):
            for end in ends:
                network.unplug(end)  # somebody may have put another cable there meanwhile
            self._plug(after[ends])
        loose, joined = wires_of(self._config.wiring), wires_of(wiring)
        for a, b in sorted(loose - joined):
            network.conductors.unwire(a, b)
        for a, b in sorted(joined - loose):
            network.conductors.wire(a, b)
        for wire in wiring.wires:
            if wire.length is not None:
                network.serial.set_length(wire.a, wire.b, wire.length)
        self._config = replace(self._config, wiring=wiring)

    def _plug(self, cable: CableConfig) -> None:
        self.network.plug(cable.a, cable.b)
        self._look_at(cable)

    def _look_at(self, cable: CableConfig) -> None:
        """What comes of a cable is the business of its kind, its length, and the sockets at its ends."""
        plugged = self.network.cable_at(cable.a)
        if plugged is not None and plugged is self.network.cable_at(cable.b):
            link = link_of(cable, self._socket(cable.a), self._socket(cable.b))
            self.network.set_carrying(plugged, link.up)
            plugged.impair(link.impairment, "medium")

    def _socket(self, port: Port) -> End:
        """RJ45, unless the device's configuration says what transceiver is in a cage there."""
        config = self._config.hosts.get(port.host)
        module = config.transceivers.get(port.name) if config is not None else None
        return SfpCage(module) if module is not None else CopperPort()

    async def configure(self, name: str, config: HostConfig) -> None:
        """Give a device its configuration, and switch it on where it was off."""
        before = self._config.hosts.get(name)
        self._config = replace(self._config, hosts={**self._config.hosts, name: config})
        if config.transceivers != (before.transceivers if before is not None else {}):
            for cable in self._config.wiring.cables:
                if name in (cable.a.host, cable.b.host):
                    self._look_at(cable)
        if name not in self.appliances:
            with self.network.hosts[name].current():
                self.appliances[name] = APPLIANCES[self._kinds[name]](
                    self.network.hosts[name], config, self._recorder(name)
                )
        async with self._busy[name]:
            if not self.network.has_power(name):
                self.appliances[name].config = config
            elif name in self._running:
                await self._on(name, self.appliances[name].apply, config)
            else:
                self._running.add(name)
                await self._on(name, self.appliances[name].start)

    async def halt(self, name: str) -> None:
        """Stop what runs on a device while it keeps its power and its place on the network; raises KeyError."""
        async with self._busy[name]:
            if name in self._running:
                self._running.discard(name)
                await self.network.hosts[name].spawn(self.appliances[name].stop())

    async def resume(self, name: str) -> None:
        """Start it again where it does not run; raises KeyError."""
        await self._follow_power(name, self.network.has_power(name))

    async def restart(self, name: str) -> None:
        """Stop and start what runs on a device, if anything does; raises KeyError."""
        if name in self._running:
            await self.halt(name)
            await self.resume(name)

    def settle(self, name: str, config: HostConfig) -> None:
        """Change a host's network settings under its appliance, which is not told; raises KeyError."""
        self._config = replace(self._config, hosts={**self._config.hosts, name: config})
        self.network.hosts[name].configure(config)
        self._automatic[name].apply(config)

    async def _on(self, name: str, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Let an appliance do something on its host, the host being configured first."""
        host = self.network.hosts[name]
        with host.current():
            host.configure(self._config.hosts[name])
            self._automatic[name].apply(self._config.hosts[name])
            task = self.loop.create_task(work(*arguments), name=f"{work.__name__} {name}")
        await task

    def _power_changed(self, name: str, on: bool) -> None:
        if name in self.appliances:
            self._following = [task for task in self._following if not task.done()]
            self._following.append(self.loop.create_task(self._follow_power(name, on), name=f"power of {name}"))

    async def _follow_power(self, name: str, on: bool) -> None:
        """However short a cut was, what runs on the device has ended and begins anew."""
        async with self._busy[name]:
            if on and name not in self._running:
                self._running.add(name)
                appliance = self.appliances[name]
                appliance.config = appliance.boots_with
                self._config = replace(self._config, hosts={**self._config.hosts, name: appliance.config})
                await self._on(name, self.appliances[name].start)
            elif not on and name in self._running:
                self._running.discard(name)
                self._automatic[name].stop()
                self.network.hosts[name].lose_power()
                await self.network.hosts[name].spawn(self.appliances[name].stop())

    async def stop(self) -> None:
        """Switch everything off, and wait until it is."""
        for task in self._following:
            task.cancel()
        for name in reversed(self.appliances):
            if name in self._running:
                await self.network.hosts[name].spawn(self.appliances[name].stop())
        for automatic in self._automatic.values():
            automatic.stop()
        self._running.clear()
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
