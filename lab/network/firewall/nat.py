"""Network address and port translation (RFC 3022): which endpoints a new flow gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from lab.network.firewall.packet import Packet
from lab.network.firewall.policy import PROTOCOLS, Masquerade, OneToOne, Policy, PortForward, SourceNat
from lab.network.firewall.rules import Masked, is_in, masked
from lab.network.firewall.state import Connections, Endpoint, key_of

_POOL: Final = range(20_000, 49_152)
"""Ports that stand in for one that is taken: below those that this host uses itself."""
_TRIES: Final = 512


@dataclass(frozen=True, slots=True)
class _Source:
    zone: str
    sources: tuple[Masked, ...] | None
    address: bytes | None
    """None: that of the interface."""


class Translation:
    """The address translations of a policy; the first that fits is used."""

    def __init__(self, policy: Policy) -> None:
        self._forwards = tuple(each for each in policy.nat if isinstance(each, PortForward))
        self._pairs = tuple(each for each in policy.nat if isinstance(each, OneToOne))
        self._sources = tuple(
            _Source(
                each.to,
                masked(network for name in each.source for network in policy.networks_of(name)),
                each.address.packed if isinstance(each, SourceNat) else None,
            )
            for each in policy.nat
            if isinstance(each, Masquerade | SourceNat)
        )
        self._next = 0

    def destination(self, packet: Packet, zone: str, own: bytes | None) -> Endpoint:
        """Where a new flow from `zone` is really going; `own` is the address of the interface it came in by."""
        for forward in self._forwards:
            address = forward.destination.packed if forward.destination is not None else own
            if (
                forward.source_zone == zone
                and packet.destination == address
                and packet.protocol == PROTOCOLS[forward.protocol]
                and packet.destination_port == forward.port
            ):
                return forward.to.packed, forward.to_port or forward.port
        for pair in self._pairs:
            if pair.zone == zone and (inside := _counterpart(packet.destination, pair.outside, pair.inside)):
                return inside, packet.destination_port
        return packet.destination, packet.destination_port

    def changes_source(self, packet: Packet, zone: str) -> bool:
        """Whether what leaves for `zone` with this source is given another."""
        number = int.from_bytes(packet.source, "big")
        return any(
            each.zone == zone and _counterpart(packet.source, each.inside, each.outside) is not None
            for each in self._pairs
        ) or any(each.zone == zone and is_in(number, each.sources) for each in self._sources)

    def source(
        self, packet: Packet, zone: str, own: bytes | None, destination: Endpoint, connections: Connections
    ) -> Endpoint | None:
        """How a new flow that leaves for `zone` is known there; None where every port is taken.

        `own` is the address of the interface it leaves by.
        """
        port = packet.source_port
        for pair in self._pairs:
            if pair.zone == zone and (outside := _counterpart(packet.source, pair.inside, pair.outside)):
                return outside, port
        number = int.from_bytes(packet.source, "big")
        for each in self._sources:
            address = each.address or own
            if each.zone == zone and is_in(number, each.sources) and address is not None:
                return self._with_free_port(
                    address, port, lambda candidate: self._is_free(candidate, packet, destination, connections)
                )
        return packet.source, port

    @staticmethod
    def _is_free(candidate: Endpoint, packet: Packet, destination: Endpoint, connections: Connections) -> bool:
        if packet.is_echo:
            destination = destination[0], candidate[1]
        return connections.is_free(key_of(destination, candidate, packet.protocol))

    def _with_free_port(self, address: bytes, port: int, is_free: Callable[[Endpoint], bool]) -> Endpoint | None:
        if is_free((address, port)):
            return address, port
        for _ in range(_TRIES):
            self._next = (self._next + 1) % len(_POOL)
            if is_free((address, _POOL[self._next])):
                return address, _POOL[self._next]
        return None


def _counterpart(address: bytes, network: IPv4Network, other: IPv4Network) -> bytes | None:
    offset = int.from_bytes(address, "big") - int(network.network_address)
    if not 0 <= offset < network.num_addresses:
        return None
    return (int(other.network_address) + offset).to_bytes(4, "big")
