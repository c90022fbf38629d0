"""`date`: the host's own clock, which may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from devices.console.arguments import Arguments, BadValue, Options
from devices.console.process import OK, Process
from lab.text import Text

UNIVERSAL = Text(zh="协调世界时（默认为北京时间）", en="universal time instead of China standard time")
ISO = Text(zh="ISO 8601 格式", en="ISO 8601")
FORMAT = Text(zh="如 +%H:%M:%S 或 +%s", en="such as +%H:%M:%S or +%s")
NO_FORMAT = Text(zh="{value!r} 不是以 + 开头的格式", en="{value!r} is no format, which begins with +")

_CHINA: Final = timezone(timedelta(hours=8), "CST")


def _format(value: str) -> str:
    if not value.startswith("+"):
        raise BadValue(NO_FORMAT, value=value)
    return value[1:]


def arguments(parser: Arguments) -> None:
    parser.flag("-u", "--utc", action="store_true", help=UNIVERSAL)
    parser.flag("-I", "--iso-8601", dest="iso", action="store_true", help=ISO)
    parser.flag("format", nargs="?", type=_format, metavar="+FORMAT", help=FORMAT)


async def run(process: Process, options: Options) -> int:
    wall = process.host.wall_ns()
    now = datetime.fromtimestamp(wall // 1_000_000_000, UTC if options.utc else _CHINA)
    if options.iso:
        process.print(now.isoformat(timespec="seconds"))
    elif options.format is not None:
        process.print(_formatted(now, options.format, wall))
    else:
        process.print(f"{now:%a %b} {now.day:2} {now:%H:%M:%S %Z %Y}")
    return OK


def _formatted(now: datetime, form: str, wall: int) -> str:
    """Only what is the same on every computer: strftime differs between C libraries."""
    parts = {
        "%": "%",
        "s": str(wall // 1_000_000_000),
        "N": f"{wall % 1_000_000_000:09}",
        "F": f"{now:%Y-%m-%d}",
        "T": f"{now:%H:%M:%S}",
    }
    text, rest = "", iter(form)
    for each in rest:
        if each == "%":
            code = next(rest, "%")
            text += parts.get(code) or (now.strftime(f"%{code}") if code in "YmdHMSyjabABZzuwpI" else f"%{code}")
        else:
            text += each
    return text
