"""Syslog messages: RFC 5424, and the older form of RFC 3164 for reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from lab.wire.malformed import Malformed

PORT = 514
"""RFC 5426"""
MAX_LENGTH = 8192
"""Bytes that this sender uses and this reader takes; RFC 5426 section 3.2 asks for 2048 at least."""


class Facility(IntEnum):
    KERNEL = 0
    USER = 1
    DAEMON = 3
    AUTH = 4
    SYSLOG = 5
    NTP = 12
    AUDIT = 13
    ALERT = 14
    LOCAL0 = 16
    LOCAL4 = 20
    LOCAL7 = 23


class Severity(IntEnum):
    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7


Structured = Mapping[str, Mapping[str, str]]
"""Parameters by SD-ID, such as `{"rule@32473": {"id": "7"}}`."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; "-" stands for what its sender does not say."""

    facility: int
    severity: int
    host: str
    app: str
    text: str
    at: datetime | None = None
    """Aware; None where the sender has no clock, or for RFC 3164, whose time has no year."""
    process: str = "-"
    identifier: str = "-"
    structured: Structured = field(default_factory=dict)

    def encode(self) -> bytes:
        """As RFC 5424 has it."""
        when = "-"
        if self.at is not None:
            when = self.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        elements = "".join(
            f"[{_printable(name, 32)}"
            + "".join(f' {_printable(key, 32)}="{_escaped(value)}"' for key, value in parameters.items())
            + "]"
            for name, parameters in self.structured.items()
        )
        head = (
            f"<{self.facility * 8 + self.severity}>1 {when} {_printable(self.host, 255)} {_printable(self.app, 48)}"
            f" {_printable(self.process, 128)} {_printable(self.identifier, 32)} {elements or '-'}"
        )
        data = f"{head} {self.text}" if self.text else head
        return data.encode("utf-8", "replace")[:MAX_LENGTH]

    def __str__(self) -> str:
        when = self.at.isoformat(timespec="milliseconds") if self.at is not None else "-"
        name = Severity(self.severity).name.lower()
        elements = "".join(
            f" [{element}{''.join(f' {key}={value}' for key, value in parameters.items())}]"
            for element, parameters in self.structured.items()
        )
        return f"{when} {self.host} {self.app} {name}:{elements} {self.text}"


def _printable(text: str, longest: int) -> str:
    """RFC 5424 section 6: names are printable ASCII without spaces; in SD-NAMEs some signs are special."""
    kept = "".join(each if 33 <= ord(each) <= 126 and each not in '="]' else "_" for each in text)
    return kept[:longest] or "-"


def _escaped(value: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", value)


_PRIORITY = re.compile(r"<([0-9]{1,3})>")
_HEAD = re.compile(r"1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (?=[-\[])")
_PARAMETER = re.compile(r' ([!-~]{1,32}?)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_OLD_HEAD = re.compile(r"[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} (\S+) ")
_OLD_TAG = re.compile(r"([A-Za-z0-9_./-]{1,48})(?:\[([0-9]+)\])?:? ?")


def decode(data: bytes) -> Message:
    """A message from a UDP payload, RFC 5424 or else RFC 3164; raises Malformed."""
    text = data[:MAX_LENGTH].decode("utf-8", "replace")
    priority = _PRIORITY.match(text)
    if priority is None or int(priority[1]) > 191:
        raise Malformed("a syslog message begins with its priority, <0> to <191>")
    facility, severity = divmod(int(priority[1]), 8)
    rest = text[priority.end() :]
    if not rest.startswith("1 "):
        return _decode_old(facility, severity, rest)
    head = _HEAD.match(rest)
    if head is None:
        raise Malformed("an RFC 5424 header is not complete")
    at = None
    if head[1] != "-":
        try:
            at = datetime.fromisoformat(head[1])
        except ValueError:
            raise Malformed(f"{head[1]!r} is not a time") from None
        if at.tzinfo is None:
            raise Malformed(f"{head[1]!r} has no time zone")
    structured, end = _decode_structured(rest, head.end())
    if rest[end : end + 1] not in ("", " "):
        raise Malformed("no space after the structured data")
    message = rest[end + 1 :].removeprefix("\ufeff")
    return Message(facility, severity, head[2], head[3], message, at, head[4], head[5], structured)


def _decode_structured(text: str, at: int) -> tuple[dict[str, dict[str, str]], int]:
    if text[at] == "-":
        return {}, at + 1
    elements: dict[str, dict[str, str]] = {}
    while text[at : at + 1] == "[":
        name = re.compile(r'[^\s="\]]{1,32}').match(text, at + 1)
        if name is None:
            raise Malformed("structured data without a name")
        at = name.end()
        parameters = elements.setdefault(name[0], {})
        while (found := _PARAMETER.match(text, at)) is not None:
            parameters[found[1]] = re.sub(r'\\(["\\\]])', r"\1", found[2])
            at = found.end()
        if text[at : at + 1] != "]":
            raise Malformed("structured data does not end")
        at += 1
    return elements, at


def _decode_old(facility: int, severity: int, rest: str) -> Message:
    head = _OLD_HEAD.match(rest)
    # RFC 3164 section 4.3.3: what has no readable header is all content.
    host, content = (head[1], rest[head.end() :]) if head is not None else ("-", rest)
    tag = _OLD_TAG.match(content) if head is not None else None
    if tag is None:
        return Message(facility, severity, host, "-", content)
    return Message(facility, severity, host, tag[1], content[tag.end() :], None, tag[2] or "-")
