"""A small lab for tests of devices: a device at 10.0.0.1 and a computer at 10.0.0.2, on one cable, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from devices.registry import KINDS
from lab.clock import EPOCH_NS
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, Value
from lab.network.fabric import Network
from lab.network.loop import PlantLoop

T = TypeVar("T")


class Lab:
    """The device is started by the story; what it says of its process is in `truth`."""

    def __init__(self, loop: PlantLoop, kind: str, config: Mapping[str, Any]) -> None:
        self.loop = loop
        self.network = Network(loop, seed=1)
        self.truth: list[tuple[float, str, Value]] = []
        """(plant seconds, point, value)"""
        here = {"interfaces": {"eth0": {"address": "10.0.0.1/24"}}}
        there = {"interfaces": {"eth0": {"address": "10.0.0.2/24"}}}
        appliance = KINDS[kind]
        settings = appliance.Config.model_validate({**here, **config})
        self.host = appliance.hardware(self.network, "device")
        self.host.configure(settings)
        self.pc = self.network.add_host("pc")
        self.pc.configure(HostConfig.model_validate(there))
        self.network.plug(Port("device", "eth0"), Port("pc", "eth0"))
        self.device: Appliance[Any] = appliance(self.host, settings, self._record)

    def _record(self, point: str, value: Value) -> None:
        self.truth.append(((self.loop.wall_ns() - EPOCH_NS) / 1e9, point, value))

    def told(self, point: str) -> list[Value]:
        return [value for _, each, value in self.truth if each == point]

    async def start(self) -> None:
        await self.host.spawn(self.device.start())

    async def stop(self) -> None:
        await self.host.spawn(self.device.stop())

    async def until(self, seconds: float) -> None:
        """Let the plant's clock come to so many seconds after its start."""
        await asyncio.sleep(seconds - (self.loop.wall_ns() - EPOCH_NS) / 1e9)

    async def from_pc(self, deed: Callable[[], Awaitable[T]]) -> T:
        async def do() -> T:
            return await deed()

        result: T = await self.pc.spawn(do())
        return result


def in_lab(
    kind: str, story: Callable[[Lab], Awaitable[T]], *, ends: bool = True, fast: bool = True, **config: Any
) -> T:
    """Tell a story in a lab of its own; a complaint of the loop fails the test.

    So does a task that is left behind, unless the story is one of a client that never `ends`.
    """
    loop = PlantLoop(fast=fast)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    left: set[str] = set()
    try:
        asyncio.set_event_loop(loop)

        async def main() -> T:
            lab = Lab(loop, kind, config)
            async with asyncio.timeout(7 * 24 * 3600):
                await lab.start()
                result = await story(lab)
                await lab.stop()
                await asyncio.sleep(1)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                left.add(repr(task.get_coro()))
                task.cancel()
            return result

        result = loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        unfinished = asyncio.all_tasks(loop)  # of a story that failed, which should be the only failure
        for task in unfinished:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
    assert not complaints, complaints
    assert not (ends and left), left
    return result
