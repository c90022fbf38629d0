"""Two hours of a plant at 100 frames a second: captured to disk and marked as it happens, in fast time, then marked again.

    python tests/bench/bench_shift.py [--minutes 120]

Memory must not grow with the length of the run: it is that of the whole process, after a tenth, half and all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil
from bench_seat import CONTROLLERS, KINDS, addresses, configuration

from grading.grader import Grader
from lab.capture.recorder import AtOnce, Recorder
from lab.network.loop import PlantLoop
from lab.wire.pcapng import read
from scenarios.assembly import Plant


def megabytes() -> float:
    return float(psutil.Process().memory_info().rss / 2**20)


async def work(minutes: float, capture: Path) -> dict[str, frozenset[str]]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None)
    config = configuration(CONTROLLERS[:7])
    grader = Grader((), addresses(config), "work", loop.wall_ns())
    with capture.open("wb") as file:
        recorder = Recorder(AtOnce(file))
        recorder.subscribe(grader.feed)
        plant.network.taps.append(recorder)
        await plant.boot(config)
        began, done = time.perf_counter(), 0.0
        for share in (0.1, 0.5, 1.0):
            await asyncio.sleep((share - done) * minutes * 60)
            done = share
            print(f"  after {share * minutes:5.0f} minutes: {megabytes():6.1f} MB, {recorder.recorded} frames")
        took = time.perf_counter() - began
        rate = recorder.recorded / (minutes * 60)
        print(f"lived in {took:.1f} s: {minutes * 60 / took:.0f} times as fast as real time, at {rate:.0f} frames/s")
        await plant.stop()
        recorder.close()
    return addresses(config)


def mark(capture: Path, endpoints: dict[str, frozenset[str]]) -> None:
    grader: Grader | None = None
    began, count, before = time.perf_counter(), 0, megabytes()
    with capture.open("rb") as file:
        for frame in read(file):
            grader = grader or Grader((), endpoints, "work", frame.at)
            grader.feed(frame)
            count += 1
    took = time.perf_counter() - began
    print(f"marked offline in {took:.1f} s: {count / took:.0f} frames/s, memory {before:.1f} → {megabytes():.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder, "capture.pcapng")
        with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
            endpoints = runner.run(work(options.minutes, capture))
        print(f"  {capture.stat().st_size / 2**20:.0f} MB on disk")
        mark(capture, endpoints)


if __name__ == "__main__":
    main()
