"""The packets that say who wants which messages: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK."""

from __future__ import annotations

from dataclasses import dataclass

from lab.wire.malformed import Malformed
from lab.wire.mqtt import reasons
from lab.wire.mqtt.primitives import Reader, encode_packet, encode_string
from lab.wire.mqtt.properties import NO_PROPERTIES, Place, Properties, decode_properties
from lab.wire.mqtt.reasons import ReasonCode
from lab.wire.mqtt.topics import check_shared, is_shared, topic_filter


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic filter of a SUBSCRIBE with its options."""

    filter: str
    qos: int = 0
    """The most the client wants."""
    no_local: bool = False
    """MQTT 5: not what the client published itself."""
    retain_as_published: bool = False
    """MQTT 5: forward the retain flag as it was."""
    retain_handling: int = 0
    """MQTT 5: retained messages come 0 always, 1 for a new subscription, 2 never."""

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Subscription:
        filter_, options = topic_filter(reader.binary()), reader.byte()
        if options & 3 == 3:
            raise Malformed("a subscription asks for QoS 3 [MQTT-3.8.3-4]")
        if level < 5:
            if options > 2:
                raise Malformed("a reserved bit of a subscription is set [MQTT-3.8.3-4]")
            return cls(filter_, options)
        if options & 0xC0:
            raise Malformed("a reserved bit of a subscription is set [MQTT-3.8.3-5 of MQTT 5]")
        if options >> 4 == 3:
            raise Malformed("retain handling 3 [MQTT 5 section 3.8.3.1]")
        if is_shared(filter_):
            check_shared(filter_)
            if options & 4:
                raise Malformed("no local on a shared subscription [MQTT-3.8.3-4 of MQTT 5]")
        return cls(filter_, options & 3, bool(options & 4), bool(options & 8), options >> 4)

    def encode(self, level: int) -> bytes:
        options = self.qos | self.no_local << 2 | self.retain_as_published << 3 | self.retain_handling << 4
        if level < 5 and options > 2:
            raise ValueError("subscription options came with MQTT 5")
        return encode_string(self.filter) + bytes((options,))


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client asks for messages (section 3.8)."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Subscribe:
        packet_id = reader.packet_id()
        properties = decode_properties(reader, level, Place.SUBSCRIBE)
        subscriptions = []
        while reader.left:
            subscriptions.append(Subscription.decode(reader, level))
        if not subscriptions:
            raise Malformed("a SUBSCRIBE without a topic filter [MQTT-3.8.3-3]")
        return cls(packet_id, tuple(subscriptions), properties)

    def encode(self, level: int = 4) -> bytes:
        head = self.packet_id.to_bytes(2, "big") + self.properties.encode(level)
        return encode_packet(0x82, head + b"".join(one.encode(level) for one in self.subscriptions))


@dataclass(frozen=True, slots=True)
class Suback:
    """The server's answer to each topic filter, in their order (section 3.9)."""

    packet_id: int
    reasons: tuple[ReasonCode, ...]
    """0, 1, 2: the QoS granted; from 0x80 on: refused."""
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Suback:
        packet_id = reader.packet_id()
        properties = decode_properties(reader, level, Place.SUBACK)
        known = reasons.SUBACK if level >= 5 else reasons.SUBACK_3
        if not reader.left:
            raise Malformed("a SUBACK without a return code [MQTT-3.8.4-5]")
        return cls(packet_id, tuple(map(known.decode, reader.take(reader.left))), properties)

    def encode(self, level: int = 4) -> bytes:
        head = self.packet_id.to_bytes(2, "big") + self.properties.encode(level)
        return encode_packet(0x90, head + bytes(self.reasons))


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A client wants no more of these (section 3.10)."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Unsubscribe:
        packet_id = reader.packet_id()
        properties = decode_properties(reader, level, Place.UNSUBSCRIBE)
        filters = []
        while reader.left:
            filters.append(topic_filter(reader.binary()))
        if not filters:
            raise Malformed("an UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]")
        return cls(packet_id, tuple(filters), properties)

    def encode(self, level: int = 4) -> bytes:
        head = self.packet_id.to_bytes(2, "big") + self.properties.encode(level)
        return encode_packet(0xA2, head + b"".join(map(encode_string, self.filters)))


@dataclass(frozen=True, slots=True)
class Unsuback:
    """The server's answer to UNSUBSCRIBE (section 3.11)."""

    packet_id: int
    reasons: tuple[ReasonCode, ...] = ()
    """One for each topic filter in MQTT 5, none before."""
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Unsuback:
        packet_id = reader.packet_id()
        if level < 5:
            return cls(packet_id)
        properties = decode_properties(reader, level, Place.UNSUBACK)
        if not reader.left:
            raise Malformed("an UNSUBACK without a reason code [MQTT-3.11.3-1 of MQTT 5]")
        return cls(packet_id, tuple(map(reasons.UNSUBACK.decode, reader.take(reader.left))), properties)

    def encode(self, level: int = 4) -> bytes:
        if level < 5 and self.reasons:
            raise ValueError("an UNSUBACK gives no reasons before MQTT 5")
        head = self.packet_id.to_bytes(2, "big") + self.properties.encode(level)
        return encode_packet(0xB0, head + bytes(self.reasons))
