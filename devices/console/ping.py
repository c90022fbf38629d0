"""`ping`: ICMP echo (RFC 792), as iputils has it."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from typing import Final

from devices.console.arguments import Arguments, Options, decimal, whole
from devices.console.process import FAILED, OK, Process
from devices.console.raw import ends_for, hearing, quoted, send
from lab.text import Text
from lab.wire import icmp, ipv4
from lab.wire.icmp import Echo, TimeExceeded, Unreachable, UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed

EXAMPLES: Final = ("ping -c 4 plc-1", "ping -c 1 -s 1472 -M do 10.20.10.11", "ping -i 0.2 -W 0.5 10.20.10.11")
COUNT = Text(zh="发多少个后停止；不写则直到 Ctrl-C", en="stop after so many; without it, at Ctrl-C")
INTERVAL = Text(zh="间隔，秒，默认 1", en="seconds between two, 1 by default")
SIZE = Text(zh="数据字节数，默认 56", en="bytes of data, 56 by default")
PATIENCE = Text(
    zh="没有任何应答时最后等多少秒，默认 10", en="seconds to wait at the end where nothing came back, 10 by default"
)
TTL = Text(zh="生存时间，默认 64", en="time to live, 64 by default")
MTU = Text(
    zh="do：禁止分片，太长则报错；dont：允许分片（默认）", en="do: never fragment; dont: routers may (the default)"
)
QUIET = Text(zh="只显示汇总", en="only the summary")
HOST = Text(zh="主机名或地址", en="name or address of a host")
TOO_LONG = Text(zh="ping：本机出口 MTU 为 {mtu}，报文太长", en="ping: local error: message too long, mtu={mtu}")

UNREACHABLE: Final = {
    UnreachableCode.NETWORK: "Destination Net Unreachable",
    UnreachableCode.HOST: "Destination Host Unreachable",
    UnreachableCode.PROTOCOL: "Destination Protocol Unreachable",
    UnreachableCode.PORT: "Destination Port Unreachable",
    UnreachableCode.NETWORK_PROHIBITED: "Destination Net Prohibited",
    UnreachableCode.HOST_PROHIBITED: "Destination Host Prohibited",
    UnreachableCode.ADMINISTRATIVELY_PROHIBITED: "Packet filtered",
}
"""As iputils says it; the words are what manuals and forums quote, so they are not translated."""
_SMALLEST_INTERVAL: Final = 0.01
_LARGEST: Final = 65507
_TIMESTAMP: Final = 8
"""Bytes of data without which iputils measures no time."""
_REMEMBERED: Final = 1024
"""Requests whose answer may still come."""


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-c", dest="count", type=whole(1, 2**31), metavar="N", help=COUNT)
    parser.flag("-i", dest="interval", type=decimal(_SMALLEST_INTERVAL, 3600), default=1.0, metavar="S", help=INTERVAL)
    parser.flag("-s", dest="size", type=whole(0, _LARGEST), default=56, metavar="BYTES", help=SIZE)
    parser.flag("-W", dest="patience", type=decimal(0.001, 3600), default=10.0, metavar="S", help=PATIENCE)
    parser.flag("-t", dest="ttl", type=whole(1, 255), default=64, metavar="TTL", help=TTL)
    parser.flag("-M", dest="mtu", choices=("do", "want", "dont"), default="dont", help=MTU)
    parser.flag("-q", dest="quiet", action="store_true", help=QUIET)
    parser.flag(
        "-n", action="store_true", help=Text(zh="只用地址（本来如此）", en="addresses only, which is so anyway")
    )
    parser.flag("host", metavar="HOST", help=HOST)


async def run(process: Process, options: Options) -> int:
    source, destination = await ends_for(process, options.host)
    pings = _Pings(process, options, source, destination)
    with hearing(process.host, pings.hear):
        try:
            await pings.send_all()
        finally:
            pings.summarise()
    return OK if pings.received else FAILED


class _Pings:
    def __init__(self, process: Process, options: Options, source: bytes, destination: bytes) -> None:
        self._process, self._options = process, options
        self._source, self._destination = source, destination
        self._identifier = process.host.random.getrandbits(16)
        self._data = bytes(number & 0xFF for number in range(options.size))
        self._sent_at: dict[int, float] = {}
        """When, by sequence number; those answered stay, for duplicates."""
        self._answered: set[int] = set()
        self._waiting = asyncio.Event()
        self._sent = self.received = self._duplicates = self._errors = 0
        self._began = self._last = process.now()
        self._sum = self._squares = 0.0
        self._least, self._most = math.inf, 0.0

    async def send_all(self) -> None:
        options, process = self._options, self._process
        address = socket.inet_ntoa(self._destination)
        size = options.size
        process.print(f"PING {options.host} ({address}) {size}({size + 28}) bytes of data.")
        while options.count is None or self._sent < options.count:
            self._send(self._sent + 1)
            if self._sent != options.count:
                await process.until(self._began + self._sent * options.interval)
        while self.received + self._errors < self._sent and (left := self._deadline - process.now()) > 0:
            self._waiting.clear()
            try:
                async with asyncio.timeout(left):
                    await self._waiting.wait()
            except TimeoutError:
                pass

    @property
    def _deadline(self) -> float:
        """iputils: where anything has come back, the last answer may take twice as long as the slowest."""
        patience: float = self._options.patience
        if self.received:
            patience = max(2 * self._most / 1000, self._options.interval)
        return self._last + patience

    def _send(self, sequence: int) -> None:
        self._sent = sequence
        self._last = self._process.now()
        number = sequence & 0xFFFF
        self._sent_at[number] = self._last
        self._answered.discard(number)
        while len(self._sent_at) > _REMEMBERED:
            del self._sent_at[next(iter(self._sent_at))]
        echo = Echo(False, self._identifier, number, self._data)
        datagram = IPv4(
            self._source,
            self._destination,
            ipv4.ICMP,
            echo.encode(),
            ttl=self._options.ttl,
            dont_fragment=self._options.mtu != "dont",
        )
        try:
            send(self._process.host, datagram, lambda: self._unreached(number))
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                route = self._process.host.route(self._destination)
                mtu = route[0].mtu if route is not None else 0
                self._trouble(number, self._process.say(TOO_LONG, mtu=mtu))
            else:
                self._trouble(number, f"ping: {self._process.why(error)}")

    def _unreached(self, number: int) -> None:
        """Nobody answered ARP."""
        own = socket.inet_ntoa(self._source)
        self._trouble(number, f"From {own} icmp_seq={number} {UNREACHABLE[UnreachableCode.HOST]}")

    def _trouble(self, number: int, what: str) -> None:
        self._errors += 1
        if not self._options.quiet:
            self._process.print(what)
        self._waiting.set()

    def hear(self, datagram: IPv4) -> None:
        """A datagram for this host."""
        if datagram.protocol != ipv4.ICMP:
            return
        try:
            message = icmp.decode(datagram.payload)
        except Malformed:
            return
        if isinstance(message, Echo):
            if message.is_reply and message.identifier == self._identifier and message.sequence in self._sent_at:
                self._answer(datagram, message)
        elif isinstance(message, (Unreachable, TimeExceeded)):
            about = quoted(message.original)
            if about is None or about[1] != ipv4.ICMP or about[2][4:6] != self._identifier.to_bytes(2, "big"):
                return
            number = int.from_bytes(about[2][6:8], "big")
            if number in self._sent_at:
                sender = socket.inet_ntoa(datagram.source)
                self._trouble(number, f"From {sender} icmp_seq={number} {_reason(message)}")

    def _answer(self, datagram: IPv4, echo: Echo) -> None:
        number = echo.sequence
        again = number in self._answered
        took = (self._process.now() - self._sent_at[number]) * 1000
        if again:
            self._duplicates += 1
        else:
            self._answered.add(number)
            self.received += 1
            self._sum += took
            self._squares += took * took
            self._least, self._most = min(self._least, took), max(self._most, took)
        if not self._options.quiet:
            time = f" time={_milliseconds(took)} ms" if self._options.size >= _TIMESTAMP else ""
            text = f"{len(echo.data) + 8} bytes from {socket.inet_ntoa(datagram.source)}: icmp_seq={number}"
            self._process.print(f"{text} ttl={datagram.ttl}{time}{' (DUP!)' if again else ''}")
        self._waiting.set()

    def summarise(self) -> None:
        """What is said at the end, however it came."""
        process = self._process
        process.print(f"\n--- {self._options.host} ping statistics ---")
        lost = 100 * (self._sent - self.received) / self._sent if self._sent else 0.0
        parts = [f"{self._sent} packets transmitted, {self.received} received"]
        if self._duplicates:
            parts.append(f"+{self._duplicates} duplicates")
        if self._errors:
            parts.append(f"+{self._errors} errors")
        parts.append(f"{lost:.6g}% packet loss, time {(self._last - self._began) * 1000:.0f}ms")
        process.print(", ".join(parts))
        if self.received and self._options.size >= _TIMESTAMP:
            mean = self._sum / self.received
            deviation = math.sqrt(max(0.0, self._squares / self.received - mean * mean))
            values = "/".join(f"{value:.3f}" for value in (self._least, mean, self._most, deviation))
            process.print(f"rtt min/avg/max/mdev = {values} ms")


def _reason(message: Unreachable | TimeExceeded) -> str:
    if isinstance(message, TimeExceeded):
        return "Frag reassembly time exceeded" if message.in_reassembly else "Time to live exceeded"
    if message.code is UnreachableCode.FRAGMENTATION_NEEDED:
        return f"Frag needed and DF set (mtu = {message.next_mtu})"
    return UNREACHABLE.get(message.code, f"Dest Unreachable, Bad Code: {int(message.code)}")


def _milliseconds(value: float) -> str:
    """iputils gives three figures."""
    return (
        f"{value:.3f}"
        if value < 1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )
