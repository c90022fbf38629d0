"""Which labs are running on this computer for this user: one small file each, written by the lab itself.

The files lie in a folder that nobody else may enter, beside the sockets they tell of. Those of labs that were killed
are cleared away by whoever looks next.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lab.text import Text

VERSION: Final = 1
"""Of the conversation on the control socket; see lab.seat.control."""
_LONGEST_PATH: Final = 100
"""Bytes that every system takes as the name of a Unix socket."""
_PATIENCE_SECONDS: Final = 2.0

NOT_OURS = Text(
    zh="{path} 不是本用户私有的文件夹，不能用于控制接口",
    en="{path} is not a folder of this user's alone, so it is no place for a control socket",
)


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab that listens."""

    folder: str
    """The folder that is worked in."""
    scenario: str
    seed: int
    process: int
    path: str = ""
    """Of its Unix socket; empty where it listens on TCP."""
    port: int = 0
    """At 127.0.0.1."""
    token: str = ""
    """What a client must know, where anybody on the computer could connect."""

    def connect(self) -> socket.socket:
        """A connection to it; raises OSError where nobody listens any more."""
        family = socket.AF_INET if not self.path else getattr(socket, "AF_UNIX", socket.AF_INET)
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(self.path or ("127.0.0.1", self.port))
            connection.settimeout(None)
        except BaseException:
            connection.close()
            raise
        return connection


def runtime_folder() -> Path:
    """Where running labs leave word, made if it is missing; raises OSError where it isn't this user's alone."""
    if chosen := os.environ.get("IIOTLAB_HOME"):
        folder = Path(chosen) / "running"
    elif sys.platform == "win32":
        from lab.seat.home import home

        folder = home() / "running"
    elif base := os.environ.get("XDG_RUNTIME_DIR"):
        folder = Path(base) / "iiotlab"
    else:
        folder = Path(tempfile.gettempdir()) / f"iiotlab-{os.getuid()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32":
        _refuse_shared(folder)
    return folder


def _refuse_shared(folder: Path) -> None:
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise PermissionError(errno.EPERM, NOT_OURS.say(path=folder))


def socket_path() -> Path:
    """A name for a new Unix socket in a folder that only this user can enter; raises OSError."""
    name = f"{os.getpid()}-{secrets.token_hex(4)}.socket"
    path = runtime_folder() / name
    if len(os.fsencode(path)) > _LONGEST_PATH:
        path = Path(tempfile.mkdtemp(prefix="iiotlab-")) / name
    return path


def announce(lab: RunningLab) -> Path:
    """Leave word that a lab listens; the file this returns is removed with `withdraw`."""
    path = runtime_folder() / f"{lab.process}-{secrets.token_hex(4)}.json"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"iiotlab": VERSION, **asdict(lab)}, file, ensure_ascii=False)
    return path


def withdraw(path: Path, lab: RunningLab) -> None:
    """Take back what `announce` and `socket_path` made."""
    path.unlink(missing_ok=True)
    if lab.path:
        where = Path(lab.path)
        where.unlink(missing_ok=True)
        if where.parent != path.parent:
            where.parent.rmdir()


def running_labs() -> list[RunningLab]:
    """Those that answer, by folder; what others left behind is removed. Raises OSError."""
    labs: list[RunningLab] = []
    for path in sorted(runtime_folder().glob("*.json")):
        lab = _read(path)
        if lab is None:
            continue
        try:
            lab.connect().close()
        except (ConnectionRefusedError, FileNotFoundError):
            try:
                withdraw(path, lab)
            except OSError:
                pass  # somebody else is clearing up too
        except OSError:
            continue  # too busy to answer is not dead
        else:
            labs.append(lab)
    return sorted(labs, key=lambda lab: lab.folder)


def _read(path: Path) -> RunningLab | None:
    """None for a file that makes no sense: it is being written, or another version's."""
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, Mapping) or facts.get("iiotlab") != VERSION:
            return None
        lab = RunningLab(**{name: facts[name] for name in RunningLab.__slots__})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    types = {"folder": str, "scenario": str, "seed": int, "process": int, "path": str, "port": int, "token": str}
    return lab if all(isinstance(getattr(lab, name), kind) for name, kind in types.items()) else None
