"""Which readings are something new: a carrier in the field is read again and again, and is one event."""

from __future__ import annotations

from typing import Final

_KEPT: Final = 10_000
"""Identifiers remembered, the latest."""


class Sightings:
    """When each identifier was seen last, and how often since it was said."""

    def __init__(self, repeat_after_ms: int, kept: int = _KEPT) -> None:
        self._away = repeat_after_ms * 1_000_000
        self._kept = kept
        self._seen: dict[str, tuple[int, int]] = {}

    def see(self, code: str, at: int) -> int | None:
        """How often it has been read since the last event, this time included; None where this is no new event."""
        last, count = self._seen.pop(code, (None, 0))
        is_new = last is None or at - last >= self._away
        # Put in again, it stands last: the first are those not seen for longest.
        self._seen[code] = (at, 0 if is_new else count + 1)
        while len(self._seen) > self._kept:
            del self._seen[next(iter(self._seen))]
        return count + 1 if is_new else None
