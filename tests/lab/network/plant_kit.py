"""A small plant for tests: hosts h1, h2 … at 10.0.0.1, .2 … on one switch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from plant_time import on_plant_loop

from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop

T = TypeVar("T")


def config(address: str, gateway: str | None = None, names: dict[str, str] | None = None) -> HostConfig:
    interface = {"address": address, "gateway": gateway}
    return HostConfig.model_validate({"interfaces": {"eth0": interface}, "hosts": names or {}})


class Plant:
    def __init__(self, loop: PlantLoop, hosts: int = 2, seed: int = 1) -> None:
        self.loop = loop
        self.network = Network(loop, seed)
        self.switch = self.network.add_switch("sw", hosts + 2)
        self.hosts: list[Host] = []
        self.frames: list[Frame] = []
        self.network.taps.append(self._see)
        for number in range(1, hosts + 1):
            host = self.network.add_host(f"h{number}")
            host.configure(config(f"10.0.0.{number}/24"))
            self.network.plug(Port(host.name, "eth0"), Port("sw", f"p{number}"))
            self.hosts.append(host)

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))


def run(
    story: Callable[[Plant], Awaitable[T]],
    *,
    fast: bool = True,
    hosts: int = 2,
    seed: int = 1,
    patience: float = 3600.0,
) -> T:
    """Tell a story on a plant of its own; every complaint of the loop fails the test."""
    return on_plant_loop(
        lambda loop: story(Plant(loop, hosts, seed)), fast=fast, patience=patience, forgives_cancelled=True
    )
