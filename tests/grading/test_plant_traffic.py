"""What the grader sees of a plant that is alive: our stack, others' clients, good cables and bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from check_kit import begun, tell
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grading_kit import all_of, only
from pymodbus.client import AsyncModbusTcpClient

from devices.cnc_plc import CncPlc, CncPlcConfig
from devices.modbus_server import ModbusServer
from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from grading.dissector import Dissector
from grading.observations import (
    ArpAnswered,
    ArpUnanswered,
    CaptureGap,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionTimedOut,
    MalformedMessage,
    Observation,
    PingAnswered,
    PingUnanswered,
    RegistersRead,
    RequestArrived,
    RequestLeft,
)
from grading.verdict import Outcome
from lab.clock import EPOCH_NS
from lab.model.frame import Frame, Port, Tap
from lab.model.plant import HostConfig
from lab.network.containment import wait_for_threads_of_anyio
from lab.network.fabric import Impairment, Network
from lab.network.host import Host
from lab.network.loop import PlantLoop
from lab.network.opcua_identity import application_identity


class Plant:
    """gw at 10.0.0.1 and plc at 10.0.0.2 behind a switch."""

    def __init__(self, loop: PlantLoop) -> None:
        self.network = Network(loop)
        self.network.add_switch("sw", 4)
        self.frames: list[Frame] = []
        self.network.taps.append(self._see)
        self.gw, self.plc = self._add("gw", 1), self._add("plc", 2)

    def _add(self, name: str, number: int) -> Host:
        host = self.network.add_host(name)
        host.configure(HostConfig.model_validate({"interfaces": {"eth0": {"address": f"10.0.0.{number}/24"}}}))
        self.network.plug(Port(name, "eth0"), Port("sw", f"p{number}"))
        return host

    def _see(self, tap: Tap, at: int, data: bytes) -> None:
        self.frames.append(Frame(len(self.frames) + 1, at, tap, data))

    async def serve(self) -> None:
        registers = Registers()
        for address in range(10):
            registers.holding_registers.number(address, "u16")
        await self.plc.spawn(ModbusServer({1: ModbusUnit(registers, Identity("x", "y", "1"))}).start(port=502))


def seen_of(story: Callable[[Plant], Awaitable[None]]) -> list[Observation]:
    """Tell a story in fast time; what the grader sees of it, and of half a minute of silence."""

    async def main() -> Plant:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlantLoop)
        plant = Plant(loop)
        async with asyncio.timeout(600):
            await story(plant)
        return plant

    with asyncio.Runner(loop_factory=lambda: PlantLoop(fast=True)) as runner:
        plant = runner.run(main())
    looking = Dissector(["gw", "plc"], EPOCH_NS)
    seen = [observation for frame in plant.frames for observation in looking.feed(frame)]
    return [*seen, *looking.advance(plant.frames[-1].at + 30 * 10**9)]


async def poll(count: int) -> int:
    """Read registers with pymodbus, as often as it takes; returns how many reads succeeded."""
    client = AsyncModbusTcpClient("10.0.0.2", timeout=30, retries=0)
    await client.connect()
    good = 0
    for address in range(count):
        answer = await client.read_holding_registers(address % 5, count=5, device_id=1)
        good += not answer.isError()
    client.close()
    await asyncio.sleep(1)
    return good


def test_a_ping_is_preceded_by_arp() -> None:
    async def story(plant: Plant) -> None:
        assert await plant.gw.ping("10.0.0.2") is not None

    seen = seen_of(story)
    assert only(ArpAnswered, seen).server == "plc"
    assert only(PingAnswered, seen).server == "plc"


def test_what_nobody_answers() -> None:
    async def story(plant: Plant) -> None:
        assert await plant.gw.ping("10.0.0.77") is None
        with pytest.raises(ConnectionRefusedError):
            await plant.gw.spawn(asyncio.open_connection("10.0.0.2", 4711))

    seen = seen_of(story)
    assert only(ArpUnanswered, seen).server_address == "10.0.0.77"
    assert only(ConnectionRefused, seen).server == "plc"
    assert not all_of(PingUnanswered, seen)  # it never left


def test_a_pulled_cable_makes_connections_time_out() -> None:
    async def story(plant: Plant) -> None:
        await plant.gw.ping("10.0.0.2")
        plant.network.unplug(Port("plc", "eth0"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await plant.gw.spawn(asyncio.open_connection("10.0.0.2", 502))

    seen = seen_of(story)
    timed_out = only(ConnectionTimedOut, seen)
    assert timed_out.server == ""
    assert timed_out.attempts > 1
    assert [each.kind for each in all_of(RequestLeft, seen)] == ["ping", "tcp"]
    assert [each.kind for each in all_of(RequestArrived, seen)] == ["ping"]


@pytest.mark.parametrize("bad_end", ["gw", "plc"])
@pytest.mark.parametrize(
    "impairment",
    [Impairment(), Impairment(loss=0.1), Impairment(duplicate=0.3), Impairment(delay=0.01, jitter=0.05)],
)
def test_on_bad_cables_every_reading_is_seen_once(impairment: Impairment, bad_end: str) -> None:
    good = 0

    async def story(plant: Plant) -> None:
        nonlocal good
        await plant.serve()
        cable = plant.network.cable_at(Port(bad_end, "eth0"))
        assert cable is not None
        await plant.gw.ping("10.0.0.2")
        cable.impair(impairment)
        good = await plant.gw.spawn(poll(60))
        cable.impair(None)
        await asyncio.sleep(30)

    seen = seen_of(story)
    reads = all_of(RegistersRead, seen)
    assert good == 60
    assert [read.address for read in reads] == [number % 5 for number in range(60)]
    assert {(read.client, read.server) for read in reads} == {("gw", "plc")}
    assert only(ConnectionOpened, seen).server == only(ConnectionClosed, seen).server == "plc"
    assert not all_of(MalformedMessage, seen)
    assert not all_of(CaptureGap, seen)


class Listener:
    """asyncua calls it back."""

    def datachange_notification(self, node: object, value: object, data: object) -> None:
        pass


@pytest.mark.parametrize("security", ["None", "Sign", "SignAndEncrypt"])
def test_a_subscription_to_a_machine(security: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "client": "gw",
        "server": "plc",
        "policy": "None" if security == "None" else "Basic256Sha256",
        "mode": security,
        "nodes": ["ns=2;s=CNC01.SpindleSpeed", "ns=2;s=CNC01.PartCount"],
        "publishing": 500,
    }
    check = begun("opcua.sub", asked)

    async def story(plant: Plant) -> None:
        settings = CncPlcConfig(users={"acq": "secret"})
        device = CncPlc(plant.plc, settings, lambda point, value: None)
        await plant.plc.spawn(device.start())
        await plant.gw.spawn(subscribe(tmp_path, security, asked["nodes"]))
        await plant.plc.spawn(device.stop())

    seen = seen_of(story)
    assert not all_of(MalformedMessage, seen)
    left = all_of(ConnectionClosed, seen)[-1]  # what is asked is how it was before
    tell(check, [each for each in seen if type(each) in check.wants and each is not left])
    verdict = check.verdict(20.0)
    assert (verdict.outcome, verdict.reason) == (
        (Outcome.UNDECIDED, "encrypted") if security == "SignAndEncrypt" else (Outcome.PASSED, "")
    )


async def subscribe(folder: Path, security: str, nodes: Sequence[str]) -> None:
    """What a foreign client does to listen for three seconds."""
    client = Client("opc.tcp://10.0.0.2:4840")
    client.set_user("acq")
    client.set_password("secret")
    wait_for_threads_of_anyio()
    if security != "None":
        identity = await application_identity("urn:test:client", "tester", "client")
        key, certificate = folder / "key.der", folder / "certificate.der"
        key.write_bytes(identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        certificate.write_bytes(identity.certificate.public_bytes(Encoding.DER))
        client.application_uri = "urn:test:client"
        mode = ua.MessageSecurityMode[security]
        await client.set_security(SecurityPolicyBasic256Sha256, certificate, key, mode=mode)
    async with client:
        subscription = await client.create_subscription(500, Listener())
        await subscription.subscribe_data_change([client.get_node(node) for node in nodes])
        await asyncio.sleep(3)
