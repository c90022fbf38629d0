"""Where a queue keeps its files: a folder, or the memory of a simulated disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from lab.network.disk import Disk


class Volume(Protocol):
    """Files that only grow, and go."""

    def names(self) -> list[str]:
        """In alphabetical order. Raises OSError."""

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Raises OSError."""

    def append(self, name: str, data: bytes) -> None:
        """On return a killed program has it written; a computer without power may not. Raises OSError."""

    def remove(self, name: str) -> None:
        """Raises OSError."""

    def close(self) -> None: ...


class FolderVolume:
    """Real files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing: tuple[str, int] | None = None

    def names(self) -> list[str]:
        try:
            return sorted(each.name for each in self._folder.iterdir() if each.is_file())
        except FileNotFoundError:
            return []

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        with (self._folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def append(self, name: str, data: bytes) -> None:
        if self._writing is None or self._writing[0] != name:
            self.close()
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._writing = (name, os.open(self._folder / name, flags, 0o600))
        if os.write(self._writing[1], data) != len(data):
            raise OSError(f"{name}: written in part")

    def remove(self, name: str) -> None:
        if self._writing is not None and self._writing[0] == name:
            self.close()
        (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        if self._writing is not None:
            os.close(self._writing[1])
            self._writing = None


class MemoryVolume:
    """Files of a simulated disk that has no folder: they outlast the program on the host, and not the plant."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._files = disk.files
        self._prefix = f"{folder}/"

    def names(self) -> list[str]:
        return sorted(path.removeprefix(self._prefix) for path in self._files if path.startswith(self._prefix))

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        try:
            data = self._files[self._prefix + name]
        except KeyError:
            raise FileNotFoundError(name) from None
        return bytes(memoryview(data)[offset : len(data) if size < 0 else offset + size])

    def append(self, name: str, data: bytes) -> None:
        self._files.setdefault(self._prefix + name, bytearray()).extend(data)

    def remove(self, name: str) -> None:
        self._files.pop(self._prefix + name, None)

    def close(self) -> None:
        pass


def volume_for(disk: Disk, queue: str) -> Volume:
    """The place on a host's disk for the queue of this name."""
    folder = f"queue-{quote(queue, safe='')}"
    return FolderVolume(disk.folder / folder) if disk.folder is not None else MemoryVolume(disk, folder)
