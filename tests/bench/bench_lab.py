"""How fast a lab of ten hosts is up, three of them OPC UA servers and six Modbus controllers: the first and the second.

    python tests/bench/bench_lab.py

After imports, on a plant in fast time. The very first run on a computer also builds asyncua's node cache and keys.
"""

from __future__ import annotations

import asyncio
import time

import devices.opcua.server
from devices.registry import KINDS
from lab.model.frame import Port
from lab.network.fabric import Network
from lab.network.loop import PlantLoop

HOSTS = ("cnc-plc",) * 3 + ("boiler-plc",) * 3 + ("imm-plc",) * 3 + ("workstation",)


async def boot(loop: PlantLoop, number: int) -> float:
    began = time.perf_counter()
    network = Network(loop, number)
    network.add_switch("sw", 16)
    for place, kind in enumerate(HOSTS, 1):
        host = network.add_host(f"h{place}")
        network.plug(Port(host.name, "eth0"), Port("sw", f"p{place}"))
        config = KINDS[kind].Config.model_validate({"interfaces": {"eth0": {"address": f"10.0.0.{place}/24"}}})
        host.configure(config)
        await host.spawn(KINDS[kind](host, config, lambda point, value: None).start())
    return time.perf_counter() - began


async def main() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    for number in (1, 2, 3):
        print(f"lab {number}: {await boot(loop, number) * 1000:6.0f} ms")


if __name__ == "__main__":
    assert devices.opcua.server
    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        runner.run(main())
