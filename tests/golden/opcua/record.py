"""Records the captures of this folder anew and has tshark dissect them; run it as root.

The server and one client are asyncua's, the other client is node-opcua's: `npm install node-opcua-client` in the folder
given as the only argument.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

from asyncua import Client, Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.server.user_managers import User, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

HERE = Path(__file__).parent
PORT = 14840
URL = f"opc.tcp://127.0.0.1:{PORT}"
TSHARK = ("-d", f"tcp.port=={PORT},opcua", "-2", "-Y", "opcua", "-T", "json", "-J", "frame tcp opcua")


class OneUser:
    def get_user(self, _: object, username: str = "", password: str = "", certificate: object = None) -> User | None:
        if username in (None, "", "acq") and password in (None, "", "secret"):
            return User(role=UserRole.User, name=username)
        return None


async def start_server(folder: Path) -> tuple[Server, asyncio.Task[None]]:
    key, certificate = folder / "key.pem", folder / "certificate.der"
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    await setup_self_signed_certificate(key, certificate, "urn:lab:server", "127.0.0.1", uses, {"commonName": "lab"})
    server = Server(user_manager=OneUser())  # type: ignore[arg-type]
    await server.init()
    server.set_endpoint(URL)
    await server.set_application_uri("urn:lab:server")
    server.set_security_policy(
        [
            ua.SecurityPolicyType.NoSecurity,
            ua.SecurityPolicyType.Basic256Sha256_Sign,
            ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
        ]
    )
    await server.load_certificate(certificate)
    await server.load_private_key(key)
    await server.register_namespace("urn:lab:cnc")
    machine = await server.nodes.objects.add_object(ua.NodeId("CNC01", 2), "2:CNC01")
    await machine.add_variable(ua.NodeId("CNC01.SpindleSpeed", 2), "SpindleSpeed", 1200.25)
    set_point = await machine.add_variable(ua.NodeId("CNC01.SetSpeed", 2), "SetSpeed", 0.0)
    await set_point.set_writable()
    count = await machine.add_variable(ua.NodeId("CNC01.PartCount", 2), "PartCount", 0, ua.VariantType.UInt32)
    await machine.add_variable(ua.NodeId("CNC01.Program", 2), "Program", "O1000 铣面", ua.VariantType.String)
    await machine.add_variable(ua.NodeId(7, 2), "Axes", [1.5, -2.5, 0.25], ua.VariantType.Float)
    await machine.add_variable(ua.NodeId("CNC01.Log", 2), "Log", b"\xa5" * 70_000)

    async def add(_: ua.NodeId, one: ua.Variant, other: ua.Variant) -> list[ua.Variant]:
        return [ua.Variant(one.Value + other.Value, ua.VariantType.Int32)]

    arguments = [ua.VariantType.Int32, ua.VariantType.Int32], [ua.VariantType.Int32]
    await machine.add_method(ua.NodeId("CNC01.Sum", 2), "Sum", add, *arguments)
    await server.start()

    async def produce() -> None:
        for number in range(1, 10_000):
            await count.write_value(number, ua.VariantType.UInt32)
            await asyncio.sleep(0.3)

    return server, asyncio.create_task(produce())


class Listener:
    def datachange_notification(self, node: object, value: object, data: object) -> None:
        pass


async def speak_asyncua(_: Path) -> None:
    client = Client(URL)
    await client.connect_and_get_server_endpoints()
    client = Client(URL)
    async with client:  # anonymous
        await client.get_node("ns=2;s=CNC01.SpindleSpeed").read_value()
        await client.get_node("ns=2;i=7").read_value()
        await client.get_node("ns=2;s=CNC01.Program").read_data_value()
        await client.get_node("ns=2;s=CNC01.Log").read_value()
        with suppress(ua.UaError):
            await client.get_node("ns=2;s=CNC01.Nothing").read_value()
        await client.get_node("ns=2;s=CNC01.SetSpeed").write_value(1500.5)
        with suppress(ua.UaError):
            await client.get_node("ns=2;s=CNC01.SpindleSpeed").write_value(1.0)
        machine = client.get_node("ns=2;s=CNC01")
        await machine.get_children_descriptions()
        await client.nodes.objects.get_child("2:CNC01")
        numbers = ua.Variant(20, ua.VariantType.Int32), ua.Variant(22, ua.VariantType.Int32)
        await machine.call_method(ua.NodeId("CNC01.Sum", 2), *numbers)
        with suppress(ua.UaError):
            await machine.call_method(ua.NodeId("CNC01.Never", 2))
        subscription = await client.create_subscription(200, Listener())
        count = client.get_node("ns=2;s=CNC01.PartCount")
        handle = await subscription.subscribe_data_change(count, sampling_interval=100)
        await asyncio.sleep(1)
        await subscription.unsubscribe(handle)
        await subscription.delete()
    client = Client(URL)
    client.set_user("acq")
    client.set_password("wrong")
    with suppress(Exception):
        await client.connect()
    with suppress(Exception):
        await client.disconnect()


def speak_node(*modes: str) -> Callable[[Path], Awaitable[None]]:
    async def speak(folder: Path) -> None:
        for mode in modes:
            arguments = str(HERE / "node_client.js"), URL, mode, str(folder / "pki")
            environment = {"NODE_PATH": f"{sys.argv[1]}/node_modules", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
            process = await asyncio.create_subprocess_exec("node", *arguments, env=environment)
            await asyncio.wait_for(process.wait(), 60)

    return speak


async def record(name: str, speak: Callable[[Path], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        capture = folder / "capture.pcapng"
        server, production = await start_server(folder)
        filter_ = f"tcp port {PORT}"
        sniffer = await asyncio.create_subprocess_exec("tshark", "-q", "-i", "lo", "-f", filter_, "-w", str(capture))
        await asyncio.sleep(2)
        await speak(folder)
        await asyncio.sleep(1)
        sniffer.terminate()
        await sniffer.wait()
        production.cancel()
        await server.stop()
        (HERE / f"{name}.pcapng").write_bytes(capture.read_bytes())


def dissect(name: str) -> None:
    """Write tshark's view, one line per message: where it ended and its fields in their order."""
    command = ["tshark", "-r", str(HERE / f"{name}.pcapng"), *TSHARK]
    frames = json.loads(subprocess.run(command, check=True, capture_output=True).stdout, object_pairs_hook=list)
    lines = []
    for frame in frames:
        layers = dict(dict(frame)["_source"])["layers"]
        flat = dict(fields(layers))
        place = {
            "frame": int(flat["frame.number"]),
            "stream": int(flat["tcp.stream"]),
            "port": int(flat["tcp.srcport"]),
        }
        for layer, content in layers:
            if layer == "opcua":
                lines.append(json.dumps({**place, "fields": list(fields(content))}, ensure_ascii=False))
    (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def fields(tree: list[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    for name, value in tree:
        if isinstance(value, list):
            yield from fields(value)
        else:
            text = str(value)
            yield name, text if len(text) < 500 else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


async def main() -> None:
    if len(sys.argv) > 1:
        await record("asyncua", speak_asyncua)
        await record("node", speak_node("None"))
        await record("secured", speak_node("Sign", "SignAndEncrypt"))
    for name in ("asyncua", "node", "secured"):
        dissect(name)


if __name__ == "__main__":
    asyncio.run(main())
