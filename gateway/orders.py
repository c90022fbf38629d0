"""What the north wants written: carried out one command after the other, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.formats.format import Command, Publication, Write
from gateway.samples import Reason
from gateway.tasks import cancel, supervised
from lab.text import Text

BUSY = Reason(Text(zh="命令太多，未执行", en="not done: too many commands at once"))
MOST: Final = 100
"""Commands that may wait."""


class Orders:
    """Whatever the north wants written."""

    def __init__(self, write: Write, say: Callable[[Publication], None]) -> None:
        self._write = write
        self._say = say
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(MOST)
        self._worker: asyncio.Task[None] | None = None
        self.done = 0
        self.failed = 0

    def obey(self, command: Command) -> None:
        if self._worker is None:
            self._worker = supervised(self._work())
        try:
            self._waiting.put_nowait(command)
        except asyncio.QueueFull:
            self._answer(command, dict.fromkeys(command.values, BUSY))

    async def stop(self) -> None:
        await cancel([self._worker])

    async def _work(self) -> None:
        while True:
            command = await self._waiting.get()
            outcomes: dict[str, Reason | None] = {}
            for tag, value in command.values.items():
                outcomes[tag] = await self._write(command.device, tag, value)
            self._answer(command, outcomes)

    def _answer(self, command: Command, outcomes: dict[str, Reason | None]) -> None:
        failed = sum(reason is not None for reason in outcomes.values())
        self.failed += failed
        self.done += len(outcomes) - failed
        answer = command.answer(outcomes)
        if answer is not None:
            self._say(answer)
