"""Programs of other makers, as real processes, reach devices of a live plant through published ports."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from plant_kit import Plant, config, run

from devices.registry import KINDS as DEVICES
from gateway.registry import KINDS as GATEWAYS
from lab.network.host import Host
from lab.network.published import publish

NODE = """
const {OPCUAClient, MessageSecurityMode, SecurityPolicy, AttributeIds} = require("node-opcua-client");
(async () => {
  const client = OPCUAClient.create({endpointMustExist: false, connectionStrategy: {maxRetry: 1},
    securityMode: MessageSecurityMode.None, securityPolicy: SecurityPolicy.None});
  await client.connect("opc.tcp://127.0.0.1:PORT");
  const session = await client.createSession();
  const state = await session.read({nodeId: "ns=2;s=CNC01.State", attributeId: AttributeIds.Value});
  console.log(JSON.stringify({status: state.statusCode.name, value: state.value.value}));
  await session.close(); await client.disconnect(); process.exit(0);
})().catch(error => { console.log(String(error)); process.exit(1); });
"""


async def start(host: Host, kind: str, **settings: Any) -> Any:
    appliance_kind = {**DEVICES, **GATEWAYS}[kind]
    interfaces = config(f"{host_address(host)}/24").model_dump()["interfaces"]
    model = appliance_kind.Config.model_validate({"interfaces": interfaces, **settings})
    host.configure(model)
    appliance = appliance_kind(host, model, lambda point, value: None)
    await host.spawn(appliance.start())
    return appliance


def host_address(host: Host) -> str:
    return f"10.0.0.{host.name.removeprefix('h')}"


def with_door_to(kind: str, port: int, use: Callable[[int, Any], Awaitable[Any]], **settings: Any) -> Any:
    """A live plant with a device on h2, its port published through h1, and what a program outside does with it."""

    async def story(plant: Plant) -> Any:
        workstation, server = plant.hosts
        appliance = await start(server, kind, **settings)
        published = await publish(workstation, 0, host_address(server), port)
        try:
            return await use(published.port, appliance)
        finally:
            published.close()
            await server.spawn(appliance.stop())

    return run(story, fast=False, patience=120)


@pytest.mark.foreign
def test_mbpoll_reads_the_boiler(mbpoll: str) -> None:
    async def poll(port: int, boiler: Any) -> str:
        command = [mbpoll, "-m", "tcp", "-p", str(port), "-a", "7", "-t", "3", "-r", "1", "-c", "2", "-1", "127.0.0.1"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
        return str(done.stdout)

    assert "[1]:" in with_door_to("boiler-plc", 502, poll, unit=7)


@pytest.mark.foreign
@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("water-plc", "-t 4 -r 41 -c 2", ("[41]: \t55", "[42]: \t420")),
        ("water-plc", "-t 0 -r 9 -c 1", ("[9]: \t1",)),
        ("water-plc", "-t 4 -r 43 -c 1", ("Illegal data address",)),
        ("water-plc", "-t 4 -r 41 -- 201", ("Illegal data value",)),
        ("cold-plc", "-t 4 -r 201 -c 1", ("[201]: \t1",)),
        ("cold-plc", "-t 1 -r 5 -c 1", ("[5]: \t0",)),
        ("pack-line", "-t 4 -r 8 -c 1", ("[8]: \t0",)),
        ("rtu-old", "-t 4 -r 41 -c 1", ("[41]: \t55",)),
    ],
)
def test_mbpoll_reads_controllers(mbpoll: str, kind: str, arguments: str, said: tuple[str, ...]) -> None:
    async def poll(port: int, controller: Any) -> str:
        options, _, written = arguments.partition(" -- ")
        command = [mbpoll, "-m", "tcp", "-p", str(port), "-a", "1", *options.split(), "-1", "-q", "127.0.0.1"]
        done = await asyncio.to_thread(
            subprocess.run, [*command, *written.split()], capture_output=True, text=True, timeout=20
        )
        return str(done.stdout + done.stderr)

    heard = with_door_to(kind, 502, poll)
    assert all(each in heard for each in said), heard


@pytest.mark.foreign
def test_mosquitto_publishes_and_listens(mosquitto_sub: str) -> None:
    async def talk(port: int, broker: Any) -> bytes:
        where = ["-h", "127.0.0.1", "-p", str(port), "-t", "plant/x"]
        publisher = [mosquitto_sub.replace("_sub", "_pub"), *where, "-m", "7.5", "-r", "-q", "1"]
        await asyncio.to_thread(subprocess.run, publisher, check=True, timeout=20)
        listener = [mosquitto_sub, *where, "-C", "1", "-W", "10"]
        done = await asyncio.to_thread(subprocess.run, listener, capture_output=True, timeout=20)
        return bytes(done.stdout)

    assert with_door_to("broker", 1883, talk) == b"7.5\n"


@pytest.mark.foreign
def test_node_opcua_reads_the_machine_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if subprocess.run(["node", "-e", "require('node-opcua-client')"], capture_output=True).returncode:
        pytest.skip("the npm package node-opcua-client is not installed (NODE_PATH)")

    async def read(port: int, machine: Any) -> dict[str, Any]:
        environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        command = ["node", "-e", NODE.replace("PORT", str(port))]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=60, env=environment
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines, done.stdout
        answer: dict[str, Any] = json.loads(lines[0])
        return answer

    answer = with_door_to("cnc-plc", 4840, read)
    assert answer["status"] == "Good"
    assert isinstance(answer["value"], int)
