"""`portscan`: which ports of hosts are open, closed or filtered, with nmap's words and a speed limit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Final

from devices.console import ports, words
from devices.console.arguments import Arguments, BadValue, Options, decimal
from devices.console.process import FAILED, OK, Failure, Process
from devices.console.raw import hearing, quoted, send, source_for
from lab.model.address import format_mac
from lab.network.neighbours import RETRY_SECONDS, TRIES
from lab.text import Text
from lab.wire import icmp, ipv4, tcp
from lab.wire.icmp import Unreachable, UnreachableCode
from lab.wire.ipv4 import IPv4
from lab.wire.malformed import Malformed
from lab.wire.tcp import Flag, Segment, mss_option
from lab.wire.udp import Udp

EXAMPLES: Final = ("portscan plc-1", "portscan -sS -p 1-1024 10.20.10.11", "portscan -sU -p 161 10.20.10.0/29")
CONNECT = Text(zh="完整连接（默认）", en="open connections, the default")
SYN = Text(zh="只发 SYN，不完成握手", en="send SYN and leave it at that")
UDP = Text(zh="UDP 扫描", en="UDP")
PORTS = Text(
    zh="端口表，如 22,80,500-510；- 为全部；默认为常用端口",
    en="such as 22,80,500-510; - for all; well-known ones by default",
)
RATE = Text(zh="每秒最多探测数，默认 200，最多 1000", en="probes a second, 200 by default, 1000 at most")
PATIENCE = Text(zh="每次等多少秒，默认 1", en="seconds to wait for an answer, 1 by default")
OPEN_ONLY = Text(zh="只列开放的端口", en="list open ports only")
TARGET = Text(zh="主机名、地址或网段（最大 /24）", en="name, address or network, /24 at most")
TOO_MANY = Text(zh="{value} 太大：最大 /24", en="{value} is too large: /24 is the most")
DOWN = Text(zh="Host {host} 没有应答 ARP：不在线", en="Host {host} does not answer ARP: it is down")
NOT_SHOWN = Text(zh="未列出：{count} 个 {state} 端口", en="Not shown: {count} {state} ports")
DONE = Text(
    zh="完成：扫描了 {hosts} 个地址，{up} 个在线，用时 {seconds:.2f} 秒",
    en="done: addresses scanned: {hosts}, hosts up: {up}, in {seconds:.2f} seconds",
)
SCAN_OF = Text(zh="扫描报告：{host}", en="Scan report for {host}")

OPEN: Final = "open"
CLOSED: Final = "closed"
FILTERED: Final = "filtered"
OPEN_OR_FILTERED: Final = "open|filtered"
DOWN_STATE: Final = "down"
_SHORTEST_MASK: Final = 24
_FASTEST: Final = 1000.0
_AT_ONCE: Final = 64
_ARP_GIVES_UP: Final = TRIES * RETRY_SECONDS + 0.5
"""Seconds"""
_LISTED: Final = 25
"""Of a state other than open, more are only counted."""


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-sT", dest="kind", action="store_const", const="connect", default="connect", help=CONNECT)
    parser.flag("-sS", dest="kind", action="store_const", const="syn", help=SYN)
    parser.flag("-sU", dest="kind", action="store_const", const="udp", help=UDP)
    parser.flag("-p", dest="ports", type=ports.several, default=list(ports.SERVICES), metavar="PORTS", help=PORTS)
    parser.flag("--rate", "--max-rate", type=decimal(0.1, _FASTEST), default=200.0, metavar="N", help=RATE)
    parser.flag("--timeout", "-W", dest="patience", type=decimal(0.01, 60), default=1.0, metavar="S", help=PATIENCE)
    parser.flag("--open", dest="open_only", action="store_true", help=OPEN_ONLY)
    parser.flag(
        "-n", action="store_true", help=Text(zh="只用地址（本来如此）", en="addresses only, which is so anyway")
    )
    parser.flag(
        "-Pn", action="store_true", help=Text(zh="不先探测（本来如此）", en="no ping first, which is so anyway")
    )
    parser.flag("targets", nargs="+", type=_target, metavar="TARGET", help=TARGET)


def _target(value: str) -> list[str]:
    if "/" not in value:
        return [value]
    try:
        network = IPv4Network(value, strict=False)
    except ValueError:
        return [value]  # a name nobody will know
    if network.prefixlen < _SHORTEST_MASK:
        raise BadValue(TOO_MANY, value=value)
    return [str(address) for address in network.hosts()]


async def run(process: Process, options: Options) -> int:
    names = list(dict.fromkeys(name for target in options.targets for name in target))
    began = process.now()
    up = done = 0
    pace = _Pace(process, options.rate)
    try:
        for name in names:
            up += await _scan_host(process, options, name, await process.resolve(name), pace)
            done += 1
    finally:
        process.tell(DONE, hosts=done, up=up, seconds=process.now() - began)
    return OK if up else FAILED


class _Pace:
    """Lets so many through in a second."""

    def __init__(self, process: Process, rate: float) -> None:
        self._process, self._gap = process, 1 / rate
        self._next = process.now()

    async def turn(self) -> None:
        when = self._next = max(self._next + self._gap, self._process.now())
        await self._process.until(when)


async def _scan_host(process: Process, options: Options, name: str, address: bytes, pace: _Pace) -> bool:
    try:
        source = source_for(process.host, address)
    except OSError as error:
        raise Failure(words.NO_ADDRESS, name=name, why=process.why(error)) from None
    scan = _Scan(process, options, source, address, pace)
    with hearing(process.host, scan.hear):
        try:
            await scan.all_ports()
        finally:
            if scan.is_down:
                process.tell(DOWN, host=socket.inet_ntoa(address))
            else:
                _report(process, options, name, address, scan.states)
    return not scan.is_down


class _Scan:
    """One address. Connects for themselves; other probes go out one by one, and what comes back is matched by port."""

    def __init__(self, process: Process, options: Options, source: bytes, target: bytes, pace: _Pace) -> None:
        self._process, self._options, self._pace = process, options, pace
        self._source, self._target = source, target
        # Below the ephemeral ports, so that it is no connection's of this host.
        self._own_port = process.host.random.randrange(32768, 49152)
        self._sequence = process.host.random.getrandbits(32)
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self.states: dict[int, str] = {}
        self.is_down = False

    async def all_ports(self) -> None:
        places = asyncio.Semaphore(_AT_ONCE)
        tasks: set[asyncio.Task[None]] = set()

        async def one(port: int) -> None:
            try:
                state = await self._try_twice(port)
                if state == DOWN_STATE:
                    self.is_down = True
                else:
                    self.states[port] = state
            finally:
                places.release()

        try:
            for port in self._options.ports:
                await places.acquire()
                if self.is_down:
                    break
                await self._pace.turn()
                task = asyncio.create_task(one(port))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _try_twice(self, port: int) -> str:
        if self._options.kind == "connect":
            return await self._connect(port)
        for _ in range(2):
            # What is lost once may only have been unlucky.
            state = await self._probe(port)
            if state is not None:
                return state
        return OPEN_OR_FILTERED if self._options.kind == "udp" else FILTERED

    async def _connect(self, port: int) -> str:
        try:
            async with asyncio.timeout(self._patience * 2):
                _, writer = await asyncio.open_connection(socket.inet_ntoa(self._target), port)
        except (ConnectionRefusedError, ConnectionResetError):
            return CLOSED
        except TimeoutError:
            return FILTERED
        except OSError:
            # An ICMP error, unless it is our own ARP that nobody answers.
            return FILTERED if self._is_known else DOWN_STATE
        writer.transport.abort()  # as nmap does: no port of ours is left in TIME-WAIT
        return OPEN

    async def _probe(self, port: int) -> str | None:
        answer = self._waiting[port] = self._process.host.network.loop.create_future()

        def unreached() -> None:
            if not answer.done():
                answer.set_result(DOWN_STATE)

        try:
            send(self._process.host, self._datagram(port), unreached)
            async with asyncio.timeout(self._patience):
                state: str = await answer
                return state
        except OSError:  # silence, or an interface that has gone
            return None
        finally:
            del self._waiting[port]

    @property
    def _patience(self) -> float:
        """Seconds; where ARP is still asking, at least until it gives up."""
        patience: float = self._options.patience
        return patience if self._is_known else max(_ARP_GIVES_UP, patience)

    @property
    def _is_known(self) -> bool:
        route = self._process.host.route(self._target)
        return route is None or route[0].neighbours.find(route[1]) is not None

    def _datagram(self, port: int) -> IPv4:
        if self._options.kind == "udp":
            protocol, payload = ipv4.UDP, Udp(self._own_port, port, b"").encode(self._source, self._target)
        else:
            syn = Segment(self._own_port, port, self._sequence, 0, Flag.SYN, 1024, options=mss_option(1460))
            protocol, payload = ipv4.TCP, syn.encode(self._source, self._target)
        return IPv4(self._source, self._target, protocol, payload)

    def hear(self, datagram: IPv4) -> None:
        """A datagram for this host. To a SYN-ACK its own stack, which knows nothing of our SYN, says RST."""
        try:
            for port, state in self._heard(datagram):
                waiting = self._waiting.get(port)
                if waiting is not None and not waiting.done():
                    waiting.set_result(state)
        except Malformed:
            return

    def _heard(self, datagram: IPv4) -> Iterator[tuple[int, str]]:
        if datagram.protocol == ipv4.ICMP:
            message = icmp.decode(datagram.payload)
            if not isinstance(message, Unreachable) or (about := quoted(message.original)) is None:
                return
            target, protocol, ports_of = about
            if target == self._target and int.from_bytes(ports_of[:2], "big") == self._own_port:
                closed = protocol == ipv4.UDP and message.code is UnreachableCode.PORT
                yield int.from_bytes(ports_of[2:4], "big"), CLOSED if closed else FILTERED
        elif datagram.source != self._target:
            return
        elif datagram.protocol == ipv4.TCP:
            segment = tcp.decode(datagram.payload, datagram.source, datagram.destination)
            if segment.destination_port == self._own_port:
                yield segment.source_port, CLOSED if segment.flags & Flag.RST else OPEN
        elif datagram.protocol == ipv4.UDP and len(datagram.payload) >= 8:
            source, destination = (int.from_bytes(datagram.payload[at : at + 2], "big") for at in (0, 2))
            if destination == self._own_port:
                yield source, OPEN


def _report(process: Process, options: Options, name: str, address: bytes, states: Mapping[int, str]) -> None:
    numeric = socket.inet_ntoa(address)
    process.tell(SCAN_OF, host=name if name == numeric else f"{name} ({numeric})")
    by_state: dict[str, list[int]] = {}
    for port, state in states.items():
        by_state.setdefault(state, []).append(port)
    hidden = {
        state: listed
        for state, listed in by_state.items()
        if (not state.startswith(OPEN) and (options.open_only or len(listed) > _LISTED))
        or (state == OPEN_OR_FILTERED and len(listed) > _LISTED)
    }
    for state, listed in hidden.items():
        process.tell(NOT_SHOWN, count=len(listed), state=state)
    protocol = "udp" if options.kind == "udp" else "tcp"
    shown = [(port, state) for port, state in sorted(states.items()) if state not in hidden]
    if shown:
        process.print(f"{'PORT':<10} {'STATE':<14} SERVICE")
    for port, state in shown:
        process.print(f"{f'{port}/{protocol}':<10} {state:<14} {ports.service(port)}")
    mac = _mac_of(process, address)
    if mac is not None:
        process.print(f"MAC Address: {format_mac(mac)}")
    process.print()


def _mac_of(process: Process, address: bytes) -> bytes | None:
    route = process.host.route(address)
    return route[0].neighbours.find(address) if route is not None and route[1] == address else None
