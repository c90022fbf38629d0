"""What happened, beside the frames: journal and truth, one JSON object a line, both on the plant's clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

Write = Callable[[bytes], object]


def line(**facts: Any) -> bytes:
    """One line of a record."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Record:
    """Lines as they come, kept in memory or written to a file at once."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self._file = file
        self._lines: list[bytes] = []

    @property
    def data(self) -> bytes:
        """Everything kept in memory."""
        return b"".join(self._lines)

    def add(self, facts: Mapping[str, Any]) -> None:
        text = line(**facts)
        if self._file is None:
            self._lines.append(text)
        else:
            self._file.write(text)
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
