"""MQTT 5 properties (section 2.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from lab.wire.malformed import Malformed
from lab.wire.mqtt.primitives import Reader, encode_binary, encode_string, encode_variable


class Place(IntFlag):
    """Where a property may stand: a packet type, or the will of a CONNECT."""

    WILL = 1 << 0
    CONNECT = 1 << 1
    CONNACK = 1 << 2
    PUBLISH = 1 << 3
    PUBACK = 1 << 4
    PUBREC = 1 << 5
    PUBREL = 1 << 6
    PUBCOMP = 1 << 7
    SUBSCRIBE = 1 << 8
    SUBACK = 1 << 9
    UNSUBSCRIBE = 1 << 10
    UNSUBACK = 1 << 11
    DISCONNECT = 1 << 14
    AUTH = 1 << 15


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one packet; None where one is absent. Numbers called `…_available` and the like are 0 or 1."""

    payload_format_indicator: int | None = None
    """1: the payload is UTF-8."""
    message_expiry_interval: int | None = None
    """In seconds."""
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    """In seconds; 0xFFFFFFFF: never."""
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    """In seconds."""
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    """In seconds."""
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    """Names and values in their order; a name may come twice."""
    maximum_packet_size: int | None = None
    """In bytes."""
    wildcard_subscription_available: int | None = None
    subscription_identifiers_available: int | None = None
    shared_subscription_available: int | None = None

    def encode(self, level: int) -> bytes:
        """The properties behind their length: nothing before MQTT 5, where ValueError is raised if there are any."""
        if level < 5:
            if self != NO_PROPERTIES:
                raise ValueError("properties came with MQTT 5")
            return b""
        if self is NO_PROPERTIES:
            return b"\0"
        body = bytearray()
        for identifier, (name, _, _, encode) in PROPERTIES.items():
            value = getattr(self, name)
            if value is None:
                continue
            for one in value if name in _REPEATED else (value,):
                body.append(identifier)
                body += encode(one)
        return encode_variable(len(body)) + body


NO_PROPERTIES = Properties()


def _byte(reader: Reader) -> int:
    value = reader.byte()
    if value > 1:
        raise Malformed(f"a property that is 0 or 1 has the value {value}")
    return value


def _pair(reader: Reader) -> tuple[str, str]:
    return reader.string(), reader.string()


def _encode_pair(pair: tuple[str, str]) -> bytes:
    return encode_string(pair[0]) + encode_string(pair[1])


def _topic(reader: Reader) -> str:
    topic = reader.string()
    if "+" in topic or "#" in topic:
        raise Malformed("a response topic contains a wildcard [MQTT-3.3.2-14]")
    return topic


_Kind = tuple[Callable[[Reader], Any], Callable[[Any], bytes]]
_BYTE: _Kind = (_byte, lambda value: value.to_bytes(1, "big"))
_TWO: _Kind = (Reader.two_bytes, lambda value: value.to_bytes(2, "big"))
_FOUR: _Kind = (Reader.four_bytes, lambda value: value.to_bytes(4, "big"))
_VARIABLE: _Kind = (Reader.variable, encode_variable)
_STRING: _Kind = (Reader.string, encode_string)
_BINARY: _Kind = (Reader.binary, encode_binary)

_MESSAGE = Place.PUBLISH | Place.WILL
_ANSWER = Place.PUBACK | Place.PUBREC | Place.PUBREL | Place.PUBCOMP | Place.SUBACK | Place.UNSUBACK
_EXPLAINED = Place.CONNACK | _ANSWER | Place.DISCONNECT | Place.AUTH
_HANDSHAKE = Place.CONNECT | Place.CONNACK
_EVERYWHERE = ~Place(0)

PROPERTIES: dict[int, tuple[str, Place, Callable[[Reader], Any], Callable[[Any], bytes]]] = {
    # Name in Properties, where it may stand, how it is read and written.
    0x01: ("payload_format_indicator", _MESSAGE, *_BYTE),
    0x02: ("message_expiry_interval", _MESSAGE, *_FOUR),
    0x03: ("content_type", _MESSAGE, *_STRING),
    0x08: ("response_topic", _MESSAGE, _topic, encode_string),
    0x09: ("correlation_data", _MESSAGE, *_BINARY),
    0x0B: ("subscription_identifiers", Place.PUBLISH | Place.SUBSCRIBE, *_VARIABLE),
    0x11: ("session_expiry_interval", _HANDSHAKE | Place.DISCONNECT, *_FOUR),
    0x12: ("assigned_client_identifier", Place.CONNACK, *_STRING),
    0x13: ("server_keep_alive", Place.CONNACK, *_TWO),
    0x15: ("authentication_method", _HANDSHAKE | Place.AUTH, *_STRING),
    0x16: ("authentication_data", _HANDSHAKE | Place.AUTH, *_BINARY),
    0x17: ("request_problem_information", Place.CONNECT, *_BYTE),
    0x18: ("will_delay_interval", Place.WILL, *_FOUR),
    0x19: ("request_response_information", Place.CONNECT, *_BYTE),
    0x1A: ("response_information", Place.CONNACK, *_STRING),
    0x1C: ("server_reference", Place.CONNACK | Place.DISCONNECT, *_STRING),
    0x1F: ("reason_string", _EXPLAINED, *_STRING),
    0x21: ("receive_maximum", _HANDSHAKE, *_TWO),
    0x22: ("topic_alias_maximum", _HANDSHAKE, *_TWO),
    0x23: ("topic_alias", Place.PUBLISH, *_TWO),
    0x24: ("maximum_qos", Place.CONNACK, *_BYTE),
    0x25: ("retain_available", Place.CONNACK, *_BYTE),
    0x26: ("user_properties", _EVERYWHERE, _pair, _encode_pair),
    0x27: ("maximum_packet_size", _HANDSHAKE, *_FOUR),
    0x28: ("wildcard_subscription_available", Place.CONNACK, *_BYTE),
    0x29: ("subscription_identifiers_available", Place.CONNACK, *_BYTE),
    0x2A: ("shared_subscription_available", Place.CONNACK, *_BYTE),
}
_REPEATED = {"user_properties", "subscription_identifiers"}
_NEVER_ZERO = {
    "subscription_identifiers": "MQTT 5 section 3.8.2.1.2",
    "receive_maximum": "MQTT 5 section 3.1.2.11.3",
    "topic_alias": "MQTT-3.3.2-8",
    "maximum_packet_size": "MQTT 5 section 3.1.2.11.4",
}


def decode_properties(reader: Reader, level: int, place: Place) -> Properties:
    """The properties that stand next, none before MQTT 5; raises Malformed."""
    if level < 5:
        return NO_PROPERTIES
    size = reader.variable()
    if size == 0:
        return NO_PROPERTIES
    if size > reader.left:
        raise Malformed(f"properties of {size} bytes where {reader.left} are left in the packet")
    last = reader.left - size
    values: dict[str, Any] = {}
    while reader.left > last:
        identifier = reader.variable()
        known = PROPERTIES.get(identifier)
        if known is None:
            raise Malformed(f"there is no property {identifier:#04x} [MQTT 5 section 2.2.2.2]")
        name, places, decode, _ = known
        if place not in places:
            raise Malformed(f"{name} has no place in a {place.name} [MQTT 5 section 2.2.2.2]")
        value = decode(reader)
        if value == 0 and name in _NEVER_ZERO:
            raise Malformed(f"{name} is 0 [{_NEVER_ZERO[name]}]")
        if name == "user_properties" or (name == "subscription_identifiers" and place is Place.PUBLISH):
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Malformed(f"{name} is there twice [MQTT 5 section 2.2.2.2]")
        else:
            values[name] = [value] if name in _REPEATED else value
    if reader.left != last:
        raise Malformed("a property crosses the end of the properties")
    for name in _REPEATED & values.keys():
        values[name] = tuple(values[name])
    return Properties(**values)
