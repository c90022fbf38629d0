"""The scenarios that come with the program, and where to find others: no more is read than a list shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from lab.model.document import FileError, Problem, parse, read_text, validate
from lab.model.plant import Strict
from lab.text import Text
from scenarios.problems import NO_SUCH_SCENARIO, unknown

CATALOG: Final = Path(__file__).parent / "catalog"
FILE: Final = "scenario.yaml"
Level = Literal["junior", "intermediate", "advanced"]

NO_SCENARIO_HERE = Text(zh="不是场景文件夹：没有 scenario.yaml", en="is no scenario: there is no scenario.yaml in it")

_LEVELS: Final = ("junior", "intermediate", "advanced")
_LEVEL: Final = re.compile(r"^level: *(junior|intermediate|advanced)\b", re.MULTILINE)
_DIFFICULTY: Final = re.compile(r"^difficulty: *([0-9])", re.MULTILINE)
_HEAD: Final = 4000
"""Characters of a scenario in which they stand."""
_PLACEHOLDER: Final = re.compile(r"\$\{([^{}\n]*)\}")


class Bilingual(Strict):
    """A sentence in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    @property
    def text(self) -> Text:
        return Text(zh=self.zh, en=self.en)


class Headline(BaseModel):
    """As much of `scenario.yaml` as a catalogue shows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    title: Bilingual
    level: Level
    minutes: int
    difficulty: int
    items: list[str]
    story: Bilingual


def catalogue(folder: Path = CATALOG) -> Mapping[str, Path]:
    """The scenarios that come with the program: their folders by id, the easiest first."""
    folders = {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{FILE}"))}
    return dict(sorted(folders.items(), key=lambda each: (_effort(each[1]), each[0])))


def _effort(folder: Path) -> tuple[int, int]:
    """Level and difficulty, as far as one can tell without reading the whole file."""
    head = (folder / FILE).read_text("utf-8", "replace")[:_HEAD]
    level, difficulty = _LEVEL.search(head), _DIFFICULTY.search(head)
    return _LEVELS.index(level[1]) if level else len(_LEVELS), int(difficulty[1]) if difficulty else 0


def find(name: str) -> Path:
    """The folder of a scenario given by its id or by a path; raises FileError."""
    path = Path(name).expanduser()
    if path.name == name and (CATALOG / name / FILE).is_file():
        return CATALOG / name
    if (path / FILE).is_file():
        return path
    if path.is_dir() or path.parent != Path():
        raise FileError([Problem(name, 0, 0, NO_SCENARIO_HERE)])
    raise FileError([unknown(name, (0, 0), NO_SUCH_SCENARIO, name, catalogue())])


def headline(folder: Path) -> Headline:
    """What a catalogue shows of a scenario, without a look at the rest; raises FileError."""
    name = f"{folder.name}/{FILE}"
    return validate(parse(masked(read_text(folder / FILE, name)), name), Headline)


def masked(text: str) -> str:
    """YAML with its placeholders masked: `${name}` must not look like YAML's own braces. No column moves."""
    return _PLACEHOLDER.sub("\ue000\ue000\\1\ue001", text)
