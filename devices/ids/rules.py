"""Rules in Suricata's language, as much of it as this detector knows.

https://docs.suricata.io/en/latest/rules/intro.html: header, `msg`, `sid`, `rev`, `classtype`, `priority`, `reference`,
`metadata`, `content` with its modifiers, `flow`, `flags`, `dsize`, `itype`, `threshold`, `detection_filter`, `modbus`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from devices.ids.groups import Group, addresses, ports
from devices.ids.modbus_keyword import ModbusKeyword, Range
from devices.ids.modbus_keyword import parse as parse_modbus
from lab.model.document import KnownValueError
from lab.text import Text
from lab.wire.tcp import Flag

NOT_A_RULE: Final = Text(
    zh="规则应写成：alert 协议 源 端口 -> 目的 端口 (选项;)",
    en="a rule reads: alert protocol source port -> target port (…)",
)
UNKNOWN_ACTION: Final = Text(zh="不支持动作 {name!r}", en="the action {name!r} is not supported")
UNKNOWN_PROTOCOL: Final = Text(zh="不认识协议 {name!r}", en="the protocol {name!r} is not known")
UNKNOWN_OPTION: Final = Text(zh="不支持选项 {name!r}", en="the option {name!r} is not supported")
NO_SID: Final = Text(zh="规则没有 sid", en="the rule has no sid")
SID_TWICE: Final = Text(zh="sid {sid} 用了两次", en="sid {sid} is used twice")
NOT_A_NUMBER: Final = Text(zh="{name} 的值 {given!r} 不对", en="{given!r} is no value for {name}")
NO_CONTENT: Final = Text(zh="{name} 前面没有 content", en="there is no content before {name}")
OPEN_QUOTE: Final = Text(zh="引号没有结束", en="a quotation mark is not closed")
IN_LINE: Final = Text(zh="规则第 {line} 行：{what}", en="line {line} of the rules: {what}")

PROTOCOLS: Final = ("ip", "tcp", "udp", "icmp", "modbus")
_HEADER: Final = re.compile(
    r"(?P<action>\w+)\s+(?P<protocol>\w+)\s+(?P<source>\S+|\[[^\]]*\])\s+(?P<sports>\S+|\[[^\]]*\])\s+"
    r"(?P<direction>->|<>)\s+(?P<target>\S+|\[[^\]]*\])\s+(?P<tports>\S+|\[[^\]]*\])\s*\((?P<options>.*)\)\s*"
)
_FLAGS: Final = {"F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH, "A": Flag.ACK, "U": Flag.URG}
_FLOW: Final = ("established", "not_established", "to_server", "to_client", "from_client", "from_server", "stateless")
_MOST_RULES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that must be there, or must not."""

    pattern: bytes
    is_absent: bool = False
    ignores_case: bool = False
    offset: int = 0
    depth: int | None = None
    """Bytes from the offset within which it must lie."""
    distance: int | None = None
    """Bytes after the match before."""
    within: int | None = None

    @property
    def is_relative(self) -> bool:
        return self.distance is not None or self.within is not None


@dataclass(frozen=True, slots=True)
class Threshold:
    """How often a rule speaks: `limit` the first so many, `threshold` every so manieth, `both` once for so many."""

    kind: str
    """`limit`, `threshold`, `both`, or `filter` for detection_filter"""
    by_source: bool
    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Rule:
    sid: int
    protocol: str
    source: Group
    source_ports: Group
    target: Group
    target_ports: Group
    is_bidirectional: bool = False
    message: str = ""
    revision: int = 1
    classtype: str = ""
    priority: int = 3
    contents: tuple[Content, ...] = ()
    flow: frozenset[str] = frozenset()
    flags: tuple[Flag, Flag] | None = None
    """What must be set, of those that are looked at."""
    size: Range | None = None
    icmp_type: Range | None = None
    modbus: ModbusKeyword | None = None
    threshold: Threshold | None = None

    @property
    def looks_at_payload(self) -> bool:
        return bool(self.contents) or self.size is not None


def parse_rules(text: str, variables: Mapping[str, str]) -> tuple[Rule, ...]:
    """All rules of a file, comments and empty lines left out; raises KnownValueError with the line."""
    rules: dict[int, Rule] = {}
    for number, line in _lines(text):
        try:
            rule = parse_rule(line, variables)
            if rule.sid in rules:
                raise KnownValueError(SID_TWICE, sid=rule.sid)
        except KnownValueError as error:
            what = Text(zh=error.what.zh.format(**error.facts), en=error.what.en.format(**error.facts))
            raise KnownValueError(IN_LINE, line=number, what=what, known=error.known) from None
        rules[rule.sid] = rule
        if len(rules) >= _MOST_RULES:
            break
    return tuple(rules.values())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each rule with the line it begins in; a backslash at the end goes on in the next."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        whole += line.strip()
        if whole.endswith("\\"):
            whole = whole[:-1] + " "
            continue
        if whole and not whole.startswith("#"):
            yield begun, whole
        begun, whole = 0, ""


def parse_rule(line: str, variables: Mapping[str, str]) -> Rule:
    """One rule; raises KnownValueError."""
    match = _HEADER.fullmatch(_joined(line))
    if match is None:
        raise KnownValueError(NOT_A_RULE)
    if match["action"] != "alert":
        raise KnownValueError(UNKNOWN_ACTION, name=match["action"], wrong=match["action"], known=("alert",))
    if match["protocol"] not in PROTOCOLS:
        raise KnownValueError(UNKNOWN_PROTOCOL, name=match["protocol"], wrong=match["protocol"], known=PROTOCOLS)
    rule = Rule(
        0,
        match["protocol"],
        addresses(match["source"], variables),
        ports(match["sports"], variables),
        addresses(match["target"], variables),
        ports(match["tports"], variables),
        match["direction"] == "<>",
    )
    for name, value in _options(match["options"]):
        take = _TAKERS.get(name)
        if take is None:
            raise KnownValueError(UNKNOWN_OPTION, name=name, wrong=name, known=sorted(_TAKERS))
        rule = take(rule, name, value)
    if not rule.sid:
        raise KnownValueError(NO_SID)
    return rule


def _joined(line: str) -> str:
    """Lists in the header may have spaces, which mean nothing."""
    head, bracket, rest = line.partition("(")
    return re.sub(r"\s*,\s*", ",", re.sub(r"\[\s+|\s+\]", lambda m: m[0].strip(), head)) + bracket + rest


def _options(text: str) -> Iterator[tuple[str, str]]:
    """Name and value of each, divided by semicolons outside quotation marks."""
    part, is_quoted, is_escaped = "", False, False
    for sign in text:
        if sign == ";" and not is_quoted and not is_escaped:
            if part.strip():
                name, _, value = part.strip().partition(":")
                yield name.strip(), value.strip()
            part = ""
            continue
        is_quoted ^= sign == '"' and not is_escaped
        is_escaped = sign == "\\" and not is_escaped
        part += sign
    if is_quoted:
        raise KnownValueError(OPEN_QUOTE)
    if part.strip():
        raise KnownValueError(NOT_A_RULE)


def _unquoted(value: str) -> str:
    text = value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
    return re.sub(r'\\([;"\\:])', r"\1", text)


def _whole(name: str, value: str, least: int = 0) -> int:
    if not value.strip().isdigit() or int(value) < least:
        raise KnownValueError(NOT_A_NUMBER, name=name, given=value)
    return int(value)


def _range(name: str, value: str) -> Range:
    match = re.fullmatch(r"(\d+)\s*<>\s*(\d+)|([<>]?)\s*(\d+)", value.strip())
    if match is None:
        raise KnownValueError(NOT_A_NUMBER, name=name, given=value)
    if match[1]:
        return Range(int(match[1]), int(match[2]))
    number = int(match[4])
    return Range(below=number) if match[3] == "<" else Range(above=number) if match[3] == ">" else Range(equal=number)


# -- options -----------------------------------------------------------------------------------------------------------

Taker = Callable[[Rule, str, str], Rule]


def _content(rule: Rule, name: str, value: str) -> Rule:
    is_absent = value.startswith("!")
    text = _unquoted(value.removeprefix("!").strip())
    pattern = bytearray()
    for number, part in enumerate(text.split("|")):
        try:
            pattern += bytes.fromhex(part) if number % 2 else part.encode("latin-1")
        except ValueError:
            raise KnownValueError(NOT_A_NUMBER, name=name, given=value) from None
    if not pattern or text.count("|") % 2:
        raise KnownValueError(NOT_A_NUMBER, name=name, given=value)
    return replace(rule, contents=(*rule.contents, Content(bytes(pattern), is_absent)))


def _modifier(field: str) -> Taker:
    def take(rule: Rule, name: str, value: str) -> Rule:
        if not rule.contents:
            raise KnownValueError(NO_CONTENT, name=name)
        *before, last = rule.contents
        number: Any = True
        if field != "ignores_case":
            if re.fullmatch(r"-?\d+", value) is None:
                raise KnownValueError(NOT_A_NUMBER, name=name, given=value)
            number = int(value)
        return replace(rule, contents=(*before, replace(last, **{field: number})))

    return take


def _flow(rule: Rule, name: str, value: str) -> Rule:
    words = frozenset(word.strip() for word in value.split(","))
    for word in words:
        if word not in _FLOW:
            raise KnownValueError(NOT_A_NUMBER, name=name, given=word, wrong=word, known=_FLOW)
    same = {"from_client": "to_server", "from_server": "to_client"}
    return replace(rule, flow=frozenset(same.get(word, word) for word in words) - {"stateless"})


def _tcp_flags(rule: Rule, name: str, value: str) -> Rule:
    given, _, ignored = value.replace(" ", "").upper().partition(",")
    bare = given.lstrip("+*!")
    if not bare or any(sign not in _FLAGS for sign in bare) or given[0] in "*!":
        raise KnownValueError(NOT_A_NUMBER, name=name, given=value)
    wanted, looked_at = Flag(0), Flag(0)
    for sign in bare:
        wanted |= _FLAGS[sign]
    for sign, flag in _FLAGS.items():
        looked_at |= flag if sign not in ignored else Flag(0)
    return replace(rule, flags=(wanted, wanted if given.startswith("+") else looked_at))


def _threshold(rule: Rule, name: str, value: str) -> Rule:
    facts = dict(part.split(None, 1) for part in map(str.strip, value.split(",")) if len(part.split(None, 1)) == 2)
    kind = "filter" if name == "detection_filter" else facts.get("type", "")
    track = facts.get("track", "")
    if kind not in ("limit", "threshold", "both", "filter") or track not in ("by_src", "by_dst"):
        raise KnownValueError(NOT_A_NUMBER, name=name, given=value)
    count, seconds = (_whole(name, facts.get(key, ""), 1) for key in ("count", "seconds"))
    return replace(rule, threshold=Threshold(kind, track == "by_src", count, seconds))


_TAKERS: Final[Mapping[str, Taker]] = {
    "msg": lambda rule, name, value: replace(rule, message=_unquoted(value)),
    "sid": lambda rule, name, value: replace(rule, sid=_whole(name, value, 1)),
    "rev": lambda rule, name, value: replace(rule, revision=_whole(name, value)),
    "classtype": lambda rule, name, value: replace(rule, classtype=value),
    "priority": lambda rule, name, value: replace(rule, priority=_whole(name, value, 1)),
    "reference": lambda rule, name, value: rule,
    "metadata": lambda rule, name, value: rule,
    "content": _content,
    "nocase": _modifier("ignores_case"),
    "offset": _modifier("offset"),
    "depth": _modifier("depth"),
    "distance": _modifier("distance"),
    "within": _modifier("within"),
    "flow": _flow,
    "flags": _tcp_flags,
    "dsize": lambda rule, name, value: replace(rule, size=_range(name, value)),
    "itype": lambda rule, name, value: replace(rule, icmp_type=_range(name, value)),
    "threshold": _threshold,
    "detection_filter": _threshold,
    "modbus": lambda rule, name, value: replace(rule, modbus=parse_modbus(value)),
}
