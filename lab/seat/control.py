"""The control socket of a running lab: other programs of the same user ask it for doors into its plant.

Lines of JSON, in both directions, at most LONGEST_LINE bytes each:

    client  {"iiotlab": 1, "token": "…"}               the version it speaks; the token where the socket is TCP
    lab     {"iiotlab": 1, "folder": …, "scenario": …}
    client  {"id": 7, "do": "console", "host": "ws-1", "line": "ping plc"}
    lab     {"id": 7, "say": "64 bytes …"}             any number of them
    lab     {"id": 7, "done": 0}                       or {"id": 7, "error": {"zh": …, "en": …}}
    client  {"cancel": 7}                              ends a request early

What a request opens is open as long as the request is: until it is cancelled, or the client has gone. A request that
answers {"id": 7, "stream": …} turns the connection over to bytes of its own kind.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lab.seat.running import VERSION, RunningLab, announce, socket_path, withdraw
from lab.text import Text

LONGEST_LINE: Final = 64 << 10
MAX_CLIENTS: Final = 32
MAX_REQUESTS: Final = 16
"""Of one client at the same time."""
_UNREAD_LIMIT: Final = 4 << 20
"""Bytes that wait for a client before it is given up."""
_PATIENCE_SECONDS: Final = 5.0

OTHER_VERSION = Text(
    zh="正在运行的实训由另一版本启动（接口 {theirs}，此处 {ours}）",
    en="the running lab is of another version (its interface is {theirs}, ours is {ours})",
)
NOT_FOR_YOU = Text(zh="口令不对", en="wrong token")
NO_SENSE = Text(zh="请求无法理解：{what}", en="the request makes no sense: {what}")
UNKNOWN_REQUEST = Text(zh="没有 {do!r} 这种请求，只有 {known}", en="there is no request {do!r}, only {known}")
TOO_MANY = Text(zh="同时进行的请求太多", en="too many requests at once")


class Unwilling(Exception):
    """A request that cannot be granted; says why in both languages."""

    def __init__(self, text: Text, **facts: object) -> None:
        super().__init__(text.say(**facts))
        self.sentences = text.both(**facts)


class Call:
    """One request."""

    def __init__(self, client: _Client, number: int, arguments: Mapping[str, Any]) -> None:
        self._client = client
        self._number = number
        self._arguments = arguments

    def text(self, name: str, default: str | None = None) -> str:
        """An argument; raises Unwilling where it is missing or something else."""
        value = self._arguments.get(name, default)
        if not isinstance(value, str):
            raise Unwilling(NO_SENSE, what=f"{name}: {str(value)[:40]!r}")
        return value

    def flag(self, name: str) -> bool:
        """An argument that is false unless given; raises Unwilling where it is something else."""
        value = self._arguments.get(name, False)
        if not isinstance(value, bool):
            raise Unwilling(NO_SENSE, what=f"{name}: {str(value)[:40]!r}")
        return value

    def argument(self, name: str) -> Any:
        """As it came, None where it is missing."""
        return self._arguments.get(name)

    def say(self, value: object) -> None:
        """Tell the client something while the request goes on."""
        self._client.tell({"id": self._number, "say": value})

    def stream(self, value: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Turn the connection over to this request; it belongs to nothing else afterwards."""
        self._client.tell({"id": self._number, "stream": value})
        return self._client.turn_over()


Handler = Callable[[Call], Awaitable[object]]
"""Carries out a request, and is cancelled where nobody wants it any more. What it returns must be JSON."""


class Control:
    """See the module; `open` makes one."""

    def __init__(self, lab: RunningLab, handlers: Mapping[str, Handler]) -> None:
        self.lab = lab
        self.handlers = dict(handlers)
        """By name; more may be added at any time."""
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._announcement: Path | None = None

    @classmethod
    async def open(cls, folder: Path, scenario: str, seed: int, handlers: Mapping[str, Handler]) -> Control:
        """Listen, and leave word of it (see lab.seat.running); raises OSError. No plant host may be current."""
        lab = RunningLab(str(folder), scenario, seed, os.getpid())
        self = cls(lab, handlers)
        if sys.platform == "win32" or not hasattr(socket, "AF_UNIX"):
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LONGEST_LINE)
            self.lab = replace(lab, port=server.sockets[0].getsockname()[1], token=secrets.token_urlsafe(32))
        else:
            path = socket_path()
            server = await asyncio.start_unix_server(self._accept, path, limit=LONGEST_LINE)
            self.lab = replace(lab, path=str(path))
        self._server = server
        try:
            self._announcement = announce(self.lab)
        except BaseException:
            server.close()
            raise
        return self

    async def close(self) -> None:
        """Listen no more, and end every request."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._announcement is not None:
            withdraw(self._announcement, self.lab)
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        client = _Client(self, reader, writer)
        try:
            if len(self._clients) <= MAX_CLIENTS:
                await client.serve()
        except asyncio.CancelledError:
            pass  # the lab is closing; Python 3.11's streams would call that an error
        finally:
            self._clients.discard(task)
            writer.close()


@dataclass(frozen=True, slots=True)
class _Request:
    number: int
    do: str
    arguments: Mapping[str, Any]


class _Client:
    """One connection."""

    def __init__(self, control: Control, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._control, self._reader, self._writer = control, reader, writer
        self._running: dict[int, asyncio.Task[None]] = {}
        self._is_turned_over = False

    def tell(self, message: Mapping[str, object]) -> None:
        transport = self._writer.transport
        if transport.is_closing() or self._is_turned_over:
            return
        if transport.get_write_buffer_size() > _UNREAD_LIMIT:
            transport.abort()
            return
        self._writer.write(json.dumps(message, ensure_ascii=False, default=str).encode() + b"\n")

    def turn_over(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._is_turned_over = True
        return self._reader, self._writer

    async def serve(self) -> None:
        """Until the client has gone, talks nonsense, or has had its connection turned over and used."""
        try:
            if await self._greet():
                while (line := await self._line()) is not None:
                    self._take(line)
                    await asyncio.sleep(0)  # a stream begins before more is read here
                    if self._is_turned_over:
                        await asyncio.wait(self._running.values())
                        return
        except _Nonsense as nonsense:
            self.tell({"error": Unwilling(NO_SENSE, what=str(nonsense)).sentences})
        except OSError:
            pass  # it has gone
        finally:
            running = tuple(self._running.values())
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _greet(self) -> bool:
        """Whether somebody is there who speaks our language and may."""
        lab = self._control.lab
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                hello = await self._line()
        except TimeoutError:
            return False
        if hello is None:
            return False
        if hello.get("iiotlab") != VERSION:
            facts = {"theirs": VERSION, "ours": str(hello.get("iiotlab"))[:10]}
            self.tell({"iiotlab": VERSION, "error": Unwilling(OTHER_VERSION, **facts).sentences})
            return False
        if lab.token and not hmac.compare_digest(str(hello.get("token")).encode(), lab.token.encode()):
            self.tell({"iiotlab": VERSION, "error": Unwilling(NOT_FOR_YOU).sentences})
            return False
        self.tell({"iiotlab": VERSION, "folder": lab.folder, "scenario": lab.scenario, "seed": lab.seed})
        return True

    async def _line(self) -> Mapping[str, Any] | None:
        """What the client says next; None where it has gone. Raises _Nonsense."""
        try:
            line = await self._reader.readuntil()
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            raise _Nonsense(f"> {LONGEST_LINE} bytes") from None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise _Nonsense("JSON") from None
        if not isinstance(message, dict):
            raise _Nonsense(type(message).__name__)
        return message

    def _take(self, message: Mapping[str, Any]) -> None:
        if "cancel" in message:
            number = message["cancel"]
            if isinstance(number, int) and number in self._running:
                self._running[number].cancel()
            return
        number, do = message.get("id"), message.get("do")
        if type(number) is not int or not isinstance(do, str) or number in self._running:
            raise _Nonsense("id, do")
        if len(self._running) >= MAX_REQUESTS:
            self.tell({"id": number, "error": Unwilling(TOO_MANY).sentences})
            return
        task = asyncio.create_task(self._carry_out(_Request(number, do, message)), name=f"control: {do}")
        self._running[number] = task
        task.add_done_callback(lambda _: self._running.pop(number, None))

    async def _carry_out(self, request: _Request) -> None:
        handler = self._control.handlers.get(request.do)
        try:
            if handler is None:
                raise Unwilling(UNKNOWN_REQUEST, do=request.do[:40], known=", ".join(sorted(self._control.handlers)))
            done = await handler(Call(self, request.number, request.arguments))
            self.tell({"id": request.number, "done": done})
        except Unwilling as unwilling:
            self.tell({"id": request.number, "error": unwilling.sentences})
        except asyncio.CancelledError:
            self.tell({"id": request.number, "cancelled": True})
            raise
        except (OSError, ValueError) as error:
            sentence = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.tell({"id": request.number, "error": {"zh": sentence, "en": sentence}})
        except Exception as error:
            sentence = f"{type(error).__name__}: {error}"
            self.tell({"id": request.number, "error": {"zh": sentence, "en": sentence}})
            raise  # our mistake; the loop's handler keeps it


class _Nonsense(Exception):
    """What came is no message."""
