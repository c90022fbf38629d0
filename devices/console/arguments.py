"""argparse for console programs: in two languages, onto the console instead of this computer's screen."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

from devices.console import words
from devices.console.process import OK, USAGE, Process
from lab.text import Text

_WIDTH: Final = 100
_HELP: Final = ("-h", "--help")
Options = argparse.Namespace


class Ended(Exception):
    """The command line has been dealt with: help was shown, or a mistake."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class BadValue(Exception):
    """An argument that makes no sense, and why."""

    def __init__(self, text: Text, **facts: object) -> None:
        super().__init__(text.en)
        self.text, self.facts = text, facts


class Arguments(argparse.ArgumentParser):
    """What a program takes: flags and words in any order, or commands that have them."""

    def __init__(self, process: Process, about: Text, *, prog: str | None = None, help_flags: Sequence[str] = _HELP):
        self._process = process
        self._commands: dict[str, tuple[Text, Arguments]] = {}
        say = process.say
        super().__init__(
            prog=prog or process.name,
            description=say(about),
            add_help=False,
            allow_abbrev=False,
            formatter_class=partial(_Formatter, say(words.USAGE)),
        )
        self.color = False  # from Python 3.14 on argparse would look at this computer's terminal
        self._positionals.title = say(words.ARGUMENTS)
        self._optionals.title = say(words.OPTIONS)
        self.flag(*help_flags, action="help", help=words.HELP)

    def examples(self, *examples: str) -> None:
        """Command lines that show how it is used."""
        self.epilog = "\n".join((self._process.say(words.EXAMPLES), *(f"  {example}" for example in examples)))

    def flag(self, *names: str, help: Text, **options: Any) -> None:  # noqa: A002
        """add_argument, with its explanation in two languages."""
        self.add_argument(*names, help=self._process.say(help).replace("%", "%%"), **options)

    def command(self, name: str, about: Text, help_flags: Sequence[str] = _HELP) -> Arguments:
        """One of several things the program does; its name will be `options.command`."""
        made = Arguments(self._process, about, prog=f"{self.prog} {name}", help_flags=help_flags)
        self._commands[name] = about, made
        return made

    def parse(self, line: Sequence[str]) -> Options:
        """Raises Ended for help and for mistakes."""
        if not self._commands:
            # argparse would take the usage apart by its English beginning.
            self.usage = self.format_usage().removeprefix(self._process.say(words.USAGE)).strip().replace("%", "%%")
            return self.parse_intermixed_args(list(line))
        first = line[0] if line else "--help"
        if first in _HELP:
            self._show_commands()
            raise Ended(OK if line else USAGE)
        if first not in self._commands:
            self.error(
                self._process.say(words.UNKNOWN_CHOICE, wrong=first) + known(self._process, first, self._commands)
            )
        options = self._commands[first][1].parse(line[1:])
        options.command = first
        return options

    def print_usage(self, file: Any = None) -> None:
        if self._commands:
            self._process.print(f"{self._process.say(words.USAGE)}{self.prog} {{{','.join(self._commands)}}} …")
        else:
            super().print_usage(file)

    def _show_commands(self) -> None:
        write = self._process.print
        self.print_usage()
        write(f"\n{self.description}\n\n{self._process.say(words.COMMANDS)}:")
        for name, (about, _) in self._commands.items():
            write(f"  {name:<12}{self._process.say(about)}")
        if self.epilog:
            write(f"\n{self.epilog}")

    def _get_value(self, action: argparse.Action, text: str) -> Any:
        try:
            return super()._get_value(action, text)
        except BadValue as error:
            raise argparse.ArgumentError(action, self._process.say(error.text, **error.facts)) from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            self.error(
                self._process.say(words.UNKNOWN_CHOICE, wrong=value) + known(self._process, value, action.choices)
            )

    def _print_message(self, message: str, file: Any = None) -> None:
        self._process.write(message)

    def exit(self, status: int = OK, message: str | None = None) -> NoReturn:
        if message:
            self._process.write(message)
        raise Ended(status)

    def error(self, message: str) -> NoReturn:
        say = self._process.say
        self.print_usage()
        self._process.print(f"{self.prog}: {say(words.ERROR)}: {self._in_our_language(message)}")
        raise Ended(USAGE)

    def _in_our_language(self, message: str) -> str:
        if self._process.language == "zh":
            for pattern, chinese in words.ARGPARSE.items():
                if match := re.fullmatch(pattern, message, re.DOTALL):
                    return chinese.format(*match.groups())
        return message


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, usage: str, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=26, width=_WIDTH)
        self._usage = usage

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, self._usage if prefix is None else prefix)


def known(process: Process, wrong: object, names: Any) -> str:
    """What there is instead, beginning with what was probably meant."""
    listed = [str(name) for name in names]
    text = ""
    if near := difflib.get_close_matches(str(wrong), listed, 1, 0.6):
        text = "; " + process.say(words.DID_YOU_MEAN, guess=near[0])
    return f"{text}; {process.say(words.KNOWN, known=', '.join(listed))}"


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number, also as 0x…."""

    def convert(value: str) -> int:
        try:
            number = int(value, 16 if value.lower().startswith("0x") else 10)
        except ValueError:
            raise BadValue(words.NOT_A_NUMBER, value=value) from None
        if not low <= number <= high:
            raise BadValue(words.OUT_OF_RANGE, value=value, low=low, high=high)
        return number

    return convert


def decimal(low: float, high: float) -> Callable[[str], float]:
    """A type for argparse: a number, with or without a fraction."""

    def convert(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise BadValue(words.NOT_A_NUMBER, value=value) from None
        if math.isnan(number) or not low <= number <= high:
            raise BadValue(words.OUT_OF_RANGE, value=value, low=low, high=high)
        return number

    return convert


port = whole(0, 65535)


def hexadecimal(value: str) -> bytes:
    """A type for argparse: bytes as `0102ff` or `01 02 ff`."""
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise BadValue(words.NOT_HEX, value=value) from None
