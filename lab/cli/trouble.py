"""What a command says where something cannot be used, and where we are wrong: one clear message, never a traceback."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Final

from lab.cli import words
from lab.model.document import FileError

OK: Final = 0
NOT_WELL: Final = 1
UNUSABLE: Final = 2
OURS: Final = 70
"""EX_SOFTWARE of sysexits.h: an internal error."""


class Refused(Exception):
    """What was asked for cannot be done; the message says why."""


def explained(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a command, and say what is wrong in words where it raises."""
    try:
        return command(options)
    except FileError as error:
        for problem in error.problems:
            complain(str(problem))
        return UNUSABLE
    except Refused as error:
        complain(str(error))
        return UNUSABLE
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}")
        return UNUSABLE
    except Exception as error:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="iiotlab-", suffix=".txt", delete=False) as file:
            traceback.print_exc(file=file)
        complain(words.OUR_MISTAKE.say(error=f"{type(error).__name__}: {error}", path=file.name))
        return OURS


def complain(message: str) -> None:
    print(f"iiotlab: {message}", file=sys.stderr)
