"""A plant for tests of network services: hosts on one switch, in virtual time, each frame kept."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from plant_time import on_plant_loop

from devices.services.server import Server
from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop
from lab.wire import pcapng

T = TypeVar("T")


class Site:
    def __init__(self, loop: PlantLoop) -> None:
        self.loop = loop
        self.network = Network(loop, seed=1)
        self.frames: list[Frame] = []
        self.network.taps.append(self._see)
        self._switches: dict[str, int] = {}

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))

    def plug(self, host: str, switch: str = "sw", port: str = "eth0") -> None:
        if switch not in self._switches:
            self.network.add_switch(switch, 16)
        number = self._switches[switch] = self._switches.get(switch, 0) + 1
        self.network.plug(Port(host, port), Port(switch, f"p{number}"))

    def host(self, name: str, address: str | None = None, gateway: str | None = None, switch: str = "sw") -> Host:
        host = self.network.add_host(name)
        if address is not None:
            interface = {"address": address, "gateway": gateway}
            host.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
        self.plug(name, switch)
        return host

    async def device(self, kind: type[Appliance[Any]], name: str, config: dict[str, Any]) -> Appliance[Any]:
        """One that is started but whose cables are the story's business."""
        settings = kind.Config.model_validate(config)
        host = kind.hardware(self.network, name)
        host.configure(settings)
        device = kind(host, settings, lambda point, value: None)
        await host.spawn(device.start())
        return device

    async def server(
        self, name: str, address: str, *, gateway: str | None = None, switch: str = "sw", **services: Any
    ) -> Server:
        config = {"interfaces": {"eth0": {"address": address, "gateway": gateway}}, **services}
        server = await self.device(Server, name, config)
        self.plug(name, switch)
        assert isinstance(server, Server)
        return server


def tell(story: Callable[[Site], Awaitable[T]]) -> T:
    """Tell a story on a site of its own; a complaint of the loop fails the test."""
    return on_plant_loop(lambda loop: story(Site(loop)), afterwards=0.0)


def dissect(
    tshark: str, frames: list[Frame], folder: Path, *fields: str, choose: str = "", more: tuple[str, ...] = ()
) -> list[list[str]]:
    """What Wireshark sees in the frames: one row of fields for each that `choose` leaves."""
    path = folder / "seen.pcapng"
    writer = pcapng.Writer()
    path.write_bytes(writer.section() + b"".join(writer.frame(f.tap, f.at, f.data) for f in frames))
    command = [tshark, "-r", str(path), "-T", "fields", "-E", "separator=|", *more]
    for field in fields:
        command += ["-e", field]
    if choose:
        command += ["-Y", choose]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [line.split("|") for line in shown.splitlines()]
