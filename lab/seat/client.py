"""The other end of a lab's control socket: for programs that want something of a running lab."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from lab.seat.running import VERSION, RunningLab
from lab.text import Text, spoken

_LONGEST_LINE: Final = 16 << 20
_PATIENCE_SECONDS: Final = 10.0

GONE = Text(zh="实训已结束，连接断开", en="the lab has ended")


class LabError(Exception):
    """What the lab says it cannot do, in the language spoken."""


class LabGone(LabError):
    """The lab has ended."""

    def __init__(self) -> None:
        super().__init__(GONE.say())


class Conversation:
    """One request, and what comes of it."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        self._end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._end.add_done_callback(lambda end: end.cancelled() or end.exception())  # looked at, if nobody does

    async def heard(self) -> Any:
        """What is said next; raises LabError where the request ended without it."""
        hearing = asyncio.ensure_future(self._said.get())
        try:
            await asyncio.wait((hearing, self._end), return_when=asyncio.FIRST_COMPLETED)
            if not self._said.empty() or hearing.done():
                return await hearing
            return await self._end
        finally:
            hearing.cancel()

    async def said(self) -> AsyncIterator[Any]:
        """All that is said until the end."""
        while not (self._end.done() and self._said.empty()):
            hearing = asyncio.ensure_future(self._said.get())
            try:
                await asyncio.wait((hearing, self._end), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                hearing.cancel()
                raise
            if hearing.done():
                yield hearing.result()
            else:
                hearing.cancel()

    async def end(self) -> Any:
        """What the request came to; raises LabError."""
        return await asyncio.shield(self._end)

    @property
    def has_ended(self) -> bool:
        return self._end.done()

    def take(self, message: Mapping[str, Any]) -> None:
        if "say" in message:
            self._said.put_nowait(message["say"])
        elif self._end.done():
            pass
        elif "error" in message:
            self._end.set_exception(LabError(_sentence(message["error"])))
        elif "cancelled" in message:
            self._end.set_exception(LabGone())  # or by ourselves, and then nobody looks
        else:
            self._end.set_result(message.get("done"))

    def break_off(self) -> None:
        if not self._end.done():
            self._end.set_exception(LabGone())


class Client:
    """A connection to a lab; `connect` makes one."""

    def __init__(self, lab: RunningLab, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lab = lab
        self._reader, self._writer = reader, writer
        self._conversations: dict[int, Conversation] = {}
        self._requests = 0
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, lab: RunningLab) -> Client:
        """Raises OSError where nobody listens, LabError where they do not understand each other."""
        raw = lab.connect()
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw, limit=_LONGEST_LINE)
        self = cls(lab, reader, writer)
        try:
            self._tell({"iiotlab": VERSION, "token": lab.token})
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = json.loads(await reader.readline() or b"{}")
            if "error" in answer or answer.get("iiotlab") != VERSION:
                raise LabError(_sentence(answer.get("error", GONE.say())))
        except BaseException:
            writer.close()
            raise
        self._listening = asyncio.create_task(self._listen())
        return self

    async def close(self) -> None:
        """Everything this client has opened in the lab is closed with it."""
        self._writer.close()
        if self._listening is not None:
            await asyncio.wait((self._listening,))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Have something done, and its result; raises LabError."""
        async with self.begin(do, **arguments) as conversation:
            return await conversation.end()

    @asynccontextmanager
    async def begin(self, do: str, **arguments: Any) -> AsyncIterator[Conversation]:
        """A request that goes on; it is cancelled at the end of the block, and has ended after it."""
        self._requests += 1
        number, conversation = self._requests, Conversation()
        if self._listening is None or self._listening.done():
            raise LabGone
        self._conversations[number] = conversation
        self._tell({**arguments, "id": number, "do": do})
        try:
            yield conversation
        finally:
            if not conversation.has_ended:
                self._tell({"cancel": number})
                try:
                    await conversation.end()
                except LabError:
                    pass
            self._conversations.pop(number, None)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                conversation = self._conversations.get(message.get("id"))
                if conversation is not None:
                    conversation.take(message)
        except (OSError, ValueError):
            pass  # cut off
        finally:
            for conversation in self._conversations.values():
                conversation.break_off()


def _sentence(sentences: Any) -> str:
    if isinstance(sentences, Mapping):
        return str(sentences.get(spoken()) or sentences)
    return str(sentences)
