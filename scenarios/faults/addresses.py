"""Faults of addresses, masks, routes and names: a device's network settings have become other ones."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from lab.model.address import format_mac, parse_mac
from lab.model.plant import HostConfig, InterfaceConfig, Strict
from lab.network.nic import Nic
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.fault import CannotInject, Repair, fault

NO_ADDRESS = Text(zh="{host} 的 {interface} 没有地址", en="{interface} of {host} has no address")


class OnHost(Strict):
    """A device."""

    host: str


class OnInterface(OnHost):
    """An interface of a device; its first with an address where none is named."""

    interface: str | None = None


def reconfigured(plant: Plant, host: str, **changes: Any) -> Repair:
    """Give a device other network settings; whoever configures it anew has repaired it."""
    before = plant.config.hosts[host]
    after = before.model_copy(update=changes)
    plant.settle(host, after)

    def restore() -> None:
        if plant.config.hosts.get(host) is after:
            plant.settle(host, before)

    return restore


def interface_of(plant: Plant, where: OnInterface) -> tuple[str, InterfaceConfig]:
    """Its name and settings; raises KeyError for an unknown device, CannotInject without an address."""
    interfaces = plant.config.hosts[where.host].interfaces
    name = where.interface or next(iter(interfaces), "")
    if name not in interfaces:
        raise CannotInject(NO_ADDRESS, host=where.host, interface=name or "eth0")
    return name, interfaces[name]


def with_interface(plant: Plant, where: OnInterface, **changes: Any) -> Repair:
    name, interface = interface_of(plant, where)
    config: HostConfig = plant.config.hosts[where.host]
    changed = interface.model_copy(update=changes)
    return reconfigured(plant, where.host, interfaces={**config.interfaces, name: changed})


class WrongAddress(OnInterface):
    address: IPv4Address


def _at(interface: InterfaceConfig, address: IPv4Address) -> IPv4Interface:
    return IPv4Interface(f"{address}/{interface.address.network.prefixlen}")


@fault(
    "duplicate-ip",
    "network",
    title=Text(zh="IP 地址冲突", en="Duplicate IP address"),
    symptom=Text(
        zh="同一地址的 ARP 应答来自两个 MAC，连接时断时续", en="Two MACs answer for one address; connections break"
    ),
)
def duplicate_ip(plant: Plant, where: WrongAddress) -> Repair:
    _, interface = interface_of(plant, where)
    return with_interface(plant, where, address=_at(interface, where.address))


@fault(
    "wrong-address",
    "network",
    title=Text(zh="IP 地址配错", en="Wrong IP address"),
    symptom=Text(zh="原地址无人应答", en="Nobody answers at the address it should have"),
)
def wrong_address(plant: Plant, where: WrongAddress) -> Repair:
    _, interface = interface_of(plant, where)
    return with_interface(plant, where, address=_at(interface, where.address))


class WrongMask(OnInterface):
    prefix: int = Field(ge=1, le=30)


@fault(
    "wrong-mask",
    "network",
    title=Text(zh="子网掩码错", en="Wrong subnet mask"),
    symptom=Text(zh="同网段的一部分设备访问不到", en="Some hosts of its own subnet cannot be reached"),
)
def wrong_mask(plant: Plant, where: WrongMask) -> Repair:
    _, interface = interface_of(plant, where)
    return with_interface(plant, where, address=IPv4Interface(f"{interface.address.ip}/{where.prefix}"))


class WrongGateway(OnInterface):
    gateway: IPv4Address


@fault(
    "wrong-gateway",
    "network",
    title=Text(zh="网关配错", en="Wrong default gateway"),
    symptom=Text(zh="本网段正常，跨网段不通", en="Its own subnet is fine, everything beyond is not"),
)
def wrong_gateway(plant: Plant, where: WrongGateway) -> Repair:
    return with_interface(plant, where, gateway=where.gateway)


@fault(
    "no-gateway",
    "network",
    title=Text(zh="没有网关", en="No default gateway"),
    symptom=Text(zh="跨网段访问立即提示网络不可达", en="Beyond its own subnet: network is unreachable, at once"),
)
def no_gateway(plant: Plant, where: OnInterface) -> Repair:
    return with_interface(plant, where, gateway=None)


class MissingRoute(OnHost):
    to: IPv4Network


@fault(
    "missing-route",
    "network",
    title=Text(zh="缺少静态路由", en="Missing static route"),
    symptom=Text(zh="某个网段不通，路由器答复网络不可达", en="One subnet cannot be reached; the router says so"),
)
def missing_route(plant: Plant, where: MissingRoute) -> Repair:
    routes = plant.config.hosts[where.host].routes
    left = [route for route in routes if route.to != where.to]
    if len(left) == len(routes):
        raise CannotInject(
            Text(zh="{host} 没有到 {to} 的路由", en="{host} has no route to {to}"), host=where.host, to=where.to
        )
    return reconfigured(plant, where.host, routes=left)


class WrongName(OnHost):
    name: str
    address: IPv4Address


@fault(
    "wrong-name",
    "application",
    title=Text(zh="域名解析错误", en="A name resolves to a wrong address"),
    symptom=Text(zh="用地址可以访问，用域名不行", en="By address it works, by name it does not"),
)
def wrong_name(plant: Plant, where: WrongName) -> Repair:
    hosts = plant.config.hosts[where.host].hosts
    return reconfigured(plant, where.host, hosts={**hosts, where.name: where.address})


class SmallMtu(OnInterface):
    mtu: int = Field(600, ge=576, le=1499)


@fault(
    "small-mtu",
    "network",
    title=Text(zh="MTU 偏小", en="Small MTU"),
    symptom=Text(zh="大包被分片", en="Long datagrams arrive in fragments"),
)
def small_mtu(plant: Plant, where: SmallMtu) -> Repair:
    return with_interface(plant, where, mtu=where.mtu)


@fault(
    "mtu-black-hole",
    "network",
    title=Text(zh="MTU 黑洞", en="MTU black hole"),
    symptom=Text(zh="小包能通，大包无声无息地消失", en="Short packets pass, long ones vanish without a word"),
)
def mtu_black_hole(plant: Plant, where: SmallMtu) -> Repair:
    host = plant.network.hosts[where.host]
    host.sends_icmp_errors = False
    restore = with_interface(plant, where, mtu=where.mtu)

    def mend() -> None:
        host.sends_icmp_errors = True
        restore()

    return mend


Mac = Annotated[str, AfterValidator(lambda text: format_mac(parse_mac(text)))]


class OtherMac(OnInterface):
    mac: Mac


def _nic(plant: Plant, where: OnInterface) -> Nic:
    host = plant.network.hosts[where.host]
    return host.nic(where.interface) if where.interface else host.nics[0]


@fault(
    "duplicate-mac",
    "link",
    title=Text(zh="MAC 地址冲突", en="Duplicate MAC address"),
    symptom=Text(zh="交换机 MAC 表里同一地址来回跳", en="One address moves to and fro in the switch's MAC table"),
)
def duplicate_mac(plant: Plant, where: OtherMac) -> Repair:
    nic = _nic(plant, where)
    before, after = nic.mac, parse_mac(where.mac)
    plant.network.hosts[where.host].change_mac(nic, after)
    return lambda: plant.network.hosts[where.host].change_mac(nic, before)


class WrongNeighbour(OnInterface):
    address: IPv4Address
    mac: Mac


@fault(
    "static-arp",
    "link",
    title=Text(zh="静态 ARP 条目错误", en="Wrong static ARP entry"),
    symptom=Text(
        zh="只有这台设备访问不到对方，别人都可以", en="Only this host cannot reach the other; everybody else can"
    ),
)
def static_arp(plant: Plant, where: WrongNeighbour) -> Repair:
    neighbours = _nic(plant, where).neighbours
    neighbours.pin(where.address.packed, parse_mac(where.mac))
    return lambda: neighbours.unpin(where.address.packed)
