"""A text area for YAML that says at the line what is wrong with it while it is being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text as Line
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widgets import TextArea

from lab.model.document import Problem
from lab.tui.colours import tokens
from lab.tui.inorder import take_in_order

_STEP = "  "


class YamlEditor(TextArea):
    """Colours, indentation that follows, comments at a key, and complaints behind the lines they are about."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "new_line", show=False),
        # Terminals send Ctrl+_ where Ctrl+/ is pressed.
        Binding("ctrl+underscore,ctrl+slash", "comment", show=False),
        Binding("alt+right", "shift_lines(1)", show=False),
        Binding("alt+left", "shift_lines(-1)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "yaml--key",
        "yaml--text",
        "yaml--value",
        "yaml--mark",
        "yaml--comment",
        "yaml--problem",
    }
    DEFAULT_CSS = """
    YamlEditor {
        & .yaml--key { color: $primary; }
        & .yaml--text { color: $success; }
        & .yaml--value { color: $warning; }
        & .yaml--mark { color: $text-muted; }
        & .yaml--comment { color: $text-muted; text-style: italic; }
        & .yaml--problem { color: $error; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__(show_line_numbers=True, tab_behavior="focus", soft_wrap=False)
        self.indent_width = len(_STEP)
        self._complaints: dict[int, str] = {}

    def mark(self, problems: Sequence[Problem]) -> None:
        """Write these problems behind their lines, first those that come with a way out."""
        complaints: dict[int, str] = {}
        for problem in sorted(problems, key=lambda problem: not problem.guess):
            if problem.line:
                before = complaints.get(problem.line - 1)
                complaints[problem.line - 1] = f"{before} · {sentence(problem)}" if before else sentence(problem)
        if complaints != self._complaints:
            self._complaints = complaints
            self.refresh()

    @property
    def marked(self) -> tuple[int, ...]:
        """Lines, counted from 1, that are complained about."""
        return tuple(line + 1 for line in sorted(self._complaints))

    def go_to(self, problem: Problem) -> None:
        """Put the cursor where a problem is."""
        row = min(max(0, problem.line - 1), self.document.line_count - 1)
        column = min(max(0, problem.column - 1), len(self.document.get_line(row)))
        self.move_cursor((row, column), center=True)
        self.focus()

    def replace_all(self, text: str) -> None:
        """Another text in place of this one, which undo brings back."""
        row, column = self.cursor_location
        self.replace(text, self.document.start, self.document.end, maintain_selection_offset=False)
        row = min(row, self.document.line_count - 1)
        self.move_cursor((row, min(column, len(self.document.get_line(row)))))

    # -- keys --------------------------------------------------------------------------------------------------------

    async def on_key(self, event: events.Key) -> None:
        await take_in_order(self, event)

    def action_new_line(self) -> None:
        """The next line begins where this one does, and deeper where this one opens something."""
        start, end = sorted(self.selection)
        before = self.document.get_line(start[0])[: start[1]]
        indent = before[: len(before) - len(before.lstrip(" "))]
        written = before.split(" #")[0].rstrip()
        if written.endswith(":"):
            indent += _STEP * (2 if written.lstrip().startswith("- ") else 1)
        elif written.lstrip().startswith("- ") and ": " in written and not written.endswith(("]", "}")):
            indent += _STEP
        self._replace_via_keyboard("\n" + indent, start, end)

    def action_comment(self) -> None:
        """Comment the chosen lines out, or in again where all of them are comments."""
        lines = self._chosen_lines()
        texts = [self.document.get_line(row) for row in lines]
        written = [text for text in texts if text.strip()]
        if not written:
            return
        if all(text.lstrip().startswith("#") for text in written):
            self._put_lines(lines, [_uncommented(text) for text in texts])
        else:
            depth = min(len(text) - len(text.lstrip(" ")) for text in written)
            self._put_lines(lines, [f"{text[:depth]}# {text[depth:]}" if text.strip() else text for text in texts])

    def action_shift_lines(self, steps: int) -> None:
        """Move the chosen lines in or out by one step."""
        lines = self._chosen_lines()
        texts = [self.document.get_line(row) for row in lines]
        if steps > 0:
            self._put_lines(lines, [_STEP + text if text else text for text in texts])
        else:
            self._put_lines(lines, [text.removeprefix(_STEP) for text in texts])

    def _chosen_lines(self) -> range:
        start, end = sorted(self.selection)
        # A selection that ends where a line begins does not mean that line.
        last = end[0] - 1 if end[0] > start[0] and end[1] == 0 else end[0]
        return range(start[0], last + 1)

    def _put_lines(self, lines: range, texts: Sequence[str]) -> None:
        (start_row, start_column), (end_row, end_column) = self.selection.start, self.selection.end
        last = lines[-1]
        self.replace("\n".join(texts), (lines[0], 0), (last, len(self.document.get_line(last))))
        start_column = min(start_column, len(self.document.get_line(start_row)))
        end_column = min(end_column, len(self.document.get_line(end_row)))
        self.selection = type(self.selection)((start_row, start_column), (end_row, end_column))

    # -- what is seen ------------------------------------------------------------------------------------------------

    def get_line(self, line_index: int) -> Line:
        line = super().get_line(line_index)
        for start, end, kind in tokens(line.plain):
            line.stylize(self.get_component_rich_style(f"yaml--{kind}", partial=True), start, end)
        return line

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        row = self.scroll_offset.y + y
        complaint = self._complaints.get(row)
        if complaint is None or row >= self.document.line_count:
            return strip
        text = self.document.get_line(row).expandtabs(self.indent_width)
        # The gutter stays where it is when the text is scrolled to the side; two of its cells are a margin.
        gutter = self.gutter_width
        end = max(gutter, gutter + cell_len(text) + 1 - self.scroll_offset.x)
        width = max(strip.cell_length, self.size.width)
        red = Style(color=self.get_component_styles("yaml--problem").color.rich_color, bold=True)
        number, sign, rest = strip.divide([gutter - 2, gutter - 1, strip.cell_length])
        said = Strip([Segment(f"  ← {complaint}", _last_style(rest) + red)])
        parts = [number, Strip([Segment("✗", _last_style(sign) + red)]), rest]
        return Strip.join([Strip.join(parts).crop(0, end), said]).crop_extend(0, width, _last_style(rest))


def _last_style(strip: Strip) -> Style:
    segments = list(strip)
    return (segments[-1].style if segments else None) or Style()


def sentence(problem: Problem) -> str:
    """What is wrong, without the place: it stands there already."""
    return str(problem).removeprefix(f"{problem.file}:{problem.line}: ")


def _uncommented(text: str) -> str:
    """Indents are even, so where an odd number of blanks follows the sign, one of them was put there with it."""
    indent = text[: len(text) - len(text.lstrip())]
    rest = text[len(indent) :].removeprefix("#")
    blanks = len(rest) - len(rest.lstrip(" "))
    return indent + (rest[1:] if blanks % 2 else rest)
