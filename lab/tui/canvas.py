"""A sheet of terminal cells to draw on."""

from __future__ import annotations

from itertools import groupby

from rich.cells import cell_len, set_cell_size
from textual.content import Content

_BLANK = (" ", "")


class Canvas:
    """As tall as what is drawn on it; what would stand beyond its width is left out."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._rows: list[list[tuple[str, str]]] = []

    def put(self, x: int, y: int, text: str, style: str = "") -> None:
        """Write from left to right; a wide character takes two cells."""
        while len(self._rows) <= y:
            self._rows.append([_BLANK] * self.width)
        row = self._rows[y]
        for character in text:
            cells = cell_len(character)
            if x < 0 or x + cells > self.width:
                break
            row[x] = (character, style)
            if cells == 2:
                row[x + 1] = ("", style)
            x += cells

    def box(self, x: int, y: int, width: int, height: int, style: str, strokes: str = "┌─┐│└┘") -> None:
        """A frame; what is inside stays as it is."""
        top_left, across, top_right, down, bottom_left, bottom_right = tuple(strokes)
        self.put(x, y, top_left + across * (width - 2) + top_right, style)
        for row in range(y + 1, y + height - 1):
            self.put(x, row, down, style)
            self.put(x + width - 1, row, down, style)
        self.put(x, y + height - 1, bottom_left + across * (width - 2) + bottom_right, style)

    def lines(self) -> tuple[Content, ...]:
        return tuple(_content(row) for row in self._rows)


def shortened(text: str, width: int) -> str:
    """The text in at most `width` cells, an ellipsis at the end where some is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…" if width > 0 else ""


def _content(row: list[tuple[str, str]]) -> Content:
    end = len(row)
    while end and row[end - 1] == _BLANK:
        end -= 1
    runs = groupby(row[:end], key=lambda cell: cell[1])
    return Content.assemble(*(("".join(character for character, _ in cells), style) for style, cells in runs))
