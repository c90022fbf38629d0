"""`fw-ind`: an industrial firewall, as router between zones or unseen in a cable."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import ClassVar, Final, Literal

from pydantic import Field, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.network.appliance import Appliance, RecordTruth
from lab.network.firewall.base import Firewall
from lab.network.firewall.bridge import TransparentFirewall
from lab.network.firewall.log import Log, LogEntry
from lab.network.firewall.policy import Policy
from lab.network.firewall.routed import RoutedFirewall
from lab.network.host import Host
from lab.network.logbook import Log as Logbook
from lab.network.syslog import Syslog
from lab.text import Text
from lab.wire import ethernet
from lab.wire.syslog import Facility, Severity

PORTS: Final = ("wan", "lan", "dmz", "eth4")
_SHOWN: Final = 8
"""Log entries on its display."""
NO_SUCH_INTERFACE: Final = Text(
    zh="区域 {zone} 引用了没有配置的接口 {name!r}", en="zone {zone}: there is no interface {name!r}"
)
NO_TRANSLATION: Final = Text(zh="透明模式不做地址转换", en="a transparent firewall translates no addresses")
TWO_PORTS: Final = Text(zh="透明模式要连接两个不同的端口", en="a transparent firewall joins two different ports")


class Collector(Strict):
    """Where log entries are sent, too."""

    host: IPv4Address
    port: int = Field(default=514, ge=1, le=65535)


class FwIndConfig(HostConfig, Policy):
    """Interfaces and routes, and the policy between them."""

    mode: Literal["routed", "transparent"] = "routed"
    bridge: tuple[Literal["wan", "lan", "dmz", "eth4"], Literal["wan", "lan", "dmz", "eth4"]] = ("wan", "lan")
    """The two ports that a transparent firewall joins."""
    ipv6: Literal["drop", "pass"] = "drop"
    """What a transparent firewall does with IPv6, which its rules do not cover."""
    ethertypes: tuple[int, ...] = ()
    """Of frames besides ARP and IPv4 that a transparent firewall lets through, such as 0x8892 for PROFINET."""
    syslog: Collector | None = None

    @model_validator(mode="after")
    def _fits_the_box(self) -> FwIndConfig:
        known = (*PORTS, *self.interfaces)
        for zone, interfaces in self.zones.items():
            for name in interfaces:
                if name not in known:
                    raise KnownValueError(NO_SUCH_INTERFACE, zone=zone, name=name, wrong=name, known=known)
        if self.mode == "transparent":
            if self.nat:
                raise KnownValueError(NO_TRANSLATION)
            if self.bridge[0] == self.bridge[1]:
                raise KnownValueError(TWO_PORTS, known=PORTS)
        return self

    @property
    def passing(self) -> tuple[int, ...]:
        """EtherTypes that a transparent firewall lets through unseen."""
        return (*self.ethertypes, ethernet.IPV6) if self.ipv6 == "pass" else self.ethertypes


class FwInd(Appliance[FwIndConfig]):
    """What is under way goes on while its policy changes, as far as the new one allows it."""

    kind: ClassVar[str] = "fw-ind"
    title: ClassVar[Text] = Text(zh="工业防火墙", en="Industrial firewall")
    Config = FwIndConfig
    ports: ClassVar[tuple[str, ...]] = PORTS
    forwards: ClassVar[bool] = True

    def __init__(self, host: Host, config: FwIndConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.log = Log(self._send)
        self._book = self.logs["firewall"] = Logbook()
        self._syslog: Syslog | None = None
        self._firewall: Firewall | None = None

    async def start(self) -> None:
        config = self.config
        self._open_syslog()
        if config.mode == "routed":
            self._firewall = RoutedFirewall(self.host, config, self.log)
        else:
            self._firewall = TransparentFirewall(self.host, config, self.log, config.bridge, config.passing)
        self._firewall.start()

    async def stop(self) -> None:
        self._close_syslog()
        if self._firewall is not None:
            self._firewall.stop()
            self._firewall = None

    async def apply(self, config: FwIndConfig) -> None:
        before, self.config = self.config, config
        firewall = self._firewall
        if firewall is None or before.mode != config.mode or before.bridge != config.bridge:
            await self.stop()
            await self.start()
            return
        self._close_syslog()
        self._open_syslog()
        firewall.apply(config)
        if isinstance(firewall, TransparentFirewall):
            firewall.connect(config.bridge, config.passing)

    def block(self, address: IPv4Address, seconds: float) -> None:
        """Keep a source out for a while, as an intrusion detection system may ask."""
        if self._firewall is not None:
            self._firewall.block(address.packed, seconds)

    def status(self) -> Mapping[str, object]:
        firewall = self._firewall
        if firewall is None:
            return {"mode": "off"}
        rules = firewall.filter.rules
        now = self.host.network.loop.time()
        return {
            "mode": self.config.mode,
            "connections": len(firewall.filter.connections),
            "half-open": firewall.filter.connections.half_open,
            "evicted": firewall.filter.connections.evicted,
            "forwarded": firewall.forwarded,
            "malformed": firewall.malformed,
            "blocked": [str(IPv4Address(each)) for each in firewall.filter.guardian.blocked(now)],
            "hits": {
                rule.name: f"{rule.hits.packets} / {rule.hits.bytes} B"
                + ("" if rule.hits.last is None else f" / -{max(now - rule.hits.last, 0):.0f} s")
                for rule in (*rules.rules, rules.default)
            },
            "log": [str(entry) for entry in list(self.log.entries)[-_SHOWN:]],
        }

    def _open_syslog(self) -> None:
        if (collector := self.config.syslog) is not None:
            self._syslog = Syslog(self.host, collector.host, collector.port)

    def _close_syslog(self) -> None:
        if self._syslog is not None:
            self._syslog.close()
            self._syslog = None

    def _send(self, entry: LogEntry) -> None:
        self._book.add(str(entry))
        if self._syslog is not None:
            severity = Severity.INFORMATIONAL if entry.verdict == "allow" else Severity.WARNING
            self._syslog.send(Facility.LOCAL4, severity, "fw", str(entry))
