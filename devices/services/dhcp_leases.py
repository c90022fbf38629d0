"""Which client has which address of a DHCP server: a pool without clock and network (RFC 2131 section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictInt, model_validator

from lab.model.address import format_mac, parse_mac
from lab.model.plant import Strict
from lab.wire.dhcp import INFINITE

OFFER_SECONDS: Final = 60.0
"""How long an offered address waits for its client."""
DECLINED_SECONDS: Final = 600.0
"""How long an address that somebody else was found to use stays out of the pool."""
_RANGE_LIMIT: Final = 65536


def _mac(text: str) -> str:
    return format_mac(parse_mac(text))


class RangeConfig(Strict):
    """The first and the last address to give away."""

    first: IPv4Address
    last: IPv4Address

    @model_validator(mode="after")
    def _in_order(self) -> RangeConfig:
        if not 0 <= int(self.last) - int(self.first) < _RANGE_LIMIT:
            raise ValueError(f"{self.first} to {self.last} is no range of at most {_RANGE_LIMIT} addresses")
        return self


class SubnetConfig(Strict):
    """What clients on one link get."""

    network: IPv4Network
    ranges: list[RangeConfig] = Field(default_factory=list, max_length=16)
    reservations: dict[Annotated[str, AfterValidator(_mac)], IPv4Address] = Field(default_factory=dict)
    """By MAC address; may lie outside the ranges."""
    lease: StrictInt = Field(default=3600, ge=10, le=INFINITE)
    """Seconds; 4294967295 means for ever."""
    router: IPv4Address | None = None
    dns: list[IPv4Address] = Field(default_factory=list, max_length=8)
    ntp: list[IPv4Address] = Field(default_factory=list, max_length=8)
    domain: str | None = None

    @model_validator(mode="after")
    def _inside_the_network(self) -> SubnetConfig:
        ends = [end for each in self.ranges for end in (each.first, each.last)]
        for address in (*ends, *self.reservations.values()):
            if address not in self.network:
                raise ValueError(f"{address} is not in {self.network}")
        if len(set(self.reservations.values())) != len(self.reservations):
            raise ValueError("an address is reserved twice")
        return self


class Standing(Enum):
    OFFERED = "offered"
    BOUND = "bound"
    DECLINED = "declined"
    RELEASED = "released"


@dataclass(slots=True)
class Binding:
    """An address and who has it, had it, or must not get it."""

    client: bytes
    mac: bytes
    standing: Standing
    until: float
    """Seconds on the caller's clock; infinity for a lease without end."""
    name: str = ""


class Leases:
    """The addresses of one subnet; every method is told the time."""

    def __init__(self, config: SubnetConfig) -> None:
        self.config = config
        self._bindings: dict[IPv4Address, Binding] = {}
        self._by_client: dict[bytes, IPv4Address] = {}

    def adopt(self, earlier: Leases) -> None:
        """Go on with the bindings of an earlier configuration, as a server does with its lease file."""
        for address, binding in earlier._bindings.items():
            if self._may_give(address, binding.mac):
                self._bindings[address] = binding
                if binding.standing is not Standing.DECLINED:
                    self._by_client[binding.client] = address

    @property
    def bindings(self) -> Mapping[IPv4Address, Binding]:
        """Expired ones too: their client gets them again as long as nobody else has had to."""
        return self._bindings

    def holder(self, address: IPv4Address, now: float) -> Binding | None:
        """Who has an address at present, or why nobody may have it."""
        binding = self._bindings.get(address)
        if binding is None or binding.until <= now or binding.standing is Standing.RELEASED:
            return None
        return binding

    def address_of(self, client: bytes) -> IPv4Address | None:
        """The address that a client has or had last."""
        return self._by_client.get(client)

    def choose(self, client: bytes, mac: bytes, wanted: IPv4Address | None, now: float) -> IPv4Address | None:
        """The address to offer (RFC 2131 section 4.3.1); None where the pool is exhausted."""
        reserved = self.config.reservations.get(format_mac(mac))
        if reserved is not None:
            return reserved if self.is_free(reserved, client, now) else None
        for candidate in (self._by_client.get(client), wanted):
            if candidate is not None and self._may_give(candidate, mac) and self.is_free(candidate, client, now):
                return candidate
        for each in self.config.ranges:
            for number in range(int(each.first), int(each.last) + 1):
                candidate = IPv4Address(number)
                if candidate not in self._bindings and self._may_give(candidate, mac):
                    return candidate
        # All have been given before: the one that has been free the longest.
        free = [
            (binding.until, address)
            for address, binding in self._bindings.items()
            if self._may_give(address, mac) and self.is_free(address, client, now)
        ]
        return min(free)[1] if free else None

    def is_free(self, address: IPv4Address, client: bytes, now: float) -> bool:
        """Nobody else has it."""
        holder = self.holder(address, now)
        return holder is None or (holder.client == client and holder.standing is not Standing.DECLINED)

    def _may_give(self, address: IPv4Address, mac: bytes) -> bool:
        for owner, reserved in self.config.reservations.items():
            if reserved == address:
                return owner == format_mac(mac)
        if address in (self.config.network.network_address, self.config.network.broadcast_address):
            return False
        return any(each.first <= address <= each.last for each in self.config.ranges)

    def may_have(self, address: IPv4Address, client: bytes, mac: bytes, now: float) -> bool:
        """Whether this client may be told that the address is its own."""
        return self._may_give(address, mac) and self.is_free(address, client, now)

    def offer(self, address: IPv4Address, client: bytes, mac: bytes, now: float) -> None:
        holder = self.holder(address, now)
        if holder is None or holder.standing is not Standing.BOUND:  # a lease goes on while its client asks again
            self._enter(address, Binding(client, mac, Standing.OFFERED, now + OFFER_SECONDS))

    def bind(self, address: IPv4Address, client: bytes, mac: bytes, name: str, now: float) -> None:
        until = float("inf") if self.config.lease == INFINITE else now + self.config.lease
        self._enter(address, Binding(client, mac, Standing.BOUND, until, name))

    def withdraw(self, client: bytes) -> None:
        """The client has taken another server's offer."""
        address = self._by_client.get(client)
        if address is not None and self._bindings[address].standing is Standing.OFFERED:
            del self._bindings[address], self._by_client[client]

    def release(self, address: IPv4Address, client: bytes, now: float) -> bool:
        """Whether it was this client's to release."""
        binding = self.holder(address, now)
        if binding is None or binding.client != client or binding.standing is not Standing.BOUND:
            return False
        binding.standing, binding.until = Standing.RELEASED, now
        return True

    def decline(self, address: IPv4Address, now: float) -> None:
        """Somebody uses it without having asked us."""
        self._enter(address, Binding(b"", bytes(6), Standing.DECLINED, now + DECLINED_SECONDS))

    def _enter(self, address: IPv4Address, binding: Binding) -> None:
        """At most one binding for each address and one address for each client, so the pool's size is the bound."""
        before = self._bindings.pop(address, None)
        if before is not None and self._by_client.get(before.client) == address:
            del self._by_client[before.client]
        if binding.standing is not Standing.DECLINED:
            other = self._by_client.get(binding.client)
            if other is not None:
                del self._bindings[other]
            self._by_client[binding.client] = address
        self._bindings[address] = binding
