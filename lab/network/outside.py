"""The way out of the plant: what connects to a port of a plant host goes on in a real socket to a real server.

The opposite of a published port, joined in the same way: windows fill through it, half a close is half a close, and a
server that refuses, is out of reach or has no such name resets who called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar, cast

from lab.network.door import Door, End, Entrance
from lab.network.host import Host
from lab.network.published import ASSOCIATION_SECONDS, MAX_ASSOCIATIONS

T = TypeVar("T")

MAX_CALLERS: Final = 256
_EARLY_DATAGRAMS: Final = 16
"""Kept while the real socket is being opened."""


class Exit(Door):
    """A TCP port of a plant host that leads out to `target`."""

    def __init__(self, host: Host, target: tuple[str, int]) -> None:
        super().__init__(host)
        self.target = target
        self._inside: Any = None

    async def listen(self, port: int) -> None:
        """Accept callers in the plant; raises ValueError in fast time, OSError where the port is in use."""
        _live_time_only(self.host)
        self._inside = await self.host.spawn(self.host.listen(lambda: _Caller(self), None, port))
        self.port = port

    async def connect(self, protocol_factory: Callable[[], End], address: str, port: int) -> None:
        await _in_no_host(self.host.network.loop.create_connection(protocol_factory, address, port))

    def close(self) -> None:
        if self._inside is not None:
            self._inside.close()
            self._inside = None
        super().close()


class _Caller(Entrance):
    door: Exit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.door.visitors) > MAX_CALLERS:
            self.door.refused += 1
            self.reset()
        else:
            self.enter(*self.door.target)


class _RealEnd(asyncio.DatagramProtocol):
    """A real UDP socket that speaks for one caller in the plant."""

    def __init__(self, way_out: ExitDatagrams, caller: tuple[str, int]) -> None:
        self._way_out, self._caller = way_out, caller
        self._early: deque[bytes] = deque(maxlen=_EARLY_DATAGRAMS)
        self._transport: asyncio.DatagramTransport | None = None
        self._is_closed = False
        self.idle = way_out.host.alarm(self.close)
        self.opening: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        if self._is_closed:
            self._transport.close()
        for data in self._early:
            self._transport.sendto(data)
        self._early.clear()

    def send(self, data: bytes) -> None:
        self.idle.start(ASSOCIATION_SECONDS)
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.sendto(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self._is_closed:
            self.idle.start(ASSOCIATION_SECONDS)
            self._way_out.answer(data, self._caller)

    def close(self) -> None:
        self._is_closed = True
        self._way_out.forget(self._caller)
        self.idle.dispose()
        if self._transport is not None:
            self._transport.close()
        elif self.opening is not None:
            self.opening.cancel()


class ExitDatagrams(asyncio.DatagramProtocol):
    """A UDP port of a plant host that leads out to `target`; each caller has a real socket of its own there."""

    def __init__(self, host: Host, target: tuple[str, int]) -> None:
        self.host = host
        self.target = target
        self._transport: asyncio.DatagramTransport | None = None
        self._callers: dict[tuple[str, int], _RealEnd] = {}
        """Longest silent first."""

    def listen(self, port: int) -> None:
        """Hear callers in the plant; raises ValueError in fast time, OSError where the port is in use."""
        _live_time_only(self.host)
        with self.host.current():
            self.host.open_datagrams(lambda: self, ("0.0.0.0", port), None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = self._callers.pop(addr, None)
        if end is None:
            if len(self._callers) >= MAX_ASSOCIATIONS:
                next(iter(self._callers.values())).close()
            end = _RealEnd(self, addr)
            end.opening = self.host.network.loop.create_task(self._open(end), context=Context())
        self._callers[addr] = end
        end.send(data)

    async def _open(self, end: _RealEnd) -> None:
        try:
            await self.host.network.loop.create_datagram_endpoint(lambda: end, remote_addr=self.target)
        except OSError:
            end.close()  # no such name or no route: lost, as datagrams are

    def answer(self, data: bytes, caller: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, caller)

    def forget(self, caller: tuple[str, int]) -> None:
        self._callers.pop(caller, None)

    def close(self) -> None:
        """Hear nobody any more, inside and outside."""
        for end in tuple(self._callers.values()):
            end.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None


def _live_time_only(host: Host) -> None:
    if host.network.loop.is_fast:
        raise ValueError("real servers need live time")


async def _in_no_host(opening: Coroutine[Any, Any, T]) -> T:
    """With no host current the loop's sockets are ordinary ones."""
    return await asyncio.get_running_loop().create_task(opening, context=Context())
