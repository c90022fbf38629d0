"""`tcpdump`: the frames at a port of the host, decoded or kept in a file."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO, Final

from devices.console import frame_line, words
from devices.console.arguments import Arguments, Options, whole
from devices.console.capture_filter import FilterError, Predicate, UnknownName, compile_filter
from devices.console.process import FAILED, OK, USAGE, Failure, Process
from lab.model.frame import Port, Tap
from lab.text import Text
from lab.wire import pcapng, vlan

EXAMPLES: Final = (
    "tcpdump -c 20 -n tcp port 502",
    "tcpdump -e arp or icmp",
    "tcpdump -i eth0 -w poll.pcapng host plc-1 and port 502",
)
PORT = Text(zh="网口，默认第一个；any 为全部", en="port, the first by default; any for all")
COUNT = Text(zh="抓多少帧后停止；不写则直到 Ctrl-C", en="stop after so many; without it, at Ctrl-C")
NUMERIC = Text(zh="端口只用数字", en="ports as numbers")
LINK = Text(zh="显示 MAC 地址", en="with MAC addresses")
HEX = Text(zh="十六进制显示内容", en="with the contents in hexadecimal")
HEX_TEXT = Text(zh="十六进制和文字显示内容", en="with the contents in hexadecimal and as text")
FILE = Text(zh="写入文件夹中的 pcapng 文件，不显示", en="write a pcapng file in the folder and show nothing")
FILTER = Text(zh="过滤表达式，如 host plc-1 and port 502", en="filter such as host plc-1 and port 502")
NO_DEVICE = Text(zh="没有网口 {name!r}；可用：{known}", en="{name}: no such device exists; known: {known}")
LISTENING = Text(zh="在 {name} 上抓包（以太网），Ctrl-C 停止", en="listening on {name}, link-type EN10MB (Ethernet)")
CAPTURED = Text(
    zh="抓到 {captured} 帧\n符合过滤条件 {received} 帧\n来不及处理而丢弃 {dropped} 帧",
    en="{captured} packets captured\n{received} packets received by filter\n{dropped} packets dropped by kernel",
)
FULL = Text(zh="文件已达 {most} MB，停止", en="the file has {most} MB now, that is enough")

_WAITING: Final = 4096
"""Frames that have been seen and not yet shown."""
_LARGEST_FILE: Final = 64 << 20
_AT_A_TIME: Final = 64
"""Lines written before others get their turn."""
_CHINA: Final = timezone(timedelta(hours=8), "CST")
_NS: Final = 1_000_000_000


def arguments(parser: Arguments) -> None:
    parser.examples(*EXAMPLES)
    parser.flag("-i", dest="interface", metavar="PORT", help=PORT)
    parser.flag("-c", dest="count", type=whole(1, 2**31), metavar="N", help=COUNT)
    parser.flag("-n", dest="numeric", action="store_true", help=NUMERIC)
    parser.flag("-e", dest="link", action="store_true", help=LINK)
    parser.flag("-x", dest="hex", action="store_true", help=HEX)
    parser.flag("-X", dest="hex_text", action="store_true", help=HEX_TEXT)
    parser.flag("-w", dest="file", metavar="FILE.pcapng", help=FILE)
    parser.flag("filter", nargs="*", metavar="FILTER", help=FILTER)


async def run(process: Process, options: Options) -> int:
    predicate = await _predicate(process, " ".join(options.filter))
    ports, vid = _ports(process, options.interface)
    path = process.file(options.file) if options.file else None
    capture = _Capture(process, options, ports, vid, predicate, path)
    process.tell(LISTENING, name=options.interface or next(iter(ports)).name)
    taps = process.host.network.taps
    taps.append(capture.see)
    try:
        with _opened(process, path) as file:
            return await capture.write_to(file)
    finally:
        taps.remove(capture.see)
        process.tell(CAPTURED, captured=capture.captured, received=capture.received, dropped=capture.dropped)


def _opened(process: Process, path: Path | None) -> BinaryIO:
    if path is None:
        return io.BytesIO()
    try:
        return path.open("wb")
    except OSError as error:
        raise Failure(words.CANNOT_WRITE, name=path.name, why=process.why(error)) from None


async def _predicate(process: Process, expression: str) -> Predicate:
    names: dict[str, bytes] = {}
    while True:
        try:
            return compile_filter(expression, names.__getitem__)
        except UnknownName as unknown:
            names[unknown.name] = await process.resolve(unknown.name)
        except FilterError as error:
            raise Failure(error.text, USAGE, **error.facts) from None


def _ports(process: Process, name: str | None) -> tuple[frozenset[Port], int | None]:
    """The ports to listen at, and the VLAN id where a sub-interface is meant."""
    host = process.host
    known = [nic.name for nic in host.nics]
    if name == "any":
        return frozenset(Port(host.name, nic.name) for nic in host.ports), None
    chosen = name or known[0]
    if chosen not in known:
        raise Failure(NO_DEVICE, name=chosen, known=", ".join((*known, "any")))
    for nic in host.ports:
        for vid, inner in nic.tagged.items():
            if inner.name == chosen:
                return frozenset((Port(host.name, nic.name),)), vid
    return frozenset((Port(host.name, chosen),)), None


class _Capture:
    def __init__(
        self,
        process: Process,
        options: Options,
        ports: frozenset[Port],
        vid: int | None,
        predicate: Predicate,
        path: Path | None,
    ) -> None:
        self._process, self._options = process, options
        self._ports, self._predicate, self._path = ports, predicate, path
        self._vid = vid
        self._waiting: deque[tuple[Tap, int, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._writer = pcapng.Writer()
        self._size = 0
        self.captured = self.received = self.dropped = 0

    def see(self, tap: Tap, at: int, frame: bytes) -> None:
        """A frame somewhere in the plant."""
        if tap.seen_at not in self._ports and tap.sent_from not in self._ports:
            return
        if self._vid is not None:
            kind, control = frame[12:14], int.from_bytes(frame[14:16], "big")
            if kind != vlan.TPID or control & 0xFFF != self._vid:
                return
            frame = vlan.strip(frame)
        if not self._predicate(frame) or self.received == self._options.count:
            return
        self.received += 1
        if len(self._waiting) >= _WAITING:
            self.dropped += 1
            return
        # What this host's clock shows, which may be wrong.
        self._waiting.append((tap, at + round(self._process.host.clock_offset * _NS), frame))
        self._arrived.set()

    async def write_to(self, file: BinaryIO) -> int:
        """Until there are enough; what has been seen when Ctrl-C comes is still written."""
        write = self._to_file(file) if self._path is not None else self._show
        if self._path is not None:
            file.write(self._writer.section(os=self._process.host.name))
        try:
            while self._options.count is None or self.captured + self.dropped < self._options.count:
                await self._arrived.wait()
                self._write(write, _AT_A_TIME)
                if not self._waiting:
                    self._arrived.clear()
                if self._size > _LARGEST_FILE and self._path is not None:
                    self._process.complain(FULL, most=_LARGEST_FILE >> 20)
                    return FAILED
                await asyncio.sleep(0)
        finally:
            self._write(write, len(self._waiting))
        return OK

    def _write(self, write: Callable[[Tap, int, bytes], None], most: int) -> None:
        for _ in range(min(most, len(self._waiting))):
            tap, at, frame = self._waiting.popleft()
            self.captured += 1
            self._size += len(frame)
            write(tap, at, frame)

    def _to_file(self, file: BinaryIO) -> Callable[[Tap, int, bytes], None]:
        def write(tap: Tap, at: int, frame: bytes) -> None:
            file.write(self._writer.frame(tap, at, frame))

        return write

    def _show(self, _: Tap, at: int, frame: bytes) -> None:
        options = self._options
        seconds, rest = divmod(at, _NS)
        clock = datetime.fromtimestamp(seconds, UTC).astimezone(_CHINA)
        text = frame_line.line(frame, link=options.link, numeric=options.numeric)
        self._process.print(f"{clock:%H:%M:%S}.{rest // 1000:06} {text}")
        if options.hex or options.hex_text:
            self._dump(frame[14:], options.hex_text)

    def _dump(self, data: bytes, with_text: bool) -> None:
        for at in range(0, len(data), 16):
            row = data[at : at + 16]
            pairs = " ".join(row[place : place + 2].hex() for place in range(0, len(row), 2))
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row) if with_text else ""
            self._process.print(f"\t0x{at:04x}:  {pairs:<39}  {text}".rstrip())
