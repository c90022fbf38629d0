"""MQTT packets out of a stream of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lab.wire.malformed import Malformed
from lab.wire.mqtt.primitives import MAX_VARIABLE, Reader
from lab.wire.mqtt.publish import Puback, Pubcomp, Publish, Pubrec, Pubrel
from lab.wire.mqtt.session import Auth, Connack, Connect, Disconnect, Pingreq, Pingresp
from lab.wire.mqtt.subscribe import Suback, Subscribe, Unsuback, Unsubscribe

Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)

_DECODERS: dict[int, Callable[[Reader, int], Packet]] = {
    # By first byte: MQTT-2.2.2-1 fixes the flags of every type but PUBLISH.
    0x10: Connect.decode,
    0x20: Connack.decode,
    0x40: Puback.decode,
    0x50: Pubrec.decode,
    0x62: Pubrel.decode,
    0x70: Pubcomp.decode,
    0x82: Subscribe.decode,
    0x90: Suback.decode,
    0xA2: Unsubscribe.decode,
    0xB0: Unsuback.decode,
    0xC0: Pingreq.decode,
    0xD0: Pingresp.decode,
    0xE0: Disconnect.decode,
    0xF0: Auth.decode,
}


class Decoder:
    """One direction of one connection.

    The protocol level is taken from CONNECT and from the form of CONNACK; set `level` where neither passes, as on a
    server's side whose client has said 5 before its CONNACK was seen.
    """

    def __init__(self, max_packet: int = 1 << 20, level: int = 4) -> None:
        self.level = level
        """3, 4 or 5."""
        self._max_packet = max_packet
        self._begun = bytearray()
        self._wanted = 0
        self._broken: str | None = None

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets these bytes complete; then raises Malformed if the next breaks a rule, and ever after.

        Never holds more than `max_packet` bytes: a longer packet is Malformed.
        """
        if self._broken is not None:
            raise Malformed(self._broken)
        if self._begun:
            self._begun += data
            if len(self._begun) < self._wanted:
                return iter(())
            data = bytes(self._begun)
            self._begun.clear()
        packets: list[Packet] = []
        try:
            self._begun += data[self._decode(data, packets) :]
        except Malformed as malformed:
            self._broken = str(malformed)
            return _until_broken(packets, malformed)
        return iter(packets)

    def _decode(self, data: bytes, packets: list[Packet]) -> int:
        """Append the whole packets in data and return where the first unfinished one begins."""
        at, available = 0, len(data)
        while available - at >= 2:
            first, length, start = data[at], data[at + 1], at + 2
            if length > 0x7F:
                long = self._long_length(data, at)
                if long is None:
                    self._wanted = 0
                    return at
                length, start = long
            end = start + length
            if end - at > self._max_packet:
                raise Malformed(f"a packet of {end - at} bytes, {self._max_packet} are allowed here")
            if end > available:
                self._wanted = end - at
                return at
            if first >> 4 == 3:
                packets.append(Publish.decode(first & 0x0F, data, start, end, self.level))
            elif first == 0x40 and length == 2 and data[start : start + 2] != b"\0\0":
                packets.append(Puback(data[start] << 8 | data[start + 1]))
            else:
                packets.append(self._other(first, Reader(data, start, end)))
            at = end
        self._wanted = 0
        return at

    def _long_length(self, data: bytes, at: int) -> tuple[int, int] | None:
        """A remaining length of several bytes and where it ends, or None if it is not all there."""
        length = 0
        for count, digit in enumerate(data[at + 1 : at + 5]):
            length |= (digit & 0x7F) << 7 * count
            if digit < 0x80:
                if digit == 0 and self.level >= 5:
                    raise Malformed("a remaining length is longer than it need be [MQTT-1.5.5-1]")
                return length, at + 2 + count
        if len(data) - at >= 5:
            raise Malformed(f"a remaining length is above {MAX_VARIABLE} [MQTT 3.1.1 section 2.2.3]")
        return None

    def _other(self, first: int, reader: Reader) -> Packet:
        decode = _DECODERS.get(first)
        if decode is None:
            if first >> 4 == 0:
                raise Malformed("packet type 0 is reserved [MQTT 3.1.1 section 2.2.1]")
            raise Malformed(f"flags {first & 0x0F:#x} of packet type {first >> 4} [MQTT-2.2.2-2]")
        if first == 0x20:
            # Before MQTT 5 a CONNACK has 2 bytes; since then there is at least a property length.
            self.level = 5 if reader.left > 2 else min(self.level, 4)
        packet = decode(reader, self.level)
        if isinstance(packet, Connect):
            self.level = packet.level
        reader.finish()
        return packet


def _until_broken(packets: list[Packet], malformed: Malformed) -> Iterator[Packet]:
    yield from packets
    raise malformed
