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
"""Bytes of one packet unless configured. The protocol allows 256 MiB, which nobody in a plant sends."""
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
    will_retain: bool = False


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of a connected client; of its fields those that its kind has."""

    kind: int
    flags: int = 0
    identifier: int = 0
    topic: str = ""
    payload: bytes = b""
    body: bytes = b""
    """What follows the fixed header of SUBSCRIBE and UNSUBSCRIBE."""


class Fields:
    """Reads the fields of one packet in wire order; raises Malformed at its end."""

    __slots__ = ("_at", "_data")

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

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def end(self) -> None:
        if self:
            raise Malformed("the packet is longer than its fields")


def parse(packet: bytes, header: int) -> Packet:
    """A packet that a connected client may send; its fields begin at `header`. Raises Malformed."""
    kind, flags = packet[0] >> 4, packet[0] & 0x0F
    fields = Fields(packet, header)
    if kind == PUBLISH:
        qos = flags >> 1 & 3
        if qos == 3:
            raise Malformed("PUBLISH with QoS 3")  # MQTT-3.3.1-4
        if not qos and flags & 8:
            raise Malformed("PUBLISH with QoS 0 and DUP")  # MQTT-3.3.1-2
        if not is_topic_name(topic := fields.text()):
            raise Malformed(f"PUBLISH to {topic!r}")  # MQTT-3.3.2-2
        return Packet(kind, flags, fields.identifier() if qos else 0, topic, fields.rest())
    if kind not in _FLAGS or kind == CONNECT:
        raise Malformed(f"a connected client sends no packet of type {kind}")
    if flags != _FLAGS[kind]:
        raise Malformed(f"packet type {kind} with flags {flags}")  # MQTT-2.2.2-2
    if kind in (PINGREQ, DISCONNECT):
        fields.end()
        return Packet(kind)
    identifier = fields.identifier()
    if kind not in (SUBSCRIBE, UNSUBSCRIBE):
        fields.end()
        return Packet(kind, flags, identifier)
    if not fields:
        raise Malformed("no topic filters")  # MQTT-3.8.3-3, MQTT-3.10.3-2
    while fields:
        if not is_topic_filter(topic := fields.text()):
            raise Malformed(f"{topic!r} is no topic filter")
        if kind == SUBSCRIBE and fields.byte() > 2:
            raise Malformed("a requested QoS with reserved bits")  # MQTT-3.8.3-4
    return Packet(kind, flags, identifier, body=packet[header:])


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
    return Connect(protocol, level, client_id, bool(flags & 0x02), keep_alive, username, password, will_retain)


class PacketReader(ReaderAdapter):
    """What amqtt reads CONNECT from, and the broker one checked packet after the other."""

    def __init__(self, stream: asyncio.StreamReader, max_packet: int = MAX_PACKET) -> None:
        self._stream = stream
        self._max_packet = max_packet
        self._received = bytearray()
        self._next = 0
        """Where in what was received the next packet begins."""
        self._packet = b""
        self._at = 0
        self._allowed = 0.0
        """Seconds a client may be silent; 0: for ever."""
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self.is_closed = False
        self.why = ""
        """Why we ended the connection; empty where the client did."""

    async def connect(self, timeout: float) -> Connect:
        """Wait for CONNECT, and hand it to amqtt next; raises Malformed, or EOFError where there is none in time."""
        self._allow(timeout)
        if not await self._fetch():
            raise EOFError(self.why)
        connect = parse_connect(self._packet, self._at)
        self._at = 0
        self._allow(connect.keep_alive * KEEPALIVE_FACTOR)
        return connect

    async def next_packet(self) -> Packet | None:
        """The next packet, None where the connection has ended or been ended for breaking the protocol."""
        try:
            return parse(self._packet, self._at) if await self._fetch() else None
        except Malformed as error:
            self.close(str(error))
            return None

    async def read(self, n: int = -1) -> bytes:
        """Exactly n bytes of the current packet; raises IncompleteReadError at its end."""
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
        self.release()
        if self._stream.exception() is None:
            self._stream.set_exception(ConnectionResetError(why))

    def release(self) -> None:
        """Read no more, and mind no silence."""
        self.is_closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _fetch(self) -> bool:
        """Make the next packet the current one, at its first field; False where none comes. Raises Malformed."""
        while (header := self._header()) is None:
            # Only whole packets count as a sign of life: who trickles bytes is silent.
            if self._next:
                del self._received[: self._next]
                self._next = 0
            try:
                data = await self._stream.read(65_536)
            except OSError:
                return False
            if not data:
                return False
            self._received += data
        start, size = header
        end = self._next + start + size
        self._packet = bytes(self._received[self._next : end])
        self._next = end
        self._at = start
        self._heard = asyncio.get_running_loop().time()
        return not self.is_closed

    def _header(self) -> tuple[int, int] | None:
        """Where the fields of the next packet begin in it, and their size; None until all of it is there."""
        data, first = self._received, self._next
        available = len(data) - first
        size = 0
        for index in range(1, 5):
            if index >= available:
                return None
            byte = data[first + index]
            size |= (byte & 0x7F) << 7 * (index - 1)
            if not byte & 0x80:
                if index + 1 + size > self._max_packet:
                    raise Malformed(f"a packet of {index + 1 + size} bytes, more than {self._max_packet}")
                return (index + 1, size) if available >= index + 1 + size else None
        raise Malformed("the remaining length has more than four bytes")  # MQTT 3.1.1, 2.2.3

    # -- silence: one timer that looks again, rather than one for every packet ---------------------------------------

    def _allow(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._allowed, self._heard = seconds, loop.time()
        if self._watch is not None:
            self._watch.cancel()
        self._watch = loop.call_at(self._heard + seconds, self._listen) if seconds else None

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._heard + self._allowed
        if loop.time() >= due:
            self.close(f"silent for {self._allowed:g} s")
        else:
            self._watch = loop.call_at(due, self._listen)
