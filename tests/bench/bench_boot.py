"""Boot time and memory per host of a plant network with 10, 50 and 200 hosts on switches of 24 ports.

python tests/bench/bench_boot.py
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc

from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.loop import PlantLoop

PORTS = 24


def build(loop: PlantLoop, hosts: int) -> Network:
    network = Network(loop)
    for number in range(hosts):
        here, place = divmod(number, PORTS - 1)
        if place == 0:
            network.add_switch(f"sw{here}", PORTS)
            if here:
                network.plug(Port(f"sw{here}", f"p{PORTS}"), Port(f"sw{here - 1}", f"p{PORTS - 1}"))
        host = network.add_host(f"h{number}")
        address = f"10.0.{number // 250}.{number % 250 + 1}/16"
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": {"address": address}}}))
        if place < PORTS - 2:
            network.plug(Port(host.name, "eth0"), Port(f"sw{here}", f"p{place + 1}"))
    return network


async def main() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    build(loop, 10)
    for hosts in (10, 50, 200):
        gc.collect()
        began = time.perf_counter()
        network = build(loop, hosts)
        took = time.perf_counter() - began
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = build(loop, hosts)
        memory = (tracemalloc.get_traced_memory()[0] - before) / hosts
        tracemalloc.stop()
        print(f"{hosts:4} hosts: {took * 1000:6.1f} ms, {memory / 1024:.1f} KiB a host")
        del network, kept


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        runner.run(main())
