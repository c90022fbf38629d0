"""What may stand on the command line of `fault`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from lab.cli.door_parser import which_lab
from lab.text import Text

FAULT = Text(
    zh="向运行的实训注入故障，或修复故障（教师用）", en="faults in a running lab: inject and repair (for instructors)"
)
DO = Text(
    zh="list：目录与现有故障；inject：注入；repair：修复", en="list the catalogue and what is wrong; inject; repair"
)
NAME = Text(zh="故障名称；repair 时为编号或 all", en="the fault's name; for repair its number, or all")
WHERE = Text(zh="参数，如 port=boiler/eth0 share=0.2", en="its parameters, such as port=boiler/eth0 share=0.2")

Command = Callable[[str, str, Sequence[str]], argparse.ArgumentParser]


def add(command: Command, natural: Callable[[str], int]) -> None:
    """Make the command known."""
    examples = [
        "fault list",
        "fault inject frame-loss port=boiler/eth0 share=0.2",
        "fault repair 1",
        "fault repair all",
    ]
    each = command("fault", FAULT.say(), examples)
    each.add_argument("do", metavar="DO", choices=("list", "inject", "repair"), help=DO.say())
    each.add_argument("name", nargs="?", metavar="NAME", help=NAME.say())
    each.add_argument("where", nargs="*", metavar="KEY=VALUE", help=WHERE.say())
    which_lab(each, natural)
