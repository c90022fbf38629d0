"""What may stand on the command line."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from lab.cli import door_parser, fault_parser, gateway_parser, words
from lab.text import LANGUAGES, Text, spoken

USAGE_ERROR: Final = 2

DID_YOU_MEAN = Text(zh="是否想写 {guess!r}？", en="did you mean {guess!r}?")
KNOWN = Text(zh="可用：{known}", en="known: {known}")


class Parser(argparse.ArgumentParser):
    """argparse in two languages, with examples below."""

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        epilog = options.pop("epilog", None)
        if examples:
            epilog = words.EXAMPLES.say() + "\n" + "\n".join(f"  iiotlab {example}" for example in examples)
        super().__init__(
            add_help=False,
            allow_abbrev=False,
            formatter_class=_Formatter,
            epilog=epilog,
            **options,
        )
        self._positionals.title = words.ARGUMENTS.say()
        self._optionals.title = words.OPTIONS.say()
        self.add_argument("-h", "--help", action="help", help=words.HELP.say())

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_ERROR, f"iiotlab: {words.ERROR.say()}: {_in_the_language_spoken(message)}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            message = words.UNKNOWN_CHOICE.say(wrong=value)
            if near := difflib.get_close_matches(str(value), known, 1, 0.6):
                message += "; " + DID_YOU_MEAN.say(guess=near[0])
            self.error(f"{message}; {KNOWN.say(known=', '.join(known))}")


def _in_the_language_spoken(message: str) -> str:
    """argparse speaks English; these are the messages people get to see."""
    if spoken() == "zh":
        for pattern, chinese in words.ARGPARSE.items():
            if match := re.fullmatch(pattern, message):
                return chinese.format(*match.groups())
    return message


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=110)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, words.USAGE.say() if prefix is None else prefix)


def build() -> argparse.ArgumentParser:
    """The whole command line, in the language now spoken."""
    parser = Parser(prog="iiotlab", description=words.PROGRAM.say(), epilog=words.EPILOG.say())
    parser.add_argument("--version", action="store_true", help=words.VERSION.say())
    _language(parser)
    commands = parser.add_subparsers(
        dest="command", title=words.COMMANDS.say(), metavar=words.COMMAND.say(), parser_class=Parser
    )

    def command(name: str, what: str, examples: Sequence[str]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=what, description=what, examples=examples)
        _language(made)
        return made

    each = command("list", words.LIST.say(), ["list", "list --json"])
    _json(each)

    each = command(
        "run", words.RUN.say(), ["run first-poll", "run first-poll --seed 7 --dir ~/lab", "run first-poll --headless"]
    )
    each.add_argument("scenario", metavar="ID", help=words.ID.say())
    _seed(each)
    each.add_argument("--dir", metavar="D", help=words.DIR.say())
    each.add_argument("--headless", action="store_true", help=words.RUN_HEADLESS.say())

    each = command("check", words.CHECK.say(), ["check", "check ~/lab --json"])
    each.add_argument("dir", nargs="?", default=".", metavar="DIR", help=words.CHECK_DIR.say())
    _json(each)

    each = command("prove", words.PROVE.say(), ["prove first-poll", "prove --all", "prove --all --seeds 20 --json"])
    each.add_argument("scenarios", nargs="*", metavar="ID", help=words.ID.say())
    each.add_argument("--all", action="store_true", help=words.PROVE_ALL.say())
    each.add_argument("--seeds", type=_positive, default=1, metavar="N", help=words.PROVE_SEEDS.say())
    each.add_argument("--jobs", type=_positive, default=None, metavar="N", help=words.PROVE_JOBS.say())
    _json(each)

    each = command(
        "grade",
        words.GRADE.say(),
        [
            "grade evidence.zip",
            "grade evidence.zip --html report.html",
            "grade run.pcapng --scenario first-poll --seed 1",
        ],
    )
    each.add_argument("file", metavar="FILE", help=words.GRADE_FILE.say())
    each.add_argument("--scenario", metavar="ID", help=words.GRADE_SCENARIO.say())
    _seed(each)
    form = each.add_mutually_exclusive_group()
    _json(form)
    form.add_argument("--html", metavar="OUT", help=words.GRADE_HTML.say())

    each = command("replay", words.REPLAY.say(), ["replay evidence.zip"])
    each.add_argument("file", metavar="FILE", help=words.GRADE_FILE.say())
    each.add_argument("--scenario", metavar="ID", help=words.GRADE_SCENARIO.say())
    _json(each)

    each = command("lint", words.LINT.say(), ["lint", "lint first-poll", "lint my-scenarios/my-plant"])
    each.add_argument("scenarios", nargs="*", metavar="ID|PATH", help=words.ID.say())
    _json(each)

    each = command("new", words.NEW.say(), ["new my-scenarios/my-plant"])
    each.add_argument("path", metavar="PATH", help=words.NEW_PATH.say())

    command("demo", words.DEMO.say(), ["demo", "demo --lang zh"])

    door_parser.add(command, _natural)
    fault_parser.add(command, _natural)
    gateway_parser.add(command)

    each = command("doctor", words.DOCTOR.say(), ["doctor", "doctor --json"])
    _json(each)
    return parser


def _language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lang", choices=LANGUAGES, default=argparse.SUPPRESS, help=words.LANG.say())


def _json(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help=words.JSON.say())


def _seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_natural, default=1, metavar="N", help=words.SEED.say())


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


_natural.__name__ = _positive.__name__ = "number"
