"""Addresses and ports of a rule: lists, negation, variables and ranges, as Suricata's rule format has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from lab.model.document import KnownValueError
from lab.text import Text

UNKNOWN_VARIABLE: Final = Text(zh="没有变量 {name!r}", en="there is no variable {name!r}")
BAD_ADDRESS: Final = Text(zh="{given!r} 不是地址", en="{given!r} is no address")
BAD_PORT: Final = Text(zh="{given!r} 不是端口", en="{given!r} is no port")
BRACKETS: Final = Text(zh="{given!r} 的方括号不成对", en="the brackets of {given!r} do not match")
_DEEPEST: Final = 8
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Group:
    """Numbers in any of `wanted` and in none of `unwanted`; nothing wanted means any."""

    wanted: tuple[tuple[int, int] | Group, ...] = ()
    """Ranges with both ends included."""
    unwanted: tuple[tuple[int, int] | Group, ...] = ()

    def __contains__(self, number: int) -> bool:
        return (not self.wanted or any(_is_in(number, each) for each in self.wanted)) and not any(
            _is_in(number, each) for each in self.unwanted
        )


ANY: Final = Group()


def _is_in(number: int, item: tuple[int, int] | Group) -> bool:
    return number in item if isinstance(item, Group) else item[0] <= number <= item[1]


def addresses(text: str, variables: Mapping[str, str]) -> Group:
    """`any`, `10.0.0.0/8`, `!$HOME_NET`, `[10.0.0.1, !10.0.0.2]`; raises KnownValueError."""
    return _group(text, variables, _network, 0)


def ports(text: str, variables: Mapping[str, str]) -> Group:
    """`any`, `502`, `1024:`, `[80:90, !85]`; raises KnownValueError."""
    return _group(text, variables, _port_range, 0)


def _network(text: str) -> tuple[int, int]:
    try:
        if "-" in text:
            first, _, last = text.partition("-")
            return int(IPv4Address(first.strip())), int(IPv4Address(last.strip()))
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise KnownValueError(BAD_ADDRESS, given=text, wrong=text) from None
    return int(network.network_address), int(network.broadcast_address)


def _port_range(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        low = int(first) if first or not colon else 0
        high = int(last) if last else (_LAST_PORT if colon else low)
    except ValueError:
        raise KnownValueError(BAD_PORT, given=text, wrong=text) from None
    if not 0 <= low <= high <= _LAST_PORT:
        raise KnownValueError(BAD_PORT, given=text, wrong=text)
    return low, high


def _group(text: str, variables: Mapping[str, str], read: Callable[[str], tuple[int, int]], depth: int) -> Group:
    text = text.strip()
    if depth > _DEEPEST:
        raise KnownValueError(BRACKETS, given=text, wrong=text)
    if text == "any":
        return ANY
    if text.startswith("!"):
        return Group(unwanted=(_group(text[1:], variables, read, depth + 1),))
    if text.startswith("$"):
        name = text[1:]
        if name not in variables:
            raise KnownValueError(UNKNOWN_VARIABLE, name=name, wrong=name, known=sorted(variables))
        return _group(variables[name], variables, read, depth + 1)
    if not text.startswith("["):
        return Group((read(text),))
    if not text.endswith("]"):
        raise KnownValueError(BRACKETS, given=text, wrong=text)
    wanted: list[Group] = []
    unwanted: list[Group] = []
    for part in _parts(text[1:-1]):
        negated = part.startswith("!")
        (unwanted if negated else wanted).append(_group(part.removeprefix("!"), variables, read, depth + 1))
    return Group(tuple(wanted), tuple(unwanted))


def _parts(text: str) -> list[str]:
    """Separated by commas outside brackets."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if depth < 0:
            break
        if sign == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    if depth != 0:
        raise KnownValueError(BRACKETS, given=text, wrong=text)
    return [*parts, text[start:].strip()]
