"""A day of a plant with twelve hosts in fast time, with a drill every hour: no leak, no missed sample, nothing lost.

    python tests/bench/bench_day.py [--hours 24]

Nine controllers with 200 tags at 1 s, a gateway, a broker and a listener on one switch. Every hour the broker's cable is
pulled for half a minute, or the broker loses its power, by turns, each at another second. What counts is what the listener
hears: of every controller one message a second with the time of its reading, in order, from the first to the last.
Memory is that of the whole process, after each hour.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import gmqtt
import psutil
from bench_seat import CONTROLLERS, KINDS, configuration

from lab.model.frame import Port
from lab.network.loop import PlantLoop
from scenarios.assembly import Plant

OUTAGE = 30.0


def megabytes() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss / 2**20)


class Listener:
    """Hears every reading, and remembers only what came out of order, twice, or not at all."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.heard: defaultdict[str, int] = defaultdict(int)
        self.twice = 0
        self.gaps: list[str] = []

    async def listen(self, broker: str) -> None:
        client = gmqtt.Client("listener", clean_session=False)
        client.on_message = self._hear
        client.on_connect = lambda client, *_: client.subscribe("v1/#", qos=1)
        await client.connect(broker, version=gmqtt.constants.MQTTv311)
        await asyncio.Event().wait()

    def _hear(self, _: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        if topic.endswith("/telemetry"):
            device = topic.split("/")[-2]
            at = json.loads(payload)["ts"]
            before = self.last.get(device)
            if before is not None and at <= before:
                self.twice += 1  # QoS 1 may say a thing twice
                return 0
            # The very first reading is taken at once, the second at the next whole second.
            if before is not None and self.heard[device] > 2 and not 900 <= at - before <= 1100:
                self.gaps.append(f"{device}: {at - before} ms before {at}")
            self.last[device] = at
            self.heard[device] += 1
        return 0


async def day(hours: float, disks: Path) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    plant = Plant(loop, KINDS, 1, lambda at, host, point, value: None, disks=disks)
    config = configuration()
    await plant.boot(config)
    listener = Listener()
    broker = str(config.hosts["broker"].interfaces["eth0"].address.ip)
    listening = plant.network.hosts["ws"].spawn(listener.listen(broker))
    began = time.perf_counter()
    cable = plant.network.cable_at(Port("broker", "eth0"))
    assert cable is not None
    for hour in range(round(hours)):
        pulls = hour % 2 == 0
        await asyncio.sleep(600 + 37 * hour)
        if pulls:
            plant.network.set_carrying(cable, False)
        else:
            plant.network.power("broker", False)
        await asyncio.sleep(OUTAGE)
        if pulls:
            plant.network.set_carrying(cable, True)
        else:
            plant.network.power("broker", True)
        await asyncio.sleep(3600 - 600 - 37 * hour - OUTAGE)
        heard = sum(listener.heard.values())
        print(f"hour {hour + 1:2}: {megabytes():6.1f} MB, {heard} readings, {len(listener.gaps)} gaps", flush=True)
    took = time.perf_counter() - began
    due = len(CONTROLLERS) * hours * 3600
    print(f"{sum(listener.heard.values())} of {due:.0f} readings, {listener.twice} twice, {took:.0f} s of real time")
    for gap, _ in pairwise([*listener.gaps[:10], ""]):
        print(" ", gap)
    listening.cancel()
    await plant.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner, tempfile.TemporaryDirectory() as disks:
        runner.run(day(options.hours, Path(disks)))


if __name__ == "__main__":
    main()
