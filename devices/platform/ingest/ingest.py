"""What is heard, whatever the format, and the interface of formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from devices.platform.registry import Address
from devices.web.reasons import Reason, Refused, refusal, shown
from lab.text import Text

NOT_UTF8: Final = Text(zh="不是 UTF-8 文本（第 {offset} 字节）", en="not UTF-8 text (byte {offset})")
NOT_JSON: Final = Text(
    zh="不是 JSON（第 {line} 行第 {column} 列：{why}）", en="not JSON (line {line}, column {column}: {why})"
)
TOO_DEEP: Final = Text(zh="JSON 嵌套过深", en="JSON that is nested too deeply")
NUMBER_TOO_LONG: Final = Text(zh="JSON 中的数过长", en="JSON with a number that is too long")
EXPECTED: Final = Text(zh="{where} 应为{expected}，实际是 {value}", en="{where} should be {expected}, not {value}")
AN_OBJECT: Final = Text(zh="对象", en="an object")
A_LIST: Final = Text(zh="列表", en="a list")
A_TEXT: Final = Text(zh="文本", en="a text")


class Message(NamedTuple):
    """Something to publish."""

    topic: str
    payload: bytes
    retain: bool = False


class Reading(NamedTuple):
    """One value as it was reported, not checked yet."""

    name: str
    value: Any
    quality: Any = "good"
    at: Any = None
    """Milliseconds since the Unix epoch; that of the message, or of its arrival, where it is None."""
    error: Reason | None = None
    """Why the gateway has no value, where it says so."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Values of a device."""

    who: Address
    at: Any
    readings: Sequence[Reading]


@dataclass(frozen=True, slots=True)
class Presence:
    """A device, mostly a gateway, is there or has gone."""

    who: Address
    is_online: bool


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a device says about itself that has no history: a serial number, a firmware."""

    who: Address
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event of a device."""

    who: Address
    event: str
    at: Any
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A device has done what it was asked to, or says why not."""

    who: Address
    number: str
    """Of the call."""
    is_success: bool
    answer: Any


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a message that cannot be taken, where its other parts can."""

    reason: Reason
    who: Address | None = None


Heard = Telemetry | Presence | Attributes | Occurrence | CallAnswered | Unreadable


@dataclass(frozen=True, slots=True)
class Call:
    """Something a device is asked to do: a service of its thing model, or `set` with the properties to be written."""

    number: str
    method: str
    parameters: Mapping[str, Any]
    device: str
    """Its name in topics."""
    gateway: str | None
    site: str | None
    product: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message."""

    accepted: int = 0
    """Values, events and whatever else was taken."""
    refused: Mapping[str, Reason] = field(default_factory=dict)
    """By property, or by what else was not taken."""


class Ingest(Protocol):
    """One way of saying it, on its own topics."""

    name: str
    filters: tuple[str, ...]
    """What to subscribe to."""
    answers_calls: bool
    """Whether a device says what came of a call."""

    def who(self, topic: str) -> Address | None:
        """Whose topic this is, where it says so, for messages that cannot be read."""

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        """What a message says; raises Refused where nothing of it can be taken. Empty where it is not for us."""

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        """What the device wants to be told about the outcome."""

    def call(self, call: Call) -> Message | None:
        """How a device that speaks so is asked to do something; None where that cannot be said."""


class OneWay:
    """Base of formats without answers and calls."""

    answers_calls = False

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        return None

    def call(self, call: Call) -> Message | None:
        return None


def parsed(payload: bytes) -> Any:
    """JSON; raises Refused. NaN and infinity, which JSON does not have, are left for whoever checks the value."""
    try:
        return json.loads(payload.decode())
    except UnicodeDecodeError as error:
        reason = Reason("not-utf8", NOT_UTF8, {"offset": error.start})
    except json.JSONDecodeError as error:
        reason = Reason("not-json", NOT_JSON, {"line": error.lineno, "column": error.colno, "why": error.msg})
    except RecursionError:
        reason = Reason("not-json", TOO_DEEP)
    except ValueError:  # Python reads no integers of more than 4300 digits
        reason = Reason("not-json", NUMBER_TOO_LONG)
    raise Refused(reason)


def an_object(value: Any, where: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else _unexpected(value, where, AN_OBJECT)


def a_list(value: Any, where: str) -> list[Any]:
    return value if isinstance(value, list) else _unexpected(value, where, A_LIST)


def a_text(value: Any, where: str) -> str:
    return value if isinstance(value, str) else _unexpected(value, where, A_TEXT)


def _unexpected(value: Any, where: str, expected: Text) -> NoReturn:
    raise refusal("unexpected", EXPECTED, where=where, expected=expected, value=shown(value))


def to_json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
