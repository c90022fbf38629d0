"""Which lab a door leads into: one that runs on this computer, or one that is started for it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.trouble import Refused
from lab.text import Text

if TYPE_CHECKING:
    from lab.seat.client import Client
    from lab.seat.running import RunningLab

NONE_RUNS = Text(
    zh="没有正在运行的实训。先在另一个终端执行 iiotlab run ID，或在此加 --scenario ID",
    en="no lab of this user is running. Start one in another terminal (iiotlab run ID), or add --scenario ID here",
)
WHICH = Text(
    zh="有多个实训正在运行，请用 --lab 选择：{labs}", en="several labs are running; choose one with --lab: {labs}"
)
NOT_THAT = Text(
    zh="{folder} 中没有正在运行的实训；正在运行：{labs}", en="no lab is running in {folder}; running: {labs}"
)
NOBODY = Text(zh="无", en="none")
STARTING = Text(zh="正在启动 {scenario}…", en="starting {scenario} …")

Story = Callable[["Client"], Awaitable[int]]


def in_a_lab(options: argparse.Namespace, story: Story) -> int:
    """Tell a story with a connection to the lab the options mean; raises Refused where there is none."""
    from lab.seat.client import LabError

    try:
        if options.scenario is not None:
            from lab import seat

            folder = Path(options.lab).expanduser() if options.lab else None
            return seat.run(_in_own(options.scenario, options.seed, folder, story))
        return asyncio.run(_in_running(_chosen(options.lab), story))
    except LabError as error:
        raise Refused(str(error)) from None


async def _in_running(lab: RunningLab, story: Story) -> int:
    from lab.seat.client import Client

    async with await Client.connect(lab) as client:
        return await story(client)


async def _in_own(scenario: str, seed: int, folder: Path | None, story: Story) -> int:
    from lab.seat import DeviceNotice, Seat
    from scenarios.catalogue import find
    from scenarios.scenario import Scenario

    print(STARTING.say(scenario=scenario), file=sys.stderr, flush=True)
    notices: list[str] = []
    seat = await Seat.open(Scenario.load(find(scenario)), folder, seed)
    try:
        if seat.control is None:
            seat.subscribe(lambda event: notices.append(event.text) if isinstance(event, DeviceNotice) else None)
            await asyncio.sleep(0)
            raise Refused("; ".join(notices))
        return await _in_running(seat.control.lab, story)
    finally:
        await seat.close()


def _chosen(folder: str | None) -> RunningLab:
    from lab.seat.running import running_labs

    labs = running_labs()
    if folder is not None:
        wanted = str(Path(folder).expanduser().resolve())
        for lab in labs:
            if lab.folder == wanted:
                return lab
        raise Refused(NOT_THAT.say(folder=wanted, labs=", ".join(lab.folder for lab in labs) or NOBODY.say()))
    if not labs:
        raise Refused(NONE_RUNS.say())
    if len(labs) > 1:
        raise Refused(WHICH.say(labs=", ".join(lab.folder for lab in labs)))
    return labs[0]


@contextmanager
def terminal_lent() -> Iterator[None]:
    """Another program has the terminal: Ctrl-C is for it, and afterwards everything is as it was."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a handler, which programs we start do not inherit
    try:
        if sys.platform == "win32" or not sys.stdin.isatty():
            yield
        else:
            with _terminal_restored():
                yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _terminal_restored() -> Iterator[None]:
    import os
    import termios

    terminal = sys.stdin.fileno()
    settings = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        # A shell that was killed has not given the terminal back, and to take it is forbidden to those in the background.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            os.tcsetpgrp(terminal, os.getpgrp())
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
        except termios.error:
            pass  # the terminal has gone
        finally:
            signal.signal(signal.SIGTTOU, before)


def exit_status(returncode: int) -> int:
    """As shells have it: 128 and the number of the signal that ended a program."""
    return 128 - returncode if returncode < 0 else returncode
