"""What stands in a plant and how it is cabled, as configuration files say it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lab.model.frame import Port


class Strict(BaseModel):
    """Base of everything read from a file: frozen, and a key nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _host_address(value: IPv4Interface) -> IPv4Interface:
    network = value.network
    if network.prefixlen < 31 and value.ip in (network.network_address, network.broadcast_address):
        raise ValueError(f"{value.ip} is the network or broadcast address of {network}")
    return value


HostAddress = Annotated[IPv4Interface, AfterValidator(_host_address)]


class InterfaceConfig(Strict):
    """An IPv4 interface: `address: 10.20.10.5/24` and, at most on one interface, `gateway:`."""

    address: HostAddress
    gateway: IPv4Address | None = None
    mtu: int = Field(default=1500, ge=576, le=1500)
    """Bytes of the largest IPv4 datagram it sends (RFC 791: every host takes 576)."""


_SUB_INTERFACE = re.compile(r"(.+)\.([1-9][0-9]{0,3})")


def port_of_interface(name: str) -> str:
    """The port that `eth0.20`, the sub-interface with VLAN id 20, is part of; other names are ports themselves."""
    match = _SUB_INTERFACE.fullmatch(name)
    return match[1] if match and int(match[2]) <= 4094 else name


class RouteConfig(Strict):
    """A static route: packets to `to` go by way of `via`."""

    to: IPv4Network
    via: IPv4Address


Transceiver = Literal["100BASE-FX", "1000BASE-SX", "1000BASE-LX", "1000BASE-T"]
"""Modules for SFP cages (IEEE 802.3 clauses 26, 38 and 40)."""


class HostConfig(Strict):
    """What every IP host has; a device's own configuration extends it."""

    interfaces: dict[str, InterfaceConfig] = Field(default_factory=dict)
    """By port name, or `eth0.20` for the 802.1Q sub-interface of a port. A port without an entry has no address."""
    routes: list[RouteConfig] = Field(default_factory=list)
    hosts: dict[str, IPv4Address] = Field(default_factory=dict)
    """Names this host resolves, as /etc/hosts would."""
    dhcp_client: list[str] = Field(
        default_factory=list, description="用 DHCP 获取地址的端口。Ports that ask for their address."
    )
    name_servers: list[IPv4Address] = Field(
        default_factory=list,
        description="域名服务器，缺省用 DHCP 给出的。Name servers, by default those that DHCP names.",
    )
    time_servers: list[IPv4Address] = Field(
        default_factory=list,
        description="时间服务器，缺省用 DHCP 给出的。Time servers, by default those that DHCP names.",
    )

    transceivers: dict[str, Transceiver] = Field(
        default_factory=dict, description="光口上插的光模块。Transceivers in SFP cages, by port; other ports are RJ45."
    )

    @model_validator(mode="after")
    def _one_way_to_an_address(self) -> HostConfig:
        for name in self.dhcp_client:
            if name in self.interfaces:
                raise ValueError(f"{name} has an address already, so it cannot ask for one by DHCP")
        return self


def _port(value: Any) -> Any:
    return Port.parse(value) if isinstance(value, str) else value


PortName = Annotated[Port, BeforeValidator(_port)]


Medium = Literal["cat5e", "cat6", "cat6a", "om3", "om4", "os2"]
"""Twisted pair by category (ISO/IEC 11801), multimode and single-mode fibre."""


class Cable(Strict):
    """A cable between two ports: `[gw-1/eth0, sw-1/p1]`, or `{a: …, b: …, medium: os2, length: 1200}`."""

    a: PortName
    b: PortName
    medium: Medium = "cat6"
    length: float = Field(default=2.0, gt=0, le=100_000)
    """Metres"""

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(value) != 2:
                raise ValueError("a cable has two ends, such as [gw-1/eth0, sw-1/p1]")
            return {"a": value[0], "b": value[1]}
        return value

    @model_validator(mode="after")
    def _two_different_ends(self) -> Cable:
        if self.a == self.b:
            raise ValueError(f"both ends of this cable are in {self.a}")
        return self


class Wire(Strict):
    """A conductor between two terminals: `[th-1/A, ser-1/A1]`, or `{a: …, b: …, length: 400}`."""

    a: PortName
    b: PortName
    length: float | None = Field(default=None, gt=0, le=10_000)
    """Metres, which matter to serial lines; a few where it is left out."""

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(value) != 2:
                raise ValueError("a wire has two ends, such as [th-1/A, ser-1/A1]")
            return {"a": value[0], "b": value[1]}
        return value

    @model_validator(mode="after")
    def _two_different_ends(self) -> Wire:
        if self.a == self.b:
            raise ValueError(f"both ends of this wire are in {self.a}")
        return self


class Wiring(Strict):
    """`wiring.yaml`: the cables of the plant, and the wires between terminals."""

    cables: list[Cable] = Field(default_factory=list)
    wires: list[Wire] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_cable_per_port(self) -> Wiring:
        used: set[Port] = set()
        for cable in self.cables:
            for end in (cable.a, cable.b):
                if end in used:
                    raise ValueError(f"two cables end in {end}")
                used.add(end)
        return self
