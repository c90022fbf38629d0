"""A firewall's policy as its configuration file says it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.network.firewall.content import ContentProfile, Spans
from lab.text import Text

ANY: Final = "any"
UNKNOWN_NAME: Final = Text(zh="规则 {rule} 引用了未定义的{kind} {name!r}", en="rule {rule}: unknown {kind} {name!r}")
LOOP: Final = Text(zh="地址组 {name!r} 引用了它自己", en="the address group {name!r} contains itself")
TWICE: Final = Text(zh="有两条规则都叫 {name!r}", en="two rules are called {name!r}")
BAD_ADDRESS: Final = Text(
    zh="{name!r} 既不是地址、网段，也不是已定义的地址名", en="{name!r} is no address, network or defined name"
)
PORTS_NEED_TCP_OR_UDP: Final = Text(zh="只有 TCP 和 UDP 有端口", en="only TCP and UDP have ports")
BAD_PROTOCOL: Final = Text(zh="不认识的协议 {name!r}", en="{name!r} is no known protocol")
TWO_ZONES: Final = Text(zh="接口 {name!r} 属于两个区域", en="the interface {name!r} is in two zones")
SIZES_DIFFER: Final = Text(
    zh="一对一转换的两个网段大小必须相同", en="the two networks of a one-to-one translation must be of one size"
)
KIND_WORDS: Final = {
    "zone": Text(zh="区域", en="zone"),
    "address": Text(zh="地址", en="address"),
    "service": Text(zh="服务", en="service"),
    "schedule": Text(zh="时间表", en="schedule"),
    "content": Text(zh="内容规则", en="content profile"),
}

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Action = Literal["allow", "deny", "reject"]
PROTOCOLS: Final[Mapping[str, int]] = {"icmp": 1, "tcp": 6, "udp": 17}


def _listed(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One name or a list of them."""


def _protocol(value: int | str) -> int | str:
    if isinstance(value, str) and value not in PROTOCOLS:
        raise KnownValueError(BAD_PROTOCOL, name=value, wrong=value, known=PROTOCOLS)
    return value


class Service(Strict):
    """A protocol and the ports its servers listen on."""

    protocol: Annotated[Annotated[int, Field(ge=0, le=255)] | str, AfterValidator(_protocol)]
    """`tcp`, `udp`, `icmp` (echo requests), or an IP protocol number."""
    ports: Annotated[Spans, BeforeValidator(_listed)] = ()
    source_ports: Annotated[Spans, BeforeValidator(_listed)] = ()

    @property
    def number(self) -> int:
        return PROTOCOLS[self.protocol] if isinstance(self.protocol, str) else self.protocol

    @model_validator(mode="after")
    def _ports_where_there_are_some(self) -> Service:
        if (self.ports or self.source_ports) and self.number not in (6, 17):
            raise KnownValueError(PORTS_NEED_TCP_OR_UDP)
        return self


PREDEFINED: Final[Mapping[str, Service]] = {
    name: Service(protocol=protocol, ports=ports)
    for name, protocol, ports in (
        ("ping", "icmp", ()),
        ("tcp", "tcp", ()),
        ("udp", "udp", ()),
        ("ftp", "tcp", (21,)),
        ("ssh", "tcp", (22,)),
        ("telnet", "tcp", (23,)),
        ("smtp", "tcp", (25,)),
        ("dns", "udp", (53,)),
        ("dns-tcp", "tcp", (53,)),
        ("http", "tcp", (80,)),
        ("s7", "tcp", (102,)),
        ("ntp", "udp", (123,)),
        ("snmp", "udp", (161,)),
        ("snmp-trap", "udp", (162,)),
        ("https", "tcp", (443,)),
        ("modbus", "tcp", (502,)),
        ("syslog", "udp", (514,)),
        ("mqtt", "tcp", (1883,)),
        ("rdp", "tcp", (3389,)),
        ("opcua", "tcp", (4840,)),
        ("mqtts", "tcp", (8883,)),
        ("ethernet-ip", "tcp", (44818,)),
    )
}


class Schedule(Strict):
    """When a rule holds, by the device's clock (UTC); past midnight where `to` is not after `from`."""

    days: tuple[Weekday, ...] = WEEKDAYS
    """On which it begins."""
    start: time = Field(default=time(0), alias="from")
    end: time = Field(default=time(0), alias="to")


class Rule(Strict):
    """The first rule that fits a new connection decides about all of it, answers included."""

    name: str = Field(min_length=1, max_length=64)
    enabled: bool = True
    source_zone: Names = Field(default=(ANY,), alias="from")
    destination_zone: Names = Field(default=(ANY,), alias="to")
    source: Names = (ANY,)
    destination: Names = (ANY,)
    """After destination translation: the address of the host itself."""
    service: Names = (ANY,)
    schedule: str | None = None
    action: Action = "allow"
    log: bool = False
    content: str | None = None
    comment: str = ""


class Masquerade(Strict):
    """Sources take the address of the interface they leave by, and a port of it (PAT, RFC 3022 section 2.2)."""

    type: Literal["masquerade"]
    to: str
    """The zone they leave for."""
    source: Names = (ANY,)


class SourceNat(Strict):
    """Sources take a fixed address, which must be routed here."""

    type: Literal["source"]
    to: str
    source: Names = (ANY,)
    address: IPv4Address


class PortForward(Strict):
    """Connections to a port here go on to a host inside."""

    type: Literal["port-forward"]
    source_zone: str = Field(alias="from")
    destination: IPv4Address | None = None
    """The address they are made to; that of the interface they come in by where it is left out."""
    protocol: Literal["tcp", "udp"] = "tcp"
    port: int = Field(ge=1, le=65535)
    to: IPv4Address
    to_port: int | None = Field(default=None, ge=1, le=65535)


class OneToOne(Strict):
    """Each host of `inside` is known as the one with the same host part in `outside`."""

    type: Literal["one-to-one"]
    zone: str
    """Where it is known by its outside address."""
    inside: IPv4Network
    outside: IPv4Network

    @model_validator(mode="after")
    def _same_size(self) -> OneToOne:
        if self.inside.prefixlen != self.outside.prefixlen:
            raise KnownValueError(SIZES_DIFFER)
        return self


Nat = Annotated[Masquerade | SourceNat | PortForward | OneToOne, Field(discriminator="type")]


class Protection(Strict):
    """Defence against floods and scans; None switches one off. Rates are per second."""

    syn_per_source: int | None = Field(default=None, ge=1)
    """Connection attempts per second of one source."""
    syn_total: int | None = Field(default=None, ge=1)
    """Of all sources together; beyond, new connections are refused and nobody is blocked."""
    scan_targets: int | None = Field(default=None, ge=2, le=200)
    """Different targets (address and port) that one source may try within the window."""
    scan_window: float = Field(default=10.0, gt=0, le=3600)
    """Seconds"""
    icmp_per_source: int | None = Field(default=None, ge=1)
    """Echo requests per second of one source."""
    blocked_for: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds during which nothing from a source that went too far is let through."""


class Management(Strict):
    """Who may speak to the firewall itself."""

    sources: Names = ()
    """Addresses, networks or defined names; nobody where it is left out."""
    zones: Names = (ANY,)
    ping: bool = True
    """Whether these may also ping it."""
    ping_from_anywhere: bool = False


class Policy(Strict):
    """Everything that decides what passes. What no rule allows meets `default`."""

    zones: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Interfaces by zone, sub-interfaces such as `eth2.20` too. What comes or goes by another one is dropped."""
    addresses: dict[str, Names] = Field(default_factory=dict)
    """Names for addresses, networks and groups of other names."""
    services: dict[str, Service] = Field(default_factory=dict)
    """Besides the predefined ones."""
    schedules: dict[str, Schedule] = Field(default_factory=dict)
    content: dict[str, ContentProfile] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    default: Action = "deny"
    log_default: bool = True
    nat: tuple[Nat, ...] = ()
    protection: Protection = Protection()
    management: Management = Management()

    def service_named(self, name: str) -> Service | None:
        return self.services.get(name) or PREDEFINED.get(name)

    def networks_of(self, name: str, seen: tuple[str, ...] = ()) -> tuple[IPv4Network, ...]:
        """What an address name stands for; raises KnownValueError."""
        if name == ANY:
            return (IPv4Network("0.0.0.0/0"),)
        if name in seen:
            raise KnownValueError(LOOP, name=name)
        members = self.addresses.get(name)
        if members is not None:
            return tuple(each for member in members for each in self.networks_of(member, (*seen, name)))
        try:
            return (IPv4Network(name),)
        except ValueError:
            raise KnownValueError(BAD_ADDRESS, name=name, wrong=name, known=self.addresses) from None

    @model_validator(mode="after")
    def _names_are_known(self) -> Policy:
        used: set[str] = set()
        for interfaces in self.zones.values():
            for interface in interfaces:
                if interface in used:
                    raise KnownValueError(TWO_ZONES, name=interface)
                used.add(interface)
        for name in self.addresses:
            self.networks_of(name)
        rules: set[str] = set()
        for rule in self.rules:
            if rule.name in rules:
                raise KnownValueError(TWICE, name=rule.name)
            rules.add(rule.name)
            self._expect(rule.name, "zone", (*rule.source_zone, *rule.destination_zone), (*self.zones, ANY))
            self._expect(rule.name, "service", rule.service, (*self.services, *PREDEFINED, ANY))
            self._expect(rule.name, "schedule", (rule.schedule,) if rule.schedule else (), tuple(self.schedules))
            self._expect(rule.name, "content", (rule.content,) if rule.content else (), tuple(self.content))
            for name in (*rule.source, *rule.destination):
                self.networks_of(name)
        for number, nat in enumerate(self.nat, 1):
            zone = (
                nat.zone if isinstance(nat, OneToOne) else nat.source_zone if isinstance(nat, PortForward) else nat.to
            )
            self._expect(f"nat {number}", "zone", (zone,), tuple(self.zones))
            if isinstance(nat, Masquerade | SourceNat):
                for name in nat.source:
                    self.networks_of(name)
        self._expect("management", "zone", self.management.zones, (*self.zones, ANY))
        for name in self.management.sources:
            self.networks_of(name)
        return self

    @staticmethod
    def _expect(rule: str, kind: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
        for name in names:
            if name not in known:
                word = KIND_WORDS[kind]
                raise KnownValueError(UNKNOWN_NAME, rule=rule, kind=word, name=name, wrong=name, known=known)
