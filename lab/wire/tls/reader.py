"""The presentation language of TLS: numbers and vectors with a length before them (RFC 8446 section 3)."""

from __future__ import annotations

from lab.wire.malformed import Malformed


class Reader:
    """The body of one message, read in wire order; raises Malformed where it ends too early."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise Malformed(f"{size} bytes are announced where {self.left} are left in the message")
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        """Bytes after a length of `width` bytes."""
        return self.take(self.number(width))

    def vectors(self, width: int) -> tuple[bytes, ...]:
        """Vectors, each with a length of `width` bytes, up to the end."""
        found: list[bytes] = []
        while self.left:
            found.append(self.vector(width))
        return tuple(found)

    def finish(self) -> None:
        """Raise Malformed unless everything has been read."""
        if self.left:
            raise Malformed(f"{self.left} bytes follow the end of the message's content")


def numbers(data: bytes, width: int) -> tuple[int, ...]:
    """A vector of numbers; raises Malformed where one is cut."""
    if len(data) % width:
        raise Malformed(f"a list of {width}-byte numbers has {len(data)} bytes")
    return tuple(int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width))


def vector(data: bytes, width: int) -> bytes:
    """Data with its length before it."""
    return len(data).to_bytes(width, "big") + data
