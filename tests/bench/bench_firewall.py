"""Modbus requests per second: through three switches and a firewall with 50 rules ÷ over one switch, same run.

    python tests/bench/bench_firewall.py [requests]

The firewall tracks connections; with a content profile it also reads every request. Rounds alternate and the medians
are compared, so that a noisy machine disturbs all alike.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from bench_modbus import ROUNDS, ask

from devices.fw_ind import FwInd, FwIndConfig
from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from lab.model.frame import Port
from lab.model.plant import HostConfig
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop


def policy(content: str | None) -> FwIndConfig:
    others = [
        {"name": f"r{n}", "from": "a", "to": "b", "source": f"10.0.1.{100 + n}", "service": "opcua"} for n in range(49)
    ]
    ours = {"name": "modbus", "from": "a", "to": "b", "source": "10.0.1.1", "service": "modbus", "content": content}
    return FwIndConfig.model_validate(
        {
            "interfaces": {"wan": {"address": "10.0.1.254/24"}, "lan": {"address": "10.0.2.254/24"}},
            "zones": {"a": ["wan"], "b": ["lan"]},
            "content": {"reads": {"modbus": {"read_only": True, "units": [1], "reads": {"holding": ["0-99"]}}}},
            "rules": [*others, ours],
        }
    )


def host(network: Network, name: str, address: str, switch: str) -> Host:
    made = network.add_host(name)
    interface = {"address": f"{address}/24", "gateway": f"{address.rpartition('.')[0]}.254"}
    made.configure(HostConfig.model_validate({"interfaces": {"eth0": interface}}))
    network.plug(Port(name, "eth0"), Port(switch, "p1" if name != "near" else "p3"))
    return made


async def main(requests: int) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlantLoop)
    network = Network(loop)
    network.taps.append(lambda tap, at, data: None)
    for name in ("sw-1", "sw-2", "sw-3"):
        network.add_switch(name, 4)
    near, client = host(network, "near", "10.0.1.2", "sw-1"), host(network, "client", "10.0.1.1", "sw-1")
    server = host(network, "server", "10.0.2.1", "sw-3")
    box = FwInd.hardware(network, "fw")
    network.plug(Port("sw-1", "p2"), Port("fw", "wan"))
    network.plug(Port("fw", "lan"), Port("sw-2", "p1"))
    network.plug(Port("sw-2", "p2"), Port("sw-3", "p2"))
    plain, deep = policy(None), policy("reads")
    box.configure(plain)
    firewall = FwInd(box, plain, lambda point, value: None)
    await box.spawn(firewall.start())
    registers = Registers()
    for address in range(125):
        registers.holding_registers.number(address, "u16")
    unit = ModbusUnit(registers, Identity("bench", "bench", "1"))
    behind, beside = ModbusServer({1: unit}), ModbusServer({1: unit})
    await server.spawn(behind.start(port=502))
    await near.spawn(beside.start(port=502))
    rates: dict[str, list[float]] = {"one switch": [], "firewall": [], "with content": []}
    for _ in range(ROUNDS):
        rates["one switch"].append(await client.spawn(ask("10.0.1.2", 502, requests)))
        await box.spawn(firewall.apply(plain))
        rates["firewall"].append(await client.spawn(ask("10.0.2.1", 502, requests)))
        await box.spawn(firewall.apply(deep))
        rates["with content"].append(await client.spawn(ask("10.0.2.1", 502, requests)))
    direct = statistics.median(rates["one switch"])
    for name, measured in rates.items():
        rate = statistics.median(measured)
        print(f"{name:12} {rate:8.0f} requests/s   ratio {rate / direct:5.2f}")
    await behind.stop()
    await beside.stop()
    await firewall.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=PlantLoop) as runner:
        runner.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
