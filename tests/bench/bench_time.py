"""How much faster than life is fast time: twelve hosts, eleven of them polled once a second by the twelfth.

python tests/bench/bench_time.py [plant seconds]
"""

from __future__ import annotations

import asyncio
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

SERVERS = 11


async def poll(address: str, seconds: int) -> int:
    client = AsyncModbusTcpClient(address, port=502)
    await client.connect()
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers = 0
    for second in range(seconds):
        await asyncio.sleep(began + second - loop.time())
        answer = await client.read_holding_registers(0, count=10, device_id=1)
        answers += not answer.isError()
    client.close()
    return answers


async def main(seconds: int) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    network = Network(loop)
    network.add_switch("sw", SERVERS + 1)
    frames = 0

    def count(*_: object) -> None:
        nonlocal frames
        frames += 1

    network.taps.append(count)
    for number in range(1, SERVERS + 2):
        host = network.add_host(f"h{number}")
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": {"address": f"10.0.0.{number}/24"}}}))
        network.plug(Port(host.name, "eth0"), Port("sw", f"p{number}"))
    *servers, client = network.hosts.values()
    for server in servers:
        registers = Registers()
        for address in range(10):
            registers.holding_registers.number(address, "u16")
        unit = ModbusUnit(registers, Identity("bench", "bench", "1"))
        await server.spawn(ModbusServer({1: unit}).start(port=502))
    began = time.perf_counter()
    polls = [client.spawn(poll(f"10.0.0.{number}", seconds)) for number in range(1, SERVERS + 1)]
    answers = sum(await asyncio.gather(*polls))
    took = time.perf_counter() - began
    print(f"{seconds} plant seconds, {answers} polls, {frames} frames in {took:.2f} s: {seconds / took:.0f} times life")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        runner.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
