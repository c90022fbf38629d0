"""North of the gateway: what goes to the broker, and what happens to it while the broker is away."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gateway_kit import Room, modbus_device, north, tell
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.config import GatewayConfig
from gateway.edge import GatewayAppliance
from lab.model.frame import Port
from lab.network.disk import Disk
from lab.wire import mqtt
from lab.wire.mqtt import Connect, Decoder, Disconnect, Puback, Publish

LEVEL = [{"name": "level", "address": 40001, "type": "u16"}]


@pytest.fixture(autouse=True)
def gmqtt_is_old_fashioned() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


# -- a broker that does as it is told ----------------------------------------------------------------------------------


class Scripted:
    """A broker that accepts everybody, acknowledges while it is in the mood, and remembers every packet."""

    def __init__(self) -> None:
        self.packets: list[mqtt.Packet] = []
        self.acknowledges = True
        self.session_present = False
        self.refusal: int | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def published(self) -> list[Publish]:
        return [each for each in self.packets if isinstance(each, Publish) and each.topic.endswith("telemetry")]

    @property
    def connects(self) -> list[Connect]:
        return [each for each in self.packets if isinstance(each, Connect)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        self._writers.append(writer)
        while data := await reader.read(65_536):
            for packet in decoder.feed(data):
                self.packets.append(packet)
                if isinstance(packet, Connect):
                    if self.refusal is not None:
                        writer.write(bytes([0x20, 2, 0, self.refusal]))
                        break
                    writer.write(bytes([0x20, 2, int(self.session_present), 0]))
                elif isinstance(packet, Publish) and packet.qos and self.acknowledges:
                    writer.write(Puback(packet.packet_id).encode(4))
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def scripted(room: Room, **options: Any) -> tuple[Scripted, Any]:
    broker = Scripted()
    await room.hosts["broker"].spawn(asyncio.start_server(broker.serve, "0.0.0.0", 1883))
    await room.modbus_server("plc-1", list(range(8)))
    south = [modbus_device("plc", room.address("plc-1"), LEVEL)]
    gateway = await room.switch_on(
        "gw", "gw-edge", {"site": "s", "south": south, "north": north(room.address("broker"), **options)}
    )
    return broker, gateway


def times(messages: list[Publish]) -> list[int]:
    return [json.loads(each.payload)["ts"] for each in messages]


def test_by_default_the_session_is_what_the_conventions_say() -> None:
    async def story(room: Room) -> list[mqtt.Packet]:
        broker, _ = await scripted(room)
        await asyncio.sleep(3)
        await room.hosts["gw"].spawn(room.appliances.pop("gw").stop())
        await asyncio.sleep(1)
        return broker.packets

    connect, birth, first, *_, farewell, disconnect = tell(story)
    assert isinstance(connect, Connect)
    assert (connect.client_id, connect.clean_start, connect.keep_alive) == ("gw", True, 60)
    assert connect.will is not None
    will = connect.will
    assert (will.topic, will.payload, will.qos, will.retain) == ("v1/s/gw/status", b'{"online":false}', 1, True)
    assert isinstance(birth, Publish)
    assert (birth.topic, birth.payload, birth.qos, birth.retain) == ("v1/s/gw/status", b'{"online":true}', 1, True)
    assert isinstance(first, Publish)
    assert (first.topic, first.qos, first.retain) == ("v1/s/gw/plc/telemetry", 1, False)
    assert set(json.loads(first.payload)) == {"ts", "values", "q"}
    assert isinstance(farewell, Publish), "a will is not published on a clean end, so the gateway says it"
    assert (farewell.topic, farewell.payload, farewell.retain) == ("v1/s/gw/status", b'{"online":false}', True)
    assert isinstance(disconnect, Disconnect)


def test_everything_about_the_session_can_be_told() -> None:
    async def story(room: Room) -> list[mqtt.Packet]:
        broker, _ = await scripted(
            room,
            client_id="me",
            username="u",
            password="p",
            keep_alive=15,
            clean_session=False,
            qos=0,
            retain=True,
            topic="{gateway}/{device}/{group}",
            will={"topic": "gone/{gateway}", "payload": "x", "qos": 0, "retain": False},
            birth=None,
        )
        await asyncio.sleep(2)
        return broker.packets

    connect, first, *_ = tell(story)
    assert isinstance(connect, Connect)
    assert (connect.client_id, connect.clean_start, connect.keep_alive) == ("me", False, 15)
    assert (connect.user_name, connect.password) == ("u", b"p")
    assert connect.will is not None
    assert (connect.will.topic, connect.will.payload, connect.will.qos, connect.will.retain) == (
        "gone/gw",
        b"x",
        0,
        False,
    )
    assert isinstance(first, Publish)
    assert (first.topic, first.qos, first.retain) == ("gw/plc/g", 0, True)


@pytest.mark.parametrize(("code", "words"), [(5, "not authorised"), (2, "identifier rejected"), (3, "unavailable")])
def test_a_refusal_is_said_in_words_and_tried_again_with_growing_pauses(code: int, words: str) -> None:
    async def story(room: Room) -> tuple[int, str]:
        broker, gateway = await scripted(room)
        broker.refusal = code
        broker.cut()
        await asyncio.sleep(100)
        return len(broker.connects), gateway.status()["north"]["platform"]["last_error"]

    attempts, error = tell(story)
    assert words in error
    assert 10 < attempts < 30


def test_at_most_the_window_is_sent_unacknowledged() -> None:
    async def story(room: Room) -> tuple[int, Any]:
        broker, gateway = await scripted(room, max_inflight=5)
        broker.acknowledges = False
        await asyncio.sleep(30)
        return len(broker.published), gateway.status()["north"]["platform"]

    sent, status = tell(story)
    assert sent == 5
    assert status["queued"] == pytest.approx(30, abs=1)


def test_when_the_queue_is_full_the_oldest_go_and_are_counted() -> None:
    async def story(room: Room) -> tuple[list[int], Any]:
        broker, gateway = await scripted(room, buffer={"max_messages": 20})
        await asyncio.sleep(5.5)
        room.network.unplug(Port("broker", "eth0"))
        broker.cut()
        await asyncio.sleep(300)
        room.network.plug(Port("broker", "eth0"), Port("sw", "p2"))
        await asyncio.sleep(20)
        return times(broker.published), gateway.status()["north"]["platform"]

    stamps, status = tell(story)
    fresh = list(dict.fromkeys(stamps))
    assert fresh == sorted(fresh), "in order, whatever was sent twice"
    assert status["dropped"] > 200
    assert len(fresh) + status["dropped"] == pytest.approx(326, abs=2), "every message arrives or is counted"


def test_what_was_not_acknowledged_is_sent_again_anew_in_a_new_session() -> None:
    async def story(room: Room) -> list[Publish]:
        broker, _ = await scripted(room, max_inflight=3)
        broker.acknowledges = False
        await asyncio.sleep(5)
        broker.acknowledges = True
        broker.cut()
        await asyncio.sleep(5)
        return broker.published

    sent = tell(story)
    assert times(sent[:3]) == times(sent[3:6])
    assert not any(each.duplicate for each in sent), "to the broker these are new messages"
    assert times(sent[3:]) == sorted(times(sent[3:]))


def test_mqtt_4_4_0_1_in_a_session_that_lasts_it_is_sent_again_as_a_duplicate_of_the_same_identifier() -> None:
    async def story(room: Room) -> list[Publish]:
        broker, _ = await scripted(room, max_inflight=3, clean_session=False)
        broker.acknowledges = False
        await asyncio.sleep(5)
        broker.acknowledges = broker.session_present = True
        broker.cut()
        await asyncio.sleep(5)
        return broker.published

    sent = tell(story)
    once, again = sent[:3], sent[3:6]
    assert [(each.packet_id, each.payload) for each in once] == [(each.packet_id, each.payload) for each in again]
    assert [each.duplicate for each in (*once, *again)] == [False] * 3 + [True] * 3
    assert times(sent[3:]) == sorted(times(sent[3:]))


def test_without_data_the_gateway_pings_so_that_it_is_not_thought_dead() -> None:
    async def story(room: Room) -> tuple[int, int]:
        broker = Scripted()
        await room.hosts["broker"].spawn(asyncio.start_server(broker.serve, "0.0.0.0", 1883))
        await room.switch_on("gw", "gw-edge", {"north": north(room.address("broker"), keep_alive=20)})
        await asyncio.sleep(305)
        return len(broker.connects), sum(isinstance(each, mqtt.Pingreq) for each in broker.packets)

    connects, pings = tell(story)
    assert pings >= 14
    # It never gets an answer, and so rightly thinks the broker dead from time to time.
    assert connects >= 2


def test_two_destinations_get_everything_and_a_dead_one_does_not_delay_the_other() -> None:
    async def story(room: Room) -> tuple[int, Any]:
        broker = Scripted()
        await room.hosts["broker"].spawn(asyncio.start_server(broker.serve, "0.0.0.0", 1883))
        await room.modbus_server("plc-1", list(range(8)))
        both = [*north(room.address("broker")), {"name": "ghost", "host": "10.0.0.99"}]
        south = [modbus_device("plc", room.address("plc-1"), LEVEL)]
        gateway: Any = await room.switch_on("gw", "gw-edge", {"south": south, "north": both})
        await asyncio.sleep(30)
        return len(broker.published), gateway.status()["north"]["ghost"]

    arrived, ghost = tell(story)
    assert arrived == pytest.approx(30, abs=1)
    assert ghost["queued"] == pytest.approx(30, abs=1)
    assert "10.0.0.99" in ghost["last_error"]


# -- mosquitto, over real loopback -------------------------------------------------------------------------------------


@asynccontextmanager
async def mosquitto(port: int, folder: Path, *lines: str) -> AsyncIterator[None]:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    settings = folder / "mosquitto.conf"
    settings.write_text("\n".join([f"listener {port} 127.0.0.1", *(lines or ["allow_anonymous true"])]) + "\n")
    process = await asyncio.create_subprocess_exec(program, "-v", "-c", settings, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    while b" running" not in (line := await process.stderr.readline()):
        assert line, "mosquitto ended"
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield
    finally:
        process.kill()
        await process.wait()
        await reading


@asynccontextmanager
async def gateway_here(**destination: Any) -> AsyncIterator[GatewayAppliance]:
    """A gateway on this computer that reads a Modbus server every 10 ms."""
    device = SimDevice(1, simdata=[SimData(0, values=list(range(8)), datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    south = modbus_device("plc", "127.0.0.1", LEVEL, port=port)
    south["groups"][0]["period_ms"] = 10
    config = GatewayConfig.model_validate({"site": "s", "south": [south], "north": north("127.0.0.1", **destination)})
    host: Any = SimpleNamespace(name="gw", random=random.Random(1), disk=Disk())
    gateway = GatewayAppliance(host, config, lambda *_: None)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
        await server.shutdown()


class Ear:
    """mosquitto_sub, line by line."""

    def __init__(self, program: str, port: int, *options: str) -> None:
        self._command = [program, "-h", "127.0.0.1", "-p", str(port), "-t", "#", "-F", "%t %q %r %p", *options]

    async def __aenter__(self) -> Ear:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
        return self

    async def hear(self, wanted: Callable[[str], bool]) -> str:
        """The next line that is wanted."""
        assert self._process.stdout is not None
        async with asyncio.timeout(15):
            while line := await self._process.stdout.readline():
                if wanted(line.decode()):
                    return line.decode().strip()
        raise EOFError

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@pytest.mark.foreign
@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_mosquitto_gets_telemetry_and_status(
    version: str, qos: int, unused_tcp_port: int, mosquitto_sub: str, tmp_path: Path
) -> None:
    port = unused_tcp_port
    async with mosquitto(port, tmp_path), Ear(mosquitto_sub, port, "-q", "2") as ear:
        async with gateway_here(port=port, version=version, qos=qos):
            # It may have been subscribed before or after, and so hear it live or retained.
            assert (await ear.hear(lambda line: "status" in line)).endswith('{"online":true}')
            topic, delivered, retained, payload = (await ear.hear(lambda line: "telemetry" in line)).split(" ", 3)
            assert (topic, delivered, retained) == ("v1/s/gw/plc/telemetry", str(qos), "0")
            assert json.loads(payload)["values"] == {"level": 0}
            for _ in range(30):  # more than the window: acknowledgements are taken
                await ear.hear(lambda line: "telemetry" in line)
        assert await ear.hear(lambda line: "status" in line) == 'v1/s/gw/status 1 0 {"online":false}'


@pytest.mark.foreign
async def test_mosquitto_refuses_a_wrong_password_and_the_gateway_says_so(
    unused_tcp_port: int, mosquitto_sub: str, tmp_path: Path
) -> None:
    async with mosquitto(unused_tcp_port, tmp_path, "allow_anonymous false"):
        for version in ("3.1.1", "5"):
            async with gateway_here(port=unused_tcp_port, version=version) as gateway:
                destination = gateway._north["platform"]
                refused = asyncio.Event()
                pause = destination._backoff.pause

                def refusing(pause: Callable[[], float] = pause, refused: asyncio.Event = refused) -> float:
                    refused.set()
                    return pause()

                destination._backoff.pause = refusing  # type: ignore[method-assign]
                await asyncio.wait_for(refused.wait(), 10)
                assert "not authorised" in str(destination.status()["last_error"])


@pytest.mark.foreign
async def test_mosquitto_is_killed_and_comes_back_and_misses_nothing(
    unused_tcp_port: int, mosquitto_sub: str, tmp_path: Path
) -> None:
    port = unused_tcp_port
    async with gateway_here(port=port, reconnect_min_ms=10, reconnect_max_ms=100):
        stamps: list[int] = []
        for _ in range(2):
            async with mosquitto(port, tmp_path), Ear(mosquitto_sub, port, "-q", "1") as ear:
                await ear.hear(lambda line: "status" in line)
                for _ in range(10):
                    line = await ear.hear(lambda line: "telemetry" in line)
                    stamps.append(json.loads(line.split(" ", 3)[3])["ts"])
        assert stamps == sorted(stamps)
