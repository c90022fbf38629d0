"""How text is coloured, broken into lines and edited, and what is read about earlier attempts."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich._wrap import divide_line as divide_at_blanks
from rich.cells import cell_len
from textual.app import App, ComposeResult

from lab.tui.attempts import Standing, standing
from lab.tui.colours import tokens
from lab.tui.editor import YamlEditor
from lab.tui.linebreaks import divide_line

# -- colours -----------------------------------------------------------------------------------------------------------


def coloured(line: str, kind: str) -> list[str]:
    return [line[start:end] for start, end, what in tokens(line) if what == kind]


def test_keys_values_texts_and_comments_are_told_apart() -> None:
    line = '  - {name: pressure, address: 0, unit: "Nm³/h # no"} # a comment'
    assert coloured(line, "key") == ["name", "address", "unit"]
    assert coloured(line, "value") == ["0"]
    assert coloured(line, "text") == ['"Nm³/h # no"']
    assert coloured(line, "comment") == ["# a comment"]


@pytest.mark.parametrize("line", ["host: 10.1.2.3/24", "- [gw-1/eth0, sw-1/p2]", "at: 12:30", "x: a#b"])
def test_addresses_ports_and_times_are_no_numbers_and_no_comments(line: str) -> None:
    assert coloured(line, "value") == []
    assert coloured(line, "comment") == []


@given(st.text(max_size=80))
def test_colours_never_overlap_and_never_fail(line: str) -> None:
    ends = [0]
    for start, end, _ in tokens(line):
        assert ends[-1] <= start < end <= len(line)
        ends.append(end)


# -- line breaks -------------------------------------------------------------------------------------------------------


def lines(text: str, width: int) -> list[str]:
    breaks = [0, *divide_line(text, width), len(text)]
    return [text[start:end] for start, end in pairwise(breaks)]


def test_a_chinese_sentence_fills_its_lines_and_keeps_its_marks() -> None:
    assert lines("热力站的 4 吨锅炉上线。控制器", 11) == ["热力站的 4 ", "吨锅炉上", "线。控制器"]
    assert lines("今天“上线”了", 9) == ["今天“上", "线”了"]


@given(st.text("ab ,.'-", max_size=60), st.integers(1, 20))
def test_english_is_broken_as_ever(text: str, width: int) -> None:
    assert divide_line(text.strip(), width) == divide_at_blanks(text.strip(), width)


@given(st.text("锅炉（）“”。，a b", max_size=60), st.integers(2, 20))
def test_no_line_is_too_wide_and_nothing_is_lost(text: str, width: int) -> None:
    broken = lines(text, width)
    assert "".join(broken) == text
    assert all(cell_len(line.rstrip()) <= width for line in broken)


# -- the editor --------------------------------------------------------------------------------------------------------


class Editing(App[None]):
    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield YamlEditor()

    def on_mount(self) -> None:
        self.area.load_text(self._text)
        self.area.focus()

    @property
    def area(self) -> YamlEditor:
        return self.query_one(YamlEditor)


async def edited(text: str, *keys: str) -> str:
    app = Editing(text)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press(*keys)
        return app.area.text


@pytest.mark.parametrize(
    ("line", "indent"),
    [
        ("south:", "  "),
        ("  groups:", "    "),
        ("  - name: boiler", "    "),
        ("  - tags:", "      "),
        ("  - {name: x}", "  "),
        ("    unit: 7  # that: one", "    "),
        ("plain: 1", ""),
    ],
)
async def test_a_new_line_begins_where_it_most_likely_belongs(line: str, indent: str) -> None:
    assert await edited(line, "end", "enter", "x") == f"{line}\n{indent}x"


async def test_lines_are_commented_out_and_in_again() -> None:
    text = "south:\n  - name: a\n    unit: 1\n"
    keys = ("down", "shift+down", "shift+end", "ctrl+underscore")
    assert await edited(text, *keys) == "south:\n  # - name: a\n  #   unit: 1\n"
    assert await edited(text, *keys, "ctrl+underscore") == text


async def test_an_example_that_was_commented_out_by_hand_comes_in_at_its_depth() -> None:
    assert await edited("#  - name: a\n#    unit: 1", "shift+down", "shift+end", "ctrl+underscore") == (
        "  - name: a\n    unit: 1"
    )


async def test_chosen_lines_move_in_and_out() -> None:
    assert await edited("a:\nb: 1\nc: 2\n", "down", "shift+down", "shift+end", "alt+right") == "a:\n  b: 1\n  c: 2\n"
    assert await edited("a:\n  b: 1\n", "down", "alt+left", "alt+left") == "a:\nb: 1\n"


# -- earlier attempts --------------------------------------------------------------------------------------------------


def journal(folder: Path, *records: object) -> None:
    (folder / "work").mkdir(exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "work" / "journal.jsonl").write_text(text, "utf-8")


def test_where_nobody_has_begun_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert standing(tmp_path) is None


def test_the_last_hand_in_counts(tmp_path: Path) -> None:
    journal(tmp_path, {"at": 1, "event": "SeatOpened"})
    assert standing(tmp_path) == Standing(None)
    journal(
        tmp_path,
        *({"at": n, "event": "ResultReady", "earned": n} for n in (40, 92.5)),
        {"at": 3, "event": "SeatClosed"},
    )
    assert standing(tmp_path) == Standing(92.5)


def test_a_journal_that_was_cut_short_tells_what_is_whole(tmp_path: Path) -> None:
    journal(tmp_path, {"at": 1, "event": "ResultReady", "earned": 40})
    with (tmp_path / "work" / "journal.jsonl").open("ab") as file:
        file.write(b'{"at": 2, "event": "ResultReady", "ear')
    assert standing(tmp_path) == Standing(40.0)
