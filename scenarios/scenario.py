"""A scenario on disk, and an instance of it for one seed."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, Field

from lab.model.document import UNKNOWN_KEY, Document, FileError, Problem, parse, read_text, validate
from lab.model.plant import Strict
from lab.text import LANGUAGES, Language, Text
from scenarios.catalogue import CATALOG, FILE, NO_SCENARIO_HERE, catalogue, find, headline, masked
from scenarios.format import REFERENCE, ScenarioFile
from scenarios.parameters import Parameter, Value, settle, substitute

NO_BRIEF = Text(zh="缺少{language}任务书", en="the brief in {language} is missing")
NOT_A_MAPPING = Text(zh="应为键值表", en="expected a mapping of keys to values")
ID_IS_NOT_FOLDER = Text(
    zh="id {id!r} 与文件夹名 {folder!r} 不一致", en="the id {id!r} is not the folder's name {folder!r}"
)
_LANGUAGE_NAMES = {"zh": Text(zh="中文", en="Chinese"), "en": Text(zh="英文", en="English")}

_MASK: Final = re.compile("\ue000\ue000([^\ue001]*)\ue001")
_PARTS: Final = ("plant", "start", "solutions", "wrong")

__all__ = ["CATALOG", "FILE", "Instance", "Scenario", "Solution", "WrongSolution", "catalogue", "find", "headline"]

Files = Mapping[str, str]
"""Texts by name, such as `config/gw-1.yaml`, with forward slashes on every system."""


class _Head(Strict):
    """What must be known before placeholders can be filled in."""

    model_config = ConfigDict(extra="ignore")

    id: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Solution:
    """A way to leave the plant."""

    name: str
    says: Text
    files: Files
    """Everything that is worked on, the start's own files where the solution leaves them alone."""


@dataclass(frozen=True, slots=True)
class WrongSolution(Solution):
    """A way to leave the plant that costs points."""

    loses: frozenset[str]
    """The checks that do not pass."""
    at_most: float
    """Points"""


class Scenario:
    """The texts of a scenario's folder, placeholders and all; `load` and `instantiate` raise FileError."""

    def __init__(self, folder: Path, texts: Files) -> None:
        self.folder = folder
        self.texts = texts
        """By path relative to the folder, forward slashes."""
        self._document = _unmasked(parse(masked(texts[FILE]), self.named(FILE)))
        _refuse_unknown_keys(self._document)
        head = validate(self._document, _Head)
        self.id = head.id
        self.parameters: Mapping[str, Parameter] = head.parameters
        if head.id != folder.name:
            problem = self._document.problem(("id",), ID_IS_NOT_FOLDER, id=head.id, folder=folder.name)
            raise FileError([problem])
        if missing := [language for language in LANGUAGES if not texts.get(_brief(language), "").strip()]:
            raise FileError(
                Problem(self.named(_brief(language)), 0, 0, NO_BRIEF, {"language": _LANGUAGE_NAMES[language]})
                for language in missing
            )

    @classmethod
    def load(cls, folder: Path) -> Scenario:
        """Read a folder, and make sure that the scenario in it is sound."""
        scenario = cls.read(folder)
        scenario.instantiate(1)
        return scenario

    @classmethod
    def read(cls, folder: Path) -> Scenario:
        """Read a folder without a look at what it means."""
        folder = folder.resolve()
        if not (folder / FILE).is_file():
            raise FileError([Problem(str(folder), 0, 0, NO_SCENARIO_HERE)])
        paths = [folder / FILE, *(folder / _brief(language) for language in LANGUAGES)]
        paths += [path for part in _PARTS for path in sorted((folder / part).rglob("*"))]
        names = {path.relative_to(folder).as_posix(): path for path in paths if path.is_file()}
        return cls(folder, {name: read_text(path, f"{folder.name}/{name}") for name, path in names.items()})

    @property
    def digest(self) -> str:
        """SHA-256 over every text that makes the scenario, in hex."""
        whole = hashlib.sha256()
        for name in sorted(self.texts):
            for part in (name, self.texts[name]):
                data = part.encode()
                whole.update(len(data).to_bytes(8, "big") + data)
        return whole.hexdigest()

    def named(self, name: str) -> str:
        """What messages call a file of the folder."""
        return f"{self.folder.name}/{name}"

    def instantiate(self, seed: int) -> Instance:
        """The scenario as the trainee with this seed gets it."""
        from scenarios.soundness import complaints

        values = settle(self.parameters, self.id, seed, self._document)
        problems: list[Problem] = []
        filled: dict[str, str] = {}
        for name, text in self.texts.items():
            try:
                filled[name] = substitute(text, values, self.named(name))
            except FileError as error:
                problems.extend(error.problems)
        if problems:
            raise FileError(problems)
        document = parse(filled[FILE], self.named(FILE))
        instance = Instance(self, seed, values, validate(document, ScenarioFile), document, filled)
        if problems := list(complaints(instance)):
            raise FileError(problems)
        return instance


@dataclass(frozen=True)
class Instance:
    """A scenario with every parameter settled."""

    scenario: Scenario = field(repr=False)
    seed: int
    parameters: Mapping[str, Value]
    definition: ScenarioFile = field(repr=False)
    document: Document = field(repr=False)
    """Where in `scenario.yaml` each part of the definition stands."""
    texts: Files = field(repr=False)
    """The scenario's texts, placeholders filled in."""

    @property
    def id(self) -> str:
        return self.scenario.id

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """The kind of every device, by its name."""
        return {name: host.kind for name, host in self.definition.plant.hosts.items()}

    @cached_property
    def start(self) -> Files:
        """What the trainee's folder begins as."""
        return self.below("start/")

    @cached_property
    def fixed(self) -> Mapping[str, Document]:
        """The plant's files that are not worked on, by name such as `wiring.yaml`."""
        documents = {
            name: parse(text, self.scenario.named(f"plant/{name}")) for name, text in self.below("plant/").items()
        }
        for name, host in self.definition.plant.hosts.items():
            if host.config is not None:
                documents[f"config/{name}.yaml"] = _part(self.document, ("plant", "hosts", name, "config"))
        return documents

    def brief(self, language: Language) -> str:
        """What is to be done, in Markdown."""
        return self.texts[_brief(language)]

    def below(self, prefix: str) -> Files:
        """The texts of a subfolder such as `start/`, by their names in it."""
        return {name[len(prefix) :]: text for name, text in self.texts.items() if name.startswith(prefix)}

    @property
    def reference(self) -> Solution:
        return next(solution for solution in self.solutions() if solution.name == REFERENCE)

    def solutions(self) -> Iterator[Solution]:
        """The reference and every other right solution."""
        for name, says in self.definition.solutions.items():
            yield Solution(name, says.text, {**self.start, **self.below(f"solutions/{name}/")})

    def wrong(self) -> Iterator[WrongSolution]:
        for name, wrong in self.definition.wrong.items():
            files = {**self.start, **self.below(f"wrong/{name}/")}
            yield WrongSolution(name, wrong.says.text, files, frozenset(wrong.loses), wrong.at_most)


def _brief(language: Language) -> str:
    return f"brief.{language}.md"


def _refuse_unknown_keys(document: Document) -> None:
    """First of all: where `parameters` is misspelt, every placeholder would be complained about."""
    if not isinstance(document.data, dict):
        raise FileError([document.problem((), NOT_A_MAPPING)])
    known = tuple(ScenarioFile.model_fields)
    problems = [
        Problem(
            document.file,
            *document.position((key, "<key>")),
            UNKNOWN_KEY,
            {"key": key},
            known,
            next(iter(difflib.get_close_matches(key, known, 1, 0.6)), ""),
        )
        for key in document.data
        if key not in known
    ]
    if problems:
        raise FileError(problems)


def _unmasked(document: Document) -> Document:
    def restore(data: Any) -> Any:
        if isinstance(data, dict):
            return {restore(key): restore(value) for key, value in data.items()}
        if isinstance(data, list):
            return [restore(value) for value in data]
        return _MASK.sub(r"${\1}", data) if isinstance(data, str) else data

    return Document(document.file, restore(document.data), document.marks)


def _part(document: Document, loc: tuple[str, ...]) -> Document:
    """A part of a document as one of its own, its lines those of the whole."""
    data = document.data
    for step in loc:
        data = data[step]
    size = len(loc)
    return Document(document.file, data, {at[size:]: mark for at, mark in document.marks.items() if at[:size] == loc})
