"""What journals tell the grader beside the frames: names of events and their facts."""

from __future__ import annotations

from typing import Final

CONFIGURATION_APPLIED: Final = "ConfigurationApplied"
"""A device took on a file; facts: `file`."""
SEAT_OPENED: Final = "SeatOpened"
"""In the work phase: the plant was switched on, for the first time or again after a pause or a crash."""
SETTLED: Final = "PlantSettled"
"""In the acceptance run: what happened before does not count."""
FORCE_BEGAN: Final = "ForceBegan"
"""A process value is held; facts: `id`, `host`, `point`, `value`."""
FORCE_ENDED: Final = "ForceEnded"
"""It is let go; facts: the same."""
PROBE_BEGAN: Final = "ProbeBegan"
"""An attempt to reach something begins; facts: `id`."""
PROBE_ENDED: Final = "ProbeEnded"
"""It has succeeded, failed or been given up; facts: `id`."""
RUN_FAILED: Final = "AcceptanceFailed"
"""We failed to carry out the acceptance run; facts: `traceback`."""
OVERLOADED: Final = "PlantOverloaded"
"""The plant drowned in its own frames, as where cables form a ring, and the run was stopped."""
FRAMES_DROPPED: Final = "FramesDropped"
"""Frames passed that are not in the capture; facts: `dropped`, how many."""
