"""`attach` and `nic`: real programs and real devices in a running plant."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.cli.labs import exit_status, in_a_lab, terminal_lent
from lab.cli.trouble import OK, Refused, complain
from lab.text import Text

if TYPE_CHECKING:
    from lab.seat.client import Client, Conversation

TOOLS: Final = (
    "ping",
    "traceroute",
    "arping",
    "nmap",
    "mbpoll",
    "tcpdump",
    "tshark",
    "mosquitto_pub",
    "mosquitto_sub",
    "snmpwalk",
    "curl",
    "nc",
    "iperf3",
)
_SECONDS_TO_LEAVE: Final = 1.0

WELCOME = Text(
    zh="你在 {host}（{address}），一台接入工厂的真实主机；exit 离开。",
    en="You are on {host} ({address}), a real host in the plant; exit leaves it.",
)
FOUND = Text(zh="可用工具：{tools}", en="tools found: {tools}")
NEIGHBOURS = Text(zh="已知主机：{names}", en="hosts known by name: {names}")
MOVED = Text(zh="发布端口 {names} 现在由这台真实主机连接", en="published ports {names} now connect as this real host")
KEPT = Text(
    zh="{host} 仍是真实主机；iiotlab attach {host} --detach 恢复模拟主机",
    en="{host} stays a real host; iiotlab attach {host} --detach gives it its simulated stack back",
)
RESTORED = Text(zh="{host} 恢复为模拟主机", en="{host} is a simulated host again")
INSTEAD = Text(
    zh="不需要特权的办法：\n  iiotlab console {host}          主机自带的控制台程序\n"
    "  iiotlab attach {host} --socks   SOCKS5 代理，经 {host} 进入工厂",
    en="What needs no privileges:\n  iiotlab console {host}          the host's own console programs\n"
    "  iiotlab attach {host} --socks   a SOCKS5 proxy that enters the plant at {host}",
)
PUBLISHED = Text(zh="  {where}   发布端口（{name}）", en="  {where}   a published port ({name})")
PROXY = Text(
    zh="SOCKS5 代理 127.0.0.1:{port}，经 {host} 进入工厂；例如 curl --proxy socks5h://127.0.0.1:{port} …；Ctrl-C 结束",
    en="SOCKS5 proxy at 127.0.0.1:{port}, entering the plant at {host}; for example curl --proxy "
    "socks5h://127.0.0.1:{port} …; Ctrl-C ends it",
)
JOINED = Text(zh="{interface} 已接到 {port}；Ctrl-C 拔下", en="{interface} has joined at {port}; Ctrl-C takes it away")


def attach(options: argparse.Namespace) -> int:
    async def story(client: Client) -> int:
        if options.detach:
            await client.ask("detach", host=options.host)
            print(RESTORED.say(host=options.host))
            return OK
        if options.nic is not None:
            return await _card(client, options.host, options.nic, options.force)
        if options.socks is not None:
            return await _proxy(client, options.host, options.socks)
        return await _real_host(client, options)

    return _until_interrupted(options, story)


def nic(options: argparse.Namespace) -> int:
    return _until_interrupted(options, lambda client: _card(client, options.port, options.interface, options.force))


def _until_interrupted(options: argparse.Namespace, story: Any) -> int:
    try:
        return in_a_lab(options, story)
    except KeyboardInterrupt:
        return OK


async def _card(client: Client, port: str, interface: str, force: bool) -> int:
    async with client.begin("nic", port=port, interface=interface, force=force) as conversation:
        joined = await conversation.heard()
        print(JOINED.say(**joined), flush=True)
        raise Refused(str(await conversation.end()))


async def _proxy(client: Client, host: str, port: int) -> int:
    async with client.begin("socks", host=host, port=port) as conversation:
        opened = await conversation.heard()
        print(PROXY.say(host=host, port=opened["port"]), flush=True)
        await conversation.end()
    return OK


async def _real_host(client: Client, options: argparse.Namespace) -> int:
    from lab.seat.client import LabError, LabGone

    request = {"host": options.host, "port": options.port or "", "force": options.force, "keep": options.keep}
    try:
        async with client.begin("attach", **request) as conversation:
            facts = await conversation.heard()
            status = await _use(facts, options.argv, conversation)
    except LabGone:
        raise
    except LabError as error:
        complain(str(error))
        await _offer_instead(client, options.host)
        return 2
    if not options.argv:
        print((KEPT if options.keep else RESTORED).say(host=options.host), file=sys.stderr)
    return status


async def _use(facts: Mapping[str, Any], argv: Sequence[str], conversation: Conversation) -> int:
    """Run a command or a shell in the host, until it ends or the lab does."""
    if not argv:
        _welcome(facts)
    with _prepared(facts, argv) as (command, environment), terminal_lent():
        process = await asyncio.create_subprocess_exec(*facts["command"], *command, env=environment)
        ending = asyncio.ensure_future(conversation.end())
        exiting = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait((ending, exiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not exiting.done():
                await _send_away(process)
            await exiting
    if ending.done():
        ending.result()  # says why, where the lab has gone
    else:
        ending.cancel()
    return exit_status(exiting.result())


async def _send_away(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGHUP)
    try:
        async with asyncio.timeout(_SECONDS_TO_LEAVE):
            await process.wait()
    except TimeoutError:
        process.kill()


@contextmanager
def _prepared(facts: Mapping[str, Any], argv: Sequence[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """What to run and its environment: without a command, the user's shell with the host's name in its prompt."""
    host = facts["host"]
    environment = {**os.environ, "IIOTLAB_HOST": host}
    if argv:
        yield list(argv), environment
        return
    shell = os.environ.get("SHELL") or "/bin/sh"
    if Path(shell).name != "bash":
        yield [shell], {**environment, "PS1": f"[{host}] $ ", "PROMPT": f"[{host}] %~ %# "}
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="iiotlab-", suffix=".bashrc") as file:
        file.write(f"[ -f ~/.bashrc ] && . ~/.bashrc\nPS1='[{host}] \\w\\$ '\n")
        file.flush()
        yield [shell, "--rcfile", file.name, "-i"], environment


def _welcome(facts: Mapping[str, Any]) -> None:
    from lab.network.namespace import ROOT_IN_IT

    print(WELCOME.say(host=facts["host"], address=facts["address"]))
    if facts["names"]:
        print(NEIGHBOURS.say(names=", ".join(f"{name} ({where})" for name, where in facts["names"].items())))
    if tools := [tool for tool in TOOLS if shutil.which(tool)]:
        print(FOUND.say(tools=", ".join(tools)))
    if facts["published"]:
        print(MOVED.say(names=", ".join(facts["published"])))
    if facts["is_root"]:
        print(f"⚠ {ROOT_IN_IT.say()}")
    sys.stdout.flush()


async def _offer_instead(client: Client, host: str) -> None:
    """Where this computer cannot have real hosts, say what it can have."""
    from lab.network.namespace import why_not

    if why_not() is None:
        return
    status = await client.ask("status")
    print(INSTEAD.say(host=host), file=sys.stderr)
    for name, where in status["published"].items():
        print(PUBLISHED.say(where=where, name=name), file=sys.stderr)
