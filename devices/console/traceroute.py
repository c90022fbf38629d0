"""`traceroute`: the routers on the way to a host, found by datagrams whose time to live is too short."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, NamedTuple

from devices.console.arguments import Arguments, Options, decimal, whole
from devices.console.process import FAILED, OK, Process
from devices.console.raw import ends_for, hearing, quoted, send
from lab.text import Text
from lab.wire import icmp, ipv4
from lab.wire.icmp import Echo, TimeExceeded, Unreachable, UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed
from lab.wire.udp import Udp

EXAMPLES: Final = ("traceroute 10.20.30.5", "traceroute -I -q 1 -m 8 plc-1")
ICMP = Text(zh="用 ICMP 回显代替 UDP", en="ICMP echo requests instead of UDP")
MOST = Text(zh="最多多少跳，默认 30", en="hops at most, 30 by default")
PROBES = Text(zh="每跳探测几次，默认 3", en="probes for each hop, 3 by default")
PATIENCE = Text(zh="每次等多少秒，默认 5", en="seconds to wait for each answer, 5 by default")
PORT = Text(zh="UDP 起始端口，默认 33434", en="first UDP port, 33434 by default")
NUMERIC = Text(zh="只用地址（本来如此）", en="addresses only, which is so anyway")
HOST = Text(zh="主机名或地址", en="name or address of a host")

_FIRST_PORT: Final = 33434
"""Where nobody listens, by custom."""
_DATA: Final = bytes(32)
_MARKS: Final = {
    UnreachableCode.NETWORK: "!N",
    UnreachableCode.HOST: "!H",
    UnreachableCode.PROTOCOL: "!P",
    UnreachableCode.SOURCE_ROUTE_FAILED: "!S",
    UnreachableCode.NETWORK_PROHIBITED: "!X",
    UnreachableCode.HOST_PROHIBITED: "!X",
    UnreachableCode.ADMINISTRATIVELY_PROHIBITED: "!X",
}


class _Answer(NamedTuple):
    sender: bytes
    seconds: float
    is_end: bool
    mark: str


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-I", "--icmp", action="store_true", help=ICMP)
    parser.flag("-m", dest="most", type=whole(1, 255), default=30, metavar="HOPS", help=MOST)
    parser.flag("-q", dest="probes", type=whole(1, 10), default=3, metavar="N", help=PROBES)
    parser.flag("-w", dest="patience", type=decimal(0.001, 3600), default=5.0, metavar="S", help=PATIENCE)
    parser.flag("-p", dest="port", type=whole(1, 60000), default=_FIRST_PORT, metavar="PORT", help=PORT)
    parser.flag("-n", action="store_true", help=NUMERIC)
    parser.flag("host", metavar="HOST", help=HOST)


async def run(process: Process, options: Options) -> int:
    source, destination = await ends_for(process, options.host)
    trace = _Trace(process, options, source, destination)
    address = socket.inet_ntoa(destination)
    size = 28 + len(_DATA)
    process.print(f"traceroute to {options.host} ({address}), {options.most} hops max, {size} byte packets")
    with hearing(process.host, trace.hear):
        for ttl in range(1, options.most + 1):
            if await trace.hop(ttl):
                return OK if trace.reached else FAILED
    return FAILED


class _Trace:
    def __init__(self, process: Process, options: Options, source: bytes, destination: bytes) -> None:
        self._process, self._options = process, options
        self._source, self._destination = source, destination
        self._identifier = process.host.random.getrandbits(16)
        self._own_port = process.host.random.randrange(32768, 49152)
        self._number = -1
        """Of the latest probe, from 0."""
        self._sent = 0.0
        self._answer: asyncio.Future[_Answer] = process.host.network.loop.create_future()
        self.reached = False

    async def hop(self, ttl: int) -> bool:
        """Try one distance; whether there is no point in going on."""
        said = f"{ttl:2} "
        before: bytes | None = None
        is_end = False
        for _ in range(self._options.probes):
            answer = await self._probe(ttl)
            if answer is None:
                said += " *"
                continue
            if answer.sender != before:
                said += f" {socket.inet_ntoa(answer.sender)}"
                before = answer.sender
            said += f"  {answer.seconds * 1000:.3f} ms{' ' + answer.mark if answer.mark else ''}"
            is_end = is_end or answer.is_end
            self.reached = self.reached or (answer.is_end and not answer.mark)
        self._process.print(said)
        return is_end

    async def _probe(self, ttl: int) -> _Answer | None:
        self._number += 1
        self._answer = answer = self._process.host.network.loop.create_future()
        self._sent = self._process.now()
        try:
            send(self._process.host, self._datagram(ttl), self._unreached)
            async with asyncio.timeout(self._options.patience):
                found: _Answer = await answer
                return found
        except (TimeoutError, OSError):
            return None

    def _datagram(self, ttl: int) -> IPv4:
        if self._options.icmp:
            payload = Echo(False, self._identifier, self._number & 0xFFFF, _DATA).encode()
            return IPv4(self._source, self._destination, ipv4.ICMP, payload, ttl=ttl)
        payload = Udp(self._own_port, self._port, _DATA).encode(self._source, self._destination)
        return IPv4(self._source, self._destination, ipv4.UDP, payload, ttl=ttl)

    @property
    def _port(self) -> int:
        first: int = self._options.port
        return first + self._number

    def _unreached(self) -> None:
        self._done(_Answer(self._source, self._process.now() - self._sent, True, _MARKS[UnreachableCode.HOST]))

    def _done(self, answer: _Answer) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)

    def hear(self, datagram: IPv4) -> None:
        """A datagram for this host."""
        if datagram.protocol != ipv4.ICMP:
            return
        try:
            message = icmp.decode(datagram.payload)
        except Malformed:
            return
        took = self._process.now() - self._sent
        if isinstance(message, Echo):
            is_ours = message.is_reply and message.identifier == self._identifier
            if self._options.icmp and is_ours and message.sequence == self._number & 0xFFFF:
                self._done(_Answer(datagram.source, took, True, ""))
        elif isinstance(message, (Unreachable, TimeExceeded)) and self._is_ours(message.original):
            if isinstance(message, TimeExceeded):
                self._done(_Answer(datagram.source, took, False, ""))
                return
            arrived = message.code is UnreachableCode.PORT
            mark = "" if arrived else _MARKS.get(message.code, f"!<{int(message.code)}>")
            self._done(_Answer(datagram.source, took, True, mark))

    def _is_ours(self, original: bytes) -> bool:
        about = quoted(original)
        if about is None or about[0] != self._destination:
            return False
        if self._options.icmp:
            expected = self._identifier.to_bytes(2, "big") + (self._number & 0xFFFF).to_bytes(2, "big")
            return about[1] == ipv4.ICMP and about[2][4:8] == expected
        expected = self._own_port.to_bytes(2, "big") + self._port.to_bytes(2, "big")
        return about[1] == ipv4.UDP and about[2][:4] == expected
