"""The work phase of an attempt: recorded, and marked while it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from grading.grader import Grader
from grading.verdict import Verdict
from lab.capture.recorder import BehindThread, Output, Recorder
from lab.model.frame import Frame
from lab.network.appliance import Value
from lab.network.fabric import Network
from lab.network.loop import PlantLoop
from lab.seat.events import DeviceNotice, Event, ObservationSeen, VerdictChanged
from lab.seat.recall import mend, recall
from lab.seat.summaries import summary
from lab.seat.workfolder import WorkFolder
from lab.text import Text
from scenarios.marking import Work, endpoints
from scenarios.recorded import CAPTURE, JOURNAL, TRUTH
from scenarios.records import Record
from scenarios.scenario import Instance

_LOOK_AGAIN: Final = 0.5
"""Seconds from the first thing that may change a verdict to the next look at all of them."""
_STORM: Final = 5_000
"""Frames within that time that no sound plant of ours has."""
CAPTURE_LIMIT: Final = 256 << 20
"""Bytes of a capture: days of work, or half a minute of a broadcast storm."""

RECORDING_ENDS = Text(zh="部分报文没有记录：{reason}", en="some traffic is not recorded: {reason}")
BEHIND = Text(zh="磁盘太慢", en="the disk is too slow")
FULL = Text(zh="捕获文件已达 {limit} MB", en="the capture has reached {limit} MB")
STORM = Text(
    zh="网络被自身的报文淹没（每秒 {rate} 帧）：网线是否接成了环？",
    en="the network is drowning in its own frames, {rate} a second: do its cables form a ring?",
)

Tell = Callable[[Event], object]


class WorkPhase:
    """Frames, truth and journal into the files of `work/` and into the grader."""

    def __init__(self, instance: Instance, folder: WorkFolder, began_ns: int, loop: PlantLoop, tell: Tell) -> None:
        self._folder, self._began_ns, self._loop, self._tell = folder, began_ns, loop, tell
        self._comment = instance.id
        mend(folder.work)
        self._journal = Record((folder.work / JOURNAL).open("ab"))
        self._truth = Record((folder.work / TRUTH).open("ab"))
        self._grader = Grader(instance.definition.tasks, endpoints(instance), "work", began_ns)
        self._checks = {check.id: check for _, check in instance.definition.checks()}
        self._verdicts: dict[str, Verdict] = {}
        self._look: asyncio.TimerHandle | None = None
        self._recorder: Recorder | None = None
        self._output: _Limited | None = None
        self._is_incomplete = False
        """Whether people have been told that frames are missing in the capture."""
        self._earlier_frames = 0
        """In the capture before this recorder's."""
        self._frames_since_look = 0
        self._is_storming = False
        self._is_closed = False

    async def recall(self) -> None:
        """Show the grader what was recorded when the attempt was worked on before."""
        self._earlier_frames = await asyncio.to_thread(recall, self._grader, self._folder.work)

    def start(self, network: Network) -> None:
        """Record every frame of the network from now on."""
        file = (self._folder.work / CAPTURE).open("ab")
        self._output = _Limited(BehindThread(file, self._loop), CAPTURE_LIMIT - file.tell())
        self._recorder = Recorder(self._output, comment=self._comment)
        self._recorder.subscribe(self._see)
        self._recorder.attach(network)

    def stop(self, network: Network) -> None:
        """Record no more; everything is on disk when this returns."""
        recorder = self._recorder
        if recorder is not None:
            self._recorder = None
            recorder.detach(network)
            recorder.close()
            self._earlier_frames += recorder.recorded

    def records(self, network: Network) -> Work:
        """Everything recorded so far; recording goes on in a new section of the capture."""
        self.stop(network)
        members = {name: (self._folder.work / name).read_bytes() for name in (CAPTURE, JOURNAL, TRUTH)}
        self.start(network)
        return Work(members, self._began_ns)

    def close(self) -> None:
        """Close the files, after `stop`."""
        self._is_closed = True
        if self._look is not None:
            self._look.cancel()
        self._journal.close()
        self._truth.close()

    def note(self, event: str, **facts: Any) -> None:
        """Write into the journal."""
        at = self._loop.wall_ns()
        self._journal.add({"at": at, "event": event, **facts})
        self._grader.event(at, event, facts)
        self._look_soon()

    def truth(self, at: int, host: str, point: str, value: Value) -> None:
        """A process value has changed."""
        self._truth.add({"at": at, "host": host, "point": point, "value": value})
        self._grader.truth(at, host, point, value)

    def verdicts(self) -> Mapping[str, Verdict]:
        """As they were told last, by check."""
        return dict(self._verdicts)

    def tell_verdicts(self, tell: Tell) -> None:
        """Tell one listener all of them."""
        for check_id, verdict in self._verdicts.items():
            tell(self._changed(check_id, verdict))

    def _see(self, frame: Frame) -> None:
        self._frames_since_look += 1
        if frame.number:
            frame = frame._replace(number=self._earlier_frames + frame.number)
        for observation in self._grader.feed(frame):
            self._tell(ObservationSeen(observation, summary(observation)))
        self._look_soon()

    def _look_soon(self) -> None:
        if self._look is None and not self._is_closed:
            self._look = self._loop.call_later(_LOOK_AGAIN, self._look_at_everything)

    def _look_at_everything(self) -> None:
        self._look = None
        for check_id, verdict in self._grader.verdicts(self._loop.wall_ns()).items():
            if self._verdicts.get(check_id) != verdict:
                self._verdicts[check_id] = verdict
                self._tell(self._changed(check_id, verdict))
        self._look_at_recorder()
        frames, self._frames_since_look = self._frames_since_look, 0
        if frames >= _STORM and not self._is_storming:
            self._tell(DeviceNotice("", STORM.say(rate=int(frames / _LOOK_AGAIN))))
        self._is_storming = frames >= _STORM

    def _look_at_recorder(self) -> None:
        recorder, output = self._recorder, self._output
        if recorder is None or output is None or self._is_incomplete or not recorder.dropped:
            return
        self._is_incomplete = True
        if output.is_used_up:
            reason = FULL.say(limit=CAPTURE_LIMIT >> 20)
        else:
            reason = str(recorder.failure or BEHIND)
        self._tell(DeviceNotice("", RECORDING_ENDS.say(reason=reason)))

    def _changed(self, check_id: str, verdict: Verdict) -> VerdictChanged:
        return VerdictChanged(check_id, verdict, self._checks[check_id].sentence(verdict).say())


class _Limited:
    """An output that is full at some point."""

    def __init__(self, output: Output, room: int) -> None:
        self._output, self._room = output, room

    @property
    def is_full(self) -> bool:
        return self._room <= 0 or self._output.is_full

    @property
    def is_used_up(self) -> bool:
        return self._room <= 0

    @property
    def failure(self) -> OSError | None:
        return self._output.failure

    def write(self, data: bytes) -> None:
        self._room -= len(data)
        self._output.write(data)

    def close(self) -> None:
        self._output.close()
