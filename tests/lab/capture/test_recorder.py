"""The recorder loses nothing, or says what it lost."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lab.capture.recorder import HAND_OVER_SECONDS, AtOnce, BehindThread, Memory, Recorder
from lab.model.frame import Frame, Port, Tap
from lab.wire.pcapng import Decoder, Statistics, read

PLC = Tap(Port("plc", "eth0"), Port("sw-1", "p2"))
SWITCH = Tap(Port("sw-1", "p2"), Port("plc", "eth0"))
AT = 1_767_225_600_000_000_000


class Disk(io.BytesIO):
    """A file that keeps its bytes when closed, and can be made to hang or to fail."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.is_writable = threading.Event()
        self.is_writable.set()
        self.is_asked = threading.Event()
        self.room = room
        self.kept = b""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.is_asked.set()
        self.is_writable.wait()
        if self.room is not None and self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)

    def close(self) -> None:
        self.kept = self.getvalue()


def statistics(data: bytes) -> list[Statistics]:
    return [item for item in Decoder().feed(data) if isinstance(item, Statistics)]


def test_file_and_watchers_see_the_same_frames_with_the_same_numbers() -> None:
    memory, watched = Memory(), list[Frame]()
    recorder = Recorder(memory)
    recorder.subscribe(watched.append)
    recorder(PLC, AT, b"a" * 70)
    recorder(SWITCH, AT + 1, b"b" * 80)
    recorder.close()
    assert watched == [Frame(1, AT, PLC, b"a" * 70), Frame(2, AT + 1, SWITCH, b"b" * 80)]
    assert list(read(io.BytesIO(memory.data))) == watched
    assert [(each.tap, each.received, each.dropped) for each in statistics(memory.data)] == [
        (PLC, 1, 0),
        (SWITCH, 1, 0),
    ]


def test_short_frames_are_padded_like_those_of_real_cards() -> None:
    watched: list[Frame] = []
    recorder = Recorder(Memory())
    recorder.subscribe(watched.append)
    for size in (42, 59, 60, 61):
        recorder(PLC, AT, b"x" * size)
    assert [frame.data for frame in watched] == [
        b"x" * 42 + bytes(18),
        b"x" * 59 + b"\0",
        b"x" * 60,
        b"x" * 61,
    ]


def test_who_leaves_is_told_no_more_and_others_still_are() -> None:
    first, second = list[Frame](), list[Frame]()
    recorder = Recorder(Memory())
    leave = recorder.subscribe(first.append)
    recorder.subscribe(second.append)
    recorder(PLC, AT, bytes(60))
    leave()
    recorder(PLC, AT, bytes(60))
    assert (len(first), len(second)) == (1, 2)


def test_a_watcher_that_fails_stops_neither_the_capture_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def fail(frame: Frame) -> None:
        raise ZeroDivisionError

    watched: list[Frame] = []
    recorder = Recorder(Memory())
    recorder.subscribe(fail)
    recorder.subscribe(watched.append)
    with caplog.at_level(logging.ERROR):
        recorder(PLC, AT, bytes(60))
        recorder(PLC, AT, bytes(60))
    assert [frame.number for frame in watched] == [1, 2]
    assert len(caplog.records) == 1, "told once, and then no more"


async def test_behind_a_thread_the_file_is_the_same_as_written_at_once() -> None:
    slow, quick = Disk(), Disk()
    recorders = Recorder(BehindThread(slow, asyncio.get_running_loop())), Recorder(AtOnce(quick))
    for recorder in recorders:
        for number in range(5000):
            recorder(PLC if number % 3 else SWITCH, AT + number, bytes([number & 0xFF]) * (60 + number % 100))
        recorder.close()
        assert (recorder.recorded, recorder.dropped, recorder.failure) == (5000, 0, None)
    assert slow.kept == quick.kept
    assert len(list(read(io.BytesIO(slow.kept)))) == 5000


async def test_frames_a_hanging_disk_cannot_take_are_counted_and_the_file_says_so() -> None:
    disk, watched = Disk(), list[Frame]()
    loop = asyncio.get_running_loop()
    recorder = Recorder(BehindThread(disk, loop, limit=20_000))
    recorder.subscribe(watched.append)
    await loop.run_in_executor(None, disk.is_asked.wait)  # the thread has taken what there was
    disk.is_writable.clear()
    for number in range(1000):
        recorder(PLC, AT + number, bytes(100))
    assert recorder.recorded + recorder.dropped == 1000
    assert recorder.recorded * 132 <= 20_000 + 132, "what waits is bounded"
    assert recorder.dropped > 800
    assert [frame.number for frame in watched[-2:]] == [0, 0], "watchers see them, as frames that are not in the file"

    before, lost = recorder.recorded, recorder.dropped
    disk.is_asked.clear()
    disk.is_writable.set()
    await loop.run_in_executor(None, disk.is_asked.wait)
    await asyncio.sleep(2 * HAND_OVER_SECONDS)
    recorder(PLC, AT + 2000, bytes(100))
    assert watched[-1].number == before + 1, "room again: numbers go on without a gap"
    recorder.close()
    assert [frame.number for frame in read(io.BytesIO(disk.kept))] == list(range(1, before + 2))
    assert [(each.received, each.dropped) for each in statistics(disk.kept)] == [(1001, lost), (1001, lost)]


@pytest.mark.parametrize("behind", [True, False], ids=["behind a thread", "at once"])
async def test_a_full_disk_is_told_and_later_frames_are_counted_as_lost(behind: bool) -> None:
    disk = Disk(room=3000)
    loop = asyncio.get_running_loop()
    recorder = Recorder(BehindThread(disk, loop) if behind else AtOnce(disk))
    recorder(PLC, AT, bytes(500))
    if behind:
        await loop.run_in_executor(None, disk.is_asked.wait)
        disk.is_asked.clear()
    for _ in range(20):
        recorder(PLC, AT, bytes(500))
    if behind:
        await loop.run_in_executor(None, disk.is_asked.wait)
        await asyncio.sleep(HAND_OVER_SECONDS)
    recorder(PLC, AT, bytes(500))
    assert isinstance(recorder.failure, OSError)
    assert recorder.failure.errno == errno.ENOSPC
    assert recorder.dropped >= 1
    recorder.close()
    assert next(read(io.BytesIO(disk.kept))).number == 1, "what was written before is good"


KILLED = """
import asyncio, sys
from lab.capture.recorder import HAND_OVER_SECONDS, BehindThread, Recorder
from lab.model.frame import Port, Tap

async def main():
    recorder = Recorder(BehindThread(open(sys.argv[1], "wb"), asyncio.get_running_loop()))
    for number in range(1000):
        recorder(Tap(Port("a", "eth0"), Port("b", "eth0")), number, bytes(100))
    await asyncio.sleep(2 * HAND_OVER_SECONDS)
    print("recorded", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_what_was_seen_before_a_kill_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, cwd=root) as lab:
        assert lab.stdout is not None
        assert lab.stdout.readline() == b"recorded\n"
        lab.send_signal(signal.SIGKILL)
    with path.open("rb") as file:
        assert len(list(read(file))) == 1000
