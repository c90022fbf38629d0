"""`router`: static routes between its interfaces, address translation, access lists, DHCP relay."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import ClassVar, Final

from pydantic import Field, model_validator

from devices.snmp.agent import Agent
from devices.snmp.config import SnmpConfig
from devices.snmp.host_view import HostView
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance, RecordTruth
from lab.network.dhcp_relay import DhcpRelay
from lab.network.firewall.acl import AccessList, AclEntry
from lab.network.firewall.log import Log
from lab.network.firewall.policy import ANY, Management, Masquerade, Nat, OneToOne, Policy, PortForward, SourceNat
from lab.network.firewall.routed import RoutedFirewall
from lab.network.host import Host
from lab.network.nic import Nic
from lab.text import Text
from lab.wire.ipv4 import IPv4

NO_SUCH_INTERFACE: Final = Text(zh="没有配置接口 {name!r}", en="there is no interface {name!r}")


DESCRIPTION: Final = "Lab RT-4, router with four ports"
"""sysDescr (RFC 3418)."""


class Relay(Strict):
    """Passes DHCP between the clients on some links and a server elsewhere."""

    interfaces: tuple[str, ...] = Field(min_length=1)
    server: IPv4Address


class RouterConfig(HostConfig):
    """`interfaces` and `routes` say what it forwards; in translations, zones are the names of interfaces."""

    nat: tuple[Nat, ...] = ()
    access_lists: dict[str, tuple[AclEntry, ...]] = Field(default_factory=dict)
    """Of what comes in by an interface. One without a list takes everything; what no entry names is denied."""
    dhcp_relay: Relay | None = None
    snmp: SnmpConfig = SnmpConfig()

    @model_validator(mode="after")
    def _interfaces_are_known(self) -> RouterConfig:
        named = [*self.access_lists, *(self.dhcp_relay.interfaces if self.dhcp_relay else ())]
        for nat in self.nat:
            if isinstance(nat, PortForward):
                named.append(nat.source_zone)
            elif isinstance(nat, OneToOne):
                named.append(nat.zone)
            else:
                named.append(nat.to)
        for name in named:
            if name not in self.addressed:
                raise KnownValueError(NO_SUCH_INTERFACE, name=name, wrong=name, known=self.addressed)
        self.policy()
        return self

    @property
    def addressed(self) -> tuple[str, ...]:
        """The interfaces with an address, its own or one by DHCP."""
        return (*self.interfaces, *self.dhcp_client)

    def policy(self) -> Policy:
        """A firewall's policy that lets everything pass and translates what is to be translated."""
        return Policy(
            zones={name: (name,) for name in self.addressed},
            default="allow",
            log_default=False,
            nat=self.nat,
            management=Management(sources=(ANY,), ping_from_anywhere=True),
        )

    @property
    def translations(self) -> tuple[str, ...]:
        """As its display shows them."""
        lines = []
        for nat in self.nat:
            match nat:
                case Masquerade():
                    lines.append(f"{', '.join(nat.source)} -> {nat.to}")
                case SourceNat():
                    lines.append(f"{', '.join(nat.source)} -> {nat.address} ({nat.to})")
                case PortForward():
                    lines.append(f"{nat.source_zone} {nat.protocol}/{nat.port} -> {nat.to}:{nat.to_port or nat.port}")
                case OneToOne():
                    lines.append(f"{nat.zone} {nat.outside} = {nat.inside}")
        return tuple(lines)


class Router(Appliance[RouterConfig]):
    """Flows with translated addresses survive a new configuration unless the translations change."""

    kind: ClassVar[str] = "router"
    title: ClassVar[Text] = Text(zh="路由器", en="Router")
    Config = RouterConfig
    ports: ClassVar[tuple[str, ...]] = ("eth0", "eth1", "eth2", "eth3")
    forwards: ClassVar[bool] = True

    def __init__(self, host: Host, config: RouterConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self._forwarding: RoutedFirewall | None = None
        self._relay: DhcpRelay | None = None
        self._lists: Mapping[str, AccessList] = {}
        self._agent: Agent | None = None

    async def start(self) -> None:
        config = self.config
        self._forwarding = RoutedFirewall(self.host, config.policy(), Log(), is_strict=False, screen=self._screen)
        self._forwarding.start()
        self._configure(config)

    async def stop(self) -> None:
        self._close_relay()
        self._manage(None)
        if self._forwarding is not None:
            self._forwarding.stop()
            self._forwarding = None

    async def apply(self, config: RouterConfig) -> None:
        self.config = config
        if self._forwarding is None:
            await self.start()
            return
        self._forwarding.apply(config.policy())
        self._close_relay()
        self._configure(config)

    def status(self) -> Mapping[str, object]:
        forwarding = self._forwarding
        return {
            "forwarded": forwarding.forwarded if forwarding is not None else 0,
            "discarded": forwarding.forwarding.discarded if forwarding is not None else 0,
            "flows": len(forwarding.filter.connections) if forwarding is not None else 0,
            "translations": list(self.config.translations),
        }

    def _configure(self, config: RouterConfig) -> None:
        self._lists = {name: AccessList(entries) for name, entries in config.access_lists.items()}
        self._manage(config.snmp)
        if config.dhcp_relay is not None:
            nics = [self.host.nic(name) for name in config.dhcp_relay.interfaces]
            self._relay = DhcpRelay(self.host, nics, config.dhcp_relay.server)

    def _manage(self, config: SnmpConfig | None) -> None:
        """Answer network management as this says, from now on."""
        if self._agent is not None and self._agent.config != config:
            self._agent.stop()
            self._agent = None
        if config is not None and self._agent is None and (config.v2c or config.v3):
            self._agent = Agent(self.host, HostView(self.host, DESCRIPTION), config)
            self._agent.start()

    def _close_relay(self) -> None:
        if self._relay is not None:
            self._relay.close()
            self._relay = None

    def _screen(self, nic: Nic, datagram: IPv4) -> bool:
        access_list = self._lists.get(nic.name)
        return access_list is None or access_list.permits(datagram)
