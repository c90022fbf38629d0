"""Questions about a frame, and how they are joined: what a capture filter is made of."""

from __future__ import annotations

from collections.abc import Callable

from lab.wire import ethernet

Test = Callable[[bytes], bool]


class TooShort(Exception):
    """The frame ends before what is asked for: no filter matches it, not even `not`."""


def field(frame: bytes, at: int, size: int) -> int:
    """So many bytes as a number; raises TooShort."""
    if len(frame) < at + size:
        raise TooShort
    return int.from_bytes(frame[at : at + size], "big")


def is_in(ports: range, at: int) -> Test:
    return lambda frame: field(frame, at, 2) in ports


def both(a: Test, b: Test) -> Test:
    return lambda frame: a(frame) and b(frame)


def either(a: Test, b: Test) -> Test:
    return lambda frame: a(frame) or b(frame)


def negated(test: Test) -> Test:
    return lambda frame: not test(frame)


def directed(direction: str | None, source: Test, destination: Test) -> Test:
    """Without a direction, either will do."""
    if direction == "src":
        return source
    if direction == "dst":
        return destination
    return both(source, destination) if direction == "src and dst" else either(source, destination)


def is_broadcast(frame: bytes) -> bool:
    return frame[:6] == ethernet.BROADCAST


def is_group(frame: bytes) -> bool:
    return bool(field(frame, 0, 1) & 1)
