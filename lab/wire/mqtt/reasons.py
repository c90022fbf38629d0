"""Why and how: MQTT 5 reason codes and MQTT 3.1.1 connect return codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final

from lab.text import Text
from lab.wire.malformed import Malformed


class ReasonCode(IntEnum):
    """MQTT 5 section 2.4; 0x80 and above are failures."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


class ReturnCode(IntEnum):
    """What a CONNACK of MQTT 3.1.1 says (section 3.2.2.3)."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL_VERSION = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5


class Reasons:
    """The reason codes one type of packet may carry."""

    def __init__(self, packet: str, statement: str, codes: Iterable[int]) -> None:
        self.packet = packet
        self._statement = statement
        self._codes = {code: ReasonCode(code) for code in codes}

    def __iter__(self) -> Iterator[ReasonCode]:
        return iter(self._codes.values())

    def decode(self, code: int) -> ReasonCode:
        """The reason behind a byte; raises Malformed."""
        reason = self._codes.get(code)
        if reason is None:
            raise Malformed(f"reason code {code:#04x} in a {self.packet} [{self._statement}]")
        return reason


CONNACK = Reasons(
    "CONNACK",
    "MQTT-3.2.2-8",
    (0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F),
)
_RECEIPT = (0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
PUBACK = Reasons("PUBACK", "MQTT-3.4.2-1", _RECEIPT)
PUBREC = Reasons("PUBREC", "MQTT-3.5.2-1", _RECEIPT)
PUBREL = Reasons("PUBREL", "MQTT-3.6.2-1", (0x00, 0x92))
PUBCOMP = Reasons("PUBCOMP", "MQTT-3.7.2-1", (0x00, 0x92))
SUBACK = Reasons("SUBACK", "MQTT-3.9.3-2", (0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2))
SUBACK_3 = Reasons("SUBACK", "MQTT-3.9.3-2", (0x00, 0x01, 0x02, 0x80))
UNSUBACK = Reasons("UNSUBACK", "MQTT-3.11.3-2", (0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91))
DISCONNECT = Reasons(
    "DISCONNECT",
    "MQTT-3.14.2-1",
    (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, *range(0x93, 0xA3)),
)
AUTH = Reasons("AUTH", "MQTT-3.15.2-1", (0x00, 0x18, 0x19))

REFUSALS: Final[Mapping[int, Text]] = {
    1: Text(zh="不支持的协议版本", en="unacceptable protocol version"),
    2: Text(zh="客户端标识被拒", en="client identifier rejected"),
    3: Text(zh="服务不可用", en="server unavailable"),
    4: Text(zh="用户名或口令错误", en="bad user name or password"),
    5: Text(zh="未授权", en="not authorised"),
    0x84: Text(zh="不支持的协议版本", en="unsupported protocol version"),
    0x85: Text(zh="客户端标识无效", en="client identifier not valid"),
    0x86: Text(zh="用户名或口令错误", en="bad user name or password"),
    0x87: Text(zh="未授权", en="not authorised"),
    0x88: Text(zh="服务不可用", en="server unavailable"),
    0x89: Text(zh="服务器忙", en="server busy"),
    0x8A: Text(zh="客户端被禁止", en="banned"),
    0x8C: Text(zh="认证方法不对", en="bad authentication method"),
    0x95: Text(zh="报文太大", en="packet too large"),
    0x97: Text(zh="超出配额", en="quota exceeded"),
    0x9F: Text(zh="连接过于频繁", en="connection rate exceeded"),
}
"""Why a CONNECT was refused, in words: MQTT 3.1.1, table 3.1; MQTT 5, table 3-1."""
_OTHER: Final = Text(zh="其他原因", en="another reason")


def why_refused(code: int) -> Text:
    return REFUSALS.get(code, _OTHER)
