"""`scenario.yaml`: a plant, what is to be done in it, and how the scenario proves itself."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

from pydantic import Field, StrictInt

from grading.task import CheckSpec, Task
from lab.model.plant import Strict
from scenarios.catalogue import Bilingual, Level
from scenarios.parameters import Parameter

REFERENCE = "reference"


class HostFile(Strict):
    """A device of the plant. Its configuration stands here, in `plant/config/`, or, to be worked on, in `start/config/`."""

    kind: str
    title: Bilingual
    config: dict[str, Any] | None = None


class PlantFile(Strict):
    hosts: dict[str, HostFile] = Field(min_length=1)


class HintFile(Strict):
    """What is said when a trainee asks for help with a task: first where to look, then what to do."""

    task: str
    tiers: list[Bilingual] = Field(min_length=2, max_length=2)


class WriteFile(Strict):
    """Somebody writes one holding register from a device of the plant."""

    source: str = Field(alias="from")
    write: IPv4Address
    """Whom."""
    unit: StrictInt = Field(1, ge=0, le=255)
    register_: StrictInt = Field(ge=0, le=65535, alias="register")
    value: StrictInt = Field(ge=0, le=65535)


class WrongFile(Strict):
    """A wrong solution in `wrong/<name>/`, and what it must cost."""

    says: Bilingual
    """What is wrong about it."""
    loses: list[str] = Field(min_length=1)
    """Exactly the checks that do not pass."""
    at_most: float = Field(ge=0, lt=100)
    """Points it may earn."""
    does: list[WriteFile] = Field(default_factory=list)
    """What somebody does in the plant before the files are changed."""


class AcceptanceFile(Strict):
    """Plant seconds."""

    settle: float = Field(5.0, ge=0, le=600)
    """Before anything is driven, and before anything counts."""
    duration: float = Field(20.0, gt=0, le=3600)
    """From the end of settling at the least; the stimuli may need longer."""


class PublishFile(Strict):
    """A port of the plant that programs on this computer can reach at 127.0.0.1."""

    name: str
    through: str
    """The workstation the connection comes from."""
    to: str
    """Address and port inside the plant."""
    local: StrictInt = Field(ge=1024, le=65535)


class FaultFile(Strict):
    """A fault of the catalogue in `scenarios/faults/`."""

    fault: str
    at: float = Field(0.0, ge=0)
    """Plant seconds after everything has been switched on."""
    until: float | None = Field(None, gt=0)
    """When it goes away by itself; by default it stays until it is repaired."""
    where: dict[str, Any] = Field(default_factory=dict)
    """Its parameters."""


class ScenarioFile(Strict):
    id: str
    title: Bilingual
    level: Level
    minutes: StrictInt = Field(ge=1, le=480)
    difficulty: StrictInt = Field(ge=1, le=5)
    items: list[str] = Field(min_length=1)
    story: Bilingual
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    plant: PlantFile
    tasks: list[Task] = Field(min_length=1)
    hints: list[HintFile] = Field(default_factory=list)
    solutions: dict[str, Bilingual] = Field(default_factory=dict)
    """Every folder of `solutions/`, with what it does."""
    wrong: dict[str, WrongFile] = Field(default_factory=dict)
    acceptance: AcceptanceFile = Field(default_factory=AcceptanceFile)
    publish: list[PublishFile] = Field(default_factory=list)
    faults: list[FaultFile] = Field(default_factory=list)
    """What is wrong with the plant, from the beginning or from some time on."""

    def checks(self) -> Iterator[tuple[Task, CheckSpec]]:
        for task in self.tasks:
            for check in task.checks:
                yield task, check
