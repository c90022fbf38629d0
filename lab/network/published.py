"""Published ports: a port of this computer that leads to a port in the plant, on any system and without privileges.

`127.0.0.1:15020` may lead to `plc-1:502`. The connection inside is opened by a workstation of the plant, with its
address, through its cable: what its firewall refuses is refused outside too.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from typing import Any, Final, cast

from lab.network.door import Door, Entrance, outside
from lab.network.host import Host

ASSOCIATION_SECONDS: Final = 120.0
"""RFC 4787 section 4.3: a UDP mapping without traffic lives for at least two minutes."""
MAX_ASSOCIATIONS: Final = 256


class Published(Door):
    """A port that leads into the plant; `port` is where it listens."""

    def __init__(self, host: Host, target_address: str, target_port: int) -> None:
        super().__init__(host)
        self.target_address, self.target_port = target_address, target_port


class _Visitor(Entrance):
    door: Published

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.enter(self.door.target_address, self.door.target_port)


async def publish(
    host: Host, local_port: int, target_address: IPv4Address | str, target_port: int, *, bind: str = "127.0.0.1"
) -> Published:
    """Lead `bind:local_port` of this computer, 0 meaning any free port, to `target_address:target_port` as `host`.

    The target may be a name that the host knows. A target that refuses or is not to be reached resets the visitor.
    Raises ValueError in fast time, OSError that names the port where it is not to be had.
    """
    published = Published(host, str(target_address), target_port)
    await published.open(lambda: _Visitor(published), bind, local_port)
    return published


class _Association(asyncio.DatagramProtocol):
    """What one program outside says and hears, as a UDP socket of the host."""

    def __init__(self, published: PublishedDatagrams, program: Any) -> None:
        self._published = published
        self._program = program
        self.transport: asyncio.DatagramTransport
        self.idle = published.host.alarm(self.close)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.idle.start(ASSOCIATION_SECONDS)
        self._published.answer(data, self._program)

    def close(self) -> None:
        self._published.forget(self._program)
        self.idle.dispose()
        self.transport.close()


class PublishedDatagrams(asyncio.DatagramProtocol):
    """A UDP port of the computer; every program that sends to it speaks inside from a port of its own."""

    def __init__(self, host: Host, target: tuple[str, int]) -> None:
        self.host = host
        self.address = ""
        self.port = 0
        self._target = target
        self._transport: asyncio.DatagramTransport
        self._associations: dict[Any, _Association] = {}
        """Longest silent first."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        association = self._associations.pop(addr, None)
        if association is None:
            if len(self._associations) >= MAX_ASSOCIATIONS:
                next(iter(self._associations.values())).close()
            association = _Association(self, addr)
            try:
                with self.host.current():
                    self.host.open_datagrams(lambda: association, None, self._target)
            except OSError:
                return  # no route or no such name: lost, as datagrams are
        self._associations[addr] = association
        association.idle.start(ASSOCIATION_SECONDS)
        association.transport.sendto(data)

    def answer(self, data: bytes, program: Any) -> None:
        self._transport.sendto(data, program)

    def forget(self, program: Any) -> None:
        self._associations.pop(program, None)

    def close(self) -> None:
        """Listen no more, outside and inside."""
        for association in tuple(self._associations.values()):
            association.close()
        self._transport.close()


async def publish_datagrams(
    host: Host, local_port: int, target_address: IPv4Address | str, target_port: int, *, bind: str = "127.0.0.1"
) -> PublishedDatagrams:
    """The same as `publish` for UDP; a program silent for ASSOCIATION_SECONDS is forgotten."""
    published = PublishedDatagrams(host, (str(target_address), target_port))
    opening = host.network.loop.create_datagram_endpoint(lambda: published, (bind, local_port))
    await outside(host, bind, local_port, opening)
    return published
