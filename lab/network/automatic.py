"""What a host finds out by itself: its address by DHCP, other hosts' by DNS, the time by NTP."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from lab.model.plant import HostConfig
from lab.network.dhcp_client import DhcpClient, Lease
from lab.network.host import Host
from lab.network.nic import Nic
from lab.network.resolver import Resolver
from lab.network.sntp import Sntp


class Automatic:
    """The clients of one host; whoever configures the host tells them what to do, after the host itself."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._clients: dict[str, DhcpClient] = {}
        self._resolver: Resolver | None = None
        self._sntp: Sntp | None = None
        self._config = HostConfig()
        host.link_listeners.append(self._link_changed)

    def apply(self, config: HostConfig) -> None:
        """Begin, go on or end, as the configuration says; raises ValueError for a port that is not there."""
        self._config = config
        for name in [name for name in self._clients if name not in config.dhcp_client]:
            self._clients.pop(name).release()
        for name in config.dhcp_client:
            client = self._clients.get(name)
            if client is not None:
                client.apply_again()
            else:
                client = self._clients[name] = DhcpClient(self._host, self._nic(name), self._lease_changed)
                client.start()
        self._choose_servers()

    def stop(self) -> None:
        """Power is lost: everything falls silent and is forgotten."""
        for client in self._clients.values():
            client.stop()
        self._clients.clear()
        self._use((), ())

    def _link_changed(self, port: str, up: bool) -> None:
        if port in self._clients:
            self._clients[port].link_changed(up)

    def _nic(self, name: str) -> Nic:
        try:
            return self._host.nic(name)
        except KeyError:
            raise ValueError(f"{self._host.name} has no port {name!r}") from None

    def _lease_changed(self, lease: Lease | None) -> None:
        self._choose_servers()

    def _choose_servers(self) -> None:
        """Those of the configuration come before those of the leases."""
        leases = [client.lease for client in self._clients.values() if client.lease is not None]
        dns = self._config.name_servers or [server for lease in leases for server in lease.dns]
        ntp = self._config.time_servers or [server for lease in leases for server in lease.ntp]
        domain = next((lease.domain for lease in leases if lease.domain), "")
        self._use(dns, ntp, domain)

    def _use(self, dns: Sequence[IPv4Address], ntp: Sequence[IPv4Address], domain: str = "") -> None:
        resolver = self._resolver
        if resolver is None or (resolver.servers, resolver.domain) != (tuple(dns), domain):
            if resolver is not None:
                resolver.close()
            self._resolver = Resolver(self._host, dns, domain) if dns else None
            self._host.resolver = self._resolver.resolve if self._resolver is not None else None
        sntp = self._sntp
        if sntp is None or sntp.servers != tuple(ntp):
            if sntp is not None:
                sntp.stop()
            self._sntp = Sntp(self._host, ntp) if ntp else None
            if self._sntp is not None:
                self._sntp.start()
