"""What a recursive node remembers, for as long as its source allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class TtlCache(Generic[V]):
    """Bounded; what has not been asked for longest gives way first. Times are seconds."""

    def __init__(self, entries: int, now: Callable[[], float]) -> None:
        self._most = entries
        self._now = now
        self._kept: OrderedDict[str, tuple[float, V]] = OrderedDict()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> V | None:
        until, value = self._kept.get(key, (0.0, None))
        if value is None or until <= self._now():
            self._kept.pop(key, None)
            self.misses += 1
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return value

    def put(self, key: str, value: V, ttl: float) -> None:
        """What may not be remembered at all replaces what was."""
        self._kept.pop(key, None)
        if ttl <= 0 or self._most == 0:
            return
        self._kept[key] = self._now() + ttl, value
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
