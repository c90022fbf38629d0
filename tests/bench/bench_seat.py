"""What a seat costs: 12 hosts, a gateway that polls 200 tags a second, a broker, everything captured and marked.

    python tests/bench/bench_seat.py [--seconds 30] [--seats 10]

First one seat, then ten side by side, each a process of its own in live time. CPU is that of the process after it has
booted, as a share of one core; a missed poll is a second in which a controller was not read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from grading.grader import Grader
from lab.capture.recorder import BehindThread, Recorder
from lab.model.frame import Frame
from lab.model.plant import Wiring
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES

CONTROLLERS = tuple(f"plc-{number}" for number in range(1, 10))
KINDS = {"gw": "gw-edge", "broker": "broker", "ws": "workstation", "sw": "switch-16"} | dict.fromkeys(
    CONTROLLERS, "boiler-plc"
)
TAGS = 200
_SETTLE = 3.0


def configuration(controllers: tuple[str, ...] = CONTROLLERS) -> PlantConfig:
    """The plant, with a gateway that reads all of these controllers."""
    hosts = {name: name for name in KINDS if name != "sw"}
    address = {name: f"10.0.0.{place}" for place, name in enumerate(hosts, 10)}
    plain: dict[str, Any] = {name: {"interfaces": {"eth0": {"address": f"{address[name]}/24"}}} for name in hosts}
    places = [("input", 0, "i16"), ("input", 1, "i16"), ("input", 2, "i16"), ("input", 4, "f32"), ("input", 6, "u32")]
    south = []
    for number, plc in enumerate(controllers):
        count = TAGS // len(controllers) + (number < TAGS % len(controllers))
        tags = [
            dict(zip(("table", "address", "type"), places[each % len(places)], strict=True)) | {"name": f"t{each}"}
            for each in range(count)
        ]
        group = {"name": "all", "period_ms": 1000, "tags": tags}
        south.append(
            {"name": plc, "driver": "modbus-tcp", "connection": {"host": address[plc], "unit": 1}, "groups": [group]}
        )
    north = {"name": "plant", "driver": "mqtt", "host": address["broker"], "client_id": "gw", "qos": 1}
    plain["gw"] |= {"site": "bench", "south": south, "north": [north]}
    cables = [[f"{name}/eth0", f"sw/p{place}"] for place, name in enumerate(hosts, 1)]
    return PlantConfig(
        Wiring.model_validate({"cables": cables}),
        {name: APPLIANCES[KINDS[name]].Config.model_validate(config) for name, config in plain.items()},
    )


def addresses(config: PlantConfig) -> dict[str, frozenset[str]]:
    """Whose address is whose, as a grader wants to know."""
    return {name: frozenset({str(host.interfaces["eth0"].address.ip)}) for name, host in config.hosts.items()}


async def seat(seconds: float, folder: Path) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None)
    config = configuration()
    grader = Grader((), addresses(config), "work", loop.wall_ns())
    recorder = Recorder(BehindThread((folder / "capture.pcapng").open("wb"), loop))
    polls: Counter[tuple[str, int]] = Counter()

    def see(frame: Frame) -> None:
        grader.feed(frame)
        if frame.tap.seen_at.host in CONTROLLERS and len(frame.data) > 60:
            polls[frame.tap.seen_at.host, int(loop.time())] += 1

    recorder.subscribe(see)
    plant.network.taps.append(recorder)
    await plant.boot(config)
    await asyncio.sleep(_SETTLE)
    polls.clear()
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    last = int(loop.time())
    whole = range(last - int(seconds) + 1, last)
    missed = sum((plc, second) not in polls for plc in CONTROLLERS for second in whole)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    frames = recorder.recorded
    await plant.stop()
    recorder.close()
    return {"cpu": share, "memory": memory, "missed": missed, "due": len(CONTROLLERS) * len(whole), "frames": frames}


def run(seats: int, seconds: float) -> None:
    command = [sys.executable, __file__, "--one", "--seconds", str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(seats)]
    results = [json.loads(process.communicate()[0]) for process in processes]
    worst = max(results, key=lambda each: each["cpu"])
    missed, due = sum(each["missed"] for each in results), sum(each["due"] for each in results)
    print(
        f"{seats:3} seat{'s' * (seats > 1)}: {worst['cpu']:.1%} of a core, {worst['memory']:.0f} MB (the busiest); "
        f"{missed:.0f} of {due:.0f} polls missed; {worst['frames'] / (seconds + _SETTLE):.0f} frames/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seats", type=int, default=10)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=PlantLoop) as runner:
            print(json.dumps(runner.run(seat(options.seconds, Path(folder)))))
        return
    run(1, options.seconds)
    run(options.seats, options.seconds)


if __name__ == "__main__":
    main()
