"""`nc`: connect or listen, send a text, show what comes, or only find out whether a port is open."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from devices.console import ports, words
from devices.console.arguments import Arguments, BadValue, Options, decimal, hexadecimal
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from lab.text import Text

EXAMPLES: Final = (
    "nc -z plc-1 502",
    "nc -z -w 1 plc-1 500-510",
    "nc plc-1 7 hello",
    "nc -u -w 1 10.20.10.11 161 --hex 3003020101",
    "nc -l 5000",
)
SCAN = Text(zh="只试端口，不传数据", en="try ports, send nothing")
LISTEN = Text(zh="等别人来连：nc -l PORT", en="wait for somebody: nc -l PORT")
UDP = Text(zh="用 UDP", en="UDP instead of TCP")
PATIENCE = Text(zh="连接或静默多少秒后停止", en="seconds to wait for a connection, and of silence")
VERBOSE = Text(zh="说明在做什么", en="say what happens")
HEX = Text(zh="要发送的十六进制字节", en="bytes to send, in hexadecimal")
DUMP = Text(zh="收到的以十六进制显示", en="show what comes in hexadecimal")
NO_NEWLINE = Text(zh="文字后不加换行", en="no line feed after the text")
WORDS = Text(zh="主机 端口 文字…；-l 时为 端口 文字…", en="HOST PORT TEXT…, with -l PORT TEXT…")
NEEDS_HOST = Text(zh="要写主机和端口", en="a host and a port are needed")
NEEDS_PORT = Text(zh="-l 要写端口", en="-l needs a port")
ONE_PORT = Text(zh="多个端口只能用 -z", en="several ports only with -z")
SUCCEEDED = Text(
    zh="连接 {host} {port} [{protocol}/{service}] 成功",
    en="Connection to {host} {port} port [{protocol}/{service}] succeeded!",
)
FAILED_TO = Text(
    zh="连接 {host} {port} [{protocol}] 失败：{why}", en="connect to {host} port {port} ({protocol}) failed: {why}"
)
LISTENING = Text(zh="在 {port} 端口等待", en="Listening on 0.0.0.0 {port}")
RECEIVED_FROM = Text(zh="{host} {port} 连入", en="Connection received on {host} {port}")
CANNOT_LISTEN = Text(zh="无法在 {port} 端口等待：{why}", en="cannot listen on {port}: {why}")

_CHUNK: Final = 4096
_UDP_SILENCE: Final = 1.0
"""Seconds without an ICMP error after which -zu believes that somebody is there, as OpenBSD's nc does."""
_DEFAULT_PATIENCE: Final = 10.0
_MOST_PORTS: Final = 1024
_GAP: Final = 0.005
"""Seconds between two ports."""


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-z", dest="scan", action="store_true", help=SCAN)
    parser.flag("-l", dest="listen", action="store_true", help=LISTEN)
    parser.flag("-u", dest="udp", action="store_true", help=UDP)
    parser.flag("-w", dest="patience", type=decimal(0.01, 3600), metavar="S", help=PATIENCE)
    parser.flag("-v", dest="verbose", action="store_true", help=VERBOSE)
    parser.flag("-n", dest="no_newline", action="store_true", help=NO_NEWLINE)
    parser.flag("--hex", type=hexadecimal, metavar="BYTES", help=HEX)
    parser.flag("-x", "--dump", dest="dump", action="store_true", help=DUMP)
    parser.flag("words", nargs="+", metavar="…", help=WORDS)


async def run(process: Process, options: Options) -> int:
    if options.listen:
        listed, text = _ports(options.words[0], NEEDS_PORT), options.words[1:]
    elif len(options.words) < 2:
        raise Failure(NEEDS_HOST, USAGE)
    else:
        listed, text = _ports(options.words[1], NEEDS_HOST), options.words[2:]
    if len(listed) > (_MOST_PORTS if options.scan else 1):
        raise Failure(ONE_PORT, USAGE)
    data = options.hex if options.hex is not None else " ".join(text).encode(errors="replace")
    if text and options.hex is None and not options.no_newline:
        data += b"\n"
    talk = _Talk(process, options, data)
    if options.listen:
        return await (talk.listen_udp(listed[0]) if options.udp else talk.listen(listed[0]))
    host = options.words[0]
    await process.resolve(host)
    if not options.scan:
        return await (talk.speak_udp(host, listed[0]) if options.udp else talk.speak(host, listed[0]))
    status = OK
    for port in listed:
        opened = await (talk.try_udp(host, port) if options.udp else talk.try_tcp(host, port))
        status = status if opened else FAILED
        await asyncio.sleep(_GAP)
    return status


def _ports(value: str, missing: Text) -> list[int]:
    try:
        return ports.several(value)
    except BadValue as error:
        raise Failure(error.text if value else missing, USAGE, **error.facts) from None


class _Talk:
    def __init__(self, process: Process, options: Options, data: bytes) -> None:
        self._process, self._options, self._data = process, options, data

    # -- is it open? -----------------------------------------------------------------------------------------------

    async def try_tcp(self, host: str, port: int) -> bool:
        try:
            _, writer = await self._connect(host, port)
        except OSError as error:
            self._failed(host, port, "tcp", error)
            return False
        writer.close()
        self._succeeded(host, port, "tcp")
        return True

    async def try_udp(self, host: str, port: int) -> bool:
        heard = _Datagrams()
        transport = await self._open(heard, remote=(host, port))
        try:
            transport.sendto(self._data or b"X")
            await heard.next(self._options.patience or _UDP_SILENCE)
        except TimeoutError:
            pass
        except OSError as error:
            self._failed(host, port, "udp", error)
            return False
        finally:
            transport.close()
        self._succeeded(host, port, "udp")
        return True

    def _succeeded(self, host: str, port: int, protocol: str) -> None:
        self._process.tell(SUCCEEDED, host=host, port=port, protocol=protocol, service=ports.service(port))

    def _failed(self, host: str, port: int, protocol: str, error: OSError) -> None:
        self._process.complain(FAILED_TO, host=host, port=port, protocol=protocol, why=self._process.why(error))

    # -- talking ---------------------------------------------------------------------------------------------------

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self._options.patience or _DEFAULT_PATIENCE):
            return await asyncio.open_connection(host, port)

    async def speak(self, host: str, port: int) -> int:
        try:
            reader, writer = await self._connect(host, port)
        except OSError as error:
            self._failed(host, port, "tcp", error)
            return FAILED
        if self._options.verbose:
            self._succeeded(host, port, "tcp")
        return await self._converse(reader, writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        try:
            if self._data:
                writer.write(self._data)
                await writer.drain()
            while data := await self._read(reader):
                self._show(data)
        except TimeoutError:
            pass
        except OSError as error:
            self._process.complain(words.NO_ADDRESS, name="tcp", why=self._process.why(error))
            return FAILED
        finally:
            writer.close()
        return OK

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(self._options.patience):
            return await reader.read(_CHUNK)

    def _show(self, data: bytes) -> None:
        if not self._options.dump:
            self._process.write(data.decode(errors="replace"))
            return
        for at in range(0, len(data), 16):
            row = data[at : at + 16]
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            self._process.print(f"{at:04x}  {row.hex(' '):<47}  {text}")

    async def listen(self, port: int) -> int:
        arrived: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        arrived = self._process.host.network.loop.create_future()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if arrived.done():
                writer.transport.abort()
            else:
                arrived.set_result((reader, writer))

        try:
            server = await asyncio.start_server(accept, "0.0.0.0", port)
        except OSError as error:
            raise Failure(CANNOT_LISTEN, port=port, why=self._process.why(error)) from None
        try:
            self._process.tell(LISTENING, port=port)
            async with asyncio.timeout(self._options.patience):
                reader, writer = await arrived
        except TimeoutError:
            return FAILED
        finally:
            server.close()
        peer = writer.get_extra_info("peername")
        self._process.tell(RECEIVED_FROM, host=peer[0], port=peer[1])
        return await self._converse(reader, writer)

    # -- UDP -------------------------------------------------------------------------------------------------------

    async def _open(
        self, protocol: _Datagrams, local: Any = None, remote: tuple[str, int] | None = None
    ) -> asyncio.DatagramTransport:
        try:
            address = remote and ((await self._process.host.resolve(remote[0])), remote[1])
            where = address and (".".join(map(str, address[0])), address[1])
            transport, _ = self._process.host.open_datagrams(lambda: protocol, local, where)
        except OSError as error:
            port = (remote or local)[1]
            raise Failure(CANNOT_LISTEN, port=port, why=self._process.why(error)) from None
        made: asyncio.DatagramTransport = transport
        return made

    async def speak_udp(self, host: str, port: int) -> int:
        heard = _Datagrams()
        transport = await self._open(heard, remote=(host, port))
        try:
            if self._data:
                transport.sendto(self._data)
            while True:
                data, _ = await heard.next(self._options.patience)
                self._show(data)
        except TimeoutError:
            return OK
        except OSError as error:
            self._failed(host, port, "udp", error)
            return FAILED
        finally:
            transport.close()

    async def listen_udp(self, port: int) -> int:
        heard = _Datagrams()
        transport = await self._open(heard, local=("0.0.0.0", port))
        self._process.tell(LISTENING, port=port)
        peer: Any = None
        try:
            while True:
                data, sender = await heard.next(self._options.patience)
                if peer is None:
                    peer = sender
                    self._process.tell(RECEIVED_FROM, host=peer[0], port=peer[1])
                    if self._data:
                        transport.sendto(self._data, peer)
                if sender == peer:
                    self._show(data)
        except TimeoutError:
            return OK if peer is not None else FAILED
        finally:
            transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    """What has come, the latest of it where it comes faster than it is shown."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[tuple[bytes, Any] | Exception] = asyncio.Queue(256)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self._arrived.full():
            self._arrived.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        if not self._arrived.full():
            self._arrived.put_nowait(exc)

    async def next(self, patience: float | None) -> tuple[bytes, Any]:
        """Raises TimeoutError, and OSError where ICMP said so."""
        async with asyncio.timeout(patience):
            arrived = await self._arrived.get()
        if isinstance(arrived, Exception):
            raise arrived
        return arrived
