"""The machining centre's OPC UA server: who reads, who writes, what subscribers see, and how soon it is up."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from device_kit import Lab, in_lab

from devices.cnc_plc import NODES, CncPlc, CncPlcConfig
from devices.registry import KINDS
from lab.network.opcua_identity import VALID_FROM, VALID_UNTIL, application_identity

USERS = {"acq": "read-only", "eng": "may-write"}
TYPES = {
    "State": ua.VariantType.Int16,
    "SpindleSpeed": ua.VariantType.Double,
    "SpindleLoad": ua.VariantType.Double,
    "FeedRate": ua.VariantType.Double,
    "PartCount": ua.VariantType.UInt32,
    "AlarmCode": ua.VariantType.UInt16,
    "ToolWear": ua.VariantType.Double,
    "Program": ua.VariantType.String,
    "FeedOverride": ua.VariantType.Double,
    "SpindleOverride": ua.VariantType.Double,
}


def client_for(user: str | None = None, password: str | None = None) -> Client:
    client = Client("opc.tcp://10.0.0.1:4840", timeout=5)
    if user is not None:
        client.set_user(user)
        client.set_password(USERS.get(user, "") if password is None else password)
    return client


async def as_user(lab: Lab, user: str | None, deed: Callable[[Client], Awaitable[Any]], **options: Any) -> Any:
    async def do() -> Any:
        async with client_for(user, **options) as client:
            return await deed(client)

    return await lab.from_pc(do)


def node(client: Client, name: str) -> Any:
    return client.get_node(f"ns=2;s=CNC01.{name}")


async def refused(deed: Awaitable[Any]) -> str:
    """The name of the status code with which a deed is refused."""
    try:
        await deed
    except UaStatusCodeError as error:
        return type(error).__name__
    raise AssertionError("it was allowed")


def test_a_perfect_reader_gets_the_truth_in_the_types_of_the_library() -> None:
    async def read(client: Client) -> dict[str, ua.DataValue]:
        assert (await client.get_namespace_array())[2] == "urn:lab:cnc"
        return {name: await node(client, name).read_data_value() for name in TYPES}

    async def story(lab: Lab) -> None:
        await lab.until(31.25)
        values = await as_user(lab, "acq", read)
        assert {name: value.Value.VariantType for name, value in values.items()} == TYPES
        truth = lab.device.points()
        assert {NODES[point]: value for point, value in truth.items()} == {n: v.Value.Value for n, v in values.items()}
        assert truth == {point: lab.told(point)[-1] for point in truth}
        last = max(at for at, point, _ in lab.truth if point == "tool_wear")
        changed = values["ToolWear"].SourceTimestamp.replace(tzinfo=UTC)
        assert (changed - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(last, abs=1e-5)

    in_lab("cnc-plc", story, users=USERS)


def test_the_servers_clock_is_the_plants() -> None:
    async def read(client: Client) -> list[datetime]:
        ids = (ua.ObjectIds.Server_ServerStatus_StartTime, ua.ObjectIds.Server_ServerStatus_CurrentTime)
        return [await client.get_node(ua.NodeId(each)).read_value() for each in ids]

    async def story(lab: Lab) -> None:
        await lab.until(7200.5)
        start, current = await as_user(lab, None, read)
        assert start.replace(microsecond=0, tzinfo=UTC) == datetime(2026, 1, 1, tzinfo=UTC)
        assert current.replace(microsecond=0, tzinfo=UTC) == datetime(2026, 1, 1, 2, tzinfo=UTC)

    in_lab("cnc-plc", story)


def test_the_machine_can_be_found_by_browsing() -> None:
    async def browse(client: Client) -> list[str]:
        machine = await client.nodes.objects.get_child("2:CNC01")
        return [(await child.read_browse_name()).Name for child in await machine.get_children()]

    async def story(lab: Lab) -> None:
        assert set(await as_user(lab, None, browse)) == {*TYPES, "Start", "Stop", "ResetAlarm"}

    in_lab("cnc-plc", story)


def test_who_has_no_name_reads_the_public_part_only() -> None:
    async def peek(client: Client) -> None:
        assert await node(client, "State").read_value() in (0, 1, 2, 3)
        assert await node(client, "PartCount").read_value() > 0
        assert await refused(node(client, "SpindleSpeed").read_value()) == "BadUserAccessDenied"
        subscription = await client.create_subscription(100, Listener())
        assert await refused(subscription.subscribe_data_change(node(client, "ToolWear"))) == "BadUserAccessDenied"
        assert await refused(node(client, "FeedOverride").write_value(50.0)) == "BadUserAccessDenied"

    async def story(lab: Lab) -> None:
        await as_user(lab, None, peek)

    in_lab("cnc-plc", story, users=USERS)


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("admin", ""),
        ("admin", "admin"),
        ("Admin", "x"),
        ("acq", ""),
        ("acq", "may-write"),
        ("eng", "guess"),
        ("x", "y"),
    ],
)
def test_nobody_gets_in_with_a_wrong_password(user: str, password: str) -> None:
    async def nothing(client: Client) -> None:
        raise AssertionError("let in")

    async def story(lab: Lab) -> None:
        assert await refused(as_user(lab, user, nothing, password=password)) == "BadUserAccessDenied"

    in_lab("cnc-plc", story, users=USERS)


def test_without_anonymous_access_one_needs_a_name() -> None:
    async def nothing(client: Client) -> None:
        raise AssertionError("let in")

    async def story(lab: Lab) -> None:
        assert await refused(as_user(lab, None, nothing)) == "BadIdentityTokenRejected"
        await as_user(lab, "acq", lambda client: node(client, "State").read_value())

    in_lab("cnc-plc", story, users=USERS, anonymous=False)


def test_the_engineer_moves_setpoints_and_nothing_else() -> None:
    async def engineer(client: Client) -> None:
        override = node(client, "FeedOverride")
        await override.write_value(80.0)
        assert await override.read_value() == 80.0
        assert await refused(override.write_value(80, ua.VariantType.Int32)) == "BadTypeMismatch"
        assert await refused(override.write_value(float("nan"))) == "BadOutOfRange"
        assert await refused(override.write_value([1.0, 2.0])) == "BadTypeMismatch"
        assert await refused(node(client, "State").write_value(0, ua.VariantType.Int16)) == "BadNotWritable"
        assert await refused(node(client, "Nothing").write_value(0.0)) == "BadNodeIdUnknown"
        rename = ua.DataValue(ua.Variant(ua.LocalizedText("mine"), ua.VariantType.LocalizedText))
        assert await refused(override.write_attribute(ua.AttributeIds.DisplayName, rename)) == "BadNotWritable"
        start = client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime))
        assert await refused(start.write_value(datetime(2000, 1, 1, tzinfo=UTC))) == "BadNotWritable"
        assert await refused(client.nodes.objects.add_object(2, "Mine")) == "BadUserAccessDenied"

    async def reader(client: Client) -> None:
        assert await refused(node(client, "FeedOverride").write_value(10.0)) == "BadUserAccessDenied"

    async def story(lab: Lab) -> None:
        await as_user(lab, "eng", engineer)
        assert lab.told("feed_override") == [100.0, 80.0]
        await as_user(lab, "acq", reader)
        assert lab.device.points()["feed_override"] == 80.0

    in_lab("cnc-plc", story, users=USERS)


@pytest.mark.parametrize(("user", "level"), [("eng", 3), ("acq", 1), (None, 0)])
def test_the_access_level_is_that_of_the_user(user: str | None, level: int) -> None:
    async def read(client: Client) -> None:
        value = await node(client, "FeedOverride").read_attribute(ua.AttributeIds.UserAccessLevel)
        assert value.Value.Value == level
        both = await node(client, "FeedOverride").read_attribute(ua.AttributeIds.AccessLevel)
        assert both.Value.Value == 3

    async def story(lab: Lab) -> None:
        await as_user(lab, user, read)

    in_lab("cnc-plc", story, users=USERS)


class Listener:
    def __init__(self) -> None:
        self.seen: asyncio.Queue[tuple[object, datetime]] = asyncio.Queue()

    def datachange_notification(self, _: object, value: object, data: Any) -> None:
        self.seen.put_nowait((value, data.monitored_item.Value.SourceTimestamp))


def test_a_forced_value_is_read_at_once_and_told_to_subscribers() -> None:
    async def watch(client: Client, lab: Lab) -> None:
        listener = Listener()
        subscription = await client.create_subscription(200, listener)
        await subscription.subscribe_data_change(node(client, "SpindleLoad"))
        await listener.seen.get()
        await lab.until(10.3)
        lab.device.force("spindle_load", 87.65)
        at, point, value = lab.truth[-1]
        assert (point, value) == ("spindle_load", 87.7)
        assert await node(client, "SpindleLoad").read_value() == 87.7
        while (notification := await listener.seen.get())[0] != 87.7:
            pass
        stamp = notification[1].replace(tzinfo=UTC)
        assert (stamp - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(at, abs=1e-5)
        assert lab.loop.time() - at < 0.5
        await subscription.delete()

    async def story(lab: Lab) -> None:
        await as_user(lab, "acq", lambda client: watch(client, lab))

    in_lab("cnc-plc", story, users=USERS)


def test_a_setpoint_that_is_held_does_not_seem_to_move() -> None:
    async def engineer(client: Client, lab: Lab) -> None:
        listener = Listener()
        subscription = await client.create_subscription(100, listener)
        await subscription.subscribe_data_change(node(client, "FeedOverride"))
        lab.device.force("feed_override", 40.0)
        await node(client, "FeedOverride").write_value(90.0)
        await asyncio.sleep(2)
        assert await node(client, "FeedOverride").read_value() == 40.0
        seen = [listener.seen.get_nowait()[0] for _ in range(listener.seen.qsize())]
        assert seen[-1] == 40.0
        assert 90.0 not in seen

    async def story(lab: Lab) -> None:
        await as_user(lab, "eng", lambda client: engineer(client, lab))

    in_lab("cnc-plc", story, users=USERS)


def test_one_session_too_many_is_refused_and_the_others_go_on() -> None:
    async def crowd(first: Client) -> None:
        async with client_for():
            assert await refused(client_for().connect()) == "BadTooManySessions"
            await node(first, "State").read_value()
        async with client_for() as another:
            await node(another, "State").read_value()

    async def story(lab: Lab) -> None:
        await as_user(lab, None, crowd)

    in_lab("cnc-plc", story, max_sessions=2)


def test_one_subscription_too_many_is_refused() -> None:
    async def subscribe(client: Client) -> None:
        await client.create_subscription(100, Listener())
        assert await refused(client.create_subscription(100, Listener())) == "BadTooManySubscriptions"

    async def story(lab: Lab) -> None:
        await as_user(lab, None, subscribe)

    in_lab("cnc-plc", story, max_subscriptions=1)


def test_a_client_that_vanishes_leaves_no_session_for_long() -> None:
    async def vanish() -> None:
        client = client_for()
        await client.connect()
        subscription = await client.create_subscription(100, Listener())
        await subscription.subscribe_data_change(node(client, "State"))

    async def story(lab: Lab) -> None:
        silent = await lab.pc.spawn(vanish())
        assert silent is None
        lab.network.unplug(next(port for port in lab.network.ports if port.host == "pc"))
        assert lab.device.status()["sessions"] == 1
        await asyncio.sleep(600)
        assert lab.device.status()["sessions"] == 0

    in_lab("cnc-plc", story, ends=False)


def test_a_message_larger_than_agreed_is_not_gathered() -> None:
    async def flood() -> int:
        reader, writer = await asyncio.open_connection("10.0.0.1", 4840)
        writer.write(b"HELF" + b"\xff\xff\xff\xff")
        sent = 0
        try:
            while sent < 1_000_000:
                writer.write(bytes(10_000))
                await writer.drain()
                sent += 10_000
            await reader.read()
        except ConnectionError:
            pass
        writer.close()
        return sent

    async def story(lab: Lab) -> None:
        assert await lab.from_pc(flood) < 1_000_000

    in_lab("cnc-plc", story)


def test_a_stranger_who_says_nothing_is_shown_out() -> None:
    async def lurk() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.1", 4840)
        async with asyncio.timeout(15):
            heard = await reader.read()
        writer.close()
        return heard

    async def story(lab: Lab) -> None:
        assert await lab.from_pc(lurk) == b""

    in_lab("cnc-plc", story)


HELLO = struct.pack("<4sIIIIII", b"HELF", 32, 0, 65535, 65535, 0, 0) + struct.pack("<I", 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"XXXF" + bytes(60),
        HELLO[:4] + struct.pack("<I", 9) + b"\0",
        HELLO + b"OPNF" + struct.pack("<I", 12) + bytes(4),
        HELLO + b"OPNF" + struct.pack("<II", 40, 0) + b"\xff" * 28,
        HELLO + b"MSGF" + struct.pack("<I", 32) + bytes(24),
        HELLO + b"MSGC" + struct.pack("<I", 24) + b"\xff" * 16,
        HELLO * 20,
        b"\0" * 40,
    ],
)
def test_what_is_no_message_ends_the_connection_and_nothing_else(sent: bytes) -> None:
    async def rant() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.1", 4840)
        writer.write(sent)
        async with asyncio.timeout(15):
            heard = await reader.read()
        writer.close()
        return heard

    async def story(lab: Lab) -> None:
        async def stay(client: Client) -> None:
            heard = await lab.from_pc(rant)
            assert heard[:3] in (b"", b"ACK", b"ERR")
            await node(client, "State").read_value()

        await as_user(lab, None, stay)
        assert lab.device.status()["sessions"] == 0

    in_lab("cnc-plc", story)


def test_two_hundred_idle_connections_are_shown_out_and_who_was_there_goes_on() -> None:
    async def crowd() -> int:
        async def stand() -> bool:
            try:
                reader, writer = await asyncio.open_connection("10.0.0.1", 4840)
                async with asyncio.timeout(20):
                    await reader.read()
                writer.close()
            except (OSError, TimeoutError):
                return False
            return True

        return sum(await asyncio.gather(*(stand() for _ in range(200))))

    async def story(lab: Lab) -> None:
        async def stay(client: Client) -> None:
            crowding = asyncio.create_task(lab.from_pc(crowd))
            for _ in range(15):
                await node(client, "State").read_value()
                await asyncio.sleep(1)
            assert await crowding == 200
            await as_user(lab, None, lambda another: node(another, "State").read_value())

        await as_user(lab, None, stay)

    in_lab("cnc-plc", story)


def test_a_restart_cuts_everybody_and_the_machine_goes_on() -> None:
    async def watch(client: Client, lab: Lab) -> None:
        subscription = await client.create_subscription(100, Listener())
        await subscription.subscribe_data_change(node(client, "State"))
        parts = lab.device.points()["part_count"]
        config = CncPlcConfig.model_validate({**lab.device.config.model_dump(), "machine": "CNC02"})
        await lab.host.spawn(lab.device.apply(config))
        assert lab.device.points()["part_count"] == parts
        assert lab.device.status()["sessions"] == 0
        with pytest.raises(ConnectionError):
            await node(client, "State").read_value()

    async def story(lab: Lab) -> None:
        await as_user(lab, None, lambda client: watch(client, lab))
        values = await as_user(lab, None, lambda client: client.get_node("ns=2;s=CNC02.State").read_value())
        assert values == lab.device.points()["state"]

    in_lab("cnc-plc", story)


# -- on real sockets, with encryption and with strangers -------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make(name: str, port: int, **config: Any) -> CncPlc:
    settings = CncPlcConfig.model_validate({"port": port, "users": USERS, **config})
    host: Any = SimpleNamespace(name=name, random=random.Random(1))
    return CncPlc(host, settings, lambda point, value: None)


@asynccontextmanager
async def cnc(**config: Any) -> AsyncIterator[int]:
    port = free_port()
    device = make("cnc-1", port, **config)
    await device.start()
    try:
        yield port
    finally:
        await device.stop()


async def secure_client(port: int, mode: ua.MessageSecurityMode, folder: Path, user: str) -> Client:
    identity = await application_identity("urn:test:client", "tester", "client")
    key, certificate = folder / "key.der", folder / "certificate.der"
    key.write_bytes(identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(identity.certificate.public_bytes(Encoding.DER))
    client = Client(f"opc.tcp://127.0.0.1:{port}", timeout=5)
    client.application_uri = "urn:test:client"
    client.set_user(user)
    client.set_password(USERS[user])
    await client.set_security(SecurityPolicyBasic256Sha256, certificate, key, mode=mode)
    return client


@pytest.mark.parametrize("mode", [ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt])
async def test_basic256sha256_works_both_ways(mode: ua.MessageSecurityMode, tmp_path: Path) -> None:
    async with cnc() as port, await secure_client(port, mode, tmp_path, "eng") as client:
        await node(client, "FeedOverride").write_value(75.0)
        assert await node(client, "FeedOverride").read_value() == 75.0


@pytest.mark.parametrize(
    ("policies", "offered"),
    [
        (["None"], {("None", 1)}),
        (["Basic256Sha256"], {("Basic256Sha256", 2), ("Basic256Sha256", 3)}),
        (["None", "Basic256Sha256"], {("None", 1), ("Basic256Sha256", 2), ("Basic256Sha256", 3)}),
    ],
)
async def test_only_configured_policies_are_offered(policies: list[str], offered: set[tuple[str, int]]) -> None:
    async with cnc(policies=policies) as port:
        endpoints = await Client(f"opc.tcp://127.0.0.1:{port}").connect_and_get_server_endpoints()
        seen = {(each.SecurityPolicyUri.partition("#")[2], int(each.SecurityMode)) for each in endpoints}
        assert seen == offered


async def test_an_application_has_the_same_certificate_every_time_and_on_any_day() -> None:
    one, again, other = [await application_identity(f"urn:lab:{name}", name, "server") for name in ("a", "a", "b")]
    assert one.certificate == again.certificate
    assert one.certificate.fingerprint(hash_algorithm()) != other.certificate.fingerprint(hash_algorithm())
    assert one.key.private_numbers() != other.key.private_numbers()
    assert (one.certificate.not_valid_before_utc, one.certificate.not_valid_after_utc) == (VALID_FROM, VALID_UNTIL)


def hash_algorithm() -> Any:
    from cryptography.hazmat.primitives.hashes import SHA256

    return SHA256()


async def test_a_second_lab_does_not_build_the_standard_nodes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def boot() -> None:
        hosts = [make(f"cnc-{number}", free_port()) for number in range(3)]
        for kind in ("boiler-plc", "imm-plc"):
            appliance = KINDS[kind]
            for number in range(3):
                host: Any = SimpleNamespace(name=f"{kind}-{number}", random=random.Random(number))
                config = appliance.Config.model_validate({"port": free_port()})
                hosts.append(appliance(host, config, lambda point, value: None))  # type: ignore[arg-type]
        for device in hosts:
            await device.start()
        for device in hosts:
            await device.stop()

    await boot()  # fills the cache
    # How fast it is then, tests/bench/bench_lab.py shows; why it is fast, is that this is not done.
    monkeypatch.setattr("devices.opcua.nodes._build", lambda: pytest.fail("built again"))
    await boot()


NODE = """
const {OPCUAClient, MessageSecurityMode, SecurityPolicy, UserTokenType, AttributeIds} = require("node-opcua-client");
const {TimestampsToReturn, ClientSubscription, ClientMonitoredItem} = require("node-opcua-client");
(async () => {
  const client = OPCUAClient.create({endpointMustExist: false, securityMode: MessageSecurityMode.MODE,
    securityPolicy: SecurityPolicy.POLICY, connectionStrategy: {maxRetry: 1}});
  await client.connect("opc.tcp://127.0.0.1:PORT");
  const session = await client.createSession({type: UserTokenType.UserName, userName: "eng", password: "may-write"});
  const program = await session.read({nodeId: "ns=2;s=CNC01.Program", attributeId: AttributeIds.Value});
  const code = await session.write({nodeId: "ns=2;s=CNC01.FeedOverride", attributeId: AttributeIds.Value,
    value: {value: {dataType: "Double", value: 60}}});
  const subscription = ClientSubscription.create(session, {requestedPublishingInterval: 100, publishingEnabled: true});
  const item = ClientMonitoredItem.create(subscription, {nodeId: "ns=2;s=CNC01.FeedOverride",
    attributeId: AttributeIds.Value}, {samplingInterval: 100}, TimestampsToReturn.Both);
  const seen = await new Promise(resolve => item.on("changed", data => resolve(data.value.value)));
  const call = name => session.call({objectId: "ns=2;s=CNC01", methodId: "ns=2;s=CNC01." + name, inputArguments: []});
  const stopped = (await call("Stop")).statusCode.name;
  const reset = (await call("ResetAlarm")).statusCode.name;
  const children = (await session.browse("ns=2;s=CNC01")).references.map(each => each.browseName.name);
  const range = (await session.read({nodeId: "ns=2;s=CNC01.ToolWear.EURange", attributeId: AttributeIds.Value})).value.value;
  const build = (await session.read({nodeId: "i=2260", attributeId: AttributeIds.Value})).value.value;
  console.log(JSON.stringify({program: program.value.value, code: code.name, seen, stopped, reset, children,
    high: range.high, version: build.softwareVersion}));
  await subscription.terminate(); await session.close(); await client.disconnect(); process.exit(0);
})().catch(error => { console.log(String(error)); process.exit(1); });
"""


@pytest.mark.foreign
@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        ("None", "None"),
        ("Basic256Sha256", "Sign"),
        ("Basic256Sha256", "SignAndEncrypt"),
        ("Aes256_Sha256_RsaPss", "SignAndEncrypt"),
    ],
)
async def test_node_opcua_reads_writes_and_subscribes(policy: str, mode: str, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    probe = ["node", "-e", "require('node-opcua-client')"]
    if (await asyncio.to_thread(subprocess.run, probe, capture_output=True)).returncode:
        pytest.skip("the npm package node-opcua-client is not installed (NODE_PATH)")
    async with cnc(policies=["None", "Basic256Sha256", "Aes256_Sha256_RsaPss"]) as port:
        text = NODE.replace("PORT", str(port)).replace("POLICY", policy).replace("MODE", mode)
        environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        run = await asyncio.to_thread(
            subprocess.run, ["node", "-e", text], capture_output=True, text=True, timeout=60, env=environment
        )
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    assert lines, run.stdout
    answer = json.loads(lines[0])
    assert answer["program"].startswith("O")
    assert (answer["code"], answer["seen"]) == ("Good", 60)
    assert (answer["stopped"], answer["reset"]) == ("Good", "BadInvalidState")
    assert {*TYPES, "Start", "Stop", "ResetAlarm"} <= set(answer["children"])
    assert (answer["high"], answer["version"]) == (100, "V4.1")
