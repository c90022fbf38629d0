"""Libraries that know nothing of us talk over the plant network, in live and in fast time."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from datetime import timedelta
from pathlib import Path

import asyncua.server.internal_session
import asyncua.server.internal_subscription
import asyncua.server.uaprocessor
import gmqtt.mqtt.connection
import gmqtt.mqtt.handler
import gmqtt.mqtt.protocol
import pytest
from aiohttp import ClientSession, web
from amqtt.broker import Broker
from asyncua import Client, Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from plant_kit import Plant, config, run
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from lab.clock import EPOCH_NS, now
from lab.network.containment import contain, wait_for_threads_of_anyio
from lab.network.host import Host

contain(gmqtt.mqtt.connection, gmqtt.mqtt.protocol, gmqtt.mqtt.handler)
contain(asyncua.server.internal_session, asyncua.server.internal_subscription, asyncua.server.uaprocessor)
wait_for_threads_of_anyio()

both_times = pytest.mark.parametrize("fast", [True, False], ids=["fast", "live"])


@both_times
def test_pymodbus_reads_from_pymodbus(fast: bool) -> None:
    async def story(plant: Plant) -> list[int]:
        client_host, server_host = plant.hosts

        async def serve() -> ModbusTcpServer:
            device = SimDevice(1, simdata=[SimData(0, values=[7, 8, 9], datatype=DataType.REGISTERS)])
            server = ModbusTcpServer(device, address=("0.0.0.0", 502))
            await server.serve_forever(background=True)
            return server

        async def ask() -> list[int]:
            client = AsyncModbusTcpClient("10.0.0.2", port=502)
            assert await client.connect()
            answer = await client.read_holding_registers(0, count=3, device_id=1)
            client.close()
            return answer.registers

        server = await server_host.spawn(serve())
        registers: list[int] = await client_host.spawn(ask())
        await server.shutdown()
        return registers

    assert run(story, fast=fast) == [7, 8, 9]


@both_times
@pytest.mark.parametrize("secure", [False, True], ids=["none", "Basic256Sha256"])
def test_asyncua_reads_and_subscribes(fast: bool, secure: bool, tmp_path: Path) -> None:
    async def certificate(name: str) -> tuple[Path, Path]:
        key, cert = tmp_path / f"{name}.pem", tmp_path / f"{name}.der"
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        await setup_self_signed_certificate(key, cert, f"urn:{name}", name, usage, {"countryName": "CN"})
        return cert, key

    class Handler:
        def __init__(self) -> None:
            self.values: list[int] = []
            self.enough = asyncio.Event()

        def datachange_notification(self, node: object, value: int, data: object) -> None:
            self.values.append(value)
            if len(self.values) == 3:
                self.enough.set()

    async def story(plant: Plant) -> list[int]:
        client_host, server_host = plant.hosts

        async def serve() -> tuple[Server, ua.NodeId]:
            server = Server()
            await server.init()
            server.set_endpoint("opc.tcp://0.0.0.0:4840/")
            await server.set_application_uri("urn:server")
            if secure:
                cert, key = await certificate("server")
                await server.load_certificate(str(cert))
                await server.load_private_key(str(key))
                server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
            else:
                server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            variable = await server.nodes.objects.add_variable(2, "count", 0)
            await server.start()
            return server, variable.nodeid

        async def ask(node_id: ua.NodeId, server: Server) -> list[int]:
            client = Client("opc.tcp://10.0.0.2:4840/")
            client.application_uri = "urn:client"
            if secure:
                cert, key = await certificate("client")
                await client.set_security(
                    SecurityPolicyBasic256Sha256, str(cert), str(key), mode=ua.MessageSecurityMode.SignAndEncrypt
                )
            async with client:
                assert await client.get_node(node_id).read_value() == 0
                handler = Handler()
                subscription = await client.create_subscription(100, handler)
                await subscription.subscribe_data_change(client.get_node(node_id))
                for value in (1, 2):
                    await asyncio.sleep(0.3)
                    await server.get_node(node_id).write_value(value)
                await asyncio.wait_for(handler.enough.wait(), 5)
                await subscription.delete()
            return handler.values

        server, node_id = await server_host.spawn(serve())
        values: list[int] = await client_host.spawn(ask(node_id, server))
        await server_host.spawn(server.stop())
        return values

    assert run(story, fast=fast) == [0, 1, 2]


@both_times
def test_gmqtt_publishes_through_amqtt_and_keeps_alive(fast: bool) -> None:
    keep_alive = 3 if fast else 1
    silence = 3600.0 if fast else 1.2

    async def story(plant: Plant) -> bytes:
        broker_host, publisher_host, subscriber_host = plant.hosts
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve() -> Broker:
            broker = Broker(
                {
                    "listeners": {"default": {"type": "tcp", "bind": "0.0.0.0:1883"}},
                    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
                }
            )
            await broker.start()
            return broker

        async def connect(name: str) -> gmqtt.Client:
            client = gmqtt.Client(name)
            client.on_message = lambda _, topic, payload, qos, properties: arrived.set_result(payload) or 0
            await client.connect("10.0.0.1", keepalive=keep_alive, version=gmqtt.constants.MQTTv311)
            return client

        async def subscribe(client: gmqtt.Client) -> None:
            subscribed = asyncio.Event()
            client.on_subscribe = lambda *_: subscribed.set()
            client.subscribe("plant/#", qos=1)
            await subscribed.wait()

        broker = await broker_host.spawn(serve())
        subscriber = await subscriber_host.spawn(connect("subscriber"))
        await subscriber_host.spawn(subscribe(subscriber))
        publisher = await publisher_host.spawn(connect("publisher"))
        await asyncio.sleep(silence)
        with publisher_host.current():
            publisher.publish("plant/boiler", b"7.5", qos=1)
        payload = await asyncio.wait_for(arrived, 5)
        await publisher_host.spawn(publisher.disconnect())
        await subscriber_host.spawn(subscriber.disconnect())
        await broker_host.spawn(broker.shutdown())
        return payload

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert run(story, fast=fast, hosts=3, patience=8000) == b"7.5"


def tls_contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server called `plant.lab` and for a client that trusts it."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant.lab")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now() - timedelta(days=900))
        .not_valid_after(now() + timedelta(days=9000))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("plant.lab")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
    return server, client


@both_times
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_aiohttp_serves_and_asks(fast: bool, secure: bool, tmp_path: Path) -> None:
    server_tls, client_tls = tls_contexts(tmp_path) if secure else (None, None)

    async def story(plant: Plant) -> str:
        client_host, server_host = plant.hosts

        async def greet(request: web.Request) -> web.Response:
            return web.Response(text=f"good morning, {request.remote}")

        async def serve() -> web.AppRunner:
            application = web.Application()
            application.router.add_get("/", greet)
            runner = web.AppRunner(application)
            await runner.setup()
            await web.TCPSite(runner, "0.0.0.0", 8080, ssl_context=server_tls).start()
            return runner

        async def ask() -> str:
            url = "https://plant.lab:8080/" if secure else "http://plant.lab:8080/"
            async with ClientSession() as session, session.get(url, ssl=client_tls or True) as answer:
                text = await answer.text()
            await asyncio.sleep(0.3)  # aiohttp lets go of a TLS connection a moment after the session is closed
            return text

        client_host.configure(config("10.0.0.1/24", names={"plant.lab": "10.0.0.2"}))
        runner = await server_host.spawn(serve())
        text: str = await client_host.spawn(ask())
        await server_host.spawn(runner.cleanup())
        return text

    assert run(story, fast=fast) == "good morning, 10.0.0.1"


@both_times
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_streams_echo_a_megabyte(fast: bool, secure: bool, tmp_path: Path) -> None:
    server_tls, client_tls = tls_contexts(tmp_path) if secure else (None, None)
    text = bytes(range(256)) * 4096

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def talk(host: Host) -> bytes:
        name = "plant.lab" if secure else None
        reader, writer = await asyncio.open_connection("10.0.0.2", 7, ssl=client_tls, server_hostname=name)

        async def say() -> None:
            writer.write(text)
            await writer.drain()

        saying = asyncio.create_task(say())
        heard = await reader.readexactly(len(text))
        await saying
        writer.close()
        await writer.wait_closed()
        return heard

    async def story(plant: Plant) -> bytes:
        client_host, server_host = plant.hosts
        await server_host.spawn(asyncio.start_server(echo, "0.0.0.0", 7, ssl=server_tls))
        heard: bytes = await client_host.spawn(talk(client_host))
        return heard

    assert run(story, fast=fast) == text


def test_contained_clocks_show_plant_time() -> None:
    async def story(plant: Plant) -> tuple[float, float]:
        clock = gmqtt.mqtt.connection.time  # type: ignore[attr-defined]

        async def look() -> tuple[float, float]:
            before = clock.monotonic()
            await asyncio.sleep(1000)
            return clock.monotonic() - before, clock.time()

        seen: tuple[float, float] = await plant.hosts[0].spawn(look())
        return seen

    passed, wall = run(story)
    assert passed == pytest.approx(1000)
    assert wall == pytest.approx(EPOCH_NS / 1e9 + 1000, abs=1)
