"""Whole and well-formed packets of MQTT 3.1.1 clients, in front of a broker that would put up with others.

A reader for amqtt that ends the connection (to amqtt it looks like the network failing) on the first packet that breaks
the protocol, on silence longer than the client promised, and when told to.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from amqtt.adapters import ReaderAdapter

from gateway.topics import is_topic_filter, is_topic_name
from lab.wire.malformed import Malformed

MAX_PACKET = 1 << 20
"""Bytes of one packet. The protocol allows 256 MiB, which nobody in a plant sends."""
KEEPALIVE_FACTOR = 1.5
"""MQTT-3.1.2-24: how many of its keep-alive periods a client may be silent."""

CONNECT, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 3, 4, 5, 6, 7
SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 8, 10, 12, 14
_FLAGS = {
    CONNECT: 0, PUBACK: 0, PUBREC: 0, PUBREL: 2, PUBCOMP: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0,
}  # fmt: skip
"""MQTT 3.1.1, table 2.2: the flags each packet has, PUBLISH aside. A client sends no others."""


@dataclass(frozen=True, slots=True)
class Connect:
    """The first packet of a connection, as far as the broker must know it before amqtt does."""

    protocol: str
    level: int
    client_id: str = ""
    clean_session: bool = True
    keep_alive: int = 0
    """Seconds; 0 is off."""
    username: str | None = None
    password: bytes | None = None


class Fields:
    """Reads the fields of one packet in wire order; raises Malformed at its end."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._at = start

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise Malformed("the packet ends within a field")
        field, self._at = self._data[self._at : end], end
        return field

    def byte(self) -> int:
        return self.take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def identifier(self) -> int:
        if identifier := self.word():
            return identifier
        raise Malformed("a packet identifier is 0")  # MQTT-2.3.1-1

    def binary(self) -> bytes:
        return self.take(self.word())

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise Malformed("a string is not UTF-8") from None  # MQTT-1.5.3-1
        if "\0" in text:
            raise Malformed("a string contains U+0000")  # MQTT-1.5.3-2
        return text

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def end(self) -> None:
        if self:
            raise Malformed("the packet is longer than its fields")


def check(packet: bytes, header: int) -> None:
    """Raise Malformed unless this is a packet that a connected client may send; its fields begin at `header`."""
    kind, flags = packet[0] >> 4, packet[0] & 0x0F
    fields = Fields(packet, header)
    if kind == PUBLISH:
        qos = flags >> 1 & 3
        if qos == 3:
            raise Malformed("PUBLISH with QoS 3")  # MQTT-3.3.1-4
        if not is_topic_name(topic := fields.text()):
            raise Malformed(f"PUBLISH to {topic!r}")  # MQTT-3.3.2-2
        if qos:
            fields.identifier()
        return
    if kind not in _FLAGS or kind == CONNECT:
        raise Malformed(f"a connected client sends no packet of type {kind}")
    if flags != _FLAGS[kind]:
        raise Malformed(f"packet type {kind} with flags {flags}")  # MQTT-2.2.2-2
    if kind in (SUBSCRIBE, UNSUBSCRIBE):
        fields.identifier()
        if not fields:
            raise Malformed("no topic filters")  # MQTT-3.8.3-3, MQTT-3.10.3-2
        while fields:
            if not is_topic_filter(topic := fields.text()):
                raise Malformed(f"{topic!r} is no topic filter")
            if kind == SUBSCRIBE and fields.byte() > 2:
                raise Malformed("a requested QoS with reserved bits")  # MQTT-3.8.3-4
    elif kind not in (PINGREQ, DISCONNECT):
        fields.identifier()
    fields.end()


def parse_connect(packet: bytes, header: int) -> Connect:
    """Read CONNECT; of another protocol level only that level. Raises Malformed."""
    fields = Fields(packet, header)
    if packet[0] != CONNECT << 4:
        raise Malformed("the first packet is not CONNECT")  # MQTT-3.1.0-1
    protocol, level = fields.text(), fields.byte()
    if (protocol, level) != ("MQTT", 4):
        return Connect(protocol, level)
    flags, keep_alive, client_id = fields.byte(), fields.word(), fields.text()
    will, will_qos, will_retain = bool(flags & 0x04), flags >> 3 & 3, bool(flags & 0x20)
    if flags & 0x01:
        raise Malformed("the reserved flag of CONNECT is set")  # MQTT-3.1.2-3
    if will_qos == 3 or (not will and (will_qos or will_retain)):
        raise Malformed("the will flags of CONNECT contradict each other")  # MQTT-3.1.2-11 to 15
    if will:
        if not is_topic_name(topic := fields.text()):
            raise Malformed(f"a will for {topic!r}")
        fields.binary()
    if flags & 0x40 and not flags & 0x80:
        raise Malformed("a password without a user name")  # MQTT-3.1.2-22
    username = fields.text() if flags & 0x80 else None
    password = fields.binary() if flags & 0x40 else None
    fields.end()
    return Connect(protocol, level, client_id, bool(flags & 0x02), keep_alive, username, password)


class PacketReader(ReaderAdapter):
    """What amqtt reads from instead of the socket: one checked packet after the other."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._received = bytearray()
        self._packet = b""
        self._at = 0
        self._silence: float | None = None
        """Seconds until the next packet must have come."""
        self._closed = asyncio.Event()
        self.why = ""
        """Why we ended the connection; empty where the client did."""

    async def connect(self, timeout: float) -> Connect:
        """Wait for CONNECT, and hand it to amqtt next; raises Malformed, or EOFError where there is none in time."""
        if not await self._fetch(timeout):
            raise EOFError(self.why)
        header = self._at
        connect = parse_connect(self._packet, header)
        self._at = 0
        if connect.keep_alive:
            self._silence = connect.keep_alive * KEEPALIVE_FACTOR
        return connect

    async def read(self, n: int = -1) -> bytes:
        """Exactly n bytes of the current packet, or of the next; raises IncompleteReadError at the end."""
        if self._at == len(self._packet):
            # The tasks amqtt makes of one packet go first, as it cancels them when the connection ends.
            await asyncio.sleep(0)
            try:
                fetched = await self._fetch(self._silence)
                if fetched:
                    check(self._packet, self._at)
                    self._at = 0
            except Malformed as error:
                self.close(str(error))
                fetched = False
            if not fetched:
                raise asyncio.IncompleteReadError(b"", n)
        end = len(self._packet) if n < 0 else self._at + n
        data = self._packet[self._at : end]
        self._at += len(data)
        if n > len(data):
            raise asyncio.IncompleteReadError(data, n)
        return data

    def feed_eof(self) -> None:
        self.close("")

    def close(self, why: str) -> None:
        """End the connection as if the network had failed."""
        self.why = self.why or why
        self._closed.set()
        if self._stream.exception() is None:
            self._stream.set_exception(ConnectionResetError(why))

    async def _fetch(self, timeout: float | None) -> bool:
        """Make the next packet the current one, at its first field; False where none comes. Raises Malformed."""
        if self._packet and self._packet[0] >> 4 == DISCONNECT:
            # MQTT-3.14.4-1: nothing follows it, and the end of the stream means nothing any more.
            await self._closed.wait()
        try:
            async with asyncio.timeout(timeout):
                while (header := self._header()) is None:
                    data = await self._stream.read(65_536)
                    if not data:
                        return False
                    self._received += data
        except TimeoutError:
            self.close(f"silent for {timeout:g} s")
            return False
        except OSError:
            return False
        start, size = header
        self._packet = bytes(self._received[: start + size])
        del self._received[: start + size]
        self._at = start
        return not self._closed.is_set()

    def _header(self) -> tuple[int, int] | None:
        """Where the fields of the first packet received begin, and their size; None until all of it is there."""
        size = 0
        for index in range(1, 5):
            if index >= len(self._received):
                return None
            byte = self._received[index]
            size |= (byte & 0x7F) << 7 * (index - 1)
            if not byte & 0x80:
                if size > MAX_PACKET:
                    raise Malformed(f"a packet of {size} bytes, more than {MAX_PACKET}")
                return (index + 1, size) if len(self._received) >= index + 1 + size else None
        raise Malformed("the remaining length has more than four bytes")  # MQTT 3.1.1, 2.2.3
