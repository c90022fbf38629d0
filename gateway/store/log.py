"""A queue's records in append-only segments, each record with its checksum; whatever a killed program left is read again.

A record is `length, CRC-32, kind, body`. A message (kind 1) is waiting until a mark (kind 2) names its place; marks
stand in the same or a later segment. A segment goes, oldest first, when none of its messages waits, so that no mark
goes before the message it is about.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.store.volume import Volume
from lab.network.disk import Disk

SEGMENT: Final = 1 << 20
"""Bytes after which a new segment is begun."""
_FRAME: Final = struct.Struct("<IIB")
_MESSAGE_HEAD: Final = struct.Struct("<QBH")
_PLACE: Final = struct.Struct("<II")
_MESSAGE, _MARKS = 1, 2
_LONGEST: Final = 64 << 20
"""Bytes of a record; more is damage."""


class Place(NamedTuple):
    """Where a message stands; the order of places is the order of the queue."""

    segment: int
    offset: int


@dataclass(slots=True, eq=False)
class Entry:
    """A message on its way."""

    form: int
    """What the bytes are; see `gateway.formats.format`."""
    topic: str
    payload: bytes
    at: int
    """Plant time in nanoseconds at which it was accepted."""
    place: Place | None = None
    """Where it stands on the disk; None while it does not."""

    @property
    def size(self) -> int:
        """Bytes it takes on the disk."""
        return len(self.payload) + len(self.topic.encode()) + _FRAME.size + _MESSAGE_HEAD.size


@dataclass(slots=True)
class _Segment:
    number: int
    size: int = 0
    waiting: set[int] = field(default_factory=set)
    """Offsets of the messages that are not done with."""
    is_sealed: bool = False
    """Whether nothing may be added: what another run of the program or a failed write left at its end is unknown."""

    @property
    def name(self) -> str:
        return f"{self.number:010}.log"


class Log:
    """What waits on the disk. Nothing here raises OSError: a disk that fails is one without room."""

    def __init__(self, volume: Volume, disk: Disk) -> None:
        self._volume = volume
        self._disk = disk
        self._segments: deque[_Segment] = deque()
        self._next = 1
        self._marks: list[Place] = []
        self.damaged = 0
        """Bytes found unreadable."""
        self.trouble: OSError | None = None
        """What the latest failure was."""

    @property
    def size(self) -> int:
        """Bytes that the files take on the disk."""
        return sum(segment.size for segment in self._segments)

    def open(self) -> list[tuple[Place, int]]:
        """Read what is there; returns the place and size of every message that waits, in order."""
        found: list[tuple[Place, int]] = []
        try:
            names = self._volume.names()
        except OSError as error:
            self.trouble = error
            names = []
        for name in names:
            number = name.removesuffix(".log")
            if not number.isdecimal():
                continue
            try:
                data = self._volume.read(name)
            except OSError as error:
                self.trouble = error
                continue
            segment = _Segment(int(number), len(data), is_sealed=True)
            self._disk.take(min(len(data), self._disk.free))
            self._segments.append(segment)
            self._next = segment.number + 1
            end = 0
            for offset, kind, body in _records(data):
                end = offset + _FRAME.size + len(body)
                if kind == _MESSAGE:
                    segment.waiting.add(offset)
                    found.append((Place(segment.number, offset), len(body) + _FRAME.size))
                elif kind == _MARKS:
                    self._forget(Place(*each) for each in _PLACE.iter_unpack(body[: len(body) // 8 * 8]))
            self.damaged += len(data) - end
        waiting = {Place(segment.number, offset) for segment in self._segments for offset in segment.waiting}
        self._clear_away()
        return [(place, size) for place, size in found if place in waiting]

    def append(self, entries: Sequence[Entry]) -> bool:
        """Write messages, in one go, and tell each its place; False where the disk has no room for them."""
        framed = [_frame(_MESSAGE, _body(entry)) for entry in entries]
        size = sum(map(len, framed))
        if not self._disk.take(size):
            return False
        segment = self._current()
        places = []
        offset = segment.size
        for each in framed:
            places.append(offset)
            offset += len(each)
        if not self._write(segment, b"".join(framed)):
            self._disk.give_back(size)
            return False
        segment.waiting.update(places)
        for entry, at in zip(entries, places, strict=True):
            entry.place = Place(segment.number, at)
        return True

    def done(self, place: Place) -> None:
        """A message need not be kept any longer; `settle` writes that down."""
        self._marks.append(place)

    def settle(self) -> None:
        """Write down what is done, and let go of segments in which nothing waits."""
        if not self._marks:
            return
        marks, self._marks = self._marks, []
        self._forget(marks)
        if any(segment.waiting for segment in self._segments):
            framed = _frame(_MARKS, b"".join(_PLACE.pack(*mark) for mark in marks))
            # Without room the mark is left out: after a crash the message would be sent a second time.
            if self._disk.take(len(framed)) and not self._write(self._current(), framed):
                self._disk.give_back(len(framed))
        self._clear_away()

    def read(self, start: Place, most: int) -> tuple[list[Entry], Place]:
        """The messages that wait from this place on, until they have about so many bytes, and where to go on."""
        found: list[Entry] = []
        size = 0
        for segment in self._segments:
            if segment.number < start.segment or not segment.waiting:
                continue
            first = start.offset if segment.number == start.segment else 0
            try:
                data = self._volume.read(segment.name, first)
            except OSError as error:
                self.trouble = error
                continue
            for offset, kind, body in _records(data):
                at = first + offset
                if kind != _MESSAGE or at not in segment.waiting:
                    continue
                entry = _entry(body)
                entry.place = Place(segment.number, at)
                found.append(entry)
                size += len(body)
                start = Place(segment.number, at + _FRAME.size + len(body))
                if size >= most:
                    return found, start
        return found, start

    def close(self) -> None:
        self.settle()
        self._volume.close()
        self._disk.give_back(self.size)
        self._segments.clear()

    def _current(self) -> _Segment:
        if not self._segments or self._segments[-1].is_sealed or self._segments[-1].size >= SEGMENT:
            self._segments.append(_Segment(self._next))
            self._next += 1
        return self._segments[-1]

    def _write(self, segment: _Segment, data: bytes) -> bool:
        try:
            self._volume.append(segment.name, data)
        except OSError as error:
            self.trouble = error
            segment.is_sealed = True
            return False
        segment.size += len(data)
        return True

    def _forget(self, places: Iterator[Place] | Sequence[Place]) -> None:
        segments = {segment.number: segment for segment in self._segments}
        for place in places:
            if place.segment in segments:
                segments[place.segment].waiting.discard(place.offset)

    def _clear_away(self) -> None:
        is_empty = not any(segment.waiting for segment in self._segments)
        while self._segments and not self._segments[0].waiting and (is_empty or len(self._segments) > 1):
            gone = self._segments.popleft()
            self._disk.give_back(gone.size)
            try:
                self._volume.remove(gone.name)
            except OSError as error:
                self.trouble = error


def _frame(kind: int, body: bytes) -> bytes:
    return _FRAME.pack(len(body), zlib.crc32(body, kind), kind) + body


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Offset, kind and body of every record up to the first that is not whole."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, checksum, kind = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + length]
        if length > _LONGEST or len(body) < length or zlib.crc32(body, kind) != checksum:
            return
        yield at, kind, body
        at += _FRAME.size + length


def _body(entry: Entry) -> bytes:
    topic = entry.topic.encode()
    return _MESSAGE_HEAD.pack(entry.at, entry.form, len(topic)) + topic + entry.payload


def _entry(body: bytes) -> Entry:
    at, form, length = _MESSAGE_HEAD.unpack_from(body)
    start = _MESSAGE_HEAD.size
    return Entry(form, body[start : start + length].decode(errors="replace"), body[start + length :], at)
