"""The packets that begin, keep and end a connection: CONNECT, CONNACK, PINGREQ, PINGRESP, DISCONNECT, AUTH."""

from __future__ import annotations

from dataclasses import dataclass

from lab.wire.malformed import Malformed
from lab.wire.mqtt import reasons
from lab.wire.mqtt.primitives import Reader, encode_binary, encode_packet, encode_string
from lab.wire.mqtt.properties import NO_PROPERTIES, Place, Properties, decode_properties
from lab.wire.mqtt.reasons import ReasonCode, ReturnCode
from lab.wire.mqtt.topics import topic_name

_NAMES = {3: "MQIsdp", 4: "MQTT", 5: "MQTT"}
_CLEAN, _WILL, _WILL_RETAIN, _PASSWORD, _USER_NAME = 0x02, 0x04, 0x20, 0x40, 0x80


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes for a client that goes without a word."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, flags: int, reader: Reader, level: int) -> Will:
        properties = decode_properties(reader, level, Place.WILL)
        topic = topic_name(reader.binary())
        return cls(topic, reader.binary(), flags >> 3 & 3, bool(flags & _WILL_RETAIN), properties)

    def encode(self, level: int) -> bytes:
        return self.properties.encode(level) + encode_string(self.topic) + encode_binary(self.payload)


@dataclass(frozen=True, slots=True)
class Connect:
    """A client asks for a session (section 3.1)."""

    client_id: str
    level: int = 4
    """Protocol level: 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5."""
    clean_start: bool = True
    """Called clean session before MQTT 5."""
    keep_alive: int = 0
    """In seconds; 0: none."""
    user_name: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Connect:
        """The level a caller believes in does not matter: the packet brings its own."""
        name, level = reader.binary(), reader.byte()
        if level not in _NAMES:
            raise Malformed(f"protocol level {level} is none of 3, 4, 5 [MQTT-3.1.2-2]")
        if name != _NAMES[level].encode():
            raise Malformed(f"protocol name {name!r} at level {level} [MQTT-3.1.2-1]")
        flags = reader.byte()
        _check_flags(flags, level)
        keep_alive = reader.two_bytes()
        properties = decode_properties(reader, level, Place.CONNECT)
        client_id = reader.string()
        will = Will.decode(flags, reader, level) if flags & _WILL else None
        user_name = reader.string() if flags & _USER_NAME else None
        password = reader.binary() if flags & _PASSWORD else None
        return cls(client_id, level, bool(flags & _CLEAN), keep_alive, user_name, password, will, properties)

    def encode(self, level: int | None = None) -> bytes:
        """At its own level, whatever the connection spoke before."""
        level = self.level
        flags = _CLEAN if self.clean_start else 0
        body = self.properties.encode(level) + encode_string(self.client_id)
        if self.will is not None:
            flags |= _WILL | self.will.qos << 3 | (_WILL_RETAIN if self.will.retain else 0)
            body += self.will.encode(level)
        if self.user_name is not None:
            flags |= _USER_NAME
            body += encode_string(self.user_name)
        if self.password is not None:
            flags |= _PASSWORD
            body += encode_binary(self.password)
        head = encode_string(_NAMES[level]) + bytes((level, flags)) + self.keep_alive.to_bytes(2, "big")
        return encode_packet(0x10, head + body)


def _check_flags(flags: int, level: int) -> None:
    if flags & 1:
        raise Malformed("the reserved flag of a CONNECT is set [MQTT-3.1.2-3]")
    if not flags & _WILL and flags & (_WILL_RETAIN | 0x18):
        raise Malformed("a CONNECT without a will has a will QoS or will retain [MQTT-3.1.2-11]")
    if flags & 0x18 == 0x18:
        raise Malformed("a will has QoS 3 [MQTT-3.1.2-14]")
    if level < 5 and flags & _PASSWORD and not flags & _USER_NAME:
        raise Malformed("a CONNECT has a password but no user name [MQTT-3.1.2-22]")


@dataclass(frozen=True, slots=True)
class Connack:
    """The server's answer to CONNECT (section 3.2)."""

    session_present: bool = False
    reason: ReasonCode | ReturnCode = ReasonCode.SUCCESS
    """A ReturnCode before MQTT 5; 0 is success in both."""
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Connack:
        flags, code = reader.byte(), reader.byte()
        if flags > 1:
            raise Malformed("a reserved flag of a CONNACK is set [MQTT-3.2.2-1 of MQTT 5]")
        if level >= 5:
            reason: ReasonCode | ReturnCode = reasons.CONNACK.decode(code)
        elif code <= ReturnCode.NOT_AUTHORIZED:
            reason = ReturnCode(code)
        else:
            raise Malformed(f"return code {code} in a CONNACK [MQTT 3.1.1 section 3.2.2.3]")
        return cls(bool(flags), reason, decode_properties(reader, level, Place.CONNACK))

    def encode(self, level: int = 4) -> bytes:
        return encode_packet(0x20, bytes((self.session_present, self.reason)) + self.properties.encode(level))


@dataclass(frozen=True, slots=True)
class Pingreq:
    """A client says it is still there (section 3.12)."""

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Pingreq:
        return cls()

    def encode(self, level: int = 4) -> bytes:
        return b"\xc0\0"


@dataclass(frozen=True, slots=True)
class Pingresp:
    """The server answers PINGREQ (section 3.13)."""

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Pingresp:
        return cls()

    def encode(self, level: int = 4) -> bytes:
        return b"\xd0\0"


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The last packet of a connection (section 3.14); the server sends it since MQTT 5."""

    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Disconnect:
        if level < 5 or not reader.left:
            return cls()
        reason = reasons.DISCONNECT.decode(reader.byte())
        return cls(reason, decode_properties(reader, level, Place.DISCONNECT) if reader.left else NO_PROPERTIES)

    def encode(self, level: int = 4) -> bytes:
        if self == _GOODBYE:
            return b"\xe0\0"
        if level < 5:
            raise ValueError("a DISCONNECT says nothing before MQTT 5")
        return encode_packet(0xE0, bytes((self.reason,)) + self.properties.encode(level))


_GOODBYE = Disconnect()


@dataclass(frozen=True, slots=True)
class Auth:
    """One step of an extended authentication (MQTT 5 section 3.15)."""

    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES

    @classmethod
    def decode(cls, reader: Reader, level: int) -> Auth:
        if level < 5:
            raise Malformed("packet type 15 came with MQTT 5 [MQTT 3.1.1 section 2.2.1]")
        if not reader.left:
            return cls()
        reason = reasons.AUTH.decode(reader.byte())
        return cls(reason, decode_properties(reader, level, Place.AUTH))

    def encode(self, level: int = 5) -> bytes:
        if level < 5:
            raise ValueError("AUTH came with MQTT 5")
        return encode_packet(0xF0, bytes((self.reason,)) + self.properties.encode(level))
