"""Where a line of text may end, in Chinese too.

Textual breaks lines at blanks, so that a Chinese sentence, which has none, goes to the next line as one word. Here a
line may end between any two ideographs, but no line begins with a closing mark or ends with an opening one: the part
of Unicode Standard Annex 14 that this program's texts need.
"""

from __future__ import annotations

import re
from typing import Final

import textual.content
from rich.cells import cell_len, chop_cells

_OPENING: Final = "（〔［｛《〈「『【〖“"
_CLOSING: Final = "）〕］｝》〉」』】〗”，。、；：！？．％…—"
_WIDE: Final = r"\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_WORD: Final = re.compile(
    rf"\s*[{_OPENING}]*(?:[^\s{_OPENING}{_CLOSING}{_WIDE}]+|(?![{_OPENING}{_CLOSING}])[{_WIDE}])?[{_CLOSING}]*\s*"
)


def divide_line(text: str, width: int, fold: bool = True) -> list[int]:
    """Offsets at which to break a text so that no line is wider than `width` cells; longer words are cut if `fold`."""
    breaks: list[int] = []
    used = 0
    start = 0
    while start < len(text) and (match := _WORD.match(text, start)) is not None and match.end() > start:
        word = match.group()
        length = cell_len(word.rstrip())
        if used + length <= width:
            used += cell_len(word)
        elif length <= width or not fold:
            if start:
                breaks.append(start)
            used = cell_len(word)
        else:
            at = start
            for piece in chop_cells(word, width):
                if at:
                    breaks.append(at)
                at += len(piece)
                used = cell_len(piece)
        start = match.end()
    return breaks


def mend() -> None:
    """Have Textual break lines in this way."""
    textual.content.divide_line = divide_line  # type: ignore[attr-defined]
