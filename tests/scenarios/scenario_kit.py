"""A small sound scenario on disk, to be spoilt."""

from __future__ import annotations

import shutil
from pathlib import Path

import scenarios
from scenarios.scenario import Scenario

TEMPLATE = Path(scenarios.__file__).parent / "template"


class Draft:
    """A copy of the template called `tiny`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tiny"
        shutil.copytree(TEMPLATE, self.folder)
        self.edit("scenario.yaml", "id: new-scenario", "id: tiny")

    def edit(self, file: str, old: str, new: str) -> int:
        """Replace a text that must be there; returns the line on which it stood."""
        path = self.folder / file
        text = path.read_text("utf-8")
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1), "utf-8")
        return text.count("\n", 0, text.index(old)) + 1

    def write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def load(self) -> Scenario:
        return Scenario.load(self.folder)
