"""A plant in fast time with everything about it kept: frames, truth, journal."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from grading import events
from lab.capture.recorder import Memory, Recorder
from lab.clock import EPOCH_NS
from lab.model.frame import Frame
from lab.network.appliance import Value
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant, complain_to
from scenarios.records import Record
from scenarios.scenario import Instance

CAPTURE: Final = "capture.pcapng"
JOURNAL: Final = "journal.jsonl"
TRUTH: Final = "truth.jsonl"

DEADLINE: Final = 120.0
"""Real seconds."""
MOST_FRAMES: Final = 300_000
"""A plant that drowns in its own frames, as where cables form a ring, is stopped here; a sound one is far below."""


class RecordedPlant:
    """Runs one story on one plant, in the calling thread, and keeps what happened."""

    def __init__(self, instance: Instance) -> None:
        self.loop = PlantLoop(fast=True, epoch_ns=EPOCH_NS)
        self.failure = ""
        """A traceback where we failed, so that nothing may be concluded from what did not happen; else empty."""
        self._instance = instance
        self._capture, self._journal, self._truth = Memory(), Record(), Record()
        self._recorder = Recorder(self._capture)
        self._is_overloaded = False
        self._has_given_up = False
        self._task: asyncio.Task[None] | None = None

    def run(self, story: Callable[[Plant], Awaitable[None]], deadline: float = DEADLINE) -> Mapping[str, bytes]:
        """Let the story happen, and return capture, journal and truth; a failure of ours ends it early."""
        timer = threading.Timer(deadline, self._give_up)
        timer.daemon = True
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                timer.start()
                runner.run(self._tell(story))
        except KeyboardInterrupt:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if not self._is_overloaded:
                self._fail(error)
        finally:
            timer.cancel()
        self._recorder.close()
        return {CAPTURE: self._capture.data, JOURNAL: self._journal.data, TRUTH: self._truth.data}

    def note(self, event: str, facts: Mapping[str, Any]) -> None:
        """Write into the journal."""
        self._journal.add({"at": self.loop.wall_ns(), "event": event, **facts})

    async def _tell(self, story: Callable[[Plant], Awaitable[None]]) -> None:
        self._task = asyncio.current_task()
        complain_to(
            self.loop, lambda message, error: self.note("Complaint", {"message": message, "error": repr(error)})
        )
        plant = Plant(self.loop, self._instance.kinds, self._instance.seed, self._record_truth)
        self._recorder.attach(plant.network)
        self._recorder.subscribe(self._watch)
        await story(plant)
        # How the plant is switched off is no part of the story.
        self._recorder.detach(plant.network)
        await plant.stop()

    def _record_truth(self, at: int, host: str, point: str, value: Value) -> None:
        self._truth.add({"at": at, "host": host, "point": point, "value": value})

    def _watch(self, frame: Frame) -> None:
        if frame.number == MOST_FRAMES and self._task is not None:
            self._is_overloaded = True
            self.note(events.OVERLOADED, {"frames": frame.number})
            self._task.cancel()

    def _give_up(self) -> None:
        """Called from another thread: this takes too long."""
        self._has_given_up = True
        if self._task is not None:
            self.loop.call_soon_threadsafe(self._task.cancel)

    def _fail(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        if self._has_given_up:
            text = f"the plant was not done in time\n{text}"
        self.failure = text
        self.note(events.RUN_FAILED, {"traceback": text})
