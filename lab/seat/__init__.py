"""A seat: one running lab for one trainee.

What it exports is imported when it is first asked for: programs that only talk to a running lab (lab.seat.client) need
neither plant nor grader.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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

_ELSEWHERE: Final = {
    "Attempt": "workfolder",
    "HostView": "view",
    "PlantView": "view",
    "PortView": "view",
    "Result": "handin",
    "Seat": "seat",
    "WorkFolder": "workfolder",
    "run": "seat",
}
"""By name, the module that has it; what is not here is an event."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"lab.seat.{_ELSEWHERE.get(name, 'events')}"), name)
    return value
