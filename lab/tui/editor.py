"""A text area for YAML that shows where a file is wrong while it is being written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.text import Text as Line
from textual.widgets import TextArea

from lab.model.document import Problem

_KEY = re.compile(r"^(\s*(?:-\s+)*)([^\s#:{\[][^#:]*?)(?=:(?:\s|$))")
_FLOW_KEY = re.compile(r"(?<=[{,])\s*([\w-]+)(?=:\s)")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VALUE = re.compile(r"(?<=[:\s\[,])(true|false|null|-?\d+(?:\.\d+)?)(?=$|[\s,\]}])")
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")


class YamlEditor(TextArea):
    """YAML with colours of its own, so that no parser has to be compiled; lines with problems are underlined."""

    def __init__(self, **options: Any) -> None:
        super().__init__(show_line_numbers=True, tab_behavior="focus", soft_wrap=False, **options)
        self.indent_width = 2
        self._wrong: frozenset[int] = frozenset()

    def mark(self, problems: Sequence[Problem]) -> None:
        """Underline the lines these problems are about."""
        wrong = frozenset(problem.line - 1 for problem in problems if problem.line)
        if wrong != self._wrong:
            self._wrong = wrong
            self._line_cache.clear()
            self.refresh()

    def get_line(self, line_index: int) -> Line:
        line = super().get_line(line_index)
        text = line.plain
        for match in _KEY.finditer(text):
            line.stylize("cyan", match.start(2), match.end(2))
        for match in _FLOW_KEY.finditer(text):
            line.stylize("cyan", match.start(1), match.end(1))
        for match in _VALUE.finditer(text):
            line.stylize("yellow", match.start(1), match.end(1))
        for match in _STRING.finditer(text):
            line.stylize("green", *match.span())
        if comment := _COMMENT.search(text):
            line.stylize("not bold dim", *comment.span())
        if line_index in self._wrong:
            line.stylize("underline red", len(text) - len(text.lstrip()), len(text))
        return line

    def go_to(self, problem: Problem) -> None:
        """Put the cursor where a problem is."""
        row = min(max(0, problem.line - 1), self.document.line_count - 1)
        column = min(max(0, problem.column - 1), len(self.document.get_line(row)))
        self.move_cursor((row, column), center=True)
        self.focus()
