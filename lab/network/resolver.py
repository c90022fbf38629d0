"""A DNS client for hosts: asks servers over UDP, in turn and again, and remembers what they said (RFC 1035 section 7)."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, Final

from lab.network.host import Host
from lab.wire import dns
from lab.wire.dns import Dns, Question, Rcode, Record, RecordType
from lab.wire.malformed import Malformed

_CACHE_LIMIT: Final = 1024
_LONGEST_MEMORY: Final = 86400.0
_NEGATIVE_SECONDS: Final = 60.0
"""How long "there is no such name" is remembered where the server does not say (RFC 2308 section 5)."""
_LONGEST_CHAIN: Final = 8
"""Aliases that are followed in one answer."""
_AT_ONCE: Final = 256


class Resolver:
    """Asks `servers`, first to last, `tries` times round, waiting `timeout` seconds for each."""

    def __init__(
        self,
        host: Host,
        servers: Sequence[IPv4Address],
        domain: str = "",
        *,
        timeout: float = 5.0,
        tries: int = 2,
    ) -> None:
        self.host = host
        self.servers = tuple(servers)
        self.domain = domain
        """Appended to names without a dot."""
        self.timeout, self.tries = timeout, tries
        self._cache: OrderedDict[Question, tuple[float, float, Dns]] = OrderedDict()
        """(from, until, answer), on the loop's clock."""
        self._asking: dict[Question, asyncio.Task[Dns | None]] = {}

    async def resolve(self, name: str) -> bytes:
        """The IPv4 address of a name; raises socket.gaierror."""
        name = name.lower().rstrip(".")
        if self.domain and "." not in name:
            name = f"{name}.{self.domain}"
        values = await self.look_up(name, RecordType.A)
        return IPv4Address(values[0]).packed

    async def reverse(self, address: IPv4Address) -> str:
        """The name of an address; raises socket.gaierror."""
        return (await self.look_up(dns.reverse_name(address), RecordType.PTR))[0]

    async def look_up(self, name: str, kind: RecordType) -> list[str]:
        """The values of a name's records, at least one; raises socket.gaierror."""
        if not dns.is_name(name):
            raise socket.gaierror(socket.EAI_NONAME, f"{name!r} is no name")
        answer = await self.ask(Question(name, kind))
        if answer is None or answer.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            raise socket.gaierror(socket.EAI_AGAIN, f"no name server could answer for {name!r}")
        values = follow(answer, name, kind)
        if not values:
            raise socket.gaierror(socket.EAI_NONAME, f"no name server knows {name!r}")
        return values

    async def ask(self, question: Question) -> Dns | None:
        """The servers' answer to a question, times to live counted down; None where nobody answered."""
        now = self.host.network.loop.time()
        if (known := self._cache.get(question)) is not None:
            since, until, answer = known
            if now < until:
                age = int(now - since)
                return replace(
                    answer, answers=tuple(replace(each, ttl=max(0, each.ttl - age)) for each in answer.answers)
                )
            del self._cache[question]
        task = self._asking.get(question)
        if task is None:
            if len(self._asking) >= _AT_ONCE:
                return None
            task = self._asking[question] = self.host.spawn(self._ask_servers(question), name="dns question")
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        await asyncio.wait([task])  # others may be waiting for it too, so it outlives whoever asked first
        return None if task.cancelled() else task.result()

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    def close(self) -> None:
        """Ask no more; whoever waits gets no answer."""
        for task in tuple(self._asking.values()):
            task.cancel()

    async def _ask_servers(self, question: Question) -> Dns | None:
        failure: Dns | None = None
        for _ in range(self.tries):
            for server in self.servers:
                answer = await self._ask_one(server, question)
                if answer is None:
                    continue
                if answer.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
                    self._remember(question, answer)
                    return answer
                failure = answer  # another one may know better
        return failure

    async def _ask_one(self, server: IPv4Address, question: Question) -> Dns | None:
        query = Dns(self.host.random.getrandbits(16), question)
        protocol = Exchange(query, self.host.network.loop.create_future())
        try:
            transport, _ = self.host.open_datagrams(lambda: protocol, None, (str(server), dns.PORT))
        except OSError:
            return None
        transport.sendto(query.encode())
        try:
            async with asyncio.timeout(self.timeout):
                return await protocol.answered
        except (TimeoutError, OSError):
            return None
        finally:
            transport.close()

    def _remember(self, question: Question, answer: Dns) -> None:
        if answer.is_truncated:
            return
        ttls = [record.ttl for record in answer.answers]
        seconds = min(ttls) if ttls else _negative_ttl(answer.authority)
        if seconds <= 0:
            return
        now = self.host.network.loop.time()
        self._cache[question] = (now, now + min(seconds, _LONGEST_MEMORY), answer)
        while len(self._cache) > _CACHE_LIMIT:
            self._cache.popitem(last=False)


def follow(answer: Dns, name: str, kind: int) -> list[str]:
    """The values that an answer has for a name, aliases followed (RFC 1034 section 3.6.2)."""
    for _ in range(_LONGEST_CHAIN):
        values = [record.value for record in answer.answers if record.name == name and record.kind == kind]
        alias = next((r.value for r in answer.answers if r.name == name and r.kind == RecordType.CNAME), None)
        if values or alias is None:
            return values
        name = alias
    return []


def _negative_ttl(authority: Sequence[Record]) -> float:
    """RFC 2308 section 5: the zone says how long its "no" holds, in the last field of its SOA record."""
    for record in authority:
        if record.kind == RecordType.SOA and len(record.value) >= 40:
            return min(record.ttl, int(record.value[-8:], 16))
    return _NEGATIVE_SECONDS


class Exchange(asyncio.DatagramProtocol):
    """One question to one server, on a port of its own."""

    def __init__(self, query: Dns, answered: asyncio.Future[Dns]) -> None:
        self._query = query
        self.answered = answered

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            message = dns.decode(data)
        except Malformed:
            return
        is_ours = message.is_response and message.identification == self._query.identification
        if is_ours and message.question in (self._query.question, None) and not self.answered.done():
            self.answered.set_result(message)

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)
