"""An SNTP client (RFC 5905 section 14) that sets its host's clock by what servers say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from lab.network.host import Host
from lab.wire import ntp
from lab.wire.malformed import Malformed
from lab.wire.ntp import Leap, Mode, Ntp

_PATIENCE: Final = 2.0
"""Seconds to wait for a server's reply."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one exchange with one server showed."""

    server: IPv4Address
    offset: float
    """Seconds by which the server's clock is ahead of the host's."""
    delay: float
    """Seconds on the way, there and back."""
    stratum: int


class Sntp:
    """Asks its servers every `interval` seconds; their median corrects the clock, or is only kept for looking at."""

    def __init__(
        self,
        host: Host,
        servers: Sequence[IPv4Address],
        *,
        interval: float = 64.0,
        corrects: bool = True,
    ) -> None:
        self.host = host
        self.servers = tuple(servers)
        self.interval, self.corrects = interval, corrects
        self.latest: Measurement | None = None
        """What the clock was last compared with."""
        self.synchronised_until = 0.0
        """On the loop's clock: after four intervals without any usable reply the clock is its own again."""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_synchronised(self) -> bool:
        return self.host.network.loop.time() < self.synchronised_until

    def start(self) -> None:
        if self._task is None:
            self._task = self.host.spawn(self._run(), name="sntp")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await self.synchronise()
            await asyncio.sleep(self.interval)

    async def synchronise(self) -> Measurement | None:
        """Ask every server once now; None where no reply can be used."""
        heard = await asyncio.gather(*(self.measure(server) for server in self.servers))
        usable = sorted((each for each in heard if each is not None), key=lambda each: each.offset)
        if not usable:
            return None
        # One liar among three is outvoted; a lone one is believed, as SNTP does.
        chosen = self.latest = usable[(len(usable) - 1) // 2]
        if self.corrects:
            self.host.clock_offset += chosen.offset
            self.synchronised_until = self.host.network.loop.time() + 4 * self.interval
        return chosen

    async def measure(self, server: IPv4Address) -> Measurement | None:
        """One exchange: offset and delay by its four timestamps; None without a reply that may be used."""
        loop = self.host.network.loop
        sent = ntp.stamp(self.host.wall_ns())
        protocol = _Exchange(self.host, sent, loop.create_future())
        try:
            transport, _ = self.host.open_datagrams(lambda: protocol, None, (str(server), ntp.PORT))
        except OSError:
            return None
        transport.sendto(Ntp(Mode.CLIENT, transmit=sent).encode())
        try:
            async with asyncio.timeout(_PATIENCE):
                reply, arrived = await protocol.answered
        except (TimeoutError, OSError):
            return None
        finally:
            transport.close()
        # RFC 5905 section 8, with T1 sent, T2 and T3 at the server, T4 arrived.
        there, back = ntp.difference(reply.receive, sent), ntp.difference(reply.transmit, arrived)
        delay = ntp.difference(arrived, sent) - ntp.difference(reply.transmit, reply.receive)
        return Measurement(server, (there + back) / 2, max(0.0, delay), reply.stratum)


def _may_be_used(reply: Ntp, sent: int) -> bool:
    """RFC 5905 section 14 and RFC 4330 section 5: the sanity checks."""
    return (
        reply.mode == Mode.SERVER
        and reply.origin == sent
        and reply.transmit != 0
        and reply.leap is not Leap.UNSYNCHRONISED
        and 1 <= reply.stratum < ntp.UNSYNCHRONISED_STRATUM
    )


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, host: Host, sent: int, answered: asyncio.Future[tuple[Ntp, int]]) -> None:
        self._host, self._sent = host, sent
        self.answered = answered

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            reply = ntp.decode(data)
        except Malformed:
            return
        if _may_be_used(reply, self._sent) and not self.answered.done():
            self.answered.set_result((reply, ntp.stamp(self._host.wall_ns())))

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)
