"""Whatever clients do or leave undone, the broker stays, and stays small."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest
from gateway_kit import Room, tell
from hypothesis import given, settings
from hypothesis import strategies as st
from test_broker import Client, broker
from test_broker_sessions import heard

from lab.wire import mqtt
from lab.wire.mqtt import Connect, Disconnect, Puback, Publish, Pubrec, Subscribe, Subscription


async def limited(room: Room, **limits: int) -> Any:
    return await room.switch_on("broker", "broker", {"limits": limits})


async def publish(client: Client, topic: str, payload: bytes, **options: Any) -> None:
    client.send(Publish(topic, payload, 1, packet_id=1, **options))
    assert isinstance(await client.next(), Puback)


async def leave(client: Client) -> None:
    client.send(Disconnect())
    assert await client.is_closed()
    client.close()


# -- queues ------------------------------------------------------------------------------------------------------------


def test_for_a_client_that_is_away_the_oldest_messages_are_kept_and_the_rest_counted() -> None:
    async def story(room: Room) -> None:
        running = await limited(room, max_queued_messages=5)
        away, mouth = Client(room), Client(room, "plc-1")
        await away.connect("away", clean_start=False)
        await away.subscribe("t", 1)
        await leave(away)
        await mouth.connect("mouth")
        for number in range(8):
            await publish(mouth, "t", b"%d" % number)
        assert running.status()["dropped"] == 3
        back = Client(room)
        await back.connect("away", clean_start=False)
        assert [int(payload) for _, payload, *_ in await heard(back)] == [0, 1, 2, 3, 4]
        assert running.status()["dropped"] == 3
        for client in (back, mouth):
            client.close()

    tell(story)


def test_queues_are_bounded_in_bytes_but_a_single_message_is_never_too_large_for_an_empty_one() -> None:
    async def story(room: Room) -> int:
        running = await limited(room, max_queued_bytes=10_000)
        away, mouth = Client(room), Client(room, "plc-1")
        await away.connect("away", clean_start=False)
        await away.subscribe("t", 1)
        await leave(away)
        await mouth.connect("mouth")
        await publish(mouth, "t", bytes(20_000))
        await publish(mouth, "t", b"one too many")
        back = Client(room)
        await back.connect("away", clean_start=False)
        assert [len(payload) for _, payload, *_ in await heard(back)] == [20_000]
        for client in (back, mouth):
            client.close()
        return int(running.status()["dropped"])

    assert tell(story) == 1


def test_who_does_not_acknowledge_has_twenty_messages_under_way_and_gets_the_rest_as_it_does() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        ear, mouth = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("t", 1)
        await mouth.connect("mouth")
        for number in range(50):
            await publish(mouth, "t", b"%d" % number)
        first: list[Publish] = []
        while len(first) < 20:
            packet = await ear.next()
            assert isinstance(packet, Publish)
            first.append(packet)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ear.next(), 30)
        ear.send(b"".join(Puback(each.packet_id).encode() for each in first))
        assert [int(payload) for _, payload, *_ in await heard(ear)] == list(range(20, 50))
        ear.close()
        mouth.close()

    tell(story)


def test_messages_with_qos_0_pass_by_those_that_wait_for_an_acknowledgment() -> None:
    async def story(room: Room) -> None:
        await limited(room, max_inflight=1)
        ear, mouth = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("#", 1)
        await mouth.connect("mouth")
        for _ in range(3):
            await publish(mouth, "slow", b"x")
        mouth.send(Publish("fast", b"x"))
        topics = [packet.topic for packet in (await ear.next(), await ear.next()) if isinstance(packet, Publish)]
        assert topics == ["slow", "fast"]
        ear.close()
        mouth.close()

    tell(story)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_subscriber_that_stops_reading_costs_no_more_than_its_queue(qos: int) -> None:
    async def story(room: Room) -> tuple[int, Any]:
        running = await limited(room, max_queued_bytes=100_000, max_inflight=1000)
        deaf, ear, mouth = Client(room), Client(room, "gw"), Client(room, "plc-1")
        for name, client in (("deaf", deaf), ("ear", ear)):
            await client.connect(name)
            await client.subscribe("t", qos)
        deaf.writer.transport.pause_reading()
        await mouth.connect("mouth")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1000):
            await publish(mouth, "t", b"%04d" % number * 250)
            packet = await ear.next()
            assert isinstance(packet, Publish)
            assert packet.payload[:4] == b"%04d" % number, "nobody else is held up"
            if qos:
                ear.send(Puback(packet.packet_id))
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        status = running.status()
        for client in (deaf, ear, mouth):
            client.close()
        return grown, status

    grown, status = tell(story)
    assert grown < 600_000, "of a megabyte: its queue and the buffers of both TCPs"
    assert status["dropped"] > 0
    assert ("deaf" in status["clients"]) is (qos == 0), "messages it should have had and cannot: it is cut off"


def test_many_retained_messages_come_as_fast_as_they_are_taken_however_short_the_queue() -> None:
    async def story(room: Room) -> None:
        running = await limited(room, max_queued_messages=10)
        mouth, ear = Client(room), Client(room, "plc-1")
        await mouth.connect("mouth")
        for number in range(300):
            mouth.send(Publish(f"kept/{number}", bytes(1000), number % 2, True, packet_id=number % 2))
        await ear.connect("ear")
        await asyncio.sleep(1)
        await ear.subscribe("kept/#", 1)
        assert [topic for topic, *_ in await heard(ear)] == [f"kept/{number}" for number in range(300)]
        assert running.status()["dropped"] == 0
        mouth.close()
        ear.close()

    tell(story)


def test_messages_of_qos_2_that_are_never_released_end_the_connection_before_they_fill_the_memory() -> None:
    async def story(room: Room) -> int:
        await limited(room, max_queued_bytes=50_000)
        client = Client(room)
        await client.connect("hoarder")
        for number in range(100):
            client.send(Publish("t", bytes(1000), 2, packet_id=number + 1))
        taken = 0
        try:
            while isinstance(await client.next(), Pubrec):
                taken += 1
        except (EOFError, ConnectionError):
            pass
        client.close()
        return taken

    assert tell(story) == 50


# -- how many ----------------------------------------------------------------------------------------------------------


def test_there_are_only_so_many_subscriptions_retained_messages_and_sessions() -> None:
    async def story(room: Room) -> None:
        running = await limited(room, max_subscriptions=2, max_retained=2, max_sessions=2)
        client = Client(room)
        await client.connect("client")
        filters = tuple(Subscription(name) for name in ("a", "b", "c", "a"))
        client.send(Subscribe(1, filters))
        answer = await client.next()
        assert isinstance(answer, mqtt.Suback)
        assert tuple(map(int, answer.reasons)) == (0, 0, 0x80, 0), "one that is there already is replaced"
        for name in ("r/1", "r/2", "r/3", "r/1"):
            await publish(client, name, b"x", retain=True)
        assert (running.status()["retained"], running.status()["dropped"]) == (2, 1)
        for name in ("one", "two", "three"):
            lasting = Client(room, "plc-1")
            await lasting.connect(name, clean_start=False)
            await leave(lasting)
        for name, expected in (("one", False), ("three", True)):
            back = Client(room, "plc-1")
            assert (await back.connect(name, clean_start=False)).session_present is expected, "the longest absent goes"
            back.close()
        client.close()

    tell(story)


def test_a_session_ends_when_its_client_has_been_away_for_too_long() -> None:
    async def story(room: Room) -> None:
        await limited(room, session_expiry_s=100)
        for pause, expected in ((90, True), (90, True), (110, False)):
            client = Client(room)
            await client.connect("client", clean_start=False)
            await leave(client)
            await asyncio.sleep(pause)
            back = Client(room)
            assert (await back.connect("client", clean_start=False)).session_present is expected
            await asyncio.sleep(200)
            back.send(mqtt.Pingreq())
            assert isinstance(await back.next(), mqtt.Pingresp), "it is there, so it is not away"
            await leave(back)

    tell(story)


def test_three_hundred_connections_without_a_word_keep_nobody_out() -> None:
    async def story(room: Room) -> None:
        running = await limited(room, max_connections=100)
        mute = []
        for _ in range(300):
            client = Client(room, "plc-1")
            await client.open()
            mute.append(client)
        honest = Client(room)
        assert not (await honest.connect("honest")).reason
        assert len(running._broker.connections) <= 101
        await asyncio.sleep(15)
        assert len(running._broker.connections) == 1, "CONNECT has to come in time"
        for client in (honest, *mute):
            client.close()

    tell(story)


def test_clients_that_are_there_are_not_put_out_for_new_ones() -> None:
    async def story(room: Room) -> int:
        running = await limited(room, max_connections=3)
        there = [Client(room) for _ in range(3)]
        for number, client in enumerate(there):
            await client.connect(f"client-{number}")
        late = Client(room, "plc-1")
        await late.open()
        late.send(Connect("late"))
        assert await late.is_closed()
        await leave(there.pop())
        later = Client(room, "plc-1")
        assert not (await later.connect("later")).reason
        for client in (*there, late, later):
            client.close()
        return int(running.status()["refused"])

    assert tell(story) == 1


def test_a_connect_that_trickles_in_is_not_waited_for() -> None:
    async def story(room: Room) -> float:
        await broker(room)
        client = Client(room)
        await client.open()
        began = room.loop.time()
        closed = asyncio.create_task(client.is_closed())
        for byte in Connect("x" * 60).encode():
            if closed.done():
                break
            client.send(bytes([byte]))
            await asyncio.wait((closed,), timeout=1)
        assert await closed
        client.close()
        return room.loop.time() - began

    assert tell(story) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("size", [10 << 20, 200 << 20])
def test_a_packet_beyond_the_limit_is_refused_at_its_header_and_none_of_it_kept(size: int) -> None:
    async def story(room: Room) -> int:
        await broker(room)
        client, other = Client(room), Client(room, "plc-1")
        await client.connect("greedy")
        await other.connect("other")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        client.send(bytes([0x30, *(size >> 7 * place & 0x7F | (0x80 if place < 3 else 0) for place in range(4))]))
        for _ in range(60):
            client.send(bytes(1 << 20))  # what our TCP does not take any more goes nowhere
            if client.writer.transport.is_closing():
                break
            await asyncio.sleep(0.5)
        assert await client.is_closed()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        other.send(mqtt.Pingreq())
        assert isinstance(await other.next(), mqtt.Pingresp)
        client.close()
        other.close()
        return grown

    assert tell(story) < 4 << 20


def test_who_publishes_faster_than_the_limit_is_read_more_slowly() -> None:
    async def story(room: Room) -> float:
        await limited(room, max_rate=10)
        client = Client(room)
        await client.connect("eager")
        began = room.loop.time()
        for number in range(100):
            client.send(Publish("t", b"x", 1, packet_id=number + 1))
        for number in range(100):
            assert await client.next() == Puback(number + 1)
        client.close()
        return room.loop.time() - began

    assert tell(story) == pytest.approx(10, abs=1)


# -- anything at all ---------------------------------------------------------------------------------------------------

PACKETS = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda first, body: bytes((first, len(body))) + body, st.integers(0, 255), st.binary(max_size=100)),
    st.builds(
        lambda topic, data, qos, retain: Publish(topic, data, qos, retain, packet_id=7 if qos else 0).encode(),
        st.sampled_from(["a", "a/b", "$SYS/x", "温度"]),
        st.binary(max_size=300),
        st.integers(0, 2),
        st.booleans(),
    ),
    st.sampled_from(
        [
            Connect("same").encode(),
            Connect("same", clean_start=False).encode(),
            Disconnect().encode(),
            Subscribe(1, (Subscription("#", 2),)).encode(),
            mqtt.Unsubscribe(3, ("#", "a")).encode(),
            mqtt.Pingreq().encode(),
            Puback(1).encode(),
            Pubrec(1).encode(),
            mqtt.Pubrel(7).encode(),
            mqtt.Pubcomp(1).encode(),
        ]
    ),
)


@settings(max_examples=40)
@given(st.lists(PACKETS, max_size=12), st.booleans(), st.integers(1, 50), st.booleans())
def test_whatever_a_client_sends_in_whatever_pieces_others_do_not_notice(
    packets: list[bytes], begins_well: bool, step: int, breaks_off: bool
) -> None:
    async def story(room: Room) -> None:
        await broker(room)
        vandal, ear, mouth = Client(room, "plc-1"), Client(room), Client(room, "gw")
        await ear.connect("ear")
        await ear.subscribe("quiet/#", 1)
        await vandal.open()
        storm = (Connect("same", clean_start=False).encode() if begins_well else b"") + b"".join(packets)
        for start in range(0, len(storm), step):
            vandal.send(storm[start : start + step])
        if breaks_off:
            vandal.writer.transport.abort()
        await mouth.connect("mouth")
        await publish(mouth, "quiet/t", b"x")
        assert [payload for _, payload, *_ in await heard(ear)] == [b"x"]
        for client in (vandal, ear, mouth):
            client.close()

    tell(story)
