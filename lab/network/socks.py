"""A SOCKS5 proxy (RFC 1928) that enters the plant at one of its hosts: any program that speaks SOCKS can look inside.

CONNECT without authentication, to IPv4 addresses and to names, which the host resolves by its own table.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from enum import IntEnum
from ipaddress import IPv4Address
from typing import NamedTuple

from lab.network.door import Door, Entrance
from lab.network.host import Host
from lab.wire.malformed import Malformed

PORT = 1080
VERSION = 5
NO_AUTHENTICATION, NO_ACCEPTABLE_METHOD = 0, 0xFF
CONNECT = 1
HANDSHAKE_SECONDS = 30.0
"""How long a visitor may take to say where it wants to go."""


class AddressType(IntEnum):
    IPV4 = 1
    NAME = 3
    IPV6 = 4


class Reply(IntEnum):
    """RFC 1928 section 6."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6
    """What proxies say when a connection timed out."""
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


_REPLIES = {
    errno.ENETUNREACH: Reply.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reply.HOST_UNREACHABLE,
    errno.ECONNREFUSED: Reply.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Reply.TTL_EXPIRED,
}


class Greeting(NamedTuple):
    """The authentication methods a client offers."""

    methods: bytes


class Request(NamedTuple):
    """Where a client wants to go; `address` is empty for IPv6, which the plant does not have."""

    command: int
    kind: int
    address: str
    port: int


class Decoder:
    """Takes a client's greeting, its request, and leaves the rest alone."""

    def __init__(self) -> None:
        self._buffer = b""
        self._greeted = False

    def feed(self, data: bytes) -> Greeting | Request | None:
        """The next message, or None while it is incomplete; feed b"" for one that came with the last.

        Raises Malformed.
        """
        self._buffer += data
        if self._buffer and self._buffer[0] != VERSION:
            raise Malformed(f"SOCKS version {self._buffer[0]}, this proxy speaks 5")
        if self._greeted:
            return self._take_request()
        return self._take_greeting()

    def rest(self) -> bytes:
        """What follows the request: already meant for whoever is inside."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _take_greeting(self) -> Greeting | None:
        if len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            return None
        end = 2 + self._buffer[1]
        greeting = Greeting(self._buffer[2:end])
        self._buffer = self._buffer[end:]
        self._greeted = True
        return greeting

    def _take_request(self) -> Request | None:
        buffer = self._buffer
        if len(buffer) < 5:
            return None
        _, command, _, kind, first = buffer[:5]
        sizes = {AddressType.IPV4: 4, AddressType.NAME: 1 + first, AddressType.IPV6: 16}
        size = sizes.get(kind)  # type: ignore[call-overload]
        if size is None:
            raise Malformed(f"SOCKS address type {kind}")
        end = 4 + size + 2
        if len(buffer) < end:
            return None
        raw, port = buffer[4 : end - 2], int.from_bytes(buffer[end - 2 : end], "big")
        address = ""
        if kind == AddressType.IPV4:
            address = str(IPv4Address(raw))
        elif kind == AddressType.NAME:
            try:
                address = raw[1:].decode("ascii")
            except UnicodeDecodeError:
                raise Malformed("a SOCKS domain name that is not ASCII") from None
        self._buffer = buffer[end:]
        return Request(command, kind, address, port)


def encode_method(method: int) -> bytes:
    """The answer to a greeting."""
    return bytes((VERSION, method))


def encode_reply(reply: Reply, own: tuple[str, int] = ("0.0.0.0", 0)) -> bytes:
    """The answer to a request; `own` is the address and port the connection inside comes from."""
    address, port = own
    return bytes((VERSION, reply, 0, AddressType.IPV4)) + IPv4Address(address).packed + port.to_bytes(2, "big")


def reply_for(error: OSError) -> Reply:
    """What to tell a client of a connection that failed."""
    if isinstance(error, socket.gaierror):
        return Reply.HOST_UNREACHABLE
    return _REPLIES.get(error.errno or 0, Reply.GENERAL_FAILURE)


class Socks(Door):
    """A proxy that leads into the plant; `port` is where it listens."""


class _Visitor(Entrance):
    def __init__(self, door: Socks) -> None:
        super().__init__(door)
        self._decoder = Decoder()
        self._asked = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._patience = self.door.host.network.loop.call_later(HANDSHAKE_SECONDS, self.reset)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()

    def data_received(self, data: bytes) -> None:
        if self._asked:
            super().data_received(data)
            return
        try:
            while not self._asked and (message := self._decoder.feed(data)) is not None:
                data = b""
                self._answer(message)
        except Malformed:
            self.finish()

    def eof_received(self) -> bool:
        if not self._asked:
            return False
        return super().eof_received()

    def _answer(self, message: Greeting | Request) -> None:
        assert self.transport is not None
        if isinstance(message, Greeting):
            if NO_AUTHENTICATION in message.methods:
                self.transport.write(encode_method(NO_AUTHENTICATION))
                return
            self.transport.write(encode_method(NO_ACCEPTABLE_METHOD))
            self._asked = True
            self.finish()
            return
        self._asked = True
        if self._patience is not None:
            self._patience.cancel()
        if message.command != CONNECT:
            self._refuse(Reply.COMMAND_NOT_SUPPORTED)
        elif message.kind == AddressType.IPV6:
            self._refuse(Reply.ADDRESS_TYPE_NOT_SUPPORTED)
        else:
            if rest := self._decoder.rest():
                super().data_received(rest)
            self.enter(message.address, message.port)

    def admitted(self) -> None:
        assert self.transport is not None
        assert self.other.transport is not None
        own = self.other.transport.get_extra_info("sockname")
        self.transport.write(encode_reply(Reply.SUCCEEDED, own))

    def refused(self, error: OSError) -> None:
        self._refuse(reply_for(error))

    def _refuse(self, reply: Reply) -> None:
        assert self.transport is not None
        self.transport.write(encode_reply(reply))
        self.finish()


async def open_socks(host: Host, local_port: int = PORT, *, bind: str = "127.0.0.1") -> Socks:
    """Offer a SOCKS5 proxy at `bind:local_port` of this computer, 0 meaning any free port, that connects as `host`.

    Raises ValueError in fast time, OSError that names the port where it is not to be had.
    """
    socks = Socks(host)
    await socks.open(lambda: _Visitor(socks), bind, local_port)
    return socks
