"""A DHCP server (RFC 2131, RFC 2132), for clients on its own links and, through relay agents, on others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Final, cast

from pydantic import Field, model_validator

from devices.services.dhcp_leases import Leases, Standing, SubnetConfig
from lab.model.address import format_mac
from lab.model.plant import Strict
from lab.network.host import Host
from lab.network.nic import Nic
from lab.wire import dhcp
from lab.wire.dhcp import INFINITE, Dhcp, Option, Type, address_list
from lab.wire.ethernet import BROADCAST
from lab.wire.malformed import Malformed

_EVERYBODY: Final = b"\xff" * 4
_PING_SECONDS: Final = 0.5
_CHECKS_AT_ONCE: Final = 64
_LOG_LINES: Final = 200


class DhcpConfig(Strict):
    """`dhcp:` in a server's configuration."""

    subnets: list[SubnetConfig] = Field(min_length=1, max_length=64)
    ping_check: bool = True
    """Ping an address before it is offered to a client for the first time."""

    @model_validator(mode="after")
    def _apart(self) -> DhcpConfig:
        networks = [subnet.network for subnet in self.subnets]
        for number, network in enumerate(networks):
            for other in networks[:number]:
                if network.overlaps(other):
                    raise ValueError(f"{other} and {network} overlap")
        return self


class DhcpServer(asyncio.DatagramProtocol):
    """Serves until `stop`; leases outlast a new configuration."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._subnets: list[Leases] = []
        self._pings = True
        self._transport: asyncio.DatagramTransport | None = None
        self._checks: dict[bytes, asyncio.Task[None]] = {}
        """Offers that wait for a ping, by client."""

    def start(self, config: DhcpConfig) -> None:
        """Raises OSError where the port is taken."""
        earlier = {leases.config.network: leases for leases in self._subnets}
        self._subnets = []
        self._pings = config.ping_check
        for subnet in config.subnets:
            leases = Leases(subnet)
            if subnet.network in earlier:
                leases.adopt(earlier[subnet.network])
            self._subnets.append(leases)
        with self.host.current():
            self.host.open_datagrams(lambda: self, ("0.0.0.0", dhcp.SERVER_PORT), None)

    def stop(self) -> None:
        for check in self._checks.values():
            check.cancel()
        self._checks.clear()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def status(self) -> Mapping[str, object]:
        now = self._now()
        shown: dict[str, object] = {}
        for leases in self._subnets:
            for address, binding in sorted(leases.bindings.items()):
                if leases.holder(address, now) is not None:
                    left = "" if binding.until == float("inf") else f" {binding.until - now:.0f} s"
                    who = binding.name or format_mac(binding.mac)
                    shown[str(address)] = f"{binding.standing.value} {who}{left}"
        return shown

    def _now(self) -> float:
        return self.host.network.loop.time()

    # -- messages --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        """A client is not there any more; it will ask again."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        nic = self.host.arrived_by
        if nic is None or nic.address is None:
            return
        try:
            message = dhcp.decode(data)
        except Malformed:
            return
        leases = self._leases_for(message, nic)
        if message.is_reply or leases is None:
            return
        if message.type is Type.DISCOVER:
            self._discover(leases, nic, message)
        elif message.type is Type.REQUEST:
            self._request(leases, nic, message)
        elif message.type is Type.DECLINE:
            self._decline(leases, nic, message)
        elif message.type is Type.RELEASE:
            if leases.release(IPv4Address(message.client), message.client_identity, self._now()):
                self._note(message, f"released {IPv4Address(message.client)}")
        elif message.type is Type.INFORM:
            # RFC 2131 section 4.3.5: parameters, but no address and no lease.
            self._answer(nic, message, Type.ACK, self._parameters(leases))

    def _leases_for(self, message: Dhcp, nic: Nic) -> Leases | None:
        """RFC 2131 section 4.3.1: by the relay agent's address, or by the interface the message came in by."""
        address = next((each for each in (message.relay, message.client) if any(each)), nic.address)
        assert address is not None
        return next((each for each in self._subnets if IPv4Address(address) in each.config.network), None)

    def _discover(self, leases: Leases, nic: Nic, message: Dhcp) -> None:
        client, now = message.client_identity, self._now()
        if client in self._checks:
            return
        wanted = message.address(Option.REQUESTED_ADDRESS)
        address = leases.choose(client, message.mac, IPv4Address(wanted) if wanted else None, now)
        if address is None:
            self._note(message, f"no free address in {leases.config.network}")
            return
        is_known = leases.address_of(client) == address
        leases.offer(address, client, message.mac, now)
        if is_known or not self._pings:
            self._offer(leases, nic, message, address)
        elif len(self._checks) < _CHECKS_AT_ONCE:
            self._checks[client] = self.host.spawn(self._check(leases, nic, message, address), name="dhcp ping")

    async def _check(self, leases: Leases, nic: Nic, message: Dhcp, address: IPv4Address) -> None:
        """RFC 2131 section 4.3.1: the server SHOULD probe an address before it is given away."""
        client = message.client_identity
        try:
            in_use = await self.host.ping(str(address), timeout=_PING_SECONDS) is not None
        finally:
            self._checks.pop(client, None)
        if in_use:
            leases.decline(address, self._now())
            self._note(message, f"{address} answers a ping although nobody has it")
            self._discover(leases, nic, message)
        elif leases.address_of(client) == address:
            self._offer(leases, nic, message, address)

    def _offer(self, leases: Leases, nic: Nic, message: Dhcp, address: IPv4Address) -> None:
        self._note(message, f"offered {address}")
        self._answer(nic, message, Type.OFFER, self._lease(leases) | self._parameters(leases), address)

    def _request(self, leases: Leases, nic: Nic, message: Dhcp) -> None:
        """RFC 2131 section 4.3.2: which of four kinds of request it is shows in what it carries."""
        client, now = message.client_identity, self._now()
        chosen, wanted = message.address(Option.SERVER_IDENTIFIER), message.address(Option.REQUESTED_ADDRESS)
        if chosen is not None and chosen not in self.host.own_addresses:
            for each in self._subnets:
                each.withdraw(client)
            return
        asked = wanted if wanted is not None else message.client
        if not any(asked):
            return
        address = IPv4Address(asked)
        is_new = chosen is not None
        known = leases.address_of(client)
        if address not in leases.config.network:
            self._refuse(nic, message, f"{address} does not belong to this network")
        elif not is_new and known is None and leases.holder(address, now) is None:
            return  # RFC 2131 section 4.3.2: a server without a record of the client remains silent
        elif known != address or not leases.may_have(address, client, message.mac, now):
            self._refuse(nic, message, f"{address} is not for this client")
        else:
            leases.bind(address, client, message.mac, message.text(Option.HOST_NAME), now)
            self._note(message, f"has {address} for {leases.config.lease} s")
            self._answer(nic, message, Type.ACK, self._lease(leases) | self._parameters(leases), address)

    def _decline(self, leases: Leases, nic: Nic, message: Dhcp) -> None:
        wanted = message.address(Option.REQUESTED_ADDRESS)
        if message.address(Option.SERVER_IDENTIFIER) not in self.host.own_addresses or wanted is None:
            return
        address = IPv4Address(wanted)
        holder = leases.holder(address, self._now())
        if holder is not None and holder.standing is Standing.BOUND and holder.client == message.client_identity:
            self._note(message, f"declined {address}: somebody else uses it")
            leases.decline(address, self._now())

    def _refuse(self, nic: Nic, message: Dhcp, reason: str) -> None:
        self._note(message, f"refused: {reason}")
        self._answer(nic, message, Type.NAK, {Option.MESSAGE: reason.encode()})

    # -- answers ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _lease(leases: Leases) -> dict[int, bytes]:
        seconds = leases.config.lease
        # RFC 2131 section 4.4.5: half of the lease and seven eighths of it.
        times = (seconds, INFINITE, INFINITE) if seconds == INFINITE else (seconds, seconds // 2, seconds * 7 // 8)
        codes = (Option.LEASE_TIME, Option.RENEWAL_TIME, Option.REBINDING_TIME)
        return {code: time.to_bytes(4, "big") for code, time in zip(codes, times, strict=True)}

    @staticmethod
    def _parameters(leases: Leases) -> dict[int, bytes]:
        subnet = leases.config
        options: dict[int, bytes] = {Option.SUBNET_MASK: subnet.network.netmask.packed}
        if subnet.router is not None:
            options[Option.ROUTER] = subnet.router.packed
        if subnet.dns:
            options[Option.DNS] = address_list(subnet.dns)
        if subnet.ntp:
            options[Option.NTP] = address_list(subnet.ntp)
        if subnet.domain:
            options[Option.DOMAIN_NAME] = subnet.domain.encode()
        return options

    def _answer(
        self, nic: Nic, request: Dhcp, kind: Type, options: Mapping[int, bytes], yours: IPv4Address | None = None
    ) -> None:
        """RFC 2131 section 4.1: by the relay agent, to the address in use, to everybody, or to the offered address."""
        assert nic.address is not None
        head: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes((kind,)), Option.SERVER_IDENTIFIER: nic.address}
        agent = request.options.get(Option.RELAY_AGENT)
        tail: dict[int, bytes] = (
            {Option.RELAY_AGENT: agent} if agent is not None else {}
        )  # RFC 3046 section 2.2: echoed, and last
        is_nak = kind is Type.NAK
        reply = Dhcp(
            True,
            request.transaction,
            request.mac,
            {**head, **options, **tail},
            client=bytes(4) if is_nak else request.client,
            yours=yours.packed if yours is not None else bytes(4),
            relay=request.relay,
            broadcast=request.broadcast or (is_nak and any(request.relay)),
        )
        if any(request.relay):
            self._send(reply, request.relay, dhcp.SERVER_PORT)
        elif any(request.client) and not is_nak:
            self._send(reply, request.client, dhcp.CLIENT_PORT)
        elif request.broadcast or is_nak:
            nic.jack.send(reply.frame((BROADCAST, nic.mac), nic.address, _EVERYBODY))
        else:
            nic.jack.send(reply.frame((request.mac, nic.mac), nic.address, reply.yours))

    def _send(self, reply: Dhcp, destination: bytes, port: int) -> None:
        if self._transport is not None:
            self._transport.sendto(reply.encode(), (str(IPv4Address(destination)), port))

    def _note(self, message: Dhcp, what: str) -> None:
        name = message.text(Option.HOST_NAME)
        self.log.append(f"{format_mac(message.mac)}{f' ({name})' if name else ''} {what}")
