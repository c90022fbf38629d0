"""The acceptance run: from frozen files the whole plant once more, in fast time, driven as the checks ask for.

Nothing of the work phase is left in it but the files, and what it drives is drawn from a secret and from those files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from grading import events
from grading.stimulus import Stimulus
from scenarios.assembly import Plant
from scenarios.faults import Injector, left_of
from scenarios.folder import read_folder
from scenarios.recorded import DEADLINE, RecordedPlant
from scenarios.scenario import Instance
from scenarios.stimuli import carry_out, length

Stage = Literal["boot", "settle", "drive"]
Progress = Callable[[Stage, float, float], None]
"""Called as progress(stage, done, total), in the thread of the run."""

_AFTERWARDS: Final = 6.0
"""Plant seconds after the last stimulus: what is unanswered by then will stay so."""


@dataclass(frozen=True, slots=True)
class Run:
    """What an acceptance run left behind."""

    members: Mapping[str, bytes]
    """`capture.pcapng`, `journal.jsonl` and `truth.jsonl`."""
    failure: str
    """A traceback where we failed, so that nothing may be concluded from what did not happen; else empty."""


def run(
    instance: Instance,
    files: Mapping[str, str],
    stimuli: Sequence[Stimulus],
    *,
    progress: Progress = lambda stage, done, total: None,
    deadline: float = DEADLINE,
) -> Run:
    """Carry out an acceptance run in this thread; raises FileError where the files are no configuration of the plant."""
    config = read_folder(instance, files)
    planted = instance.definition.faults
    if planted:
        planted = left_of(planted, read_folder(instance, instance.start).wiring, config.wiring)
    settings = instance.definition.acceptance
    recorded = RecordedPlant(instance)

    async def story(plant: Plant) -> None:
        recorded.note("AcceptanceBegan", {"scenario": instance.id, "seed": instance.seed})
        progress("boot", 0, 1)
        await plant.boot(config)
        faults = Injector(plant, recorded.note)
        faults.schedule(planted)
        progress("settle", 0, 1)
        await asyncio.sleep(settings.settle)
        recorded.note(events.SETTLED, {})
        began = plant.loop.time()
        total, done = max(sum(map(length, stimuli)) + _AFTERWARDS, settings.duration), 0.0
        for stimulus in stimuli:
            progress("drive", done, total)
            await carry_out(plant, stimulus, recorded.note)
            done = plant.loop.time() - began
        progress("drive", done, total)
        await asyncio.sleep(max(_AFTERWARDS, settings.duration - done))
        faults.close()
        recorded.note("AcceptanceEnded", {})
        progress("drive", total, total)

    return Run(recorded.run(story, deadline), recorded.failure)
