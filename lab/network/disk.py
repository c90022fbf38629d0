"""The disk of a simulated host: how much is on it, for programs that store something."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CAPACITY: Final = 512 << 20
"""Bytes of an industrial computer's flash, less what its system needs."""


class Disk:
    """Space, in bytes; what is stored is the business of whoever stores it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.used = 0
        self.files: dict[str, bytearray] = {}
        """Files by path while there is no folder; what they take is the business of whoever writes them."""
        self.folder: Path | None = None
        """Where files of this host outlast the program, not made before somebody writes one; None keeps them in memory."""

    @property
    def free(self) -> int:
        return max(0, self.capacity - self.used)

    def take(self, size: int) -> bool:
        """Use so much more; False where there is not that much room."""
        if size > self.free:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        self.used = max(0, self.used - size)
