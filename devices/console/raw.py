"""A raw socket of a host, for probes of our own making."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from devices.console import words
from devices.console.process import USAGE, Failure, Process
from lab.wire import ethernet, ipv4
from lab.wire.ipv4 import IPv4

if TYPE_CHECKING:
    from lab.network.host import Host

_NO_MAC: Final = bytes(6)
_LOOPBACK: Final = 127


@contextmanager
def hearing(host: Host, hear: Callable[[IPv4], None]) -> Iterator[None]:
    """Inside, `hear` sees a copy of each datagram for this host; the host's own stack gets them all the same."""

    def watch(datagram: IPv4) -> bool:
        hear(datagram)
        return False

    host.watchers.append(watch)
    try:
        yield
    finally:
        host.watchers.remove(watch)


def source_for(host: Host, destination: bytes) -> bytes:
    """The own address to speak to `destination` with; raises OSError where there is no route."""
    if destination in host.own_addresses or destination[0] == _LOOPBACK:
        return destination
    route = host.route(destination)
    if route is None or route[0].address is None:
        raise OSError(errno.ENETUNREACH, f"Network is unreachable: {socket.inet_ntoa(destination)}")
    return route[0].address


async def ends_for(process: Process, name: str) -> tuple[bytes, bytes]:
    """The own address to speak to a host with, and that host's; raises Failure."""
    destination = await process.resolve(name)
    try:
        return source_for(process.host, destination), destination
    except OSError as error:
        raise Failure(words.NO_ADDRESS, USAGE, name=name, why=process.why(error)) from None


def send(host: Host, datagram: IPv4, failed: Callable[[], None]) -> None:
    """Send a datagram; `failed` is called when the next hop does not answer ARP.

    Raises OSError: ENETUNREACH without a route, EMSGSIZE where it must not be fragmented and is too long.
    """
    datagram = replace(datagram, identification=host.random.getrandbits(16))
    destination = datagram.destination
    route = host.route(destination)
    is_group = destination[0] >= 224 or any(nic.broadcast == destination for nic in host.nics)
    if is_group or route is None or destination in host.own_addresses or destination[0] == _LOOPBACK:
        host.send_ip(datagram)
        return
    nic, next_hop = route
    if datagram.dont_fragment and ipv4.HEADER.size + len(datagram.payload) > nic.mtu:
        raise OSError(errno.EMSGSIZE, "Message too long")
    head = ethernet.HEADER.pack(_NO_MAC, nic.mac, ethernet.IPV4)
    for part in ipv4.fragments(datagram, nic.mtu):
        nic.neighbours.send(next_hop, head + part.encode(), failed)


def quoted(original: bytes) -> tuple[bytes, int, bytes] | None:
    """Of the datagram in an ICMP error: where it went, its protocol and the first 8 bytes of what it carried."""
    size = (original[0] & 0x0F) << 2 if original else 0
    if len(original) < size + 8 or size < ipv4.HEADER.size:
        return None
    return original[16:20], original[9], original[size : size + 8]
