"""MQTT 3.1.1, sections 3.3 to 3.7 PUBLISH and its acknowledgments, 4.3 quality of service, 4.4 retry, 4.6 order."""

from __future__ import annotations

from conformance_kit import Client, Site, statement

from lab.wire import mqtt
from lab.wire.mqtt import Puback, Pubcomp, Publish, Pubrec, Pubrel


async def pair(site: Site, qos: int = 2, **options: bool) -> tuple[Client, Client]:
    """Somebody who publishes and somebody who has subscribed to everything of this statement."""
    mouth, ear = await site.client("mouth"), await site.client("ear", **options)
    await ear.subscribe(site.topic("#"), qos=qos)
    return mouth, ear


# -- 2.3.1, 3.3: packets -----------------------------------------------------------------------------------------------


@statement()
async def test_mqtt_2_3_1_1_a_packet_identifier_is_not_0(site: Site) -> None:
    topic = b"\0\1t"
    for packet in (b"\x32\x05" + topic + b"\0\0", b"\x82\x06\0\0" + topic + b"\0", b"\xa2\x05\0\0" + topic):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement()
async def test_mqtt_2_3_1_6_an_acknowledgment_has_the_identifier_of_the_publish(site: Site) -> None:
    client = await site.client()
    for identifier in (1, 255, 256, 65_535):
        client.send(Publish(site.topic("t"), b"x", 1, packet_id=identifier))
        await client.expect(Puback(identifier))
        client.send(Publish(site.topic("t"), b"x", 2, packet_id=identifier))
        await client.expect(Pubrec(identifier))
        client.send(Pubrel(identifier))
        await client.expect(Pubcomp(identifier))


@statement()
async def test_mqtt_3_3_1_3_dup_is_not_passed_on(site: Site) -> None:
    mouth, ear = await pair(site)
    mouth.send(Publish(site.topic("t"), b"x", 1, duplicate=True, packet_id=3))
    await mouth.expect(Puback(3))
    assert not (await ear.message()).duplicate


@statement()
async def test_mqtt_3_3_1_4_no_qos_3(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("3605000174000178"))
    assert await client.is_closed()


@statement(mosquitto="2.0.11 takes it for one without DUP")
async def test_mqtt_3_3_1_2_a_dup_with_qos_0_is_not_accepted(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("380400017478"))
    assert await client.is_closed()


@statement()
async def test_mqtt_3_3_1_5_a_retained_message_is_kept_with_its_qos(site: Site) -> None:
    mouth = await site.client("mouth")
    for qos in (0, 1, 2):
        await mouth.publish(site.topic(f"t{qos}"), b"%d" % qos, qos, retain=True)
    ear = await site.client("ear")
    await ear.subscribe(site.topic("+"), qos=2)
    messages = sorted(await ear.heard(), key=lambda message: message.topic)
    assert [(each.payload, each.qos, each.retain) for each in messages] == [
        (b"0", 0, True),
        (b"1", 1, True),
        (b"2", 2, True),
    ]


@statement()
async def test_mqtt_3_3_1_6_a_new_subscription_gets_the_last_retained_message(site: Site) -> None:
    mouth = await site.client("mouth")
    for payload in (b"older", b"newer"):
        await mouth.publish(site.topic("t"), payload, retain=True)
    ear = await site.client("ear")
    await ear.subscribe(site.topic("t"))
    assert [message.payload for message in await ear.heard()] == [b"newer"]


@statement()
async def test_mqtt_3_3_1_7_a_retained_message_of_qos_0_replaces_the_older_one(site: Site) -> None:
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"), b"older", 1, retain=True)
    await mouth.publish(site.topic("t"), b"newer", 0, retain=True)
    ear = await site.client("ear")
    await ear.subscribe(site.topic("t"), qos=1)
    assert [(message.payload, message.qos) for message in await ear.heard()] == [(b"newer", 0)]


@statement()
async def test_mqtt_3_3_1_8_retain_is_set_for_a_new_subscription(site: Site) -> None:
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"), retain=True)
    ear = await site.client("ear")
    await ear.subscribe(site.topic("t"))
    assert (await ear.message()).retain


@statement()
async def test_mqtt_3_3_1_9_retain_is_not_set_for_an_established_subscription(site: Site) -> None:
    mouth, ear = await pair(site)
    await mouth.publish(site.topic("t"), retain=True)
    assert not (await ear.message()).retain


@statement()
async def test_mqtt_3_3_1_10_an_empty_retained_message_removes_and_is_delivered(site: Site) -> None:
    mouth, ear = await pair(site)
    await mouth.publish(site.topic("t"), b"x", retain=True)
    await mouth.publish(site.topic("t"), b"", retain=True)
    assert [(each.payload, each.retain) for each in await ear.heard()] == [(b"x", False), (b"", False)]
    late = await site.client("late")
    await late.subscribe(site.topic("t"))
    assert await late.heard() == []


@statement()
async def test_mqtt_3_3_1_11_an_empty_message_is_not_kept(site: Site) -> None:
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"), b"", retain=True)
    late = await site.client("late")
    await late.subscribe(site.topic("t"))
    assert await late.heard() == []


@statement()
async def test_mqtt_3_3_1_12_without_retain_the_retained_message_stays(site: Site) -> None:
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"), b"kept", retain=True)
    await mouth.publish(site.topic("t"), b"passing")
    late = await site.client("late")
    await late.subscribe(site.topic("t"))
    assert (await late.message()).payload == b"kept"


@statement()
async def test_mqtt_3_3_2_1_the_topic_is_utf_8(site: Site) -> None:
    for topic in (b"\xc3\x28", b"\xed\xa0\x80", b"\xff"):
        client = await site.client()
        client.send(bytes((0x30, len(topic) + 2, 0, len(topic))) + topic)
        assert await client.is_closed()


@statement()
async def test_mqtt_3_3_2_2_a_topic_name_has_no_wildcards(site: Site) -> None:
    for topic in (b"a/#", b"+/b", b"a+", b"#"):
        client = await site.client()
        client.send(bytes((0x30, len(topic) + 3, 0, len(topic))) + topic + b"x")
        assert await client.is_closed()


@statement()
async def test_mqtt_3_3_2_3_the_topic_arrives_as_it_was_published(site: Site) -> None:
    mouth, ear = await pair(site)
    for topic in ("温度/1 号锅炉", "A/b//c", "trailing/", " blank "):
        await mouth.publish(site.topic(topic))
        assert (await ear.message()).topic == site.topic(topic)
        ear.acknowledge(Publish("", qos=1, packet_id=1))


@statement()
async def test_mqtt_3_3_5_1_overlapping_subscriptions_respect_the_highest_qos(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("#"), qos=0)
    await ear.subscribe(site.topic("t"), qos=2)
    await ear.subscribe(site.topic("+"), qos=1)
    await mouth.publish(site.topic("t"), b"x", 2)
    assert max(message.qos for message in await ear.heard()) == 2


@statement()
async def test_mqtt_3_3_5_2_what_may_not_be_published_is_acknowledged_and_goes_nowhere(site: Site) -> None:
    clients = []
    for name in ("mouth", "ear"):
        client = await site.open(guarded=True)
        await client.connect(site.name(name), user_name="operator", password=b"let me in")
        clients.append(client)
    mouth, ear = clients
    await ear.subscribe("allowed/#", qos=1)
    await mouth.publish("forbidden/t", b"x", 1)
    await mouth.publish("allowed/t", b"y", 1)
    assert [message.topic for message in await ear.heard()] == ["allowed/t"]


@statement()
async def test_mqtt_3_3_2_a_payload_may_be_empty_or_anything(site: Site) -> None:
    mouth, ear = await pair(site, qos=0)
    for payload in (b"", bytes(range(256)), b"\xff" * 260_000):
        await mouth.publish(site.topic("t"), payload)
        assert (await ear.message()).payload == payload


# -- 4.3: quality of service -------------------------------------------------------------------------------------------


@statement()
async def test_mqtt_4_3_1_1_qos_0_is_neither_marked_nor_acknowledged(site: Site) -> None:
    mouth, ear = await pair(site)
    mouth.send(Publish(site.topic("t"), b"x"), mqtt.Pingreq())
    await mouth.expect(mqtt.Pingresp())
    message = await ear.message()
    assert (message.qos, message.duplicate, message.packet_id) == (0, False, 0)


@statement()
async def test_mqtt_4_3_2_1_qos_1_is_sent_with_an_identifier_of_its_own_until_acknowledged(site: Site) -> None:
    mouth, ear = await pair(site)
    for _ in range(5):
        await mouth.publish(site.topic("t"))
    messages = [await ear.message() for _ in range(5)]
    assert all((message.qos, message.duplicate) == (1, False) for message in messages)
    assert len({message.packet_id for message in messages}) == 5


@statement()
async def test_mqtt_4_3_2_2_a_puback_accepts_responsibility(site: Site) -> None:
    mouth, ear = await pair(site)
    mouth.send(Publish(site.topic("t"), b"1", 1, packet_id=7), Publish(site.topic("t"), b"2", 1, packet_id=7))
    await mouth.expect(Puback(7), Puback(7))
    # After PUBACK the same identifier is a new message.
    assert [message.payload for message in await ear.heard()] == [b"1", b"2"]


@statement()
async def test_mqtt_4_3_3_1_qos_2_is_released_after_pubrec(site: Site) -> None:
    mouth, ear = await pair(site)
    await mouth.publish(site.topic("t"), b"x", 2)
    message = await ear.message()
    assert (message.qos, message.duplicate) == (2, False)
    ear.send(Pubrec(message.packet_id))
    await ear.expect(Pubrel(message.packet_id))
    ear.send(Pubcomp(message.packet_id))
    assert await ear.heard() == []


@statement()
async def test_mqtt_4_3_3_2_qos_2_is_delivered_once_however_often_it_is_sent(site: Site) -> None:
    mouth, ear = await pair(site)
    first = Publish(site.topic("t"), b"x", 2, packet_id=7)
    again = Publish(site.topic("t"), b"x", 2, duplicate=True, packet_id=7)
    mouth.send(first, again)
    await mouth.expect(Pubrec(7), Pubrec(7))
    mouth.send(Pubrel(7), Pubrel(7))
    await mouth.expect(Pubcomp(7), Pubcomp(7))
    assert len(await ear.heard()) == 1
    mouth.send(Publish(site.topic("t"), b"another", 2, packet_id=7))
    await mouth.expect(Pubrec(7))
    mouth.send(Pubrel(7))
    await mouth.expect(Pubcomp(7))
    assert [message.payload for message in await ear.heard()] == [b"another"]


@statement()
async def test_mqtt_4_3_3_2_a_pubrel_for_nothing_is_answered(site: Site) -> None:
    client = await site.client()
    client.send(Pubrel(4711))
    await client.expect(Pubcomp(4711))


@statement()
async def test_mqtt_4_3_3_qos_2_survives_a_broken_connection_of_the_sender(site: Site) -> None:
    ear = await site.client("ear")
    await ear.subscribe(site.topic("#"), qos=2)
    mouth = await site.client("mouth", clean_start=False)
    mouth.send(Publish(site.topic("t"), b"x", 2, packet_id=7))
    await mouth.expect(Pubrec(7))
    mouth.break_off()
    back = await site.client("mouth", clean_start=False)
    back.send(Publish(site.topic("t"), b"x", 2, duplicate=True, packet_id=7))
    await back.expect(Pubrec(7))
    back.send(Pubrel(7))
    await back.expect(Pubcomp(7))
    assert len(await ear.heard()) == 1


@statement()
async def test_mqtt_3_6_1_1_pubrel_has_its_flags(site: Site) -> None:
    client = await site.client()
    client.send(b"\x60\x02\x00\x01")
    assert await client.is_closed()


@statement()
async def test_mqtt_3_8_4_6_a_message_has_the_lower_of_both_qos(site: Site) -> None:
    mouth = await site.client("mouth")
    for subscribed in (0, 1, 2):
        ear = await site.client("ear")
        await ear.subscribe(site.topic("t"), qos=subscribed)
        for published in (0, 1, 2):
            await mouth.publish(site.topic("t"), b"x", published)
            assert [message.qos for message in await ear.heard()] == [min(published, subscribed)]


# -- 4.4: retry --------------------------------------------------------------------------------------------------------


@statement()
async def test_mqtt_4_4_0_1_unacknowledged_messages_come_again_with_dup_and_their_identifiers(site: Site) -> None:
    mouth, ear = await pair(site, clean_start=False)
    for number in range(3):
        await mouth.publish(site.topic("t"), b"%d" % number, 1 + number % 2)
    before = [await ear.message() for _ in range(3)]
    ear.break_off()
    back = await site.client("ear", clean_start=False)
    after = [await back.message() for _ in range(3)]
    assert [(each.payload, each.qos, each.packet_id, each.duplicate) for each in after] == [
        (each.payload, each.qos, each.packet_id, True) for each in before
    ]


@statement()
async def test_mqtt_4_4_0_1_unanswered_pubrels_come_again(site: Site) -> None:
    mouth, ear = await pair(site, clean_start=False)
    await mouth.publish(site.topic("t"), b"x", 2)
    message = await ear.message()
    ear.send(Pubrec(message.packet_id))
    await ear.expect(Pubrel(message.packet_id))
    ear.break_off()
    back = await site.client("ear", clean_start=False)
    await back.expect(Pubrel(message.packet_id))
    back.send(Pubcomp(message.packet_id))
    await back.leave()
    last = await site.client("ear", clean_start=False)
    assert await last.heard() == []


@statement()
async def test_mqtt_3_1_2_4_what_was_acknowledged_does_not_come_again(site: Site) -> None:
    mouth, ear = await pair(site, clean_start=False)
    for number in range(3):
        await mouth.publish(site.topic("t"), b"%d" % number)
    messages = [await ear.message() for _ in range(3)]
    ear.send(Puback(messages[1].packet_id))
    assert await ear.heard() == []
    ear.break_off()
    back = await site.client("ear", clean_start=False)
    assert [message.payload for message in await back.heard()] == [b"0", b"2"]


@statement()
async def test_mqtt_4_5_0_1_a_message_is_given_to_every_matching_session(site: Site) -> None:
    ears = [await site.client(f"ear{number}") for number in range(5)]
    for ear in ears:
        await ear.subscribe(site.topic("#"), qos=1)
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"))
    for ear in ears:
        assert len(await ear.heard()) == 1


@statement()
async def test_mqtt_4_5_0_2_a_client_acknowledges_what_it_did_not_ask_for(site: Site) -> None:
    """Seen from the broker: an acknowledgment for nothing does no harm."""
    client = await site.client()
    client.send(Puback(99))
    assert await client.heard() == []


# -- 4.6: order --------------------------------------------------------------------------------------------------------


@statement()
async def test_mqtt_4_6_0_2_pubacks_come_in_the_order_of_the_publishes(site: Site) -> None:
    client = await site.client()
    order = [5, 3, 9, 1, 65_535, 2]
    client.send(*(Publish(site.topic("t"), b"x", 1, packet_id=number) for number in order))
    await client.expect(*map(Puback, order))


@statement()
async def test_mqtt_4_6_0_3_pubrecs_come_in_the_order_of_the_publishes(site: Site) -> None:
    client = await site.client()
    order = [5, 3, 9, 1]
    client.send(*(Publish(site.topic("t"), b"x", 2, packet_id=number) for number in order))
    await client.expect(*map(Pubrec, order))


@statement()
async def test_mqtt_4_6_0_4_pubrels_come_in_the_order_of_the_pubrecs(site: Site) -> None:
    mouth, ear = await pair(site)
    for number in range(4):
        await mouth.publish(site.topic("t"), b"%d" % number, 2)
    identifiers = [(await ear.message()).packet_id for _ in range(4)]
    order = [identifiers[place] for place in (2, 0, 3, 1)]
    ear.send(*map(Pubrec, order))
    await ear.expect(*map(Pubrel, order))


@statement()
async def test_mqtt_4_6_0_5_messages_of_one_topic_and_qos_keep_their_order(site: Site) -> None:
    mouth, ear = await pair(site)
    for qos in (0, 1, 2):
        expected = [b"%d" % number for number in range(60)]
        for payload in expected:
            await mouth.publish(site.topic("t"), payload, qos)
        got: list[bytes] = []
        while len(got) < len(expected):
            got += [message.payload for message in await ear.heard()]
        assert got == expected


@statement()
async def test_mqtt_4_6_0_6_order_is_kept_across_a_broken_connection(site: Site) -> None:
    mouth, ear = await pair(site, clean_start=False)
    for number in range(30):
        await mouth.publish(site.topic("t"), b"%d" % number)
    first = await ear.message()
    ear.acknowledge(first)
    ear.break_off()
    back = await site.client("ear", clean_start=False)
    got: list[int] = []
    while not got or got[-1] != 29:
        got += [int(message.payload) for message in await back.heard()]
    assert got in (list(range(30)), list(range(1, 30)))
