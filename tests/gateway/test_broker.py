"""The broker keeps the statements of MQTT 3.1.1 that amqtt alone does not; numbers are those of the OASIS standard."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from gateway_kit import Room, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.config import BrokerConfig
from gateway.broker.mended import MendedBroker
from lab.wire import mqtt
from lab.wire.mqtt import Connack, Connect, Decoder, Disconnect, Puback, Publish, Subscribe, Subscription, Will


class Client:
    """Speaks bytes of our codec to the broker, from the host `ear` unless told otherwise."""

    def __init__(self, room: Room, host: str = "ear") -> None:
        self._room, self._host = room, host
        self._decoder = Decoder()
        self._arrived: list[mqtt.Packet] = []

    async def connect(self, client_id: str, **options: Any) -> Connack:
        await self.open()
        self.send(Connect(client_id, **options))
        answer = await self.next()
        assert isinstance(answer, Connack)
        return answer

    async def open(self) -> None:
        host = self._room.hosts[self._host]
        opening = asyncio.open_connection(self._room.address("broker"), 1883)
        self.reader, self.writer = await host.spawn(opening)

    def send(self, *packets: Any) -> None:
        for packet in packets:
            self.writer.write(packet.encode(4) if not isinstance(packet, bytes) else packet)

    async def next(self) -> mqtt.Packet:
        """The next packet; raises EOFError when the broker has closed."""
        while not self._arrived:
            data = await asyncio.wait_for(self.reader.read(65536), 300)
            if not data:
                raise EOFError
            self._arrived.extend(self._decoder.feed(data))
        return self._arrived.pop(0)

    async def is_closed(self) -> bool:
        """Whether the broker has closed, or does so with nothing more to say."""
        try:
            await self.next()
        except (EOFError, ConnectionError):
            return True
        return False

    async def subscribe(self, topic: str, qos: int = 0) -> None:
        self.send(Subscribe(1, (Subscription(topic, qos),)))
        answer = await self.next()
        assert isinstance(answer, mqtt.Suback)

    def close(self) -> None:
        self.writer.close()


async def broker(room: Room, **config: Any) -> None:
    await room.switch_on("broker", "broker", config)


def test_mqtt_3_1_2_24_a_silent_client_is_disconnected_after_one_and_a_half_keep_alives_and_its_will_published() -> (
    None
):
    async def story(room: Room) -> None:
        await broker(room)
        ear, silent = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("will")
        await silent.connect("silent", keep_alive=10, will=Will("will", b"gone"))
        began = room.loop.time()
        assert await silent.is_closed()
        assert room.loop.time() - began == pytest.approx(15, abs=0.5)
        message = await ear.next()
        assert isinstance(message, Publish)
        assert message.payload == b"gone"
        ear.close()
        silent.close()

    tell(story)


def test_a_client_that_pings_is_kept() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        client = Client(room)
        await client.connect("alive", keep_alive=10)
        for _ in range(20):
            await asyncio.sleep(9)
            client.send(mqtt.Pingreq())
            assert isinstance(await client.next(), mqtt.Pingresp)
        client.close()

    tell(story)


def test_mqtt_3_14_4_3_a_clean_goodbye_discards_the_will() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        ear, polite = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("will")
        await polite.connect("polite", will=Will("will", b"gone"))
        polite.send(Disconnect())
        polite.close()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ear.next(), 60)
        ear.close()

    tell(story)


@pytest.mark.parametrize("published", [0, 1])
@pytest.mark.parametrize("subscribed", [0, 1])
def test_mqtt_3_8_4_6_messages_arrive_with_the_lower_of_both_qos(published: int, subscribed: int) -> None:
    async def story(room: Room) -> int:
        await broker(room)
        ear, mouth = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("t", subscribed)
        await mouth.connect("mouth")
        mouth.send(Publish("t", b"x", qos=published, packet_id=7 if published else 0))
        message = await ear.next()
        assert isinstance(message, Publish)
        if message.qos:
            ear.send(Puback(message.packet_id))
        ear.close()
        mouth.close()
        return message.qos

    assert tell(story) == min(published, subscribed)


def test_mqtt_3_1_4_2_a_second_client_of_the_same_name_ends_the_first() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        first, second = Client(room), Client(room, "plc-1")
        await first.connect("same")
        await second.connect("same")
        assert await first.is_closed()
        second.send(mqtt.Pingreq())
        assert isinstance(await second.next(), mqtt.Pingresp)
        first.close()
        second.close()

    tell(story)


@pytest.mark.parametrize(
    ("statement", "data"),
    [
        ("MQTT-3.3.2-2 wildcard in a topic", bytes.fromhex("3005000361 2f23 78".replace(" ", ""))),
        ("MQTT-3.3.1-4 QoS 3", bytes.fromhex("36050001 7400 01".replace(" ", ""))),
        ("MQTT-1.5.3-1 ill-formed UTF-8", bytes.fromhex("30040002c328")),
        ("MQTT-3.8.1-1 SUBSCRIBE with flags 0", bytes.fromhex("800600010001 7400".replace(" ", ""))),
        ("MQTT-3.8.3-3 SUBSCRIBE without a topic", bytes.fromhex("82020001")),
        ("MQTT-3.1.0-2 a second CONNECT", Connect("again").encode(4)),
        ("2.2.3 a length of five bytes", bytes.fromhex("30ffffffff7f")),
        ("type 0", bytes.fromhex("0000")),
    ],
)
def test_mqtt_4_8_0_1_breaking_the_protocol_closes_the_connection(statement: str, data: bytes) -> None:
    async def story(room: Room) -> None:
        await broker(room)
        client, other = Client(room), Client(room, "plc-1")
        await other.connect("other")
        await client.connect("careless")
        client.send(data)
        assert await client.is_closed(), statement
        other.send(mqtt.Pingreq())
        assert isinstance(await other.next(), mqtt.Pingresp), "nobody else notices"
        client.close()
        other.close()

    tell(story)


def test_a_connection_without_connect_does_not_stay_for_ever() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        client = Client(room)
        await client.open()
        assert await client.is_closed()
        client.close()

    tell(story)


@pytest.mark.parametrize(("level", "reason"), [(3, 1), (5, 0x84)])
def test_mqtt_3_1_2_2_another_protocol_level_is_refused_in_the_words_of_its_version(level: int, reason: int) -> None:
    async def story(room: Room) -> int:
        await broker(room)
        client = Client(room)
        answer = await client.connect("new", level=level)
        assert await client.is_closed()
        client.close()
        return int(answer.reason)

    assert tell(story) == reason


def test_users_need_their_password_and_rules_bind_them() -> None:
    async def story(room: Room) -> None:
        await broker(
            room,
            allow_anonymous=False,
            users={"gw": {"password": "secret"}, "ui": {"password": "open"}},
            acl=[{"user": "gw", "topic": "v1/#", "access": "write"}, {"user": "ui", "topic": "v1/#", "access": "read"}],
        )
        refused = Client(room)
        answer = await refused.connect("x", user_name="gw", password=b"wrong")
        assert int(answer.reason) in (4, 5)
        ui, gw = Client(room), Client(room, "plc-1")
        assert int((await ui.connect("ui", user_name="ui", password=b"open")).reason) == 0
        await ui.subscribe("v1/#")
        await gw.connect("gw", user_name="gw", password=b"secret")
        ui.send(Publish("v1/forged", b"x"))
        gw.send(Publish("v1/true", b"x"))
        message = await ui.next()
        assert isinstance(message, Publish)
        assert message.topic == "v1/true"
        for client in (refused, ui, gw):
            client.close()

    tell(story)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_whatsoever_take_the_broker_down(storm: list[bytes]) -> None:
    async def story(room: Room) -> None:
        await broker(room)
        for data in storm:
            vandal = Client(room, "plc-1")
            await vandal.open()
            vandal.send(data)
            await asyncio.sleep(0.1)
            vandal.close()
        honest = Client(room)
        assert int((await honest.connect("honest")).reason) == 0
        honest.close()

    tell(story)


# -- clients of other makers, over real loopback -----------------------------------------------------------------------


@pytest.fixture
async def port(unused_tcp_port: int) -> AsyncIterator[int]:
    served = MendedBroker(BrokerConfig(port=unused_tcp_port))
    await served.start()
    yield unused_tcp_port
    await served.shutdown()


@pytest.mark.foreign
async def test_mosquitto_pub_and_sub_meet_here(port: int, mosquitto_sub: str) -> None:
    command = [mosquitto_sub, "-h", "127.0.0.1", "-p", str(port), "-t", "a/#", "-q", "2", "-C", "2", "-W", "10", "-v"]
    retained = ["-h", "127.0.0.1", "-p", str(port), "-t", "a/kept", "-m", "1", "-q", "1", "-r"]
    program = mosquitto_sub.replace("_sub", "_pub")
    await asyncio.to_thread(subprocess.run, [program, *retained], check=True, timeout=20)
    listening = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert listening.stdout is not None
    first = await listening.stdout.readline()
    second = ["-h", "127.0.0.1", "-p", str(port), "-t", "a/new", "-m", "2", "-q", "2"]
    await asyncio.to_thread(subprocess.run, [program, *second], check=True, timeout=20)
    rest = await listening.stdout.read()
    await listening.wait()
    assert (first, rest) == (b"a/kept 1\n", b"a/new 2\n")


@pytest.mark.foreign
async def test_paho_publishes_and_receives(port: int) -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bytes] = loop.create_future()
    subscribed: asyncio.Future[None] = loop.create_future()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "paho")
    client.on_message = lambda *args: loop.call_soon_threadsafe(arrived.set_result, args[2].payload)
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set_result, None)
    await asyncio.to_thread(client.connect, "127.0.0.1", port)
    client.loop_start()
    client.subscribe("t", 2)
    await asyncio.wait_for(subscribed, 10)
    client.publish("t", b"hello", 2)
    assert await asyncio.wait_for(arrived, 10) == b"hello"
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)
