"""`server`: a host that offers network services, as many of them as its configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from devices.services.dhcp import DhcpConfig, DhcpServer
from devices.services.dns import DnsConfig, DnsServer
from devices.services.ntp import NtpConfig, NtpServer
from devices.services.syslog import SyslogConfig, SyslogServer
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance
from lab.text import Text


class ServerConfig(HostConfig):
    """A service that is not named does not run."""

    dhcp: DhcpConfig | None = None
    dns: DnsConfig | None = None
    ntp: NtpConfig | None = None
    syslog: SyslogConfig | None = None


class Server(Appliance[ServerConfig]):
    """Leases and collected messages outlast a new configuration."""

    kind: ClassVar[str] = "server"
    title: ClassVar[Text] = Text(zh="网络服务器", en="Network server")
    Config = ServerConfig

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.dhcp = DhcpServer(self.host)
        self.dns = DnsServer(self.host)
        self.ntp = NtpServer(self.host)
        self.syslog = SyslogServer(self.host)
        self.logs["syslog"] = self.syslog.log

    async def start(self) -> None:
        config = self.config
        if config.dhcp is not None:
            self.dhcp.start(config.dhcp)
        if config.dns is not None:
            self.dns.start(config.dns)
        if config.ntp is not None:
            self.ntp.start(config.ntp)
        if config.syslog is not None:
            self.syslog.start(config.syslog)

    async def stop(self) -> None:
        for service in (self.dhcp, self.dns, self.ntp, self.syslog):
            service.stop()

    def status(self) -> Mapping[str, object]:
        shown: dict[str, object] = {}
        for name in ("dhcp", "dns", "ntp", "syslog"):
            if getattr(self.config, name) is not None:
                shown |= {f"{name} {key}": value for key, value in getattr(self, name).status().items()}
        return shown
