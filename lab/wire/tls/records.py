"""The record layer (RFC 8446 section 5.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from lab.wire.malformed import Malformed

HEADER: Final = struct.Struct("!BHH")
MAX_FRAGMENT: Final = (1 << 14) + 2048
"""RFC 5246 section 6.2.3; TLS 1.3 allows less."""


class ContentType(IntEnum):
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    HEARTBEAT = 24


@dataclass(frozen=True, slots=True)
class Record:
    """What one side sent in one piece, perhaps encrypted."""

    content_type: ContentType
    version: int
    """0x0301 on a first flight and 0x0303 after it mean nothing: see the hellos for the version in use."""
    fragment: bytes

    def encode(self) -> bytes:
        return HEADER.pack(self.content_type, self.version, len(self.fragment)) + self.fragment


class RecordDecoder:
    """Cuts one direction of a connection into records; remembers at most one unfinished, 18 kB, once drained."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._wanted = HEADER.size
        self._broken: str | None = None

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records these bytes complete; then raises Malformed where the next breaks a rule, and ever after."""
        if self._broken is not None:
            raise Malformed(self._broken)
        self._begun += data
        if len(self._begun) < self._wanted:
            return iter(())
        data = bytes(self._begun)
        self._begun.clear()
        records: list[Record] = []
        try:
            self._begun += data[self._decode(data, records) :]
        except Malformed as malformed:
            self._broken = str(malformed)
            return _until_broken(records, malformed)
        return iter(records)

    def _decode(self, data: bytes, records: list[Record]) -> int:
        at = 0
        while len(data) - at >= HEADER.size:
            content_type, version, length = HEADER.unpack_from(data, at)
            if not ContentType.CHANGE_CIPHER_SPEC <= content_type <= ContentType.HEARTBEAT:
                raise Malformed(f"content type {content_type}, TLS has 20 to 24")
            if version >> 8 != 3:
                raise Malformed(f"record version {version:#06x}, TLS has 0x0300 to 0x0304")
            if length > MAX_FRAGMENT:
                raise Malformed(f"a record of {length} bytes, TLS allows {MAX_FRAGMENT}")
            end = at + HEADER.size + length
            if end > len(data):
                self._wanted = end - at
                return at
            records.append(Record(ContentType(content_type), version, data[at + HEADER.size : end]))
            at = end
        self._wanted = HEADER.size
        return at


def _until_broken(records: list[Record], malformed: Malformed) -> Iterator[Record]:
    yield from records
    raise malformed
