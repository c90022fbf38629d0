"""Being told how far something is: a line that moves on a terminal, now and then a plain one elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, TextIO

_WIDTH: Final = 24
_PATIENCE: Final = 1.0
"""Seconds after which people like to hear something."""
_REDRAW: Final = 0.1


class Progress:
    """On stderr, so that what a program prints can be piped."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._began = self._last = time.monotonic()
        self._is_drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.clear()

    def show(self, what: str, done: float, total: float) -> None:
        """How far it is; cheap enough to be called often."""
        now = time.monotonic()
        share = min(1.0, done / total) if total else 0.0
        if self._is_terminal:
            if now - self._last >= _REDRAW or not self._is_drawn:
                self._last, self._is_drawn = now, True
                full = round(_WIDTH * share)
                self._stream.write(f"\r\x1b[K{'█' * full}{'░' * (_WIDTH - full)} {share:4.0%} {what}")
                self._stream.flush()
        elif now - self._last >= _PATIENCE:
            self._last = now
            self._stream.write(f"{share:4.0%} {what}\n")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away, for something else to be printed."""
        if self._is_drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_drawn = False
