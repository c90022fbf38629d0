"""Consoles for tests: run a line on a host of a small site, and look at what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service_kit import Site, tell

from devices import console
from devices.console import Context, Log
from lab.network.host import Host
from lab.text import Language

__all__ = ["Console", "Site", "console_at", "tell"]


@dataclass
class Console:
    """A prompt on a host."""

    host: Host
    folder: Path | None = None
    language: Language = "en"
    logs: dict[str, Log] = field(default_factory=dict)
    status: int | None = None
    """Of the latest line."""

    @property
    def context(self) -> Context:
        return Context(language=self.language, folder=self.folder, logs=self.logs)

    async def run(self, line: str | Sequence[str]) -> str:
        """What a line says until it ends; nothing of it is left in the plant."""
        said: list[str] = []
        self.status = await console.run(self.host, line, said.append, context=self.context)
        assert self.host.watchers == []
        return "".join(said)

    async def interrupted(self, line: str, seconds: float) -> str:
        """What a line says that is stopped with Ctrl-C."""
        said: list[str] = []
        taps = len(self.host.network.taps)
        task = asyncio.create_task(console.run(self.host, line, said.append, context=self.context))
        await asyncio.sleep(seconds)
        assert not task.done(), "".join(said)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert self.host.watchers == []
            assert len(self.host.network.taps) == taps
            return "".join(said)
        raise AssertionError("it did not end as a cancelled task does")

    def begin(self, line: str) -> Running:
        return Running(self, line)


class Running:
    """A line that runs beside the story."""

    def __init__(self, at: Console, line: str) -> None:
        self._said: list[str] = []
        run = console.run(at.host, line, self._said.append, context=at.context)
        self._task: asyncio.Task[int] = asyncio.create_task(run)

    @property
    def said(self) -> str:
        return "".join(self._said)

    async def end(self) -> int:
        return await self._task

    async def stop(self) -> str:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.said


def console_at(site: Site, address: str = "10.0.0.9/24", **more: Any) -> Console:
    return Console(site.host("ws", address), **more)


async def garbage_at(host: Host, port: int, answer: bytes) -> None:
    """A server on TCP and UDP that answers everything with the same bytes and goes away."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(answer, addr)

    async def serve() -> None:
        await asyncio.start_server(reply, "0.0.0.0", port)
        host.open_datagrams(Datagrams, ("0.0.0.0", port), None)

    await host.spawn(serve())
