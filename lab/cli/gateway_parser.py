"""What may stand on the command line of `gateway`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from lab.cli import words
from lab.text import Text

GATEWAY = Text(
    zh="网关配置：轮询计划，以及供编辑器用的 JSON Schema",
    en="configurations of the gateway: their poll plan, and the JSON Schema for editors",
)
DO = Text(
    zh="plan：文件会产生哪些请求；schema：输出 JSON Schema",
    en="plan: which requests a file leads to; schema: print the JSON Schema",
)
FILE = Text(zh="网关的配置文件，如 config/gw-1.yaml", en="a gateway's configuration, such as config/gw-1.yaml")

Command = Callable[[str, str, Sequence[str]], argparse.ArgumentParser]


def add(command: Command) -> None:
    """Make the command known."""
    examples = [
        "gateway plan config/gw-1.yaml",
        "gateway plan config/gw-1.yaml --json",
        "gateway schema > gateway.schema.json",
    ]
    each = command("gateway", GATEWAY.say(), examples)
    each.add_argument("do", metavar="DO", choices=("plan", "schema"), help=DO.say())
    each.add_argument("file", nargs="?", metavar="FILE", help=FILE.say())
    each.add_argument("--json", action="store_true", help=words.JSON.say())
