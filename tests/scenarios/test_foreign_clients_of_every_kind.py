"""mbpoll, modbus-serial and node-opcua at every device that speaks their protocol, through published ports."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from contextvars import Context
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.model.plant import Wiring
from lab.network.loop import PlantLoop
from lab.network.published import publish
from scenarios.assembly import Plant
from scenarios.folder import PlantConfig
from scenarios.kinds import APPLIANCES, interfaces_of, ports_of

pytestmark = pytest.mark.foreign


class Asked(NamedTuple):
    """A device, the unit it answers to, and registers that it has: `3` input, `4` holding, from an offset."""

    kind: str
    unit: int
    table: int
    offset: int
    count: int


MODBUS = (
    Asked("boiler-plc", 1, 3, 0, 9),
    Asked("cold-plc", 1, 3, 0, 16),
    Asked("imm-plc", 1, 4, 0, 14),
    Asked("io-module", 1, 3, 0, 4),
    Asked("meter-tcp", 1, 4, 0, 23),
    Asked("pack-line", 1, 4, 0, 8),
    Asked("rfid-reader", 255, 4, 0x4000, 32),
    Asked("rtu-old", 1, 4, 0, 6),
    Asked("water-plc", 1, 4, 0, 6),
)
OPCUA = {
    "cnc-plc": ["ns=2;s=CNC01.State", "ns=2;s=CNC01.PartCount"],
    "pack-line": ["ns=2;s=Pack01.MachSpeed", "ns=2;s=Pack01.ProdProcessed"],
    "rfid-reader": ["ns=2;s=rfid-reader.DeviceStatus", "ns=2;s=rfid-reader.RfPower"],
}
HOSTS = [*sorted({each.kind for each in MODBUS} | set(OPCUA)), "psu-24", "workstation"]
SERIAL = """
const Modbus = require("modbus-serial");
(async () => {
  const answers = [];
  for (const [port, unit, table, offset, count] of TARGETS) {
    const client = new Modbus();
    await client.connectTCP("127.0.0.1", {port});
    client.setID(unit); client.setTimeout(3000);
    const read = table === 3 ? "readInputRegisters" : "readHoldingRegisters";
    answers.push((await client[read](offset, count)).data);
    await new Promise(resolve => client.close(resolve));
  }
  console.log(JSON.stringify(answers)); process.exit(0);
})().catch(error => { console.log(String(error)); process.exit(1); });
"""
OPC = """
const {OPCUAClient, AttributeIds} = require("node-opcua-client");
(async () => {
  const answers = [];
  for (const [port, nodes] of TARGETS) {
    const client = OPCUAClient.create({endpointMustExist: false, connectionStrategy: {maxRetry: 1}});
    await client.connect("opc.tcp://127.0.0.1:" + port);
    const session = await client.createSession();
    const read = await session.read(nodes.map(nodeId => ({nodeId, attributeId: AttributeIds.Value})));
    const browsed = (await session.browse("RootFolder")).references.length;
    answers.push([read.map(each => each.statusCode.name), browsed]);
    await session.close(); await client.disconnect();
  }
  console.log(JSON.stringify(answers)); process.exit(0);
})().catch(error => { console.log(String(error)); process.exit(1); });
"""


def configuration() -> PlantConfig:
    cables, configs = [], {}
    for place, kind in enumerate(HOSTS):
        interfaces = {name: {"address": f"10.0.0.{place + 1}/24"} for name in interfaces_of(kind)[:1]}
        configs[kind] = APPLIANCES[kind].Config.model_validate({"interfaces": interfaces})
        if ports := ports_of(kind):
            cables.append([f"{kind}/{ports[0]}", f"sw/p{place + 1}"])
    wires = [["psu-24/L+", "io-module/L+"], ["psu-24/M", "io-module/M"]]
    return PlantConfig(Wiring.model_validate({"cables": cables, "wires": wires}), configs)


def in_the_plant(deed: Any) -> Any:
    """`deed(port_of)` runs in a thread of the computer; `port_of[kind, port]` leads to a device."""
    loop = PlantLoop(fast=False)

    async def main() -> Any:
        kinds = {kind: kind for kind in HOSTS} | {"sw": "switch-16"}
        plant = Plant(loop, kinds, 1, lambda *_: None)
        await plant.boot(configuration())
        await asyncio.sleep(3)
        pc = plant.network.hosts["workstation"]
        wanted = {(each.kind, 502) for each in MODBUS} | {(kind, 4840) for kind in OPCUA}
        published = {
            (kind, port): await publish(pc, 0, f"10.0.0.{HOSTS.index(kind) + 1}", port) for kind, port in sorted(wanted)
        }
        ports = {key: each.port for key, each in published.items()}
        result = await Context().run(loop.run_in_executor, None, deed, ports)
        for each in published.values():
            each.close()
        await plant.stop()
        return result

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


def node(script: str, targets: Any, folder: Path) -> Any:
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = ["node", "-e", script.replace("TARGETS", json.dumps(targets))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("[[")]
    assert lines, run.stdout + run.stderr
    return json.loads(lines[-1])


def needs(package: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if subprocess.run(["node", "-e", f"require('{package}')"], capture_output=True, check=False).returncode:
        pytest.skip(f"the npm package {package} is not installed (NODE_PATH)")


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
def test_mbpoll_reads_every_modbus_device() -> None:
    def poll(ports: dict[tuple[str, int], int]) -> None:
        for each in MODBUS:
            place = ["-0", "-r", str(each.offset), "-c", str(each.count)]
            command = [
                "mbpoll",
                "-m",
                "tcp",
                "-p",
                str(ports[each.kind, 502]),
                "-a",
                str(each.unit),
                "-t",
                str(each.table),
            ]
            run = subprocess.run(
                [*command, *place, "-1", "127.0.0.1"], capture_output=True, text=True, timeout=20, check=False
            )
            assert run.returncode == 0, (each, run.stdout, run.stderr)
            assert run.stdout.count("]: ") == each.count, (each, run.stdout)

    in_the_plant(poll)


def test_modbus_serial_reads_every_modbus_device(tmp_path: Path) -> None:
    needs("modbus-serial")

    def read(ports: dict[tuple[str, int], int]) -> Any:
        targets = [[ports[each.kind, 502], each.unit, each.table, each.offset, each.count] for each in MODBUS]
        return node(SERIAL, targets, tmp_path)

    answers = in_the_plant(read)
    assert [len(each) for each in answers] == [each.count for each in MODBUS]


def test_node_opcua_reads_every_opc_ua_server(tmp_path: Path) -> None:
    needs("node-opcua-client")

    def read(ports: dict[tuple[str, int], int]) -> Any:
        return node(OPC, [[ports[kind, 4840], nodes] for kind, nodes in OPCUA.items()], tmp_path)

    assert in_the_plant(read) == [[["Good", "Good"], 3]] * len(OPCUA)
