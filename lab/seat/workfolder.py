"""The folder a trainee works in, and what the seat keeps in its `work/`: attempt, capture, journal, truth."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from lab.model.document import TOO_LARGE, FileError, Problem, read_text
from lab.text import Text
from scenarios.folder import is_plant_file
from scenarios.scenario import Instance

WORK: Final = "work"
DISKS: Final = "disks"
"""What programs of the plant's hosts store, in a folder for each host."""
SUBMIT: Final = "submit"
_ATTEMPT: Final = "attempt.json"
_LOCK: Final = "seat.lock"
_MAX_SUBMITTED: Final = 20_000_000
_LONGEST_LINE: Final = 2_000_000
"""Bytes: a journal line may hold a whole file."""
_BLOCK: Final = struct.Struct("<II")

OTHER_ATTEMPT = Text(
    zh="此文件夹属于另一次作答：{scenario}，种子 {seed}",
    en="this folder belongs to another attempt: {scenario}, seed {seed}",
)
BROKEN_ATTEMPT = Text(zh="内容已损坏", en="makes no sense any more")
NO_ATTEMPT = Text(
    zh="不是作答文件夹：没有 work/attempt.json（用 iiotlab run 建立）",
    en="is not the folder of an attempt: it has no work/attempt.json (iiotlab run makes one)",
)
IN_USE = Text(
    zh="另一个程序正在使用这个工作文件夹",
    en="another program is at work in this folder",
)
NOT_WRITABLE = Text(zh="无法写入：{reason}", en="cannot be written: {reason}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which scenario is worked on here."""

    scenario: str
    """Its id, or the path of a scenario outside the catalogue."""
    seed: int
    began_ns: int
    """Plant time, ns since the Unix epoch."""


class WorkFolder:
    """Files by names with forward slashes, such as `config/gw-1.yaml`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / WORK

    @classmethod
    def open(cls, root: Path, instance: Instance, now_ns: int) -> tuple[WorkFolder, Attempt]:
        """Begin an attempt in a folder, or go on with the one that is there; raises FileError.

        Files of the start are put there once, in the beginning. What is there is never overwritten.
        """
        folder = cls(root.resolve())
        scenario = str(instance.scenario.folder)
        attempt_path = folder.work / _ATTEMPT
        try:
            if attempt_path.exists():
                attempt = folder.attempt()
                if (Path(attempt.scenario).name, attempt.seed) != (instance.id, instance.seed):
                    facts = {"scenario": Path(attempt.scenario).name, "seed": attempt.seed}
                    raise FileError([Problem(str(folder.root), 0, 0, OTHER_ATTEMPT, facts)])
                return folder, attempt
            folder.work.mkdir(parents=True, exist_ok=True)
            (folder.root / "config").mkdir(exist_ok=True)
            (folder.root / SUBMIT).mkdir(exist_ok=True)
            for name, text in instance.start.items():
                if not (folder.root / name).exists():
                    folder.write(name, text)
            attempt = Attempt(scenario, instance.seed, now_ns)
            _write(attempt_path, json.dumps(asdict(attempt), ensure_ascii=False, indent=1))
        except OSError as error:
            facts = {"reason": error.strerror or str(error)}
            raise FileError([Problem(str(error.filename or folder.root), 0, 0, NOT_WRITABLE, facts)]) from None
        return folder, attempt

    def lock(self) -> BinaryIO:
        """Keep other seats out until the file this returns is closed; raises FileError where one is at work here.

        The system lets go of it when the program ends, however it ends.
        """
        file = (self.work / _LOCK).open("ab")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise FileError([Problem(str(self.root), 0, 0, IN_USE)]) from None
        return file

    def attempt(self) -> Attempt:
        """The attempt this folder belongs to; raises FileError where there is none."""
        path = self.work / _ATTEMPT
        if not path.is_file():
            raise FileError([Problem(str(self.root), 0, 0, NO_ATTEMPT)])
        try:
            said = json.loads(read_text(path))
            return Attempt(str(said["scenario"]), int(said["seed"]), int(said["began_ns"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise FileError([Problem(str(path), 0, 0, BROKEN_ATTEMPT)]) from None

    def read(self, name: str) -> str:
        """Raises FileError, which calls the file by its name in the folder."""
        return read_text(self.root / name, name)

    def write(self, name: str, text: str) -> None:
        """Put a text in place of the old one, whole or not at all; raises OSError."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)

    def plant_files(self) -> tuple[dict[str, str], list[Problem]]:
        """The files about the plant that are there now, and those among them that cannot be read."""
        paths = [self.root / "wiring.yaml", *sorted((self.root / "config").glob("*.yaml"))]
        files: dict[str, str] = {}
        problems: list[Problem] = []
        for path in paths:
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and is_plant_file(name):
                try:
                    files[name] = self.read(name)
                except FileError as error:
                    problems.extend(error.problems)
        return files, problems

    def keep_applied(self, name: str, text: str) -> None:
        """Remember a file as the plant runs with it, for the next time the attempt is opened."""
        path = self.work / "applied" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)

    def applied(self) -> dict[str, str]:
        """The files the plant last ran with, as far as they can still be read."""
        folder = self.work / "applied"
        texts: dict[str, str] = {}
        for path in sorted(folder.rglob("*.yaml")):
            try:
                texts[path.relative_to(folder).as_posix()] = read_text(path)
            except FileError:
                continue
        return texts

    def submitted(self) -> Mapping[str, bytes]:
        """What lies in `submit/`, hidden files left out; raises FileError where it is too much."""
        folder = self.root / SUBMIT
        found = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        }
        size = sum(path.stat().st_size for path in found.values())
        if size > _MAX_SUBMITTED:
            raise FileError([Problem(SUBMIT, 0, 0, TOO_LARGE, {"size": size, "limit": _MAX_SUBMITTED})])
        return {name: path.read_bytes() for name, path in found.items()}


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def whole_blocks(path: Path) -> int:
    """Bytes of a capture up to the end of its last whole block: what a crash leaves behind it is no use."""
    size = path.stat().st_size
    end = 0
    with path.open("rb") as file:
        while end + 12 <= size:
            file.seek(end)
            _, length = _BLOCK.unpack(file.read(8))
            if length < 12 or end + length > size:
                break
            end += length
    return end


def whole_lines(path: Path) -> int:
    """Bytes of a record up to the end of its last whole line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST_LINE))
        tail = file.read()
    return size - len(tail) + tail.rfind(b"\n") + 1


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
