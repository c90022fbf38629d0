"""One run of one console program: its host, where its words go, and in which language."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devices.console import words
from devices.console.context import Context
from lab.text import Language, Text, spoken

if TYPE_CHECKING:
    from lab.network.host import Host

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
"""As argparse has it: the arguments make no sense."""

_CONTROL: Final[dict[int, str | None]] = {
    code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"
} | {ord("\r"): None}
"""What comes from the network must not move anybody's cursor."""


class Failure(Exception):
    """Ends a program with a sentence."""

    def __init__(self, text: Text, status: int = FAILED, /, **facts: object) -> None:
        super().__init__(text.en)
        self.text = text
        self.status = status
        self.facts = facts


class Process:
    """See the module."""

    def __init__(self, name: str, host: Host, out: Callable[[str], None], context: Context) -> None:
        self.name = name
        self.host = host
        self.context = context
        self.language: Language = context.language or spoken()
        self._out = out

    def say(self, text: Text, /, **facts: object) -> str:
        """The sentence in the language of this console."""
        sentence = text.zh if self.language == "zh" else text.en
        return sentence.format(**facts) if facts else sentence

    def write(self, text: str) -> None:
        if text:
            self._out(text.translate(_CONTROL))

    def print(self, line: str = "") -> None:
        self.write(line + "\n")

    def tell(self, text: Text, /, **facts: object) -> None:
        """A line of its own."""
        self.print(self.say(text, **facts))

    def complain(self, text: Text, /, **facts: object) -> None:
        """The same, as what went wrong."""
        self.print(f"{self.name}: {self.say(text, **facts)}")

    def why(self, error: BaseException) -> str:
        """What an error of the network means."""
        text = words.ERRORS.get(error.errno or 0) if isinstance(error, OSError) else None
        if isinstance(error, TimeoutError):
            text = words.TIMED_OUT
        elif isinstance(error, socket.gaierror):
            text = words.NAME_SERVERS_SILENT if error.errno == socket.EAI_AGAIN else words.NAME_UNKNOWN
        elif isinstance(error, OSError) and text is None and error.strerror:
            return error.strerror
        elif isinstance(error, ConnectionResetError):
            text = words.ERRORS[errno.ECONNRESET]
        return self.say(text) if text is not None else str(error) or type(error).__name__

    # -- plant time ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds on the loop's clock, for intervals."""
        return self.host.network.loop.time()

    async def until(self, when: float) -> None:
        """Wait for a moment of that clock."""
        await asyncio.sleep(max(0.0, when - self.now()))

    # -- names and files -------------------------------------------------------------------------------------------

    async def resolve(self, name: str) -> bytes:
        """An IPv4 address, 4 bytes; raises Failure for a name nobody knows."""
        try:
            return await self.host.resolve(name)
        except (OSError, UnicodeError) as error:
            raise Failure(words.NO_ADDRESS, USAGE, name=name, why=self.why(error)) from None

    def file(self, name: str) -> Path:
        """A file in the console's folder; raises Failure where there is none or the name leads out of it."""
        folder = self.context.folder
        if folder is None:
            raise Failure(words.NO_FOLDER)
        try:
            path = (folder / name).resolve()
            inside = path.is_relative_to(folder.resolve()) and path != folder.resolve()
        except (OSError, ValueError):
            inside = False
        if not inside:
            raise Failure(words.OUTSIDE_FOLDER, name=name)
        return path
