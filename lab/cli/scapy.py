"""`scapy`: scapy, in a process of its own, at a port of a running plant.

scapy is GPL and not ours to import: what it is told about the plant stands in scapy_boot.txt, which a Python of its own
runs, and the two meet on the lab's control socket only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.cli.labs import exit_status, in_a_lab, terminal_lent
from lab.cli.trouble import Refused
from lab.seat.running import VERSION
from lab.text import Text, spoken

if TYPE_CHECKING:
    from lab.seat.client import Client

_BOOT: Final = Path(__file__).with_name("scapy_boot.txt")

NOT_INSTALLED = Text(
    zh="没有安装 scapy（GPL-2.0，可选）。安装：{python} -m pip install scapy",
    en="scapy is not installed (GPL-2.0, optional). To install it: {python} -m pip install scapy",
)
NO_SCRIPT = Text(zh="没有文件 {script}", en="there is no file {script}")
BANNER = Text(
    zh="scapy 位于工厂的 {host}：发送和接收都经过它的网口，且都会被记录和评分。\n"
    "例：sr1(IP(dst=…)/ICMP())；已知主机见 names；exit() 离开",
    en="scapy at {host} in the plant: what is sent and heard passes its port, and is recorded and graded.\n"
    "For example sr1(IP(dst=…)/ICMP()); hosts known by name are in names; exit() leaves",
)
ALONE = Text(zh="主机自己的协议栈已让位（--alone）", en="the host's own stack has stepped aside (--alone)")
GONE = Text(zh="iiotlab: 实训已结束", en="iiotlab: the lab has ended")


def scapy(options: argparse.Namespace) -> int:
    if find_spec("scapy") is None:
        raise Refused(NOT_INSTALLED.say(python=sys.executable))
    if options.argv and not Path(options.argv[0]).is_file():
        raise Refused(NO_SCRIPT.say(script=options.argv[0]))
    return in_a_lab(options, lambda client: _run(client, options))


async def _run(client: Client, options: argparse.Namespace) -> int:
    host, _, port = options.host.partition("/")
    lab = client.lab
    banner = BANNER.say(host=host) + (f"\n{ALONE.say()}" if options.alone else "")
    target: dict[str, Any] = {
        "version": VERSION,
        "path": lab.path,
        "tcp": lab.port,
        "token": lab.token,
        "host": host,
        "port": port,
        "alone": options.alone,
        "language": spoken(),
        "banner": banner,
        "gone": GONE.say(),
    }
    environment = {**os.environ, "IIOTLAB_SCAPY": json.dumps(target)}
    with terminal_lent():
        # -P: beside the file that is run lies our own module `scapy`.
        process = await asyncio.create_subprocess_exec(sys.executable, "-P", str(_BOOT), *options.argv, env=environment)
        return exit_status(await process.wait())
