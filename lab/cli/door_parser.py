"""What may stand on the command line of `attach`, `console`, `scapy` and `nic`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from lab.text import Text

ATTACH = Text(
    zh="在运行的工厂里用真实的 shell 顶替一台工作站（Linux）",
    en="a real shell in the plant, in place of a workstation (Linux)",
)
CONSOLE = Text(
    zh="主机自带的控制台程序：ping、modbus、mqtt …", en="a host's own console programs: ping, modbus, mqtt …"
)
SCAPY = Text(
    zh="在工厂某台主机的网口上运行 scapy（需另装）", en="scapy at the port of a plant host (to be installed separately)"
)
NIC = Text(
    zh="把真实网卡接入工厂，让真实设备加入（Linux）", en="a real network card in the plant, for a real device (Linux)"
)
HOST = Text(zh="工厂中的主机", en="a host of the plant")
HOST_OR_PORT = Text(zh="工厂中的主机，或 主机/端口", en="a host of the plant, or host/port")
COMMAND = Text(zh="-- 之后：要运行的命令；默认是 shell", en="after --: a command to run; a shell unless given")
LINE = Text(zh="-- 之后：一条控制台命令；默认进入交互", en="after --: one line; a prompt unless given")
SCRIPT = Text(zh="脚本及其参数；默认进入交互", en="a script and its arguments; a prompt unless given")
LAB = Text(
    zh="实训的工作文件夹；只有一个在运行时可省略", en="the work folder of the lab; not needed where only one is running"
)
SCENARIO = Text(zh="启动这个场景，而不是连接正在运行的实训", en="start this scenario instead of using a lab that runs")
SEED = Text(zh="与 --scenario 同用：种子", en="with --scenario: the seed")
FORCE_HOST = Text(zh="即使不是工作站也顶替", en="even if it is no workstation")
FORCE_CARD = Text(zh="即使网卡通向真实网络", en="even if the card leads to a real network")
KEEP = Text(zh="离开后仍保持为真实主机", en="leave the host a real one on leaving")
DETACH = Text(zh="恢复为模拟主机", en="give the host its simulated stack back")
PORT = Text(zh="要顶替的端口；默认是有地址的第一个", en="the port to take; the first with an address unless given")
SOCKS = Text(
    zh="不用真实主机：在 127.0.0.1 开 SOCKS5 代理（无需特权）",
    en="no real host: a SOCKS5 proxy at 127.0.0.1 instead, which needs no privileges",
)
WITH_CARD = Text(zh="用真实网卡顶替这台主机", en="a real network card in place of the host")
ALONE = Text(
    zh="让主机自己的协议栈让位，否则它会复位不认识的连接",
    en="the host's own stack steps aside; otherwise it resets connections it does not know",
)
PLANT_PORT = Text(zh="交换机的空端口或主机端口，如 sw-1/p7", en="a free port of a switch, or a host's, such as sw-1/p7")
INTERFACE = Text(
    zh="本机网卡，如 enp3s0；tap:NAME 新建 TAP", en="a card of this computer, such as enp3s0; tap:NAME makes a TAP"
)

Command = Callable[[str, str, Sequence[str]], argparse.ArgumentParser]


def add(command: Command, natural: Callable[[str], int]) -> None:
    """Make the commands known."""
    each = command(
        "attach",
        ATTACH.say(),
        [
            "attach ws-1",
            "attach ws-1 -- nmap -sT 10.20.10.0/24",
            "attach ws-1 --scenario first-poll -- ping -c 3 boiler",
        ],
    )
    each.add_argument("host", metavar="HOST", help=HOST.say())
    each.add_argument("argv", nargs="*", metavar="COMMAND", help=COMMAND.say())
    each.add_argument("--port", metavar="PORT", help=PORT.say())
    each.add_argument("--keep", action="store_true", help=KEEP.say())
    each.add_argument("--force", action="store_true", help=FORCE_HOST.say())
    other = each.add_mutually_exclusive_group()
    other.add_argument("--detach", action="store_true", help=DETACH.say())
    other.add_argument("--socks", nargs="?", type=natural, const=1080, metavar="PORT", help=SOCKS.say())
    other.add_argument("--nic", metavar="IFACE", help=WITH_CARD.say())
    which_lab(each, natural)

    each = command("console", CONSOLE.say(), ["console ws-1", "console ws-1 -- ping -c 3 boiler"])
    each.add_argument("host", metavar="HOST", help=HOST.say())
    each.add_argument("argv", nargs="*", metavar="LINE", help=LINE.say())
    which_lab(each, natural)

    each = command("scapy", SCAPY.say(), ["scapy ws-1", "scapy ws-1 attack.py", "scapy ws-1 --alone"])
    each.add_argument("host", metavar="HOST", help=HOST_OR_PORT.say())
    each.add_argument("argv", nargs="*", metavar="SCRIPT", help=SCRIPT.say())
    each.add_argument("--alone", action="store_true", help=ALONE.say())
    which_lab(each, natural)

    each = command("nic", NIC.say(), ["nic sw-1/p7 enp3s0", "nic plc-1/eth0 enp3s0"])
    each.add_argument("port", metavar="PORT", help=PLANT_PORT.say())
    each.add_argument("interface", metavar="IFACE", help=INTERFACE.say())
    each.add_argument("--force", action="store_true", help=FORCE_CARD.say())
    which_lab(each, natural)


def which_lab(parser: argparse.ArgumentParser, natural: Callable[[str], int]) -> None:
    """The options that say which lab is meant."""
    parser.add_argument("--lab", metavar="DIR", help=LAB.say())
    parser.add_argument("--scenario", metavar="ID", help=SCENARIO.say())
    parser.add_argument("--seed", type=natural, default=1, metavar="N", help=SEED.say())
