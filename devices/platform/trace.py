"""The latest messages of each device, as they came, and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from devices.web.reasons import Reason
from lab.text import Language

STRANGERS: Final = ""
"""Stands for everybody who is not registered."""
_SHOWN_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class Traced:
    """One message, up from a device or down to it."""

    at: int
    """Milliseconds since the epoch, when it arrived or left."""
    direction: Literal["up", "down"]
    topic: str
    payload: bytes
    """Its beginning."""
    size: int
    format: str
    accepted: int = 0
    refused: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def outcome(self) -> Literal["accepted", "partly", "rejected"]:
        if not self.refused:
            return "accepted"
        return "partly" if self.accepted else "rejected"

    def as_document(self, language: Language) -> dict[str, object]:
        return {
            "at": self.at,
            "direction": self.direction,
            "topic": self.topic,
            "payload": self.payload.decode(errors="replace"),
            "size": self.size,
            "format": self.format,
            "outcome": self.outcome,
            "accepted": self.accepted,
            "reasons": [
                {"item": item, "code": reason.code, "message": reason.say(language)}
                for item, reason in self.refused.items()
            ],
        }


class Trace:
    """Bounded: so many messages of each device, and of each so many bytes and reasons."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._rings: dict[str, deque[Traced]] = {}

    def note(self, device: str, message: Traced) -> None:
        ring = self._rings.get(device)
        if ring is None:
            ring = self._rings[device] = deque(maxlen=self._keep)
        ring.append(message)

    def of(self, device: str) -> Sequence[Traced]:
        """Newest first."""
        return list(reversed(self._rings.get(device, ())))

    def forget(self, device: str) -> None:
        self._rings.pop(device, None)

    def resize(self, keep: int) -> None:
        self._keep = keep
        self._rings = {device: deque(ring, maxlen=keep) for device, ring in self._rings.items()}


def beginning(payload: bytes) -> bytes:
    return payload[:_SHOWN_BYTES]
