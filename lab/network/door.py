"""Doors from the computer into the plant: what arrives on a real socket goes on in a TCP connection of a plant host.

The connection inside is the host's own, in frames. The two are joined by what TCP means, not by copying chunks: a full
window inside fills the window outside and the other way round, half a close is half a close, a reset is a reset.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from contextvars import Context
from socket import inet_ntoa
from typing import Any, TypeVar, cast

from lab.network.host import Host
from lab.text import Text

T = TypeVar("T")

CANNOT_LISTEN = Text(
    zh="无法在 {address} 的 {port} 端口监听：{reason}",
    en="cannot listen on port {port} of {address}: {reason}",
)
PORT_TAKEN = Text(
    zh="{address} 的 {port} 端口已被本机的另一个程序占用",
    en="port {port} of {address} is already in use by another program on this computer",
)
PORT_FORBIDDEN = Text(
    zh="没有权限在 {address} 的 {port} 端口监听；请选择 1023 以上的端口",
    en="this user may not listen on port {port} of {address}; choose one above 1023",
)
_REASONS = {errno.EADDRINUSE: PORT_TAKEN, 10048: PORT_TAKEN, errno.EACCES: PORT_FORBIDDEN, 10013: PORT_FORBIDDEN}
"""With Windows' own numbers."""
# struct linger is two ints, on Windows two shorts. On, for zero seconds: close() sends RST.
_RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class End(asyncio.Protocol):
    """One side of a relay."""

    other: End

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.has_ended = False
        """Whether nothing more will arrive here."""
        self.is_full = False
        """Whether as much as we are ready to hold waits to be sent from here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.is_full = True
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        if self.other.transport is not None and not self.other.has_ended:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        self.has_ended = True
        self.pass_on_the_end()
        return True  # the way back stays open

    def pass_on_the_end(self) -> None:
        there = self.other.transport
        if there is None:
            return
        if not self.other.has_ended:
            try:
                there.write_eof()
            except OSError:
                self.other.reset()  # its peer has just reset it, and the loop has not told us yet
            return
        there.close()
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if exc is None:
            self.other.finish()
        else:
            self.other.reset()

    def finish(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class _Inside(End):
    """The side in the plant."""

    other: Entrance

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other.let_in()


class Entrance(End):
    """One visitor: the side on the real socket. Who derives from it says where the visitor wants to go."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door
        self.other = _Inside()
        self.other.other = self
        self._early = b""
        """What arrived before the connection inside was open: no more than one read."""
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.door.visitors.add(self)

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)
        elif self.transport is not None:
            self._early += data
            self.transport.pause_reading()

    def enter(self, address: str, port: int) -> None:
        """Connect to `address`, a name or dotted quad, as the door's host."""
        self._connecting = self.door.host.spawn(self._connect(address, port))

    async def _connect(self, address: str, port: int) -> None:
        try:
            await self.door.connect(lambda: self.other, address, port)
        except OSError as error:
            self.door.refused += 1
            if self.transport is not None:
                self.refused(error)
        finally:
            self._connecting = None

    def let_in(self) -> None:
        """The connection inside is open; nothing of what it brings has been delivered yet."""
        inside = self.other.transport
        if self.transport is None or inside is None:  # the visitor went away in this very moment
            self.other.reset()
            return
        self.door.entered += 1
        self.admitted()
        early, self._early = self._early, b""
        if early:
            inside.write(early)
        if self.has_ended:
            self.pass_on_the_end()
        elif not self.other.is_full:
            self.transport.resume_reading()

    def admitted(self) -> None:
        """Tell the visitor, where its protocol does."""

    def refused(self, error: OSError) -> None:
        """There will be no connection inside."""
        self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.visitors.discard(self)
        super().connection_lost(exc)
        if self._connecting is not None:
            self._connecting.cancel()


class Door:
    """A real listening socket that leads into the plant at one of its hosts."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.entered = 0
        """Connections opened inside."""
        self.refused = 0
        """Visitors for whom nobody inside was to be had."""
        self.visitors: set[Entrance] = set()
        self.address = ""
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self, entrance: Callable[[], Entrance], address: str, port: int) -> None:
        """Listen on the computer; raises ValueError in fast time, OSError where the port is not to be had."""
        loop = self.host.network.loop
        server = await outside(self.host, address, port, loop.create_server(entrance, address, port))
        self._server = server
        self.address, self.port = server.sockets[0].getsockname()[:2]

    async def connect(self, protocol_factory: Callable[[], End], address: str, port: int) -> None:
        """Open a connection inside, in the stack that is the host's now; raises OSError."""
        loop, real = self.host.network.loop, self.host.network.real_hosts.get(self.host.name)
        if real is None:
            await loop.create_connection(protocol_factory, address, port)
        else:
            target = inet_ntoa(await self.host.resolve(address))
            await loop.create_task(real.connect(protocol_factory, target, port), context=Context())

    def close(self) -> None:
        """Listen no more, and reset whoever is still connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for visitor in tuple(self.visitors):
            visitor.reset()
            visitor.other.reset()


async def outside(host: Host, address: str, port: int, opening: Coroutine[Any, Any, T]) -> T:
    """Open a socket of the computer, whatever host is current: with none, the loop's sockets are ordinary ones.

    Raises ValueError in fast time, OSError that names the port where it is not to be had.
    """
    loop = host.network.loop
    if loop.is_fast:
        opening.close()
        raise ValueError("real sockets need live time")
    try:
        return await loop.create_task(opening, context=Context())
    except OSError as error:
        sentence = _REASONS.get(error.errno or 0, CANNOT_LISTEN)
        said = sentence.say(address=address, port=port, reason=error.strerror)
        raise type(error)(error.errno, said) from None
