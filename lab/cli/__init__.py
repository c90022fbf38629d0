"""The command line: `iiotlab`. Each command imports what it needs when it runs, so that asking for help is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from lab.cli import words
from lab.cli.parser import USAGE_ERROR, build
from lab.text import LANGUAGES, language_of_the_user, speak

OK, NOT_WELL, UNUSABLE = 0, 1, USAGE_ERROR
INTERRUPTED: Final = 130
"""As shells have it: 128 and the number of SIGINT."""

_COMMANDS: Final = {
    None: "lab.cli.screen:open_catalogue",
    "list": "lab.cli.catalogue:list_scenarios",
    "run": "lab.cli.screen:run",
    "check": "lab.cli.marks:check",
    "prove": "lab.cli.proofs:prove",
    "grade": "lab.cli.marks:grade",
    "replay": "lab.cli.marks:replay",
    "lint": "lab.cli.catalogue:lint",
    "new": "lab.cli.catalogue:new",
    "demo": "lab.cli.demo:demo",
    "attach": "lab.cli.attach:attach",
    "console": "lab.cli.console:console",
    "scapy": "lab.cli.scapy:scapy",
    "nic": "lab.cli.attach:nic",
    "fault": "lab.cli.fault:fault",
    "gateway": "lab.cli.gateway:gateway",
    "doctor": "lab.cli.doctor:doctor",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _speak_as_asked(arguments)
    _write_utf8()
    _keep_libraries_quiet()
    try:
        options = _parse(list(arguments))
        if options.version:
            return _version()
        return _carry_out(options)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE_ERROR
    except KeyboardInterrupt:
        print(words.INTERRUPTED.say(), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does.
        sys.stdout = None
        return OK


def _parse(arguments: list[str]) -> argparse.Namespace:
    """What follows `--` is for another program; argparse would lose it behind an option."""
    if "--" not in arguments:
        return build().parse_args(arguments)
    at = arguments.index("--")
    options = build().parse_args(arguments[:at])
    if not hasattr(options, "argv"):
        return build().parse_args(arguments)
    options.argv += arguments[at + 1 :]
    return options


def _carry_out(options: argparse.Namespace) -> int:
    from lab.cli.trouble import explained

    module, _, name = _COMMANDS[options.command].partition(":")
    command: Callable[[argparse.Namespace], int] = getattr(import_module(module), name)
    return explained(command, options)


def _speak_as_asked(arguments: Sequence[str]) -> None:
    """The language must be known before the help is written, so this comes before the parser."""
    speak(language_of_the_user())
    for index, argument in enumerate(arguments):
        asked = argument.removeprefix("--lang=")
        if argument == "--lang" and index + 1 < len(arguments):
            asked = arguments[index + 1]
        for language in LANGUAGES:
            if asked == language and argument.startswith("--lang"):
                speak(language)


def _write_utf8() -> None:
    """Windows consoles and the C locale would refuse Chinese."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and (stream.encoding or "").lower().replace("-", "") != "utf8":
            reconfigure(encoding="utf-8", errors="replace")


def _keep_libraries_quiet() -> None:
    """What a library logs is for us and not for people, and on a screen it would be dirt."""
    import logging

    logging.getLogger().addHandler(logging.NullHandler())


def _version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"iiotlab {version('iiotlab')}")
    except PackageNotFoundError:
        print("iiotlab")
    return OK
