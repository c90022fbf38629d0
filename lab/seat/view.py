"""The plant as a drawing needs it: devices, their ports, what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.model.frame import Port
from lab.text import Text
from scenarios.assembly import Plant
from scenarios.folder import config_file
from scenarios.kinds import SWITCHES, ports_of
from scenarios.scenario import Instance


@dataclass(frozen=True, slots=True)
class PortView:
    name: str
    address: str
    """Such as `10.20.10.5/24`; empty where there is none."""
    peer: Port | None
    """The other end of the cable, so that the link is up; None without a cable."""


@dataclass(frozen=True, slots=True)
class HostView:
    name: str
    kind: str
    title: Text
    is_switch: bool
    file: str | None
    """The configuration file that is worked on, if any."""
    ports: tuple[PortView, ...]


@dataclass(frozen=True, slots=True)
class PlantView:
    hosts: tuple[HostView, ...]
    cables: tuple[tuple[Port, Port], ...]


def view(instance: Instance, plant: Plant) -> PlantView:
    """The plant as it is at this moment."""
    cables = tuple((cable.a.port, cable.b.port) for cable in plant.network.cables)
    peers: dict[Port, Port] = {}
    for a, b in cables:
        peers[a], peers[b] = b, a
    hosts: list[HostView] = []
    for name, host in instance.definition.plant.hosts.items():
        file = config_file(name)
        ports = [
            PortView(port, _address(plant, name, port), peers.get(Port(name, port))) for port in ports_of(host.kind)
        ]
        is_editable = file in instance.start
        hosts.append(
            HostView(
                name, host.kind, host.title.text, host.kind in SWITCHES, file if is_editable else None, tuple(ports)
            )
        )
    return PlantView(tuple(hosts), cables)


def _address(plant: Plant, host: str, port: str) -> str:
    """What a port is reached by now, whether configured or leased; empty where it has no address."""
    owner = plant.network.hosts.get(host)
    nic = next((nic for nic in owner.nics if nic.name == port), None) if owner is not None else None
    if nic is None or nic.address is None or nic.network is None:
        return ""
    return f"{IPv4Address(nic.address)}/{nic.network.prefixlen}"
