"""Capture filters in the language of tcpdump: from an expression to a predicate over the bytes of a frame.

What it knows is what pcap-filter(7) says of it, peculiarities included: `and` and `or` have the same precedence and
associate to the left, an identifier without keywords takes those of the one before it, `host` and `net` look into ARP
as well, and after `vlan` the rest of the expression looks behind the tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from devices.console.frame_tests import (
    Test,
    TooShort,
    both,
    directed,
    either,
    field,
    is_broadcast,
    is_group,
    is_in,
    negated,
)
from devices.console.ports import SERVICES
from lab.model.address import parse_mac
from lab.text import Text
from lab.wire import ethernet, ipv4

Predicate = Callable[[bytes], bool]

UNEXPECTED = Text(
    zh="过滤表达式中不认识 {word!r}；可用：{known}", en="cannot make sense of {word!r} in the filter; known: {known}"
)
ENDS_EARLY = Text(
    zh="过滤表达式在 {word!r} 之后不完整", en="the filter ends after {word!r}, where something is missing"
)
NOT_CLOSED = Text(zh="过滤表达式的括号没有配对", en="a bracket in the filter is not closed")
NOT_WITH = Text(zh="{proto!r} 不能与 {kind!r} 同用", en="'{proto}' cannot be used with '{kind}'")
NOT_AN_ADDRESS = Text(zh="{word!r} 不是地址", en="{word!r} is no address")
NOT_A_NET = Text(zh="{word!r} 不是网段，如 10.20.10.0/24", en="{word!r} is no network such as 10.20.10.0/24")
NOT_A_PORT = Text(zh="{word!r} 不是端口", en="{word!r} is no port")
NOT_A_NUMBER = Text(zh="{word!r} 不是 0 到 {most} 的数", en="{word!r} is no number from 0 to {most}")
TOO_DEEP = Text(zh="过滤表达式太长", en="the filter is too long")

_KNOWN: Final = (
    "host, net, port, portrange, src, dst, ether, ip, ip6, arp, icmp, tcp, udp, vlan, broadcast, multicast, "
    "less, greater, proto, and, or, not, ( )"
)
_TOKEN: Final = re.compile(r"\s*(&&|\|\||[()!]|[^\s()!&|]+|.)")
_NUMBER: Final = re.compile(r"\d+|0[xX][0-9a-fA-F]+")
_LONGEST: Final = 300
"""Words."""
_MAC: Final = re.compile(r"[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}")
_AND, _OR, _NOT = ("and", "&&"), ("or", "||"), ("not", "!")
_PROTOCOLS: Final = ("ether", "ip", "ip6", "arp", "icmp", "tcp", "udp")
_KINDS: Final = ("host", "net", "port", "portrange", "proto")
_RESERVED: Final = frozenset(
    (
        *_AND,
        *_OR,
        *_NOT,
        *_PROTOCOLS,
        *_KINDS,
        "src",
        "dst",
        "vlan",
        "broadcast",
        "multicast",
        "less",
        "greater",
        "(",
        ")",
    )
)
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
_NUMBERS: Final = {"icmp": ipv4.ICMP, "tcp": ipv4.TCP, "udp": ipv4.UDP}
_FRAGMENT_HEADER: Final = 44
_SCTP: Final = 132
_PORTS_BY_NAME: Final = {name: number for number, name in SERVICES.items()}


class FilterError(Exception):
    """The expression makes no sense."""

    def __init__(self, text: Text, **facts: object) -> None:
        super().__init__(text.en.format(**facts))
        self.text, self.facts = text, facts


class UnknownName(FilterError):
    """A host is named that `address_of` does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(NOT_AN_ADDRESS, word=name)
        self.name = name


class _Qualifiers(NamedTuple):
    protocol: str | None = None
    direction: str | None = None
    """src, dst, "src or dst", "src and dst"."""
    kind: str | None = None


def compile_filter(expression: str, address_of: Callable[[str], bytes]) -> Predicate:
    """The predicate; an empty expression lets everything through.

    `address_of` gives the 4 bytes of a host's address by name and raises KeyError. Raises FilterError.
    """
    words = _TOKEN.findall(expression)
    if len(words) > _LONGEST:
        raise FilterError(TOO_DEEP)
    if not words:
        return lambda frame: True
    parser = _Parser(words, address_of)
    test = parser.expression()
    if parser.peek() is not None:
        parser.unexpected()

    def predicate(frame: bytes) -> bool:
        try:
            return test(frame)
        except TooShort:
            return False

    return predicate


class _Parser:
    def __init__(self, words: list[str], address_of: Callable[[str], bytes]) -> None:
        self._words = words
        self._at = 0
        self._address_of = address_of
        self._shift = 0
        """Bytes of VLAN tags before the EtherType in question."""
        self._latest = _Qualifiers()

    # -- words -----------------------------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> str | None:
        at = self._at + ahead
        return self._words[at] if at < len(self._words) else None

    def take(self) -> str:
        word = self.peek()
        if word is None:
            raise FilterError(ENDS_EARLY, word=self._words[-1])
        self._at += 1
        return word

    def unexpected(self) -> None:
        raise FilterError(UNEXPECTED, word=self.peek(), known=_KNOWN)

    # -- and, or, not ----------------------------------------------------------------------------------------------

    def expression(self) -> Test:
        test = self._term()
        while (word := self.peek()) in (*_AND, *_OR):
            self.take()
            test = both(test, self._term()) if word in _AND else either(test, self._term())
        return test

    def _term(self) -> Test:
        word = self.peek()
        if word in _NOT:
            self.take()
            return negated(self._term())
        if word == "(":
            self.take()
            test = self.expression()
            if self.peek() != ")":
                if self.peek() is None:
                    raise FilterError(NOT_CLOSED)
                self.unexpected()
            self.take()
            return test
        return self._primitive()

    # -- primitives ------------------------------------------------------------------------------------------------

    def _primitive(self) -> Test:
        word = self.peek()
        if word is None:
            self.take()
        if word == "vlan":
            return self._vlan()
        if word in ("less", "greater"):
            self.take()
            size = self._integer(0xFFFF)
            return (lambda frame: len(frame) <= size) if word == "less" else (lambda frame: len(frame) >= size)
        protocol = self.take() if word in _PROTOCOLS else None
        if self.peek() in ("broadcast", "multicast"):
            if protocol not in (None, "ether"):
                raise FilterError(NOT_WITH, proto=protocol, kind=self.peek())
            return is_group if self.take() == "multicast" else is_broadcast
        direction = self._direction()
        kind = self.take() if self.peek() in _KINDS else None
        word = self.peek()
        if word is None or word in _RESERVED:
            if protocol is None or direction is not None or kind is not None:
                return self._nothing(word)
            self._latest = _Qualifiers()
            return self._protocol(protocol)
        if direction is not None or kind is not None:
            self._latest = _Qualifiers(protocol, direction, kind)
        elif protocol is not None or self._latest == _Qualifiers():
            return self._nothing(word)
        return self._identified(self._latest)

    def _nothing(self, word: str | None) -> Test:
        if word is None:
            raise FilterError(ENDS_EARLY, word=self._words[-1])
        raise FilterError(UNEXPECTED, word=word, known=_KNOWN)

    def _direction(self) -> str | None:
        first = self.peek()
        if first not in ("src", "dst"):
            return None
        self.take()
        joint, second = self.peek(), self.peek(1)
        if joint in (*_AND, *_OR) and second in ("src", "dst") and second != first:
            self.take()
            self.take()
            return "src and dst" if joint in _AND else "src or dst"
        return first

    def _identified(self, how: _Qualifiers) -> Test:
        kind = how.kind or "host"
        if kind in ("port", "portrange"):
            if how.protocol not in (None, "tcp", "udp"):
                raise FilterError(NOT_WITH, proto=how.protocol, kind=kind)
            return self._port(how.protocol, how.direction, self._ports(kind == "portrange"))
        if kind == "proto":
            return self._by_number(how.protocol or "ip")
        if how.protocol == "ether":
            if kind != "host":
                raise FilterError(NOT_WITH, proto=how.protocol, kind=kind)
            return self._mac(how.direction)
        if how.protocol not in (None, "ip", "arp"):
            raise FilterError(NOT_WITH, proto=how.protocol, kind=kind)
        address, mask = self._net() if kind == "net" else (self._address(), 0xFFFFFFFF)
        return self._addressed(how.protocol, how.direction, address, mask)

    def _integer(self, most: int) -> int:
        word = self.take()
        if not _NUMBER.fullmatch(word) or (number := int(word, 16 if word[:2].lower() == "0x" else 10)) > most:
            raise FilterError(NOT_A_NUMBER, word=word, most=most)
        return number

    def _address(self) -> int:
        word = self.take()
        try:
            return int(IPv4Address(word))
        except ValueError:
            pass
        if re.fullmatch(r"[\d./:]+", word):
            raise FilterError(NOT_AN_ADDRESS, word=word)
        try:
            return int.from_bytes(self._address_of(word), "big")
        except KeyError:
            raise UnknownName(word) from None

    def _net(self) -> tuple[int, int]:
        """10.20.10.0/24, 10.20.10, or 10.20.10.0 mask 255.255.255.0; without a mask, each octet counts."""
        word = self.take()
        text, slash, length = word.partition("/")
        octets = text.split(".")
        if len(octets) > 4 or not all(re.fullmatch(r"\d{1,3}", each) and int(each) < 256 for each in octets):
            raise FilterError(NOT_A_NET, word=word)
        if slash and not (re.fullmatch(r"\d{1,2}", length) and int(length) <= 32):
            raise FilterError(NOT_A_NET, word=word)
        size = int(length) if slash else 8 * len(octets)
        address = int.from_bytes(bytes(map(int, octets)).ljust(4, b"\0"), "big")
        mask = 0xFFFFFFFF << (32 - size) & 0xFFFFFFFF
        if not slash and self.peek() == "mask":
            self.take()
            mask = self._address()
        if address & ~mask:
            raise FilterError(NOT_A_NET, word=word)
        return address, mask

    def _ports(self, is_range: bool) -> range:
        word = self.take()
        first, _, last = word.partition("-") if is_range else (word, "", word)
        numbers: list[int] = []
        for each in (first, last):
            number = _PORTS_BY_NAME.get(each, int(each) if re.fullmatch(r"\d{1,5}", each) else -1)
            if not 0 <= number <= 0xFFFF:
                raise FilterError(NOT_A_PORT, word=word)
            numbers.append(number)
        return range(min(numbers), max(numbers) + 1)

    # -- tests -----------------------------------------------------------------------------------------------------

    def _ethertype(self, kind: int) -> Test:
        at = 12 + self._shift
        return lambda frame: field(frame, at, 2) == kind

    def _protocol(self, protocol: str) -> Test:
        if protocol == "ether":
            raise FilterError(ENDS_EARLY, word=protocol)
        if protocol == "ip":
            return self._ethertype(ethernet.IPV4)
        if protocol == "ip6":
            return self._ethertype(ethernet.IPV6)
        if protocol == "arp":
            return self._ethertype(ethernet.ARP)
        four = self._ip_protocol(_NUMBERS[protocol])
        return four if protocol == "icmp" else either(four, self._ip6_protocol(_NUMBERS[protocol]))

    def _ip_protocol(self, number: int) -> Test:
        at = 14 + self._shift + 9
        return both(self._ethertype(ethernet.IPV4), lambda frame: field(frame, at, 1) == number)

    def _ip6_protocol(self, number: int) -> Test:
        at = 14 + self._shift

        def test(frame: bytes) -> bool:
            following = field(frame, at + 6, 1)
            return following == number or (following == _FRAGMENT_HEADER and field(frame, at + 40, 1) == number)

        return both(self._ethertype(ethernet.IPV6), test)

    def _by_number(self, protocol: str) -> Test:
        if protocol == "ether":
            return self._ethertype(self._integer(0xFFFF))
        if protocol != "ip":
            raise FilterError(NOT_WITH, proto=protocol, kind="proto")
        return self._ip_protocol(self._integer(0xFF))

    def _vlan(self) -> Test:
        self.take()
        vid = None
        if (word := self.peek()) is not None and _NUMBER.fullmatch(word):
            vid = self._integer(0xFFF)
        at = 12 + self._shift
        self._shift += 4

        def test(frame: bytes) -> bool:
            return field(frame, at, 2) in _TAGS and (vid is None or field(frame, at + 2, 2) & 0xFFF == vid)

        return test

    def _mac(self, direction: str | None) -> Test:
        word = self.take()
        if not _MAC.fullmatch(word):
            raise FilterError(NOT_AN_ADDRESS, word=word)
        mac = parse_mac(":".join(part.zfill(2) for part in re.split("[:-]", word)))

        def at(offset: int) -> Test:
            return lambda frame: frame[offset : offset + 6] == mac

        return directed(direction, at(6), at(0))

    def _addressed(self, protocol: str | None, direction: str | None, address: int, mask: int) -> Test:
        start = 14 + self._shift

        def at(offset: int) -> Test:
            return lambda frame: field(frame, start + offset, 4) & mask == address

        tests: list[Test] = []
        if protocol in (None, "ip"):
            tests.append(both(self._ethertype(ethernet.IPV4), directed(direction, at(12), at(16))))
        if protocol in (None, "arp"):
            tests.append(both(self._ethertype(ethernet.ARP), directed(direction, at(14), at(24))))
        return tests[0] if len(tests) == 1 else either(*tests)

    def _port(self, protocol: str | None, direction: str | None, ports: range) -> Test:
        start = 14 + self._shift
        numbers = (_NUMBERS[protocol],) if protocol is not None else (ipv4.TCP, ipv4.UDP, _SCTP)

        def four(frame: bytes) -> bool:
            if field(frame, start + 9, 1) not in numbers or field(frame, start + 6, 2) & 0x1FFF:
                return False
            at = start + ((field(frame, start, 1) & 0x0F) << 2)
            return directed(direction, is_in(ports, at), is_in(ports, at + 2))(frame)

        six_ports = directed(direction, is_in(ports, start + 40), is_in(ports, start + 42))

        def six(frame: bytes) -> bool:
            return field(frame, start + 6, 1) in numbers and six_ports(frame)

        return either(both(self._ethertype(ethernet.IPV4), four), both(self._ethertype(ethernet.IPV6), six))
