"""`iperf`: how much gets through, over TCP and UDP, in the manner of iperf 2."""

from __future__ import annotations

import asyncio
import re
import struct
from collections import OrderedDict
from typing import Any, Final

from devices.console import words
from devices.console.arguments import Arguments, BadValue, Options, decimal, port, whole
from devices.console.iperf_meter import Meter, line
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from lab.text import Text

SERVER = Text(zh="作为服务器，直到 Ctrl-C", en="be the server, until Ctrl-C")
CLIENT = Text(zh="作为客户端，连接 HOST", en="be the client of HOST")
UDP = Text(zh="用 UDP", en="UDP instead of TCP")
RATE = Text(
    zh="速率，如 500K、10M；UDP 默认 1M，TCP 默认 20M，最多 100M",
    en="rate such as 500K or 10M; 1M by default with UDP, 20M with TCP, 100M at most",
)
TIME = Text(zh="多少秒，默认 10", en="for so many seconds, 10 by default")
INTERVAL = Text(zh="每隔多少秒报告一次", en="report every so many seconds")
LENGTH = Text(zh="UDP 数据字节数，默认 1470", en="bytes of data in a UDP datagram, 1470 by default")
PORT = Text(zh="端口，默认 5001", en="port, 5001 by default")
ONE = Text(zh="服务一次后结束", en="serve once and end")
WHICH = Text(zh="要写 -s 或 -c HOST", en="either -s or -c HOST is needed")
NOT_A_RATE = Text(zh="{value!r} 不是 1K 到 100M 的速率", en="{value!r} is no rate from 1K to 100M")
LISTENING = Text(zh="服务器在 {protocol} {port} 端口等待", en="Server listening on {protocol} port {port}")
CONNECTING = Text(
    zh="客户端连接 {host}，{protocol} {port} 端口", en="Client connecting to {host}, {protocol} port {port}"
)
CONNECTED = Text(zh="{host} 端口 {port} 已连接", en="connected with {host} port {port}")
NO_REPORT = Text(
    zh="没有收到服务器的报告（最后的报文或应答丢失）", en="did not receive ack of last datagram after 10 tries"
)
SENT = Text(zh="发送 {count} 个数据报", en="Sent {count} datagrams")
SERVER_REPORT = Text(zh="服务器的报告：", en="Server Report:")
CANNOT_LISTEN = Text(zh="无法在 {port} 端口等待：{why}", en="cannot listen on {port}: {why}")
BROKEN = Text(zh="传输中断：{why}", en="the transfer was broken off: {why}")

_HEADER: Final = struct.Struct("!iII")
"""Number, seconds and microseconds of sending. A negative number is the last one's."""
_REPORT: Final = struct.Struct("!iIIiiiiiiiii")
"""Flags, bytes (high, low), seconds, microseconds, lost, out of order, datagrams, jitter in s and µs, two spare."""
_WITH_REPORT: Final = -0x80000000
_CHUNK: Final = 8192
_LEAST, _MOST = 1_000, 100_000_000
_TICK: Final = 0.005
"""Seconds between bursts where single datagrams would come faster."""
_FIN_TRIES: Final = 10
_FIN_GAP: Final = 0.25
_CLIENTS: Final = 16
_RECV: Final = 65536


def _rate(value: str) -> float:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([KkMm]?)", value)
    number = float(match[1]) * {"": 1, "k": 1e3, "m": 1e6}[match[2].lower()] if match else 0.0
    if not _LEAST <= number <= _MOST:
        raise BadValue(NOT_A_RATE, value=value)
    return number


def arguments(parser: Arguments) -> None:
    parser.examples("iperf -s", "iperf -c 10.20.10.5 -t 5 -i 1", "iperf -c 10.20.10.5 -u -b 2M", "iperf -s -u -i 1")
    parser.flag("-s", "--server", action="store_true", help=SERVER)
    parser.flag("-c", "--client", metavar="HOST", help=CLIENT)
    parser.flag("-u", "--udp", action="store_true", help=UDP)
    parser.flag("-b", "--bandwidth", dest="rate", type=_rate, metavar="RATE", help=RATE)
    parser.flag("-t", "--time", type=decimal(0.1, 86400), default=10.0, metavar="S", help=TIME)
    parser.flag("-i", "--interval", type=decimal(0.1, 3600), metavar="S", help=INTERVAL)
    parser.flag("-l", "--length", type=whole(_HEADER.size + _REPORT.size, 1470), default=1470, metavar="N", help=LENGTH)
    parser.flag("-p", "--port", type=port, default=5001, metavar="PORT", help=PORT)
    parser.flag("-1", "--one", action="store_true", help=ONE)


async def run(process: Process, options: Options) -> int:
    if options.server == (options.client is not None):
        raise Failure(WHICH, USAGE)
    protocol = "UDP" if options.udp else "TCP"
    if options.server:
        process.tell(LISTENING, protocol=protocol, port=options.port)
        return await (_serve_udp(process, options) if options.udp else _serve_tcp(process, options))
    await process.resolve(options.client)
    process.tell(CONNECTING, host=options.client, protocol=protocol, port=options.port)
    return await (_send_udp(process, options) if options.udp else _send_tcp(process, options))


# -- TCP ---------------------------------------------------------------------------------------------------------------


async def _send_tcp(process: Process, options: Options) -> int:
    rate = options.rate or 20e6
    try:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(options.client, options.port)
    except OSError as error:
        where = {"host": options.client, "port": options.port}
        raise Failure(words.CONNECTING_FAILED, why=process.why(error), **where) from None
    meter = Meter(process, options.interval)
    data = bytes(_CHUNK)
    end = meter.began + options.time
    try:
        while (now := process.now()) < end:
            allowed = int((now - meter.began + _TICK) * rate / 8)
            while meter.total + _CHUNK <= max(allowed, _CHUNK) and process.now() < end:
                writer.write(data)
                await writer.drain()
                meter.total += _CHUNK
            await process.until(max(now + _TICK, meter.began + (meter.total + _CHUNK) * 8 / rate - _TICK))
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        raise Failure(BROKEN, why=process.why(error)) from None
    finally:
        writer.close()
        meter.end()
    return OK


async def _serve_tcp(process: Process, options: Options) -> int:
    served = asyncio.Event()
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(handlers) >= _CLIENTS:
            writer.transport.abort()
            return
        task = asyncio.create_task(_receive_tcp(process, options, reader, writer))
        handlers.add(task)
        task.add_done_callback(handlers.discard)
        task.add_done_callback(lambda _: served.set())

    try:
        server = await asyncio.start_server(accept, "0.0.0.0", options.port)
    except OSError as error:
        raise Failure(CANNOT_LISTEN, port=options.port, why=process.why(error)) from None
    try:
        while True:
            await served.wait()
            served.clear()
            if options.one:
                return OK
    finally:
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def _receive_tcp(
    process: Process, options: Options, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    host, number = writer.get_extra_info("peername")
    process.tell(CONNECTED, host=host, port=number)
    meter = Meter(process, options.interval)
    try:
        while data := await reader.read(_RECV):
            meter.total += len(data)
    except OSError as error:
        process.complain(BROKEN, why=process.why(error))
    finally:
        meter.end()
        writer.close()


# -- UDP ---------------------------------------------------------------------------------------------------------------


class _Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.report: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) >= _HEADER.size + _REPORT.size and not self.report.done():
            self.report.set_result(data[_HEADER.size :])

    def error_received(self, exc: Exception) -> None:
        if not self.report.done():
            self.report.set_exception(exc)


async def _send_udp(process: Process, options: Options) -> int:
    rate, size = options.rate or 1e6, options.length
    client = _Client()
    address = ".".join(map(str, await process.resolve(options.client)))
    try:
        transport, _ = process.host.open_datagrams(lambda: client, None, (address, options.port))
    except OSError as error:
        raise Failure(words.NO_ADDRESS, name=options.client, why=process.why(error)) from None
    gap = size * 8 / rate
    number = 0
    meter = Meter(process, options.interval)

    def send(label: int) -> None:
        now = process.host.wall_ns()
        head = _HEADER.pack(label, now // 1_000_000_000 & 0xFFFFFFFF, now // 1000 % 1_000_000)
        transport.sendto(head.ljust(size, b"\0"))

    try:
        end = meter.began + options.time
        while process.now() < end and not client.report.done():
            while meter.began + number * gap <= process.now() + 1e-9 and number < options.time / gap:
                send(number)
                number += 1
                meter.total += size
            await process.until(max(meter.began + number * gap, process.now() + min(gap, _TICK)))
        meter.end()
        process.tell(SENT, count=number)
        for _ in range(_FIN_TRIES):
            if not client.report.done():
                send(-max(number, 1))
            try:
                async with asyncio.timeout(_FIN_GAP):
                    _show_report(process, await asyncio.shield(client.report))
                return OK
            except TimeoutError:
                continue
            except OSError as error:
                raise Failure(BROKEN, why=process.why(error)) from None
        process.complain(NO_REPORT)
        return FAILED
    finally:
        meter.stop()
        client.report.cancel()
        transport.close()


def _show_report(process: Process, data: bytes) -> None:
    _, high, low, seconds, micros, lost, overtaken, total, jitter_s, jitter_us, _, _ = _REPORT.unpack_from(data)
    process.tell(SERVER_REPORT)
    process.print(
        line(0.0, seconds + micros / 1e6, high << 32 | low)
        + _quality(jitter_s + jitter_us / 1e6, lost, total, overtaken)
    )


def _quality(jitter: float, lost: int, total: int, overtaken: int) -> str:
    share = 100 * lost / total if total > 0 else 0.0
    order = f"  {overtaken} out of order" if overtaken else ""
    return f"  jitter {jitter * 1000:.3f} ms  lost {lost}/{total} ({share:.2g}%){order}"


class _Stream:
    """What has come from one client."""

    def __init__(self, process: Process, options: Options) -> None:
        self._process = process
        self.meter = Meter(
            process, options.interval, lambda: _quality(self.jitter, self.lost, self.total, self.overtaken)
        )
        self._highest = -1
        self.received = self.overtaken = 0
        self.jitter = 0.0
        self._transit: float | None = None
        self.is_over = False
        self._ended = 0.0

    @property
    def total(self) -> int:
        return self._highest + 1

    @property
    def lost(self) -> int:
        return max(0, self.total - self.received)

    def take(self, number: int, sent: float, size: int) -> None:
        self.meter.total += size
        self.received += 1
        if number < self._highest:
            self.overtaken += 1
        self._highest = max(self._highest, number)
        # RFC 3550 section 6.4.1
        transit = self._process.host.wall_ns() / 1e9 - sent
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit

    def finish(self, count: int) -> None:
        self._highest = max(self._highest, count - 1)
        self._ended = self._process.now()
        self.is_over = True
        self.meter.end()

    def report(self) -> bytes:
        seconds, size = self._ended - self.meter.began, self.meter.total
        return _REPORT.pack(
            _WITH_REPORT,
            size >> 32,
            size & 0xFFFFFFFF,
            int(seconds),
            int(seconds % 1 * 1e6),
            self.lost,
            self.overtaken,
            self.total,
            int(min(self.jitter, 1e6)),
            int(self.jitter % 1 * 1e6),
            0,
            0,
        )


class _Server(asyncio.DatagramProtocol):
    def __init__(self, process: Process, options: Options) -> None:
        self._process, self._options = process, options
        self.streams: OrderedDict[Any, _Stream] = OrderedDict()
        self.transport: Any = None
        self.served = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) < _HEADER.size:
            return
        number, seconds, micros = _HEADER.unpack_from(data)
        stream = self.streams.get(addr)
        if stream is None or (stream.is_over and number >= 0):
            if number < 0:
                return
            while len(self.streams) >= _CLIENTS:
                self.streams.popitem(last=False)[1].meter.stop()
            self._process.tell(CONNECTED, host=addr[0], port=addr[1])
            stream = self.streams[addr] = _Stream(self._process, self._options)
        if number >= 0:
            stream.take(number, seconds + micros / 1e6, len(data))
            return
        if not stream.is_over:
            stream.finish(-number)
        self.transport.sendto(data[: _HEADER.size] + stream.report(), addr)
        self.served.set()


async def _serve_udp(process: Process, options: Options) -> int:
    server = _Server(process, options)
    try:
        server.transport, _ = process.host.open_datagrams(lambda: server, ("0.0.0.0", options.port), None)
    except OSError as error:
        raise Failure(CANNOT_LISTEN, port=options.port, why=process.why(error)) from None
    try:
        while True:
            await server.served.wait()
            server.served.clear()
            if options.one:
                await asyncio.sleep(2 * _FIN_GAP)  # the report may have to be sent again
                return OK
    finally:
        server.transport.close()
        for stream in server.streams.values():
            stream.meter.stop()
