"""Boot time and memory per host of a plant network with 10, 50 and 200 hosts on switches of 24 ports.

    python tests/bench/bench_boot.py

Then 20 hosts on 3 switches, beside Mininet with as many on Linux bridges, where root and Debian's packages `mininet` and
`bridge-utils` are at hand; Mininet runs in namespaces of its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import time
import tracemalloc
from collections.abc import Callable

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


MININET = """
import time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
net = Mininet(controller=None, switch=LinuxBridge, build=False)
began = time.perf_counter()
switches = [net.addSwitch("s%d" % number) for number in (1, 2, 3)]
for a, b in zip(switches, switches[1:]):
    net.addLink(a, b)
for number in range(20):
    net.addLink(net.addHost("h%d" % number, ip="10.0.0.%d/24" % (number + 1)), switches[number % 3])
net.build()
net.start()
took = time.perf_counter() - began
net.stop()
print(took)
"""


def mininet() -> float | None:
    """Seconds it takes to boot, or None where it is not to be had."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c"]
    script = 'mount -t proc proc /proc && exec /usr/bin/python3 -c "$MININET"'
    try:
        done = subprocess.run(
            [*command, script], env={**os.environ, "MININET": MININET}, capture_output=True, text=True, timeout=60
        )
        return float(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def three_switches(loop: PlantLoop) -> Network:
    network = Network(loop)
    for number in (1, 2, 3):
        network.add_switch(f"s{number}", 12)
    for number in (1, 2):
        network.plug(Port(f"s{number}", "p11"), Port(f"s{number + 1}", "p12"))
    for number in range(20):
        host = network.add_host(f"h{number}")
        interface = {"address": f"10.0.0.{number + 1}/24"}
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
        network.plug(Port(host.name, "eth0"), Port(f"s{number % 3 + 1}", f"p{number // 3 + 1}"))
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
    took = min(_timed(three_switches, loop) for _ in range(5))
    theirs = mininet()
    beside = f"Mininet {theirs * 1000:.0f} ms, {theirs / took:.0f} times as long" if theirs else "no Mininet here"
    print(f"  20 hosts, 3 switches: {took * 1000:.1f} ms; {beside}")


def _timed(build_one: Callable[[PlantLoop], Network], loop: PlantLoop) -> float:
    began = time.perf_counter()
    build_one(loop)
    return time.perf_counter() - began


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        runner.run(main())
