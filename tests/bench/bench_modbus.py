"""Modbus requests per second: over the plant network ÷ over real loopback sockets, same process, same run.

    python tests/bench/bench_modbus.py [requests]

pymodbus's client against our server, ten registers a request. Rounds alternate, and the medians are compared, so that a
noisy machine disturbs both alike. The plant has a switch between the two hosts and a tap on every cable.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from pymodbus.client import AsyncModbusTcpClient

from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.loop import PlantLoop

ROUNDS = 7


async def ask(address: str, port: int, requests: int) -> float:
    client = AsyncModbusTcpClient(address, port=port)
    await client.connect()
    began = time.perf_counter()
    for _ in range(requests):
        await client.read_holding_registers(0, count=10, device_id=1)
    took = time.perf_counter() - began
    client.close()
    return requests / took


async def main(requests: int) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    network = Network(loop)
    network.add_switch("sw", 4)
    frames: list[bytes] = []
    network.taps.append(lambda tap, at, data: frames.append(data))
    hosts = [network.add_host(name) for name in ("client", "server")]
    for number, host in enumerate(hosts, 1):
        interface = {"address": f"10.0.0.{number}/24"}
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
        network.plug(Port(host.name, "eth0"), Port("sw", f"p{number}"))
    registers = Registers()
    for address in range(125):
        registers.holding_registers.number(address, "u16")
    unit = ModbusUnit(registers, Identity("bench", "bench", "1"))
    inside, outside = ModbusServer({1: unit}), ModbusServer({1: unit})
    await hosts[1].spawn(inside.start(port=502))
    port = await outside.start("127.0.0.1", 0)
    over_plant, over_loopback = [], []
    for _ in range(ROUNDS):
        over_plant.append(await hosts[0].spawn(ask("10.0.0.2", 502, requests)))
        over_loopback.append(await ask("127.0.0.1", port, requests))
    plant, loopback = statistics.median(over_plant), statistics.median(over_loopback)
    print(f"plant network {plant:8.0f} requests/s, every frame seen {len(frames)} times")
    print(f"real loopback {loopback:8.0f} requests/s")
    print(f"ratio         {plant / loopback:8.2f}")
    await inside.stop()
    await outside.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=PlantLoop) as runner:
        runner.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
