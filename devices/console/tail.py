"""`tail`: the end of a log of the host, and what comes after it."""

from __future__ import annotations

import asyncio

from devices.console.arguments import Arguments, Options, known, whole
from devices.console.process import FAILED, OK, Process
from lab.text import Text

LINES = Text(zh="行数，默认 10", en="how many lines, 10 by default")
FOLLOW = Text(zh="继续显示新增的行", en="go on with what is added")
NAME = Text(zh="日志名；不写则列出", en="name of the log; without one they are listed")
NO_LOG = Text(zh="没有日志 {name!r}", en="there is no log {name!r}")
NONE = Text(zh="本机没有日志", en="this host has no logs")


def arguments(parser: Arguments) -> None:
    parser.flag("-n", "--lines", type=whole(0, 10_000), default=10, metavar="N", help=LINES)
    parser.flag("-f", "--follow", action="store_true", help=FOLLOW)
    parser.flag("log", nargs="?", metavar="LOG", help=NAME)


async def run(process: Process, options: Options) -> int:
    logs = process.context.logs
    if options.log is None:
        process.print("\n".join(logs) or process.say(NONE))
        return OK
    log = logs.get(options.log)
    if log is None:
        more = known(process, options.log, logs) if logs else ""
        process.print(f"{process.name}: {process.say(NO_LOG, name=options.log)}{more}")
        return FAILED
    for line in log.tail(options.lines):
        process.print(line)
    if not options.follow:
        return OK
    log.followers.append(process.print)
    try:
        await asyncio.Event().wait()  # until Ctrl-C
    finally:
        log.followers.remove(process.print)
    return OK
