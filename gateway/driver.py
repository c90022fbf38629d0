"""What every southbound protocol offers the gateway."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from gateway.samples import IdentifierEvent, Reason, Sample, Unreachable, Value
from lab.text import Text

NOT_CONNECTED_YET = Reason(Text(zh="尚未连接", en="not connected yet"))
REFUSED = Text(zh="{host}:{port} 拒绝连接", en="{host}:{port} refuses the connection")
NO_ANSWER_TO_CONNECT = Text(
    zh="{host}:{port} 在 {timeout_ms} ms 内没有应答连接请求", en="{host}:{port} did not answer within {timeout_ms} ms"
)
CANNOT_REACH = Text(zh="无法到达 {host}:{port}：{why}", en="cannot reach {host}:{port}: {why}")
CANNOT_WRITE = Text(zh="这种设备不能写入", en="a device of this kind cannot be written to")
CLOSED_BY_PEER = Text(zh="{host}:{port} 关闭了连接", en="{host}:{port} closed the connection")


def why_not_connected(error: OSError | TimeoutError, host: str, port: int, timeout_ms: int) -> Reason:
    """The failure of a connection attempt in words."""
    facts = {"host": host, "port": port}
    if isinstance(error, ConnectionRefusedError):
        return Reason(REFUSED, facts)
    if isinstance(error, TimeoutError):
        return Reason(NO_ANSWER_TO_CONNECT, {**facts, "timeout_ms": timeout_ms})
    return Reason(CANNOT_REACH, {**facts, "why": error.strerror or str(error) or type(error).__name__})


class Tag(Protocol):
    """What the gateway itself knows of a tag, whatever the protocol."""

    name: str
    unit: str


class Group(Protocol):
    """What the gateway itself knows of a group."""

    name: str
    period_ms: int

    @property
    def tags(self) -> Any:
        """A list of Tag."""


class Reader(Protocol):
    """Reads one group, once, whenever asked."""

    async def read(self) -> Mapping[str, Sample]:
        """A sample for every tag; those that cannot be read are bad and say why. Never raises."""

    def raw(self) -> Mapping[str, str]:
        """What was read last of each tag, as it travelled, in hex; nothing where that is not known."""


class NotWritten(Exception):
    """A command was not carried out; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(str(reason))


class Written(NamedTuple):
    """What a command has done."""

    before: Value | None
    """None where it could not be read."""
    after: Value | None
    """As read back."""
    is_confirmed: bool
    """Whether that is what was written."""


class Roundtrips:
    """How long answers took lately."""

    KEPT = 256

    def __init__(self) -> None:
        self.last: float | None = None
        """Seconds"""
        self._lately: deque[float] = deque(maxlen=self.KEPT)

    def took(self, seconds: float) -> None:
        self.last = seconds
        self._lately.append(seconds)

    def status(self) -> dict[str, object]:
        """In milliseconds: the last, the median and the 95th percentile."""
        ordered = sorted(self._lately)
        if not ordered or self.last is None:
            return {"rtt_ms": None, "rtt_p50_ms": None, "rtt_p95_ms": None}
        at = (self.last, ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100])
        names = ("rtt_ms", "rtt_p50_ms", "rtt_p95_ms")
        return {name: round(value * 1000, 3) for name, value in zip(names, at, strict=True)}


def _nobody(_: Any) -> None:
    """Where events go before somebody wants them."""


class Driver(ABC):
    """One connection to one device, to be opened again and again."""

    subscribes = False
    """Whether groups are followed by `changes` instead of read by a `reader`."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self.down.set()
        self.trouble = NOT_CONNECTED_YET
        """Why it is down, or was last."""
        self.requests = 0
        self.errors = 0
        self.groups: tuple[Any, ...] = ()
        """Those it is to read."""
        self.answers = 0
        """Requests that were answered, if only with a refusal."""
        self.roundtrips = Roundtrips()
        self.saw: Callable[[IdentifierEvent], None] = _nobody
        """Called with each identifier that is seen."""

    @abstractmethod
    async def connect(self) -> None:
        """Open the connection; raises Unreachable."""

    @abstractmethod
    async def close(self) -> None:
        """Close whatever is open; never raises."""

    @abstractmethod
    def reader(self, group: Any) -> Reader:
        """Prepare to read a group."""

    def changes(self, group: Any) -> AsyncIterator[Mapping[str, Sample]]:
        """The samples of a group as they change; raises Unreachable when the connection goes."""
        raise NotImplementedError

    def serve(self, groups: Iterable[Any]) -> None:
        """Told which groups it is to read, whenever that changes."""
        self.groups = tuple(groups)

    async def write(self, group: Any, tag: Any, value: Value) -> Written:
        """Set a tag and read it back; raises NotWritten or Unreachable."""
        raise NotWritten(Reason(CANNOT_WRITE))

    def status(self) -> Mapping[str, object]:
        """What else there is to show."""
        return {}

    async def open(self) -> None:
        """Connect and be up; raises Unreachable."""
        try:
            await self.connect()
        except Unreachable as error:
            self.trouble = error.reason
            self.errors += 1
            raise
        self.down.clear()
        self.up.set()

    def lose(self, reason: Reason) -> None:
        """The connection is no good any more; whoever keeps it will close and reopen it."""
        if self.up.is_set():
            self.trouble = reason
            self.errors += 1
            self.up.clear()
            self.down.set()
