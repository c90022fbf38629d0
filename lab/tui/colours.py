"""Which parts of a line of YAML are keys, values and comments, for colours that need no parser to be compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

Kind = Literal["comment", "key", "text", "value", "mark"]

_TOKEN: Final = re.compile(
    r"""
      (?P<comment> (?:^|(?<=\s)) \# .* )
    | (?P<key>  (?:"[^"]*"|'[^']*'|[^\s#:,\[\]{}"'&*!|>%@`-][^#:,\[\]{}]*?|-[^\s:,\[\]{}]+) (?= \s* : (?:\s|$) ) )
    | (?P<text> "(?:[^"\\]|\\.)*"? | '(?:[^']|'')*'? )
    | (?P<value> (?<![^\s,\[{]) (?:true|false|null|~|[-+]?(?:0x[0-9A-Fa-f]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?))
                 (?= \s*(?:[,\]}]|$) | \s+\# ) )
    | (?P<mark> [\[\]{},] | (?<!\S)-(?=\s|$) | :(?=\s|$) )
    | [^\s,\[\]{}"':]+ | .
    """,
    re.VERBOSE,
)


_LONGEST: Final = 400
"""Characters of a line that get colours: a search for keys takes time as the square of it."""


def tokens(line: str) -> Iterator[tuple[int, int, Kind]]:
    """Start, end and kind of what has a colour, from left to right; guesses where a text goes over several lines."""
    for match in _TOKEN.finditer(line[:_LONGEST]):
        kind = match.lastgroup
        if kind is not None:
            yield match.start(), match.end(), kind  # type: ignore[misc]
