"""Data representations that MQTT packets are made of (MQTT 3.1.1 and 5, section 1.5)."""

from __future__ import annotations

from lab.wire.malformed import Malformed

MAX_VARIABLE = 268_435_455
"""The largest variable byte integer, and so the largest remaining length."""


class Reader:
    """The body of one packet, read in wire order; raises Malformed where it ends too early."""

    __slots__ = ("_data", "_end", "at")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self.at = at
        self._end = end

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self._end - self.at

    def take(self, size: int) -> bytes:
        start = self.at
        if size > self._end - start:
            raise Malformed(f"{size} bytes are announced where {self._end - start} are left in the packet")
        self.at = start + size
        return self._data[start : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def two_bytes(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def four_bytes(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def variable(self) -> int:
        """A variable byte integer in its shortest form."""
        value = shift = 0
        while True:
            digit = self.byte()
            value |= (digit & 0x7F) << shift
            if digit < 0x80:
                break
            shift += 7
            if shift > 21:
                raise Malformed("a variable byte integer has more than 4 bytes")
        if digit == 0 and shift:
            raise Malformed("a variable byte integer is longer than it need be [MQTT-1.5.5-1]")
        return value

    def binary(self) -> bytes:
        return self.take(self.two_bytes())

    def string(self) -> str:
        return text(self.binary())

    def packet_id(self) -> int:
        number = self.two_bytes()
        if number == 0:
            raise Malformed("packet identifier 0 [MQTT-2.3.1-1]")
        return number

    def finish(self) -> None:
        """Raise Malformed unless everything has been read."""
        if self.at != self._end:
            raise Malformed(f"{self._end - self.at} bytes follow the end of the packet's content")


def text(data: bytes) -> str:
    """A UTF-8 string without its length; raises Malformed."""
    try:
        string = data.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a string is not UTF-8: {error.reason} [MQTT-1.5.3-1]") from None
    if "\0" in string:
        raise Malformed("a string contains U+0000 [MQTT-1.5.3-2]")
    return string


def encode_variable(value: int) -> bytes:
    """A variable byte integer; raises ValueError above MAX_VARIABLE."""
    if not 0 <= value <= MAX_VARIABLE:
        raise ValueError(f"{value} does not fit a variable byte integer")
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def encode_binary(data: bytes) -> bytes:
    """Binary data behind its length; raises ValueError above 65,535 bytes."""
    if len(data) > 0xFFFF:
        raise ValueError(f"{len(data)} bytes do not fit behind a two-byte length")
    return len(data).to_bytes(2, "big") + data


def encode_string(string: str) -> bytes:
    """A UTF-8 string behind its length; raises ValueError above 65,535 bytes."""
    return encode_binary(string.encode())


def encode_packet(first: int, body: bytes) -> bytes:
    """A packet from its first byte and what follows the fixed header."""
    return bytes((first,)) + encode_variable(len(body)) + body
