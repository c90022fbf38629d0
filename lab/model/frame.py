"""A frame as a tap saw it."""

from __future__ import annotations

from typing import NamedTuple


class Port(NamedTuple):
    """One socket of one device, such as `sw-1/p3`."""

    host: str
    name: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Port:
        """Read `host/name`; raises ValueError where there is no such pair."""
        host, slash, name = text.partition("/")
        if not (slash and host and name) or "/" in name:
            raise ValueError(f"{text!r} is not of the form host/port")
        return cls(host, name)


class Tap(NamedTuple):
    """One direction of one cable: frames are seen where they arrive, and we know who put them on the cable."""

    seen_at: Port
    sent_from: Port


class Frame(NamedTuple):
    """An Ethernet frame at the moment it reached `tap.seen_at`, without preamble and FCS."""

    number: int
    """Counted from 1 over the whole capture, as Wireshark's frame.number."""
    at: int
    """Nanoseconds since the Unix epoch on the plant's clock."""
    tap: Tap
    data: bytes
