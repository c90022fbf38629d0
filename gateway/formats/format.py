"""What every northbound format offers: messages for reports, and commands out of messages. No format does any I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from gateway.samples import Reason, Report, Value
from gateway.store.log import Entry
from lab.text import Text

AS_IS: Final = 0
SPARKPLUG: Final = 1
"""What the bytes of a stored message are: ready to go, or samples that still need their place in a session."""

NOT_JSON = Text(zh="{topic} 上的命令不是 JSON", en="the command to {topic} is no JSON")
NOT_A_COMMAND = Text(zh="{topic} 上的命令缺少 {key}", en="the command to {topic} lacks {key}")
NO_VALUE = Text(
    zh="{topic} 上的命令要写的不是数、布尔或文本", en="the command to {topic} writes no number, boolean or text"
)


class Publication(NamedTuple):
    """One message as it goes out."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Names(NamedTuple):
    """Where this gateway is, as topics call it."""

    site: str
    gateway: str


Write = Callable[[str, str, Value], Awaitable["Reason | None"]]
"""write(device, tag, value): returns why it was not done, None where it was."""

Outcomes = Mapping[str, "Reason | None"]


class Command(NamedTuple):
    """Somebody in the north wants something written."""

    device: str
    values: Mapping[str, Value]
    """By tag, in the order in which they are to be written."""
    answer: Callable[[Outcomes], Publication | None]
    """What to say when all of it has been tried."""


class Heard(NamedTuple):
    """What comes of a message from the north."""

    publish: Sequence[Publication] = ()
    commands: Sequence[Command] = ()
    complaint: Reason | None = None
    """Why it is of no use."""
    leave: Reason | None = None
    """Why to end this connection, and begin another."""


class Format(ABC):
    """One way of saying things, with whatever it must remember while connected."""

    form: ClassVar[int] = AS_IS
    filters: Sequence[str] = ()
    """Topic filters to subscribe to."""
    is_ready = True
    """Whether data may be published now."""

    def will(self) -> Publication | None:
        """What the broker shall say when the connection breaks; asked once before every CONNECT."""
        return None

    def connected(self) -> Sequence[Publication]:
        """What to say first, once connected and subscribed."""
        return ()

    def farewell(self) -> Sequence[Publication]:
        """What to say before DISCONNECT: a will is not published on a clean end."""
        return ()

    @abstractmethod
    def kept(self, report: Report) -> Sequence[tuple[str, bytes]]:
        """Topics and payloads of a report, as they may be stored."""

    def direct(self, report: Report) -> Sequence[Publication] | None:
        """What to send for a report at once, where nothing waits and nobody acknowledges; None to queue it."""
        return None

    def going(self, entry: Entry) -> Sequence[Publication]:
        """What to send for a message stored in this form; nothing where there is no use for it any more."""
        raise NotImplementedError

    def hear(self, topic: str, payload: bytes, retained: bool) -> Heard:
        """Take in a message from the north."""
        return Heard()


def topics(template: str, names: Names) -> Callable[[Report], str]:
    """The topic of a report; each is made once."""
    known: dict[tuple[str, str], str] = {}

    def topic(report: Report) -> str:
        key = report.device, report.group
        found = known.get(key)
        if found is None:
            found = known[key] = template.format_map({**names._asdict(), "device": key[0], "group": key[1]})
        return found

    return topic
