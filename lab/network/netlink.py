"""What `ip` and `ethtool` do in the network namespace this process is in, by rtnetlink(7) and ioctl; Linux only."""

from __future__ import annotations

import array
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, changed flags."""
_ADDRESS = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, two prefix lengths, service, table, protocol, scope, type, flags."""

_REQUEST, _ACKNOWLEDGE, _EXCLUSIVE, _CREATE = 0x01, 0x04, 0x200, 0x400
_ERROR = 2
_NEW_LINK, _SET_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 19, 20, 24
_IFLA_ADDRESS, _IFLA_NAME, _IFLA_MTU, _IFLA_LINK_INFO, _IFLA_NETNS_FD = 1, 3, 4, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_DESTINATION, _RTA_GATEWAY = 1, 5
_UP = 1
_MAIN_TABLE, _BY_ADMINISTRATOR, _UNICAST = 254, 4, 1

_SIOCETHTOOL = 0x8946
_OFFLOADS_OFF = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
"""ETHTOOL_S…: receive checksums, transmit checksums, scatter-gather, TSO, GSO, GRO."""


def _attribute(kind: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    return (_ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value).ljust(
        _ATTRIBUTE.size + len(value) + 3 & ~3, b"\0"
    )


def _ask(kind: int, flags: int, *parts: bytes) -> None:
    """One request to the kernel; raises OSError with its answer."""
    body = b"".join(parts)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        flags |= _REQUEST | _ACKNOWLEDGE
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        answer = kernel.recv(65536)
    _, answered, _, _, _ = _HEADER.unpack_from(answer)
    code = struct.unpack_from("=i", answer, _HEADER.size)[0] if answered == _ERROR else 0
    if code:
        raise OSError(-code, os.strerror(-code))


def add_veth(name: str, mac: bytes, mtu: int, peer: str, peer_namespace: int) -> None:
    """Make a pair of connected interfaces, `peer` in the namespace of that file descriptor."""
    far_end = _attribute(
        _VETH_PEER,
        _LINK.pack(0, 0, 0, 0, 0),
        _attribute(_IFLA_NAME, peer.encode() + b"\0"),
        _attribute(_IFLA_MTU, struct.pack("=I", mtu)),
        _attribute(_IFLA_NETNS_FD, struct.pack("=I", peer_namespace)),
    )
    _ask(
        _NEW_LINK,
        _CREATE | _EXCLUSIVE,
        _LINK.pack(0, 0, 0, 0, 0),
        _attribute(_IFLA_NAME, name.encode() + b"\0"),
        _attribute(_IFLA_ADDRESS, mac),
        _attribute(_IFLA_MTU, struct.pack("=I", mtu)),
        _attribute(_IFLA_LINK_INFO, _attribute(_INFO_KIND, b"veth"), _attribute(_INFO_DATA, far_end)),
    )


def set_link(name: str, *, up: bool) -> None:
    """Switch an interface on or off."""
    _ask(_SET_LINK, 0, _LINK.pack(0, 0, socket.if_nametoindex(name), _UP if up else 0, _UP))


def add_address(name: str, address: IPv4Interface) -> None:
    """Give an interface an address, and the route to its network."""
    network = address.network
    parts = [_attribute(_IFA_LOCAL, address.packed), _attribute(_IFA_ADDRESS, address.packed)]
    if network.prefixlen < 31:
        parts.append(_attribute(_IFA_BROADCAST, network.broadcast_address.packed))
    index = socket.if_nametoindex(name)
    head = _ADDRESS.pack(socket.AF_INET, network.prefixlen, 0, 0, index)
    _ask(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, head, *parts)


def add_default_route(gateway: IPv4Address) -> None:
    """Send what is for no known network to `gateway`."""
    add_route(IPv4Network("0.0.0.0/0"), gateway)


def add_route(to: IPv4Network, gateway: IPv4Address) -> None:
    """Send what is for a network to `gateway`."""
    head = _ROUTE.pack(socket.AF_INET, to.prefixlen, 0, 0, _MAIN_TABLE, _BY_ADMINISTRATOR, 0, _UNICAST, 0)
    destination = [_attribute(_RTA_DESTINATION, to.network_address.packed)] if to.prefixlen else []
    _ask(_NEW_ROUTE, _CREATE | _EXCLUSIVE, head, *destination, _attribute(_RTA_GATEWAY, gateway.packed))


def do_without_offloads(name: str) -> None:
    """Let the kernel finish every frame itself: a simulated card can neither split segments nor sum."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _OFFLOADS_OFF:
            setting = array.array("I", (command, 0))  # struct ethtool_value
            request = struct.pack("16sP", name.encode(), setting.buffer_info()[0]).ljust(40, b"\0")
            try:
                fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
            except OSError:
                pass  # an offload this kernel's card does not have is off
