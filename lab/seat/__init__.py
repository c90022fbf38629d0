"""A seat: one running lab for one trainee."""

from lab.seat.events import (
    ConfigurationApplied,
    ConfigurationRefused,
    DeviceNotice,
    Event,
    HandInProgress,
    ObservationSeen,
    ResultReady,
    VerdictChanged,
)
from lab.seat.handin import Result
from lab.seat.seat import Seat, run
from lab.seat.view import HostView, PlantView, PortView
from lab.seat.workfolder import Attempt, WorkFolder

__all__ = [
    "Attempt",
    "ConfigurationApplied",
    "ConfigurationRefused",
    "DeviceNotice",
    "Event",
    "HandInProgress",
    "HostView",
    "ObservationSeen",
    "PlantView",
    "PortView",
    "Result",
    "ResultReady",
    "Seat",
    "VerdictChanged",
    "WorkFolder",
    "run",
]
