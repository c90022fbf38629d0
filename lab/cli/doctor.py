"""`doctor`: what this computer can do for the lab."""

from __future__ import annotations

import argparse
import json
import locale
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

from lab.model.document import FileError
from lab.text import Text

LIBRARIES: Final = (
    "aiohttp",
    "amqtt",
    "asyncua",
    "cryptography",
    "gmqtt",
    "pydantic",
    "pymodbus",
    "textual",
    "watchfiles",
)
TOOLS: Final = ("tshark", "wireshark", "mbpoll", "mosquitto_sub", "nmap")

PYTHON = Text(zh="Python", en="Python")
SYSTEM = Text(zh="操作系统", en="System")
LIBRARY = Text(zh="库 {name}", en="library {name}")
MISSING = Text(zh="缺失", en="missing")
TERMINAL = Text(zh="终端", en="terminal")
NO_TERMINAL = Text(zh="不是终端：只能用不需要屏幕的命令", en="none: only commands without a screen will work")
SIZE = Text(zh="{columns}×{lines}，颜色 {colours}", en="{columns}×{lines}, colours {colours}")
TOO_SMALL = Text(zh="，至少需要 80×24", en=", at least 80×24 is needed")
ENCODING = Text(zh="文字编码", en="text encoding")
LOCALE = Text(zh="语言环境", en="locale")
HOME = Text(zh="数据目录", en="data directory")
NOT_WRITABLE = Text(zh="{path}（不可写）", en="{path} (not writable)")
NAMESPACES = Text(zh="网络命名空间", en="network namespaces")
POSSIBLE = Text(zh="可用", en="possible")
PORT = Text(zh="发布端口 {port}", en="published port {port}")
FREE = Text(zh="空闲（{who}）", en="free ({who})")
TAKEN = Text(zh="已被占用（{who}）", en="taken by another program ({who})")
TOOL = Text(zh="工具 {name}", en="tool {name}")
NOT_INSTALLED = Text(zh="未安装（可选）", en="not installed (optional)")


class Finding(NamedTuple):
    what: str
    found: str
    is_well: bool
    is_needed: bool = True
    """Whether the lab cannot do without it."""


def doctor(options: argparse.Namespace) -> int:
    findings = list(_findings())
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings], ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            mark = "✓" if finding.is_well else ("✗" if finding.is_needed else "–")
            print(f"{mark} {finding.what}: {finding.found}")
    return 0 if all(finding.is_well for finding in findings if finding.is_needed) else 1


def _findings() -> Iterator[Finding]:
    yield Finding(PYTHON.say(), f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11))
    yield Finding(SYSTEM.say(), platform.platform(terse=True), True)
    for name in LIBRARIES:
        try:
            yield Finding(LIBRARY.say(name=name), version(name), True)
        except PackageNotFoundError:
            yield Finding(LIBRARY.say(name=name), MISSING.say(), False)
    yield _terminal()
    encoding = sys.stdout.encoding or ""
    yield Finding(ENCODING.say(), encoding, encoding.lower().replace("-", "") == "utf8", False)
    yield Finding(LOCALE.say(), ".".join(part for part in locale.getlocale() if part) or "C", True)
    yield _home()
    yield _namespaces()
    yield from _ports()
    for name in TOOLS:
        path = shutil.which(name)
        yield Finding(TOOL.say(name=name), path or NOT_INSTALLED.say(), path is not None, False)


def _terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding(TERMINAL.say(), NO_TERMINAL.say(), False, False)
    size = shutil.get_terminal_size()
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM", "?")
    is_large = size.columns >= 80 and size.lines >= 24
    found = SIZE.say(columns=size.columns, lines=size.lines, colours=colours)
    return Finding(TERMINAL.say(), found if is_large else found + TOO_SMALL.say(), is_large, False)


def _home() -> Finding:
    from lab.seat.home import home

    folder = home()
    nearest = next(path for path in (folder, *folder.parents, Path.cwd()) if path.exists())
    if os.access(nearest, os.W_OK):
        return Finding(HOME.say(), str(folder), True)
    return Finding(HOME.say(), NOT_WRITABLE.say(path=folder), False)


def _namespaces() -> Finding:
    from lab.network.namespace import why_not

    reason = why_not()
    return Finding(NAMESPACES.say(), (reason or POSSIBLE).say(), reason is None, False)


def _ports() -> Iterator[Finding]:
    from scenarios.scenario import Scenario, catalogue

    wanted: dict[int, list[str]] = {}
    for folder in catalogue().values():
        try:
            definition = Scenario.read(folder).instantiate(1).definition
        except FileError:
            continue
        for each in definition.publish:
            wanted.setdefault(each.local, []).append(f"{definition.id}: {each.name}")
    for port, users in sorted(wanted.items()):
        who = ", ".join(users)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                yield Finding(PORT.say(port=port), TAKEN.say(who=who), False, False)
            else:
                yield Finding(PORT.say(port=port), FREE.say(who=who), True)
