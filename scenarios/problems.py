"""Complaints about scenarios and about the folders people work in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from lab.model.document import Document, Problem
from lab.text import Text

UNKNOWN_PARAMETER = Text(zh="没有参数 {wrong!r}", en="there is no parameter {wrong!r}")
UNKNOWN_HOST = Text(zh="没有设备 {wrong!r}", en="there is no device {wrong!r}")
UNKNOWN_PORT = Text(zh="{host} 没有端口 {wrong!r}", en="{host} has no port {wrong!r}")
UNKNOWN_TERMINAL = Text(zh="{host} 没有接线端子 {wrong!r}", en="{host} has no terminal {wrong!r}")
UNKNOWN_KIND = Text(zh="没有这种设备：{wrong!r}", en="there is no kind of device {wrong!r}")
UNKNOWN_CHECK = Text(zh="没有检查项 {wrong!r}", en="there is no check {wrong!r}")
NO_SUCH_SCENARIO = Text(zh="没有场景 {wrong!r}", en="there is no scenario {wrong!r}")


def nearest(wrong: str, known: Iterable[str]) -> str:
    """What was probably meant, or nothing."""
    return next(iter(difflib.get_close_matches(wrong, tuple(known), 1, 0.6)), "")


def unknown(
    file: str, place: tuple[int, int], what: Text, wrong: str, known: Iterable[str], /, **facts: str
) -> Problem:
    """A name that nothing has, with the names there are."""
    names = tuple(known)
    return Problem(file, *place, what, {"wrong": wrong, **facts}, names, nearest(wrong, names))


def unknown_in(
    document: Document, loc: Sequence[str | int], what: Text, wrong: str, known: Iterable[str], /, **facts: str
) -> Problem:
    """The same at a place of a document."""
    return unknown(document.file, document.position(loc), what, wrong, known, **facts)
