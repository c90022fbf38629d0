"""`broker: external`: another broker in the place of ours.

A plant host of kind `outside` stands for it: what connects to its port 1883 goes on to the real broker, whose address
is its configuration (`forward: [{listen: 1883, to: "192.168.1.10:1883"}]`). Gateways, platforms and clients in the
plant are configured as for our broker, and all their traffic is on the plant's cables, so it is marked as ever. The
real server is there in live time only; an acceptance run in fast time needs ours.

What the plant relies on is written down in `gateway.broker`; whether a broker keeps it is told by

    IIOTLAB_MQTT_BROKER=192.168.1.10:1883 pytest tests/gateway/conformance
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.outside import Outside
from gateway.broker.config import BrokerConfig
from gateway.broker.mended import MendedBroker
from gateway.registry import KINDS
from lab.model.frame import Port
from lab.network.appliance import Appliance
from lab.network.fabric import Network
from lab.network.host import Host
from lab.network.loop import PlantLoop
from lab.wire import mqtt
from lab.wire.mqtt import Connect, Decoder, Publish, Subscribe, Subscription


@pytest.fixture
def mosquitto(unused_tcp_port: int, tmp_path: Path) -> Iterator[int]:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {unused_tcp_port} 127.0.0.1\nallow_anonymous true\n")
    tmp_path.chmod(0o755)
    with subprocess.Popen([program, "-c", config], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "running" in line:
                break
        yield unused_tcp_port
        process.terminate()


async def put(network: Network, name: str, kind: type[Appliance[Any]], number: int, **config: Any) -> Host:
    host = network.add_host(name)
    interfaces = {"eth0": {"address": f"10.0.0.{number}/24"}}
    model = kind.Config.model_validate({"interfaces": interfaces, **config})
    host.configure(model)
    network.plug(Port(name, "eth0"), Port("sw", f"p{number}"))
    appliance = kind(host, model, lambda *_: None)
    running.append((host, appliance))
    await host.spawn(appliance.start())
    return host


running: list[tuple[Host, Appliance[Any]]] = []


async def first_status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Publish:
    """What a client outside the plant hears first of the gateway."""
    decoder = Decoder()
    writer.write(Connect("outside").encode() + Subscribe(1, (Subscription("v1/#", 1),)).encode())
    while data := await asyncio.wait_for(reader.read(65_536), 20):
        for packet in decoder.feed(data):
            if isinstance(packet, mqtt.Publish):
                return packet
    raise EOFError


async def tell_story(loop: PlantLoop, port: int) -> tuple[Publish, list[bytes]]:
    network = Network(loop)
    network.add_switch("sw", 8)
    frames: list[bytes] = []
    network.taps.append(lambda tap, at, data: frames.append(bytes(data)))
    await put(network, "cloud", Outside, 1, forward=[{"listen": 1883, "to": f"127.0.0.1:{port}"}])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hearing = asyncio.create_task(first_status(reader, writer))
    north = [{"name": "cloud", "driver": "mqtt", "host": "10.0.0.1", "qos": 1}]
    await put(network, "gw", KINDS["gw-edge"], 2, site="s", north=north)
    try:
        return await hearing, frames
    finally:
        writer.close()
        for host, appliance in reversed(running):
            await host.spawn(appliance.stop())
        running.clear()


def in_live_time(port: int) -> tuple[Publish, list[bytes]]:
    loop = PlantLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(tell_story(loop, port))
    finally:
        loop.run_until_complete(asyncio.sleep(0.05))
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.foreign
def test_a_gateway_in_the_plant_publishes_to_a_real_mosquitto(mosquitto: int) -> None:
    message, frames = in_live_time(mosquitto)
    assert message.topic == "v1/s/gw/status"
    assert json.loads(message.payload) == {"online": True}
    assert any(b"v1/s/gw/status" in frame for frame in frames), "and it is on the plant's cables"


async def test_our_own_broker_could_stand_outside_as_well(unused_tcp_port: int) -> None:
    served = MendedBroker(BrokerConfig(port=unused_tcp_port))
    await served.start()
    message, _ = await asyncio.to_thread(in_live_time, unused_tcp_port)
    await served.shutdown()
    assert json.loads(message.payload) == {"online": True}
