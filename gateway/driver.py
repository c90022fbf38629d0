"""What every southbound protocol offers the gateway."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from gateway.samples import Reason, Sample, Unreachable
from lab.text import Text

NOT_CONNECTED_YET = Reason(Text(zh="尚未连接", en="not connected yet"))
REFUSED = Text(zh="{host}:{port} 拒绝连接", en="{host}:{port} refuses the connection")
NO_ANSWER_TO_CONNECT = Text(
    zh="{host}:{port} 在 {timeout_ms} ms 内没有应答连接请求", en="{host}:{port} did not answer within {timeout_ms} ms"
)
CANNOT_REACH = Text(zh="无法到达 {host}:{port}：{why}", en="cannot reach {host}:{port}: {why}")
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
        self.rtt: float | None = None
        """Seconds the latest answer took."""

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
