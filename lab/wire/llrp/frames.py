"""Messages in a stream: a header of ten bytes, three of its bits the version, then parameters."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lab.wire.llrp.fields import Reader
from lab.wire.llrp.messages import Message
from lab.wire.llrp.status import Refused, StatusCode
from lab.wire.llrp.structure import MESSAGES, layout_of
from lab.wire.malformed import Malformed

PORT: Final = 5084
VERSION: Final = 1
"""LLRP 1.0.1; LLRP 1.1 is 2."""
HEADER: Final = struct.Struct("!HII")
MAX_MESSAGE: Final = 1 << 20
"""Bytes; the specification knows no limit, a reader's memory does."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A message as it was cut from the stream."""

    version: int
    number: int
    """Of the type."""
    id: int
    body: bytes


class Unframed(Malformed):
    """The stream cannot be followed any further; `message` is the id of the one it happened at."""

    def __init__(self, what: str, message: int) -> None:
        super().__init__(what)
        self.message = message


class FrameDecoder:
    """Cuts a stream into frames; raises Unframed and is of no more use then."""

    def __init__(self, most: int = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self._most = most

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            first, length, number = HEADER.unpack_from(self._buffer)
            if not HEADER.size <= length <= self._most:
                raise Unframed(f"a message of {length} bytes; from {HEADER.size} to {self._most} are taken", number)
            if len(self._buffer) < length:
                return
            body = bytes(self._buffer[HEADER.size : length])
            del self._buffer[:length]
            yield Frame(first >> 10 & 7, first & 0x3FF, number, body)


def decode(frame: Frame) -> Message:
    """What the frame says; raises Refused."""
    if frame.version != VERSION:
        raise Refused(StatusCode.M_UNSUPPORTED_VERSION, f"version {frame.version}, where {VERSION} is spoken")
    layout = MESSAGES.get(frame.number)
    if layout is None:
        raise Refused(StatusCode.M_UNSUPPORTED_MESSAGE, f"messages of type {frame.number} are not supported")
    message: Message = layout.read(Reader(frame.body))
    return message


def encode(message: Message, number: int) -> bytes:
    """A message with this id on the wire; raises ValueError for what does not fit into it."""
    layout = layout_of(type(message))
    body = layout.write(message)
    return HEADER.pack(VERSION << 10 | layout.number, HEADER.size + len(body), number) + body
