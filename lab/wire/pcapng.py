"""pcapng capture files (draft-ietf-opsawg-pcapng), written and read without touching a file.

One interface per tap, that is per direction of a cable: its name is `tap.seen_at`, its description says where frames
come from. Interfaces of captures that others made become taps of a device `if0`, `if1` … (counted over the whole file)
whose port is called like the interface; such a tap sees both directions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn

from lab.model.frame import Frame, Port, Tap
from lab.wire.malformed import Malformed

ETHERNET: Final = 1
"""LINKTYPE_ETHERNET"""
UPPER_PDU: Final = 252
"""LINKTYPE_WIRESHARK_UPPER_PDU: tags that name a dissector, and then what it is to read; serial lines use it."""

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, STATISTICS, PACKET = 0x0A0D0D0A, 1, 2, 3, 5, 6
_SECTION_BYTES: Final = b"\n\r\r\n"
"""The same in either byte order."""
_LEAST_BLOCK: Final = 12
_LEAST: Final = {SECTION: 24, INTERFACE: 16, OLD_PACKET: 28, SIMPLE_PACKET: 12, STATISTICS: 20, PACKET: 28}
"""Bytes of the fixed part of a block, its trailing length not counted."""
_END_OF_OPTIONS, _COMMENT = 0, 1
_HARDWARE, _OS, _APPLICATION = 2, 3, 4
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_TSOFFSET = 2, 3, 9, 14
_ISB_IFRECV, _ISB_IFDROP = 4, 5

MAX_BLOCK: Final = 16 << 20
"""Bytes; a longer block is Malformed, here as in Wireshark."""
MAX_INTERFACES: Final = 1 << 16
"""In one section; more are Malformed."""
_NS: Final = 10**9
_FROM = "from "
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_READ_SIZE = 1 << 18

_SIGNATURES: Final = {
    bytes.fromhex("a1b2c3d4"): "a classic pcap file; `editcap -F pcapng OLD NEW` makes it pcapng",
    bytes.fromhex("d4c3b2a1"): "a classic pcap file; `editcap -F pcapng OLD NEW` makes it pcapng",
    bytes.fromhex("a1b23c4d"): "a classic pcap file (ns); `editcap -F pcapng OLD NEW` makes it pcapng",
    bytes.fromhex("4d3cb2a1"): "a classic pcap file (ns); `editcap -F pcapng OLD NEW` makes it pcapng",
    b"\x89PNG": "a PNG picture",
    b"PK\x03\x04": "a zip file",
    b"\x1f\x8b\x08": "compressed by gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it first",
}


class Truncated(Malformed):
    """The file ends in the middle of a block, as after a power cut; what was before is good."""


@dataclass(frozen=True, slots=True)
class Interface:
    """Where frames were captured; comes before its first frame."""

    tap: Tap
    link_type: int
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """What became of the frames of one tap, counted from the beginning of the capture."""

    tap: Tap
    at: int
    """Nanoseconds since the Unix epoch."""
    received: int | None
    """Frames that passed, recorded or not."""
    dropped: int | None
    """Frames among them that are missing from the file."""


Item = Frame | Interface | Statistics


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + _PADDING[len(value) & 3]


def _text_option(code: int, text: str) -> bytes:
    return _option(code, text.encode()[:0xFFFF]) if text else b""


def _block(kind: int, body: bytes, options: bytes = b"") -> bytes:
    if options:
        options += bytes(4)  # opt_endofopt
    length = 12 + len(body) + len(options)
    return struct.pack("<II", kind, length) + body + options + struct.pack("<I", length)


class Writer:
    """Makes the bytes of one section, little-endian, with nanosecond times."""

    def __init__(self) -> None:
        self._interfaces: dict[Tap, int] = {}

    def section(self, *, hardware: str = "", os: str = "", application: str = "iiotlab", comment: str = "") -> bytes:
        """The section header: what a file begins with."""
        options = (
            _text_option(_COMMENT, comment)
            + _text_option(_HARDWARE, hardware)
            + _text_option(_OS, os)
            + _text_option(_APPLICATION, application)
        )
        self._interfaces.clear()
        return _block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), options)

    def interface(self, tap: Tap, link_type: int = ETHERNET) -> bytes:
        """Announce a tap; needed only for other link types than Ethernet, `frame` announces new taps itself."""
        if tap in self._interfaces:
            raise ValueError(f"{tap} has been announced already")
        self._interfaces[tap] = len(self._interfaces)
        options = (
            _text_option(_IF_NAME, str(tap.seen_at))
            + _text_option(_IF_DESCRIPTION, f"{_FROM}{tap.sent_from}")
            + _option(_IF_TSRESOL, b"\x09")
        )
        return _block(INTERFACE, struct.pack("<HHI", link_type, 0, 0), options)

    def frame(self, tap: Tap, at: int, data: bytes, comment: str = "") -> bytes:
        """One frame, and before it the interface where it is the first there; `at` in ns since the Unix epoch."""
        number = self._interfaces.get(tap)
        announced = b""
        if number is None:
            announced = self.interface(tap)
            number = self._interfaces[tap]
        size = len(data)
        end = _PADDING[size & 3]
        if comment:
            end += _text_option(_COMMENT, comment) + bytes(4)
        length = 32 + size + len(end)
        return b"".join(
            (
                announced,
                _PACKET_HEAD.pack(PACKET, length, number, at >> 32, at & 0xFFFFFFFF, size, size),
                data,
                end,
                _WORD.pack(length),
            )
        )

    def statistics(self, tap: Tap, at: int, received: int, dropped: int) -> bytes:
        """What became of the frames of one tap so far."""
        announced = b"" if tap in self._interfaces else self.interface(tap)
        body = struct.pack("<III", self._interfaces[tap], at >> 32, at & 0xFFFFFFFF)
        options = _option(_ISB_IFRECV, struct.pack("<Q", received)) + _option(_ISB_IFDROP, struct.pack("<Q", dropped))
        return announced + _block(STATISTICS, body, options)


_PACKET_HEAD = struct.Struct("<7I")
_WORD = struct.Struct("<I")


class _Layout:
    """The fixed parts of blocks in one byte order."""

    def __init__(self, order: str) -> None:
        self.head = struct.Struct(order + "II")
        self.packet = struct.Struct(order + "8x5I")
        self.old_packet = struct.Struct(order + "8xHHIII")
        self.simple_packet = struct.Struct(order + "8xI")
        self.section = struct.Struct(order + "12xHH")
        self.interface = struct.Struct(order + "8xHHI")
        self.statistics = struct.Struct(order + "8xIII")
        self.option = struct.Struct(order + "HH")
        self.count = struct.Struct(order + "Q")
        self.seconds = struct.Struct(order + "q")


_LAYOUTS: Final = {b"\x1a\x2b\x3c\x4d": _Layout(">"), b"\x4d\x3c\x2b\x1a": _Layout("<")}
"""By the byte-order magic of the section header."""
_LITTLE_ENDIAN: Final = _LAYOUTS[b"\x4d\x3c\x2b\x1a"]


@dataclass(frozen=True, slots=True)
class _Source:
    """An interface of the section being read, and how its clock ticks."""

    tap: Tap
    snap_length: int
    numerator: int
    denominator: int
    offset_ns: int

    def ns(self, high: int, low: int) -> int:
        return (high << 32 | low) * self.numerator // self.denominator + self.offset_ns


class Decoder:
    """Reads a file piece by piece, either byte order, any number of sections.

    Frames are numbered from 1 over the whole file. Simple packet blocks carry no time: theirs is 0. Blocks of unknown
    types are passed over. Once drained, it holds at most one unfinished block.
    """

    def __init__(self) -> None:
        self._begun = bytearray()
        self._wanted = _LEAST_BLOCK
        self._offset = 0
        self._frames = 0
        self._announced = 0
        self._sources: list[_Source] = []
        self._layout: _Layout | None = None
        self._broken: str | None = None

    def feed(self, data: bytes) -> Iterator[Item]:
        """What these bytes complete; then raises Malformed where a rule is broken, and ever after."""
        if self._broken is not None:
            raise Malformed(self._broken)
        if self._begun:
            self._begun += data
            if len(self._begun) < self._wanted:
                return iter(())
            data = bytes(self._begun)
            self._begun.clear()
        items: list[Item] = []
        try:
            end = self._decode(data, items)
        except Malformed as malformed:
            self._broken = str(malformed)
            return _until_broken(items, malformed)
        self._begun += data[end:]
        self._offset += end
        return iter(items)

    def finish(self) -> None:
        """The file ends here: raises Truncated in the middle of a block, Malformed where there was no capture."""
        if self._broken is not None:
            raise Malformed(self._broken)
        if not self._offset and not self._begun:
            raise Malformed("the file is empty")
        if self._layout is None:
            _recognise(bytes(self._begun))
        if self._begun:
            left = len(self._begun)
            raise Truncated(f"the file is cut off: of the block at byte {self._offset} only {left} bytes are there")

    def _decode(self, data: bytes, items: list[Item]) -> int:
        """Read the whole blocks in data and return where the first unfinished one begins."""
        at, available = 0, len(data)
        if self._layout is None and available >= 4:
            _recognise(data)
        sources, layout = self._sources, self._layout or _LITTLE_ENDIAN
        while available - at >= _LEAST_BLOCK:
            if data.startswith(_SECTION_BYTES, at):
                layout = self._layout = self._layout_at(data, at)
            kind, length = layout.head.unpack_from(data, at)
            if length < _LEAST_BLOCK or length & 3 or length > MAX_BLOCK:
                raise Malformed(f"the block at byte {self._offset + at} claims to have {length} bytes")
            end = at + length
            if end > available:
                self._wanted = length
                return at
            if not data.startswith(data[at + 4 : at + 8], end - 4):
                raise Malformed(f"the block at byte {self._offset + at} has two different lengths")
            if kind == PACKET and length >= 32:
                # The fast path. A source that is not there and a size that is too long are rare: see _refuse.
                index, high, low, size, _ = layout.packet.unpack_from(data, at)
                start = at + 28
                if index >= len(sources) or start + size > end - 4:
                    self._refuse(at, index)
                source = sources[index]
                self._frames += 1
                ns = (high << 32 | low) * source.numerator // source.denominator + source.offset_ns
                items.append(Frame(self._frames, ns, source.tap, data[start : start + size]))
            else:
                item = self._take(kind, data[at : end - 4], at, layout)
                if item is not None:
                    items.append(item)
            at = end
        self._wanted = _LEAST_BLOCK
        return at

    def _layout_at(self, data: bytes, at: int) -> _Layout:
        layout = _LAYOUTS.get(data[at + 8 : at + 12])
        if layout is None:
            raise Malformed(f"the section header at byte {self._offset + at} has no byte-order magic")
        return layout

    def _refuse(self, at: int, index: int) -> NoReturn:
        where = f"the packet block at byte {self._offset + at}"
        if index >= len(self._sources):
            raise Malformed(f"{where} is of interface {index}, {len(self._sources)} are described before it")
        raise Malformed(f"{where} claims more captured bytes than it has")

    def _take(self, kind: int, block: bytes, at: int, layout: _Layout) -> Item | None:
        """Any block, its trailing length cut off."""
        least = _LEAST.get(kind)
        if least is None:
            return None
        if len(block) < least:
            raise Malformed(f"the block at byte {self._offset + at} is too short for its type {kind:#x}")
        if kind == SECTION:
            major, minor = layout.section.unpack_from(block)
            if major != 1:
                raise Malformed(f"pcapng version {major}.{minor}, this program reads 1.0")
            self._sources.clear()
            return None
        if kind == INTERFACE:
            return self._take_interface(block, at, layout)
        if kind == SIMPLE_PACKET:
            return self._take_simple_packet(block, at, layout)
        index, high, low = layout.statistics.unpack_from(block)
        if kind == OLD_PACKET:
            index, _, high, low, size = layout.old_packet.unpack_from(block)
            if index >= len(self._sources) or least + size > len(block):
                self._refuse(at, index)
            source = self._sources[index]
            self._frames += 1
            return Frame(self._frames, source.ns(high, low), source.tap, block[least : least + size])
        if kind == PACKET or index >= len(self._sources):
            self._refuse(at, index)
        options = self._options(block, least, at, layout)
        source = self._sources[index]
        received, dropped = (
            layout.count.unpack(value)[0] if len(value := options.get(code, b"")) == 8 else None
            for code in (_ISB_IFRECV, _ISB_IFDROP)
        )
        return Statistics(source.tap, source.ns(high, low), received, dropped)

    def _take_simple_packet(self, block: bytes, at: int, layout: _Layout) -> Frame:
        (size,) = layout.simple_packet.unpack_from(block)
        if not self._sources:
            self._refuse(at, 0)
        source = self._sources[0]
        size = min(size, source.snap_length or size)
        if 12 + size > len(block):
            self._refuse(at, 0)
        self._frames += 1
        return Frame(self._frames, 0, source.tap, block[12 : 12 + size])

    def _take_interface(self, block: bytes, at: int, layout: _Layout) -> Interface:
        link_type, _, snap_length = layout.interface.unpack_from(block)
        if len(self._sources) == MAX_INTERFACES:
            raise Malformed(f"more than {MAX_INTERFACES} interfaces in one section")
        options = self._options(block, 16, at, layout)
        name, description = (options.get(code, b"").decode(errors="replace") for code in (_IF_NAME, _IF_DESCRIPTION))
        tap = _tap_of(name, description, self._announced)
        resolution = options.get(_IF_TSRESOL, b"\x06")
        exponent = resolution[0] & 0x7F if resolution else 6
        if resolution[:1] >= b"\x80":
            numerator, denominator = _NS, 1 << exponent
        else:
            numerator, denominator = 10 ** max(9 - exponent, 0), 10 ** max(exponent - 9, 0)
        offset = options.get(_IF_TSOFFSET, b"")
        offset_ns = layout.seconds.unpack(offset)[0] * _NS if len(offset) == 8 else 0
        self._sources.append(_Source(tap, snap_length, numerator, denominator, offset_ns))
        self._announced += 1
        return Interface(tap, link_type, name, description)

    def _options(self, block: bytes, start: int, at: int, layout: _Layout) -> dict[int, bytes]:
        """The first option of each code."""
        options: dict[int, bytes] = {}
        while len(block) - start >= 4:
            code, size = layout.option.unpack_from(block, start)
            start += 4
            if code == _END_OF_OPTIONS:
                break
            if start + size > len(block):
                raise Malformed(f"an option of the block at byte {self._offset + at} is longer than the block")
            options.setdefault(code, block[start : start + size])
            start += size + len(_PADDING[size & 3])
        return options


def read(file: BinaryIO, link_type: int = ETHERNET) -> Iterator[Frame]:
    """The frames of one link type in a file; raises Malformed as the decoder does, Truncated at the end where it must.

    Frames of other link types are counted, so that numbers agree with Wireshark's, and left out.
    """
    decoder = Decoder()
    foreign: set[Tap] = set()
    while data := file.read(_READ_SIZE):
        for item in decoder.feed(data):
            if isinstance(item, Frame):
                if not foreign or item.tap not in foreign:
                    yield item
            elif isinstance(item, Interface) and item.link_type != link_type:
                foreign.add(item.tap)
    decoder.finish()


def _recognise(data: bytes) -> None:
    """Raise Malformed where a file that begins like this is no pcapng."""
    if data.startswith(_SECTION_BYTES):
        return
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            raise Malformed(f"not a pcapng file but {name}")
    raise Malformed(f"not a pcapng file: it begins with {data[:4].hex(' ')}, not with {_SECTION_BYTES.hex(' ')}")


def _tap_of(name: str, description: str, number: int) -> Tap:
    if description.startswith(_FROM):
        try:
            return Tap(Port.parse(name), Port.parse(description.removeprefix(_FROM)))
        except ValueError:
            pass
    port = Port(f"if{number}", name.replace("/", "-") or "any")
    return Tap(port, port)


def _until_broken(items: list[Item], malformed: Malformed) -> Iterator[Item]:
    yield from items
    raise malformed
