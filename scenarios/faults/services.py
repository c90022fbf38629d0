"""Faults of the services that hosts find things out from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from devices.services.dhcp import DhcpConfig, DhcpServer
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.faults.addresses import OnHost
from scenarios.faults.fault import Repair, fault


class RogueDhcp(OnHost):
    network: IPv4Network
    first: IPv4Address
    last: IPv4Address
    router: IPv4Address
    """The wrong one that its clients are given."""


@fault(
    "rogue-dhcp",
    "network",
    title=Text(zh="私接的 DHCP 服务器", en="Rogue DHCP server"),
    symptom=Text(zh="部分设备拿到了错误的地址和网关", en="Some devices have addresses and gateways from nowhere"),
)
def rogue_dhcp(plant: Plant, where: RogueDhcp) -> Repair:
    host = plant.network.hosts[where.host]
    subnet = {
        "network": str(where.network),
        "ranges": [{"first": str(where.first), "last": str(where.last)}],
        "router": str(where.router),
    }
    server = DhcpServer(host)
    with host.current():
        server.start(DhcpConfig.model_validate({"subnets": [subnet]}))
    return server.stop
