"""A plant in which h1 is a real host with this computer's kernel, and h2 … are simulated; in real time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Interface
from typing import TypeVar

from plant_kit import Plant, run

from lab.model.frame import Port
from lab.network.namespace import Finished, RealHost, attach

T = TypeVar("T")

AT_KERNEL = Port("h1", "eth0")
KERNEL, OURS = "10.0.0.1", "10.0.0.2"
READY_PORT = 9
"""UDP port of h2 where a script in the real host says that it listens."""

_PREAMBLE = f"""
import socket, sys, time, random, hashlib
KERNEL, OURS = {KERNEL!r}, {OURS!r}
def connect(port):
    s = socket.create_connection((OURS, port), 10)
    return s
def listen(port):
    s = socket.create_server(("", port))
    s.settimeout(10)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"ready", (OURS, {READY_PORT}))
    return s
def accept(port):
    s, _ = listen(port).accept()
    s.settimeout(30)
    return s
def read_all(s):
    parts = []
    while part := s.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)
"""


class _Ready(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.set()


class Kernel:
    """The real host of a plant, and who waits for it."""

    def __init__(self, plant: Plant, host: RealHost) -> None:
        self.plant, self.host = plant, host

    async def run(self, *argv: str, timeout: float = 20.0) -> Finished:
        return await self.host.run(argv, timeout=timeout)

    async def script(self, text: str, timeout: float = 30.0) -> str:
        """What a Python script prints there; it must succeed."""
        done = await self.run(sys.executable, "-I", "-S", "-c", _PREAMBLE + text, timeout=timeout)
        assert done.returncode == 0, done.output
        return done.output.strip()

    async def while_serving(self, text: str, deed: Callable[[], Awaitable[T]], timeout: float = 30.0) -> tuple[T, str]:
        """Do something on h2 once the script listens; what came of it, and what the script printed."""
        server = asyncio.create_task(self.script(text, timeout))
        ours = self.plant.hosts[1]
        with ours.current():
            transport, ready = await self.plant.loop.create_datagram_endpoint(_Ready, ("0.0.0.0", READY_PORT))

        async def do() -> T:
            return await deed()

        waiting = asyncio.create_task(ready.heard.wait())
        await asyncio.wait((waiting, server), return_when=asyncio.FIRST_COMPLETED)
        transport.close()
        assert ready.heard.is_set(), await server
        result: T = await ours.spawn(do())
        return result, await server


def with_kernel(story: Callable[[Kernel], Awaitable[T]], *, hosts: int = 2, patience: float = 60.0) -> T:
    async def tell(plant: Plant) -> T:
        names = {f"h{n}": IPv4Address(f"10.0.0.{n}") for n in range(2, hosts + 1)}
        host = await attach(plant.network, AT_KERNEL, IPv4Interface(f"{KERNEL}/24"), names=names)
        try:
            return await story(Kernel(plant, host))
        finally:
            await host.close()

    return run(tell, fast=False, hosts=hosts, patience=patience)
