"""`ip`: links, addresses, routes and neighbours, as iproute2 shows them; it changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from devices.console.arguments import Arguments, BadValue, Options
from devices.console.process import OK, USAGE, Failure, Process
from lab.model.address import format_mac
from lab.text import Text

if TYPE_CHECKING:
    from lab.network.nic import Nic

EXAMPLES: Final = ("ip addr", "ip addr show dev eth0", "ip route", "ip route get 10.20.30.5", "ip neigh")
OBJECT = Text(zh="看什么，可缩写", en="what to show; may be shortened")
MORE = Text(zh="show、dev 网口；route 还有 get 地址", en="show, dev PORT; for route also get ADDRESS")
BRIEF = Text(zh="每个网口一行", en="one line for each link")
NO_OBJECT = Text(
    zh="没有 {value!r}；可用：address, link, neighbour, route",
    en="there is no {value!r}; known: address, link, neighbour, route",
)
READ_ONLY = Text(
    zh="{word!r} 不行：这里只能看；配置请改本机的配置文件",
    en="no {word!r}: this only shows; the configuration file of this host is where things are changed",
)
NO_DEVICE = Text(zh="没有网口 {name!r}；可用：{known}", en="there is no device {name!r}; known: {known}")
NO_ROUTE = Text(zh="没有到达 {address} 的路由", en="RTNETLINK answers: Network is unreachable ({address})")

_OBJECTS: Final = ("address", "link", "neighbour", "route")
_UP: Final = "BROADCAST,MULTICAST,UP"


def _object(value: str) -> str:
    aliases = {"neighbor": "neighbour", "addr": "address"}
    for name in (*_OBJECTS, *aliases):
        if value and name.startswith(value):
            return aliases.get(name, name)
    raise BadValue(NO_OBJECT, value=value)


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-br", "--brief", dest="brief", action="store_true", help=BRIEF)
    parser.flag(
        "-4", dest="four", action="store_true", help=Text(zh="只看 IPv4（本来如此）", en="IPv4, which is so anyway")
    )
    parser.flag("object", type=_object, metavar="address|link|neighbour|route", help=OBJECT)
    parser.flag("words", nargs="*", metavar="…", help=MORE)


async def run(process: Process, options: Options) -> int:
    rest = list(options.words)
    if options.object == "route" and rest[:1] == ["get"] and len(rest) == 2:
        return _get(process, await process.resolve(rest[1]))
    if (rest and "show".startswith(rest[0])) or rest[:1] in (["list"], ["ls"]):
        rest.pop(0)
    if rest[:1] == ["dev"]:
        rest.pop(0)
    nics = {nic.name: nic for nic in process.host.nics}
    chosen = list(nics.values())
    if rest:
        if rest[0] in ("add", "del", "set", "replace", "change", "flush"):
            raise Failure(READ_ONLY, USAGE, word=rest[0])
        if rest[0] not in nics or len(rest) > 1:
            raise Failure(NO_DEVICE, name=" ".join(rest), known=", ".join(nics))
        chosen = [nics[rest[0]]]
    show: dict[str, Callable[[Process, Nic, bool], None]] = {
        "address": _address,
        "link": _link,
        "neighbour": _neighbours,
        "route": _routes,
    }
    for nic in chosen:
        show[options.object](process, nic, options.brief)
    return OK


def _state(nic: Nic) -> str:
    return "UP" if nic.jack.is_connected else "DOWN"


def _link(process: Process, nic: Nic, brief: bool) -> None:
    mac, state = format_mac(nic.mac), _state(nic)
    flags = f"{_UP},LOWER_UP" if state == "UP" else f"NO-CARRIER,{_UP}"
    if brief:
        process.print(f"{nic.name:<16} {state:<14} {mac} <{flags}>")
        return
    number = process.host.nics.index(nic) + 1
    process.print(f"{number}: {nic.name}: <{flags}> mtu {nic.mtu} state {state}")
    process.print(f"    link/ether {mac} brd ff:ff:ff:ff:ff:ff")


def _address(process: Process, nic: Nic, brief: bool) -> None:
    has = nic.address is not None and nic.network is not None
    with_length = f"{socket.inet_ntoa(nic.address)}/{nic.network.prefixlen}" if nic.address and nic.network else ""
    if brief:
        process.print(f"{nic.name:<16} {_state(nic):<14} {with_length}".rstrip())
        return
    _link(process, nic, brief)
    if has:
        broadcast = f" brd {socket.inet_ntoa(nic.broadcast)}" if nic.broadcast else ""
        process.print(f"    inet {with_length}{broadcast} scope global {nic.name}")


def _neighbours(process: Process, nic: Nic, _: bool) -> None:
    for address, mac in sorted(nic.neighbours.table.items()):
        process.print(f"{socket.inet_ntoa(address)} dev {nic.name} lladdr {format_mac(mac)} REACHABLE")


def _routes(process: Process, nic: Nic, _: bool) -> None:
    for network, out, next_hop in process.host.routes:
        if out is not nic:
            continue
        where = "default" if network.prefixlen == 0 else str(network)
        if next_hop is not None:
            process.print(f"{where} via {socket.inet_ntoa(next_hop)} dev {nic.name}")
        else:
            own = f" src {socket.inet_ntoa(nic.address)}" if nic.address else ""
            process.print(f"{where} dev {nic.name} proto kernel scope link{own}")


def _get(process: Process, destination: bytes) -> int:
    address = socket.inet_ntoa(destination)
    if destination in process.host.own_addresses or destination[0] == 127:
        process.print(f"local {address} dev lo src {address}")
        return OK
    route = process.host.route(destination)
    if route is None:
        raise Failure(NO_ROUTE, USAGE, address=address)
    nic, next_hop = route
    via = f" via {socket.inet_ntoa(next_hop)}" if next_hop != destination else ""
    own = f" src {socket.inet_ntoa(nic.address)}" if nic.address else ""
    process.print(f"{address}{via} dev {nic.name}{own}")
    return OK
