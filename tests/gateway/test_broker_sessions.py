"""What the broker owes a client over the life of its session; numbers are statements of MQTT 3.1.1."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_kit import Room, tell
from hypothesis import given
from hypothesis import strategies as st
from test_broker import Client, broker

from gateway.broker.packets import MAX_PACKET
from gateway.topics import covers, is_topic_filter, matches
from lab.wire import mqtt
from lab.wire.mqtt import Connect, Disconnect, Puback, Publish, Unsubscribe, Will


async def heard(client: Client, seconds: float = 10) -> list[tuple[str, bytes, int, bool]]:
    """Everything a client is sent until it has been quiet for a while; it acknowledges at once."""
    messages: list[tuple[str, bytes, int, bool]] = []
    try:
        while True:
            packet = await asyncio.wait_for(client.next(), seconds)
            assert isinstance(packet, Publish)
            messages.append((packet.topic, packet.payload, packet.qos, packet.retain))
            if packet.qos:
                client.send(Puback(packet.packet_id))
    except TimeoutError:
        return messages


def test_mqtt_3_3_1_6_retained_messages_go_to_whoever_subscribes_and_to_nobody_else() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        mouth, ear, bystander = Client(room), Client(room, "plc-1"), Client(room, "gw")
        await mouth.connect("mouth")
        mouth.send(Publish("a/b", b"kept", retain=True))
        await ear.connect("ear")
        await ear.subscribe("a/#", 1)
        assert await heard(ear) == [("a/b", b"kept", 0, True)], "with the lower of both QoS"
        await bystander.connect("bystander")
        assert await heard(bystander) == []
        mouth.send(Publish("a/b", b"", retain=True))
        assert await heard(ear) == [("a/b", b"", 0, False)], "MQTT-3.3.1-9: live messages are not marked"
        await bystander.subscribe("a/#")
        assert await heard(bystander) == [], "MQTT-3.3.1-10: an empty one clears"
        for client in (mouth, ear, bystander):
            client.close()

    tell(story)


def test_mqtt_3_8_4_3_subscribing_again_replaces_and_unsubscribing_ends() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        ear = Client(room)
        await ear.connect("ear")
        await ear.subscribe("t", 0)
        await ear.subscribe("t", 1)
        ear.send(Publish("t", b"1", 1, packet_id=9))
        assert isinstance(await ear.next(), Puback)
        assert await heard(ear) == [("t", b"1", 1, False)]
        ear.send(Unsubscribe(2, ("t",)))
        assert isinstance(await ear.next(), mqtt.Unsuback)
        ear.send(Publish("t", b"2"))
        assert await heard(ear) == []
        ear.close()

    tell(story)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_what_comes_in_one_segment_with_connect_and_disconnect_is_not_lost_and_leaves_no_will(count: int) -> None:
    async def story(room: Room) -> None:
        await broker(room)
        ear, brief = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("#")
        await brief.open()
        burst = b"".join(Publish(f"t/{number}", b"x").encode(4) for number in range(count))
        brief.send(Connect("brief", will=Will("gone", b"x")).encode(4) + burst + Disconnect().encode(4))
        assert [topic for topic, *_ in await heard(ear, 30)] == [f"t/{number}" for number in range(count)]
        assert isinstance(await brief.next(), mqtt.Connack)
        assert await brief.is_closed()
        ear.close()
        brief.close()

    tell(story)


def test_a_goodbye_counts_even_while_the_broker_is_still_taking_up_an_old_session() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        ear = Client(room)
        await ear.connect("ear")
        await ear.subscribe("#")
        for stays in (True, False):
            client = Client(room, "plc-1")
            await client.connect("same", clean_start=False, will=Will("gone", b"x"))
            if stays:
                client.send(Publish("t", b"not released", 2, packet_id=5))
                assert isinstance(await client.next(), mqtt.Pubrec)
                client.close()
                assert [topic for topic, *_ in await heard(ear)] == ["gone"]
            else:
                client.send(Disconnect())
                assert [topic for topic, *_ in await heard(ear, 60)] == []
                while not await client.is_closed():
                    pass  # what it is still told about the old session
                client.close()
        ear.close()

    tell(story)


def test_a_connection_that_breaks_off_within_a_packet_is_a_broken_one() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        ear, torn = Client(room), Client(room, "plc-1")
        await ear.connect("ear")
        await ear.subscribe("#")
        await torn.connect("torn", will=Will("gone", b"x"))
        torn.send(Publish("t", b"whole").encode(4) + Publish("t", b"half").encode(4)[:-2])
        torn.close()
        assert [(topic, payload) for topic, payload, *_ in await heard(ear)] == [("t", b"whole"), ("gone", b"x")]
        ear.close()

    tell(story)


def test_mqtt_3_1_2_5_messages_for_a_lasting_session_wait_for_it_and_a_clean_one_forgets() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        mouth = Client(room)
        await mouth.connect("mouth")
        for clean, expected in ((False, [("t", b"1", 1, False)]), (True, [])):
            away = Client(room, "plc-1")
            assert not (await away.connect("away", clean_start=clean)).session_present
            await away.subscribe("t", 1)
            away.send(Disconnect())
            assert await away.is_closed()
            away.close()
            mouth.send(Publish("t", b"0"))
            mouth.send(Publish("t", b"1", 1, packet_id=1))
            assert isinstance(await mouth.next(), Puback)
            back = Client(room, "plc-1")
            assert (await back.connect("away", clean_start=False)).session_present is not clean
            assert await heard(back) == expected
            back.send(Disconnect())
            assert await back.is_closed()
            back.close()
            fresh = Client(room, "plc-1")
            await fresh.connect("away", clean_start=True)
            fresh.send(Disconnect())
            assert await fresh.is_closed()
            fresh.close()
        mouth.close()

    tell(story)


def test_taking_over_needs_the_password_and_the_one_taken_over_leaves_its_will_not_the_other_ones() -> None:
    async def story(room: Room) -> None:
        await broker(room, allow_anonymous=False, users={"u": {"password": "p"}})
        known = {"user_name": "u", "password": b"p"}
        ear, first = Client(room), Client(room, "plc-1")
        await ear.connect("ear", **known)
        await ear.subscribe("#")
        await first.connect("same", clean_start=False, will=Will("will", b"first"), **known)
        thief = Client(room, "gw")
        await thief.connect("same", user_name="u", password=b"x", clean_start=True)
        assert await thief.is_closed()
        first.send(mqtt.Pingreq())
        assert isinstance(await first.next(), mqtt.Pingresp), "a stranger ends nothing"
        heir = Client(room, "gw")
        await heir.connect("same", clean_start=False, will=Will("will", b"second"), **known)
        assert await heard(ear) == [("will", b"first", 0, False)]
        assert await first.is_closed()
        await heir.subscribe("t")
        heir.send(Publish("t", b"x"))
        assert [payload for _, payload, *_ in await heard(heir)] == [b"x"], "the session goes on"
        for client in (ear, first, thief, heir):
            client.close()

    tell(story)


def test_a_client_that_trickles_half_a_packet_is_silent_all_the_same() -> None:
    async def story(room: Room) -> float:
        await broker(room)
        client = Client(room)
        await client.connect("slow", keep_alive=10)
        began = room.loop.time()
        closed = asyncio.create_task(client.is_closed())
        for byte in Publish("topic", b"x" * 100).encode(4)[:-1]:
            if closed.done():
                break
            client.send(bytes([byte]))
            await asyncio.wait((closed,), timeout=1)
        assert await closed
        client.close()
        return room.loop.time() - began

    assert tell(story) == pytest.approx(15, abs=1)


def test_a_packet_beyond_the_limit_is_refused_before_it_is_there() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        client = Client(room)
        await client.connect("greedy")
        size = MAX_PACKET + 1
        client.send(bytes([0x30, *(size >> 7 * place & 0x7F | (0x80 if place < 2 else 0) for place in range(3))]))
        assert await client.is_closed()
        client.close()

    tell(story)


def test_new_rules_apply_at_once_and_only_those_they_shut_out_are_disconnected() -> None:
    async def story(room: Room) -> Any:
        users = {"a": {"password": "1"}, "b": {"password": "2"}}
        await broker(room, users=users)
        a, b = Client(room), Client(room, "plc-1")
        await a.connect("a", user_name="a", password=b"1")
        await a.subscribe("t")
        await b.connect("b", user_name="b", password=b"2")
        deny = [{"topic": "#"}, {"user": "a", "topic": "t/secret", "access": "deny"}]
        running = await room.switch_on("broker", "broker", {"users": {"a": users["a"]}, "acl": deny})
        assert await b.is_closed()
        a.send(Publish("t", b"still here"))
        a.send(Publish("t/secret", b"not this"))
        assert [payload for _, payload, *_ in await heard(a)] == [b"still here"]
        a.close()
        b.close()
        return running.status()

    status = tell(story)
    assert set(status["clients"]) == {"a"}


def test_stopping_ends_every_connection_even_one_that_has_not_introduced_itself() -> None:
    async def story(room: Room) -> None:
        await broker(room)
        mute, client = Client(room), Client(room, "plc-1")
        await mute.open()
        await client.connect("client")
        await room.hosts["broker"].spawn(room.appliances.pop("broker").stop())
        assert await mute.is_closed()
        assert await client.is_closed()
        with pytest.raises(ConnectionRefusedError):
            await client.open()
        mute.close()
        client.close()

    tell(story)


LEVELS = st.lists(st.sampled_from(["a", "b", "", "$x"]), min_size=1, max_size=4)
TOPICS = LEVELS.map("/".join).filter(bool)
FILTERS = st.lists(st.sampled_from(["a", "b", "", "+", "#", "$x"]), min_size=1, max_size=4).map("/".join)


@given(FILTERS.filter(is_topic_filter), FILTERS.filter(is_topic_filter), TOPICS)
def test_a_filter_that_covers_another_matches_whatever_the_other_does(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(FILTERS.filter(is_topic_filter))
def test_every_filter_covers_itself_and_is_covered_by_everything(pattern: str) -> None:
    assert covers(pattern, pattern)
    assert covers("#", pattern) is not pattern.startswith("$")
