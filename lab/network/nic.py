"""Interfaces of a host: an Ethernet port, or an 802.1Q sub-interface of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Final

from lab.model.address import mac_of
from lab.model.frame import Port
from lab.network.fabric import Jack
from lab.network.neighbours import Neighbours
from lab.wire import vlan
from lab.wire.ethernet import Tag

if TYPE_CHECKING:
    from lab.network.host import Host

MTU: Final = 1500
"""Bytes of the largest datagram in an Ethernet frame (IEEE 802.3)."""


class TaggedJack:
    """A port's jack as its sub-interface sees it: what is sent goes out with a VLAN tag."""

    __slots__ = ("_jack", "_tag")

    way = None
    """Frames need their tag, so nobody may take the way past `send`."""

    def __init__(self, jack: Callable[[], Jack], vid: int) -> None:
        self._jack = jack
        self._tag = vlan.encode(Tag(vid))

    @property
    def is_connected(self) -> bool:
        return self._jack().is_connected

    def send(self, frame: bytes) -> None:
        self._jack().send(vlan.insert(frame, self._tag))


class Nic:
    """One interface of a host; `host.configure` gives it its address."""

    def __init__(self, host: Host, name: str, mac: bytes) -> None:
        self.host = host
        self.name = name
        self.mac = mac
        self.mtu = MTU
        self.address: bytes | None = None
        self.network: IPv4Network | None = None
        self.broadcast: bytes | None = None
        self.tagged: dict[int, Nic] = {}
        """Its sub-interfaces, by VLAN id."""
        self.jack: Jack | TaggedJack
        self.neighbours = Neighbours(host, self)

    def __repr__(self) -> str:
        return f"<{self.host.name} {self.name}>"

    def clear(self) -> None:
        """Without an address."""
        self.address = self.network = self.broadcast = None
        self.mtu = MTU


def port_nic(host: Host, name: str, *, is_inside: bool) -> Nic:
    """An interface with a socket of its own, or one that ends inside the device."""
    port = Port(host.name, name)
    nic = Nic(host, name, mac_of(host.name, name))
    receive, link_changed = partial(host.arrive, nic), partial(host.link_changed, nic)
    nic.jack = Jack(port, receive, link_changed) if is_inside else host.network.add_jack(port, receive, link_changed)
    return nic


def sub_interface(parent: Nic, vid: int) -> Nic:
    """Where `parent` hears and says what has this VLAN id."""
    nic = Nic(parent.host, f"{parent.name}.{vid}", parent.mac)

    def jack() -> Jack:
        assert isinstance(parent.jack, Jack)
        return parent.jack  # looked up each time: a real host may have stood in for a while

    nic.jack = TaggedJack(jack, vid)
    parent.tagged[vid] = nic
    return nic
