"""A capture of every protocol of the lab, judged by tshark: nothing to warn of, every checksum right."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import warnings
from pathlib import Path

import pytest
from gateway_kit import Room, modbus_device, north, tell

from lab.model.frame import Tap

PROTOCOLS = ("arp", "icmp", "udp", "tcp", "modbus", "mqtt", "opcua")


@pytest.mark.foreign
def test_a_capture_of_every_protocol_gives_tshark_no_reason_to_warn(tmp_path: Path, tshark: str) -> None:
    from asyncua import Server, ua

    path = tmp_path / "capture.pcap"
    frames: list[tuple[int, bytes]] = []

    async def serve_opcua() -> Server:
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://0.0.0.0:4840/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await server.register_namespace("urn:test")
        await server.nodes.objects.add_variable(ua.NodeId("Speed", 2), "Speed", 1200.0)
        await server.start()
        return server

    async def datagrams(address: str) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(address, 161))
        transport.sendto(b"hello")
        transport.close()

    async def story(room: Room) -> None:
        def see(tap: Tap, at: int, data: bytes) -> None:
            if "gw" in (tap.seen_at.host, tap.sent_from.host):
                frames.append((at, data))

        server = await room.hosts["plc-2"].spawn(serve_opcua())
        await room.switch_on("broker", "broker", {})
        await room.modbus_server("plc-1", [1, 2, 3, 4])
        room.network.taps.append(see)
        machine = {
            "name": "cnc",
            "driver": "opcua",
            "connection": {"endpoint": f"opc.tcp://{room.address('plc-2')}:4840/"},
            "groups": [{"name": "g", "period_ms": 1000, "tags": [{"name": "speed", "node": "ns=2;s=Speed"}]}],
        }
        tags = [{"name": "first", "address": 40001, "type": "u16"}]
        south = [modbus_device("boiler", room.address("plc-1"), tags), machine]
        gateway = room.hosts["gw"]
        assert await gateway.ping(room.address("broker"), size=4000) is not None
        await room.switch_on("gw", "gw-edge", {"south": south, "north": north(room.address("broker"))})
        await gateway.spawn(datagrams(room.address("broker")))
        await asyncio.sleep(120)
        room.network.taps.remove(see)  # what follows is switching off, with resets where people pull plugs
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await room.hosts["plc-2"].spawn(server.stop())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tell(story, plcs=2)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for at, data in frames:
            file.write(struct.pack("<IIII", at // 10**9, at % 10**9, len(data), len(data)) + data)
    checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]

    def ask(*arguments: str) -> str:
        command = [tshark, "-r", str(path), *checks, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    report = ask("-q", "-z", "expert,warn")
    assert "Errors" not in report, report
    assert "Warns" not in report, report
    for protocol in PROTOCOLS:
        assert ask("-Y", protocol, "-c", "2000"), f"no {protocol} in the capture"
    assert not ask("-Y", "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0")
