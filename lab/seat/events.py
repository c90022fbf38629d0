"""What a seat tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grading.observations import Observation
from grading.score import Score
from grading.verdict import Verdict
from lab.model.document import Problem

Stage = Literal["boot", "settle", "drive", "grade", "seal"]


@dataclass(frozen=True, slots=True)
class VerdictChanged:
    """What the traffic so far says about a check."""

    check_id: str
    verdict: Verdict
    sentence: str
    """Why, in the language spoken; empty when passed."""


@dataclass(frozen=True, slots=True)
class ObservationSeen:
    observation: Observation
    summary: str


@dataclass(frozen=True, slots=True)
class ConfigurationApplied:
    """The plant now runs with this file."""

    file: str


@dataclass(frozen=True, slots=True)
class ConfigurationRefused:
    """A file is not usable, so the plant goes on with what it had."""

    file: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class DeviceNotice:
    """Something about a device that is not on the wire; `host` is empty for the seat itself."""

    host: str
    text: str


@dataclass(frozen=True, slots=True)
class HandInProgress:
    stage: Stage
    done: float
    total: float


@dataclass(frozen=True, slots=True)
class ResultReady:
    score: Score
    bundle_path: Path


Event = (
    VerdictChanged
    | ObservationSeen
    | ConfigurationApplied
    | ConfigurationRefused
    | DeviceNotice
    | HandInProgress
    | ResultReady
)
