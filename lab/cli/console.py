"""`console`: a host's own console programs, for places without real tools."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from lab.cli.labs import in_a_lab
from lab.text import Text

if TYPE_CHECKING:
    from lab.seat.client import Client

_INTERRUPTED: Final = 130
"""As shells have it: 128 and the number of SIGINT."""

WELCOME = Text(
    zh="{host} 的控制台；help 列出程序，Ctrl-C 停止一个程序，exit 离开",
    en="The console of {host}; help lists its programs, Ctrl-C stops one, exit leaves",
)
LEAVE: Final = ("exit", "quit", "logout")


def console(options: argparse.Namespace) -> int:
    if options.argv:
        line = shlex.join(options.argv)
        try:
            return in_a_lab(options, lambda client: run_line(client, options.host, line, _print))
        except KeyboardInterrupt:
            return _INTERRUPTED
    return in_a_lab(options, lambda client: _converse(client, options.host))


async def run_line(client: Client, host: str, line: str, show: Callable[[str], None]) -> int:
    """Run one line on a host, and its exit status; raises LabError."""
    last = "\n"
    async with client.begin("console", host=host, line=line) as conversation:
        async for said in conversation.said():
            last = str(said)
            show(last)
        if not last.endswith("\n"):
            show("\n")
        status: Any = await conversation.end()
        return status if isinstance(status, int) else 0


async def _converse(client: Client, host: str) -> int:
    from lab.seat.client import LabError, LabGone

    hosts = await client.ask("hosts")
    if host not in {each["name"] for each in hosts}:
        return await run_line(client, host, "help", _print)  # which says that it is unknown
    if sys.stdin.isatty():
        print(WELCOME.say(host=host), flush=True)
        try:
            import_module("readline")  # which makes input() an editor
        except ImportError:
            pass
    status = 0
    while (line := await _ask(f"{host}> ")) is not None and line.strip() not in LEAVE:
        if not line.strip():
            continue
        try:
            status = await _interruptible(run_line(client, host, line, _print))
        except LabGone:
            raise
        except LabError as error:
            print(error, file=sys.stderr, flush=True)
            status = 2
    return status


async def _ask(prompt: str) -> str | None:
    """A line from whoever sits there; None at the end. In a thread, for a plant may be running in this one."""
    with _at_interrupt(lambda: None):
        try:
            return await asyncio.to_thread(input, prompt if sys.stdin.isatty() else "")
        except EOFError:
            return None


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Ctrl-C ends the work and not the program."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    with _at_interrupt(lambda: loop.call_soon_threadsafe(task.cancel)):
        try:
            return await task
        except asyncio.CancelledError:
            print(flush=True)
            return _INTERRUPTED


@contextmanager
def _at_interrupt(deed: Callable[[], object]) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda *_: deed())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print(text: str) -> None:
    print(text, end="", flush=True)
