"""A DNS server (RFC 1034, RFC 1035): authoritative for its zones, forwarding the rest to other servers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, Literal, cast

from pydantic import Field, StrictInt, field_validator, model_validator

from lab.model.plant import Strict
from lab.network.host import Host
from lab.network.resolver import Resolver
from lab.wire import dns
from lab.wire.dns import Dns, Question, Rcode, Record, RecordType
from lab.wire.malformed import Malformed

_FORWARD_SECONDS: Final = 2.0
_LONGEST_CHAIN: Final = 8
_LOG_LINES: Final = 200
_QUESTIONS_AT_ONCE: Final = 256


def _plain(name: str) -> str:
    plain = name.lower().rstrip(".")
    if not dns.is_name(plain):
        raise ValueError(f"{name!r} is not a DNS name")
    return plain


class RecordConfig(Strict):
    """`{name: opc.plant.lab, type: A, value: 10.20.10.5}`"""

    name: str
    type: Literal["A", "AAAA", "CNAME", "PTR"] = "A"
    value: str
    ttl: StrictInt = Field(default=300, ge=0, le=86400)

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        return _plain(name)

    @model_validator(mode="after")
    def _value_of_its_type(self) -> RecordConfig:
        if self.type == "A":
            IPv4Address(self.value)
        elif self.type == "AAAA":
            IPv6Address(self.value)
        else:
            _plain(self.value)
        return self

    def record(self) -> Record:
        value = self.value if self.type in ("A", "AAAA") else _plain(self.value)
        return Record(self.name, RecordType[self.type], self.ttl, value)


class DnsConfig(Strict):
    """`dns:` in a server's configuration."""

    zones: list[str] = Field(default_factory=list, max_length=64)
    """What this server alone decides about: a name in them that has no record does not exist."""
    records: list[RecordConfig] = Field(default_factory=list, max_length=4096)
    reverse: bool = True
    """Answer for the names of addresses (PTR) from the A records."""
    forward: list[IPv4Address] = Field(default_factory=list, max_length=8)
    """Servers to ask about everything else."""

    @field_validator("zones")
    @classmethod
    def _zones(cls, zones: list[str]) -> list[str]:
        return [_plain(zone) for zone in zones]


class DnsServer(asyncio.DatagramProtocol):
    """Serves until `stop`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._zones: tuple[str, ...] = ()
        self._records: dict[str, list[Record]] = {}
        self._resolver: Resolver | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._forwarding: set[asyncio.Task[None]] = set()
        self._answered = 0

    def start(self, config: DnsConfig) -> None:
        """Raises OSError where the port is taken."""
        self._zones = tuple(config.zones)
        self._records = {}
        for each in config.records:
            self._records.setdefault(each.name, []).append(each.record())
        if config.reverse:
            self._add_reverse(config)
        self._resolver = Resolver(self.host, config.forward, timeout=_FORWARD_SECONDS) if config.forward else None
        with self.host.current():
            self.host.open_datagrams(lambda: self, ("0.0.0.0", dns.PORT), None)

    def _add_reverse(self, config: DnsConfig) -> None:
        for each in config.records:
            if each.type == "A":
                name = dns.reverse_name(IPv4Address(each.value))
                # The first name an address has; a PTR record of its own comes before that.
                self._records.setdefault(name, [Record(name, RecordType.PTR, each.ttl, each.name)])

    def stop(self) -> None:
        for task in self._forwarding:
            task.cancel()
        if self._resolver is not None:
            self._resolver.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def status(self) -> Mapping[str, object]:
        return {"names": len(self._records), "answered": self._answered}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        """Whoever asked has gone away."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            query = dns.decode(data)
        except Malformed:
            if len(data) >= 12 and not data[2] & 0x80:
                self._send(Dns(int.from_bytes(data[:2], "big"), None, True, Rcode.FORMERR), addr)
            return
        if query.is_response:
            return
        if query.opcode != 0 or query.question is None:
            rcode = Rcode.NOTIMP if query.opcode else Rcode.FORMERR
            self._send(replace(query, is_response=True, rcode=rcode, answers=(), authority=()), addr)
            return
        reply = replace(
            query, is_response=True, answers=(), authority=(), recursion_available=self._resolver is not None
        )
        own = self._answer(query.question)
        if own is not None:
            rcode, records = own
            self._send(replace(reply, rcode=rcode, answers=records, is_authoritative=True), addr)
        elif self._resolver is None or not query.recursion_desired:
            self._send(replace(reply, rcode=Rcode.REFUSED), addr)
        elif len(self._forwarding) < _QUESTIONS_AT_ONCE:
            task = self.host.spawn(self._forward(self._resolver, query.question, reply, addr), name="dns forward")
            self._forwarding.add(task)
            task.add_done_callback(self._forwarding.discard)

    def _answer(self, question: Question) -> tuple[Rcode, tuple[Record, ...]] | None:
        """RFC 1034 section 4.3.2; None where others have to be asked."""
        name, found = question.name, list[Record]()
        for _ in range(_LONGEST_CHAIN):
            here = self._records.get(name)
            if here is None:
                break
            matching = [record for record in here if record.kind == question.kind]
            alias = next((record for record in here if record.kind == RecordType.CNAME), None)
            if matching or alias is None:
                return Rcode.NOERROR, (*found, *matching)
            found.append(alias)
            name = alias.value
        if found:
            return Rcode.NOERROR, tuple(found)
        if any(name == zone or name.endswith(f".{zone}") for zone in self._zones):
            # RFC 8020: a name above one that exists exists too.
            exists = any(other.endswith(f".{name}") for other in self._records) or name in self._zones
            return (Rcode.NOERROR if exists else Rcode.NXDOMAIN), ()
        return None

    async def _forward(self, resolver: Resolver, question: Question, reply: Dns, addr: Any) -> None:
        answer = await resolver.ask(question)
        if answer is None:
            self._send(replace(reply, rcode=Rcode.SERVFAIL), addr)
        else:
            self._send(replace(reply, rcode=answer.rcode, answers=answer.answers, authority=answer.authority), addr)

    def _send(self, reply: Dns, addr: Any) -> None:
        if self._transport is None:
            return
        self._answered += 1
        self.log.append(f"{addr[0]} {reply}")
        data = reply.encode()
        if len(data) > dns.UDP_LIMIT:
            data = replace(reply, answers=(), authority=(), is_truncated=True).encode()
        self._transport.sendto(data, addr)
