"""An NTP server (RFC 5905): gives out its host's clock, right or wrong, by a source of its own or by other servers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, cast

from pydantic import Field, StrictInt

from lab.model.plant import Strict
from lab.network.host import Host
from lab.network.sntp import Sntp
from lab.wire import ntp
from lab.wire.malformed import Malformed
from lab.wire.ntp import Leap, Mode, Ntp


class NtpConfig(Strict):
    """`ntp:` in a server's configuration."""

    stratum: StrictInt = Field(default=1, ge=1, le=15)
    """How many servers away its source is, where it has one of its own; 1 for a receiver."""
    source: str = Field(default="GPS", pattern=r"^[A-Z]{1,4}$")
    synchronised: bool = True
    """False for a receiver without reception: clients are told not to trust the time."""
    upstream: list[IPv4Address] = Field(default_factory=list, max_length=8)
    """Servers to take the time from, instead of a source of its own."""


class NtpServer(asyncio.DatagramProtocol):
    """Serves until `stop`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._config = NtpConfig()
        self._client: Sntp | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._served = 0

    def start(self, config: NtpConfig) -> None:
        """Raises OSError where the port is taken."""
        self._config = config
        with self.host.current():
            self.host.open_datagrams(lambda: self, ("0.0.0.0", ntp.PORT), None)
        if config.upstream:
            self._client = Sntp(self.host, config.upstream)
            self._client.start()

    def stop(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._client = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def status(self) -> Mapping[str, object]:
        stratum, _ = self._standing()
        return {"stratum": stratum, "served": self._served}

    def _standing(self) -> tuple[int, bytes]:
        """Stratum and reference id at present; stratum 16 where it is not synchronised."""
        client, config = self._client, self._config
        if client is not None:
            if client.is_synchronised and client.latest is not None:
                return min(client.latest.stratum + 1, ntp.UNSYNCHRONISED_STRATUM), client.latest.server.packed
        elif config.synchronised:
            return config.stratum, config.source.encode().ljust(4, b"\0")
        return ntp.UNSYNCHRONISED_STRATUM, b"INIT"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        """Whoever asked has gone away."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        arrived = ntp.stamp(self.host.wall_ns())
        try:
            request = ntp.decode(data)
        except Malformed:
            return
        if request.mode != Mode.CLIENT or self._transport is None:
            return
        stratum, reference_id = self._standing()
        is_good = stratum < ntp.UNSYNCHRONISED_STRATUM
        self._served += 1
        reply = Ntp(
            Mode.SERVER,
            Leap.NONE if is_good else Leap.UNSYNCHRONISED,
            stratum if is_good else 0,  # RFC 5905 figure 11: 16 is sent as 0
            request.poll,
            reference_id=reference_id,
            reference=arrived if is_good else 0,
            origin=request.transmit,
            receive=arrived,
            transmit=ntp.stamp(self.host.wall_ns()),
            version=request.version,
        )
        self._transport.sendto(reply.encode(), addr)
