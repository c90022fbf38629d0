"""A network card of this computer as part of the plant: a real device on its cable joins at a switch or as a host.

Linux only, and privileged: a packet socket needs CAP_NET_RAW. `tap:NAME` makes a card that exists in software only, for
virtual machines; it needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from lab.model.frame import Port
from lab.network import netlink
from lab.network.fabric import MAXIMUM_FRAME, Jack, Network
from lab.network.packet_socket import open_packets, read_frame
from lab.network.stand_in import StandIn
from lab.text import Text

NOT_LINUX = Text(
    zh="只有 Linux 能把真实网卡接入工厂；其他系统请使用发布端口（127.0.0.1）或 SOCKS5 代理",
    en="only Linux can bring a real network card into the plant; elsewhere use published ports or the SOCKS5 proxy",
)
NO_SUCH_CARD = Text(
    zh="本机没有网卡 {interface}，只有 {known}", en="there is no interface {interface} here, only {known}"
)
NOT_PERMITTED = Text(
    zh="没有权限使用网卡 {interface}：需要 root，或执行 setcap cap_net_raw,cap_net_admin+ep {python}",
    en="this user may not use {interface}: it takes root, or setcap cap_net_raw,cap_net_admin+ep {python}",
)
NO_TAP = Text(zh="本机没有 /dev/net/tun，无法创建 TAP", en="this computer has no /dev/net/tun, so no TAP can be made")
LOOPBACK = Text(
    zh="回环接口 {interface} 后面没有设备", en="there is no device behind the loopback interface {interface}"
)
HAS_ADDRESS = Text(
    zh="网卡 {interface} 有自己的地址，本机正用它通信；工厂的报文会进入真实网络。确有需要请加 --force",
    en="{interface} has an address, so this computer speaks on it: the plant's frames would reach a real network. "
    "--force does it all the same",
)
HAS_DEFAULT_ROUTE = Text(
    zh="本机经网卡 {interface} 上网；工厂的报文会进入真实网络。确有需要请加 --force",
    en="this computer's default route leads through {interface}: the plant's frames would reach a real network. "
    "--force does it all the same",
)
IN_BRIDGE = Text(
    zh="网卡 {interface} 属于一个网桥或聚合组；工厂的报文会进入真实网络。确有需要请加 --force",
    en="{interface} belongs to a bridge or bond: the plant's frames would reach a real network. --force does it all the "
    "same",
)
NO_JACK = Text(zh="工厂里没有端口 {port}", en="the plant has no port {port}")
BUSY = Text(zh="端口 {port} 已经接有网线", en="{port} has a cable already")
NOT_LIVE = Text(zh="真实网卡只能接入实时运行的工厂", en="a real network card needs live time")
GONE = Text(zh="网卡 {interface} 不见了：{reason}", en="{interface} is gone: {reason}")

_TAP_PREFIX: Final = "tap:"
_HOST: Final = "real"
"""What the plant calls this computer where its card hangs on a switch."""
_FRAMES_PER_TURN: Final = 64
_SIOCGIFADDR, _TUNSETIFF = 0x8915, 0x400454CA
_TAP, _WITHOUT_HEADER = 0x0002, 0x1000
_LINK_LOCAL: Final = "20"
"""Scope of an address in /proc/net/if_inet6."""
_REASONS: Final = ((errno.EPERM, NOT_PERMITTED), (errno.EACCES, NOT_PERMITTED), (errno.ENOENT, NO_TAP))


def danger(interface: str) -> Text | None:
    """Why the plant's frames must not get out by this interface: somebody real would receive them; None if nobody."""
    if interface == "lo":
        return _filled(LOOPBACK, interface)
    if _has_address(interface):
        return _filled(HAS_ADDRESS, interface)
    if _has_default_route(interface):
        return _filled(HAS_DEFAULT_ROUTE, interface)
    if Path("/sys/class/net", interface, "master").exists():
        return _filled(IN_BRIDGE, interface)
    return None


class _Line(Protocol):
    """Where frames come from and go to."""

    def fileno(self) -> int: ...

    def read(self) -> bytes: ...

    def write(self, frame: bytes) -> None: ...

    def close(self) -> None: ...


class _Packets:
    def __init__(self, interface: str) -> None:
        self._socket = open_packets(interface, promiscuous=True)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bytes:
        return read_frame(self._socket, MAXIMUM_FRAME)

    def write(self, frame: bytes) -> None:
        self._socket.send(frame)

    def close(self) -> None:
        self._socket.close()


class _Tap:
    """A card that lives as long as this does."""

    def __init__(self, interface: str) -> None:
        import fcntl

        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(self._file, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _TAP | _WITHOUT_HEADER))
            netlink.set_link(interface, up=True)
        except BaseException:
            os.close(self._file)
            raise

    def fileno(self) -> int:
        return self._file

    def read(self) -> bytes:
        return os.read(self._file, MAXIMUM_FRAME)

    def write(self, frame: bytes) -> None:
        os.write(self._file, frame)

    def close(self) -> None:
        os.close(self._file)


class RealNic:
    """A card in the plant; `bridge` makes one. `ended` is told why, where it goes away by itself."""

    def __init__(
        self, network: Network, port: Port, interface: str, line: _Line, ended: Callable[[Text], None]
    ) -> None:
        self.port, self.interface = port, interface
        self.dropped = 0
        """Frames that the card did not take, or that were too long for the plant."""
        self._network, self._line, self._ended = network, line, ended
        self._is_open = True
        self._stand_in: StandIn | None = None
        self._jack: Jack
        host = network.hosts.get(port.host)
        if host is not None and port.name in {nic.name for nic in host.nics}:
            self._stand_in = StandIn(network, port, self._to_card, lambda up: None)
            self._jack = self._stand_in.jack
        else:
            self._own_port = Port(_HOST, interface.removeprefix(_TAP_PREFIX))
            self._jack = network.add_jack(self._own_port, self._to_card)
            network.plug(self._own_port, port)
        network.loop.add_reader(line.fileno(), self._from_card)

    def close(self) -> None:
        """Let go of the card, and give a host its port back."""
        if not self._is_open:
            return
        self._is_open = False
        self._network.loop.remove_reader(self._line.fileno())
        self._line.close()
        if self._stand_in is not None:
            self._stand_in.leave()
        else:
            self._network.remove_jack(self._own_port)

    def _from_card(self) -> None:
        for _ in range(_FRAMES_PER_TURN):
            try:
                frame = self._line.read()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    self.dropped += 1
                    continue
                if error.errno != errno.ENETDOWN or not self._is_there():  # one that was switched off may come back
                    self._has_gone(error)
                return
            self._jack.send(frame)

    def _to_card(self, frame: bytes) -> None:
        try:
            self._line.write(frame)
        except OSError as error:
            self.dropped += 1
            if error.errno in (errno.ENXIO, errno.ENODEV):
                self._has_gone(error)

    def _is_there(self) -> bool:
        return self.interface.removeprefix(_TAP_PREFIX) in {name for _, name in socket.if_nameindex()}

    def _has_gone(self, error: OSError) -> None:
        self.close()
        self._ended(_filled(GONE, self.interface, reason=error.strerror))


def bridge(
    network: Network,
    port: Port,
    interface: str,
    *,
    force: bool = False,
    ended: Callable[[Text], None] = lambda reason: None,
) -> RealNic:
    """Bring a card into the plant: at a free port of a switch, or in place of a host at its port.

    Raises OSError that says what is missing, ValueError for a port that is not to be had and, unless forced, for a card
    that leads to a real network.
    """
    if network.loop.is_fast:
        raise ValueError(NOT_LIVE.say())
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, NOT_LINUX.say())
    _refuse_port(network, port)
    is_tap = interface.startswith(_TAP_PREFIX)
    name = interface.removeprefix(_TAP_PREFIX)
    known = {each for _, each in socket.if_nameindex()}
    if not is_tap and name not in known:
        sentence = NO_SUCH_CARD.say(interface=name, known=", ".join(sorted(known)))
        raise OSError(errno.ENODEV, sentence)
    if name in known and not force and (reason := danger(name)):
        raise ValueError(reason.say())
    try:
        line: _Line = _Tap(name) if is_tap else _Packets(name)
    except OSError as error:
        for code, sentence_ in _REASONS:
            if error.errno == code:
                raise OSError(code, sentence_.say(interface=name, python=sys.executable)) from None
        raise
    try:
        if not is_tap:
            netlink.do_without_offloads(name)  # segments that the card has joined are no frames any more
        return RealNic(network, port, interface, line, ended)
    except BaseException:
        line.close()
        raise


def _refuse_port(network: Network, port: Port) -> None:
    if port not in network.ports:
        raise ValueError(NO_JACK.say(port=port))
    host = network.hosts.get(port.host)
    is_interface = host is not None and port.name in {nic.name for nic in host.nics}
    if not is_interface and network.cable_at(port) is not None:
        raise ValueError(BUSY.say(port=port))


def _has_address(interface: str) -> bool:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("16s24x", interface.encode()))
            return True
        except OSError:
            pass  # EADDRNOTAVAIL
    return any(
        fields[5] == interface and fields[3] != _LINK_LOCAL
        for fields in _table("/proc/net/if_inet6")
        if len(fields) > 5
    )


def _has_default_route(interface: str) -> bool:
    if any(fields[0] == interface and fields[1] == fields[7] == "0" * 8 for fields in _table("/proc/net/route")[1:]):
        return True
    return any(fields[9] == interface and fields[:2] == ["0" * 32, "00"] for fields in _table("/proc/net/ipv6_route"))


def _table(path: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()]
    except OSError:
        return []  # a kernel without IPv6


def _filled(text: Text, interface: str, **facts: object) -> Text:
    facts = {"interface": interface, **facts}
    return Text(zh=text.zh.format(**facts), en=text.en.format(**facts))
