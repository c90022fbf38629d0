"""A DHCP relay agent (RFC 1542 section 4, RFC 3046): carries clients' broadcasts to servers on other links."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, Final, cast

from lab.network.host import Host
from lab.network.nic import Nic
from lab.wire import dhcp
from lab.wire.dhcp import Dhcp, Option
from lab.wire.ethernet import BROADCAST
from lab.wire.malformed import Malformed

_MAX_HOPS: Final = 16
"""RFC 1542 section 4.1.1"""
_CIRCUIT_ID: Final = 1
"""RFC 3046 section 3.1"""


class DhcpRelay(asyncio.DatagramProtocol):
    """Serves the links of `nics`, which are interfaces of `host`, until `close`."""

    def __init__(self, host: Host, nics: Collection[Nic], server: IPv4Address) -> None:
        """Raises OSError where the port is taken."""
        self.host = host
        self.nics = tuple(nics)
        self.server = server
        self._transport: asyncio.DatagramTransport
        with host.current():
            host.open_datagrams(lambda: self, ("0.0.0.0", dhcp.SERVER_PORT), None)

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        """The server is out of reach; clients ask again."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        nic = self.host.arrived_by
        try:
            message = dhcp.decode(data)
        except Malformed:
            return
        if message.is_reply:
            self._to_client(message)
        elif nic in self.nics:
            self._to_server(nic, message)

    def _to_server(self, nic: Nic, message: Dhcp) -> None:
        if message.hops >= _MAX_HOPS or nic.address is None:
            return
        if not any(message.relay):
            if Option.RELAY_AGENT in message.options:
                return  # RFC 3046 section 2.1: a client that poses as a relay agent
            circuit = bytes((_CIRCUIT_ID, len(nic.name))) + nic.name.encode()
            message = replace(message, relay=nic.address, options={**message.options, Option.RELAY_AGENT: circuit})
        self._transport.sendto(replace(message, hops=message.hops + 1).encode(), (str(self.server), dhcp.SERVER_PORT))

    def _to_client(self, message: Dhcp) -> None:
        nic = next((each for each in self.nics if each.address == message.relay), None)
        if nic is None or nic.address is None:
            return
        options = {code: value for code, value in message.options.items() if code != Option.RELAY_AGENT}
        message = replace(message, options=options)
        if message.broadcast or not any(message.yours):
            nic.jack.send(message.frame((BROADCAST, nic.mac), nic.address, b"\xff" * 4))
        else:
            nic.jack.send(message.frame((message.mac, nic.mac), nic.address, message.yours))
