"""A plant around a device that stands between networks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from typing import Any, TypeVar

from plant_time import on_plant_loop

from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop

T = TypeVar("T")


class Site:
    """Hosts, each on its own cable to a port of the device in the middle."""

    def __init__(self, loop: PlantLoop, kind: type[Appliance[Any]]) -> None:
        self.loop = loop
        self.kind = kind
        self.network = Network(loop)
        self.middle = kind.hardware(self.network, "middle")
        self.device: Appliance[Any]
        self.frames: list[Frame] = []
        self.network.taps.append(self._see)

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))

    def host(self, name: str, address: str, gateway: str | None, port: str) -> Host:
        """A host cabled to a port of the device."""
        host = self.network.add_host(name)
        interface = {"address": address, "gateway": gateway}
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
        self.network.plug(Port(name, "eth0"), Port("middle", port))
        return host

    async def switch_on(self, config: Mapping[str, Any]) -> None:
        model = self.kind.Config.model_validate(config)
        self.middle.configure(model)
        self.device = self.kind(self.middle, model, lambda point, value: None)
        with self.middle.current():
            await self.device.start()

    async def apply(self, config: Mapping[str, Any]) -> None:
        model = self.kind.Config.model_validate(config)
        self.middle.configure(model)
        with self.middle.current():
            await self.device.apply(model)

    def seen_at(self, host: str) -> list[bytes]:
        """The frames that reached a host."""
        return [frame.data for frame in self.frames if frame.tap.seen_at.host == host]


def run(kind: type[Appliance[Any]], story: Callable[[Site], Awaitable[T]], *, patience: float = 7200.0) -> T:
    """Tell a story in virtual time; every complaint of the loop fails the test."""

    async def main(loop: PlantLoop) -> T:
        site = Site(loop, kind)
        result = await story(site)
        await asyncio.sleep(0.05)
        with site.middle.current():
            await site.device.stop()
        return result

    return on_plant_loop(main, patience=patience, forgives_cancelled=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server; that its connection is cut is part of the stories."""
    with closing(writer), suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def ask(address: str, port: int, text: bytes) -> bytes:
    """What an echo server answers."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(text)
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    return heard


async def attempt(address: str, port: int, patience: float = 5.0) -> str:
    """How an attempt to connect ends: open, refused, or silence."""
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return "refused"
    except (TimeoutError, OSError):
        return "silence"
    writer.close()
    return "open"
