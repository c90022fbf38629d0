"""What a scanner says: AIM identifier (ISO/IEC 15424), text, CR and LF."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_TEXT: Final = 4096
"""More than the largest QR code or Data Matrix holds is no bar code."""
_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")


class Scan(NamedTuple):
    symbology: str
    """Such as `]C1`; empty where the scanner does not say."""
    text: str


class ScanDecoder:
    """Cuts a stream into scans; either of CR and LF ends one, and empty lines are a heartbeat."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._buffer = bytearray()
        self._is_skipping = False
        self.too_long = 0
        """Lines that were dropped because they would not end."""

    def feed(self, data: bytes) -> list[Scan]:
        self._buffer += data
        *lines, rest = re.split(rb"[\r\n]", bytes(self._buffer))
        self._buffer = bytearray(rest)
        scans: list[Scan] = []
        for line in lines:
            if self._is_skipping:
                self._is_skipping = False
            elif len(line) > MAX_TEXT:
                self.too_long += 1
            elif line:
                scans.append(self._scan(line))
        if len(self._buffer) > MAX_TEXT:
            self.too_long += not self._is_skipping
            self._is_skipping = True
            self._buffer.clear()
        return scans

    def _scan(self, line: bytes) -> Scan:
        text = line.decode(self._encoding, "replace")
        return Scan(text[:3], text[3:]) if _AIM.match(text) else Scan("", text)
