"""MQTT 3.1.1, sections 3.1 CONNECT, 3.2 CONNACK, 3.12 PINGREQ, 3.14 DISCONNECT, and 4.1 session state."""

from __future__ import annotations

import asyncio

from conformance_kit import PASSWORD, USER, Client, Site, statement

from lab.wire import mqtt
from lab.wire.mqtt import Connect, Puback, Publish, Subscribe, Subscription, Will


def raw_connect(flags: int, payload: bytes, *, name: bytes = b"MQTT", level: int = 4) -> bytes:
    body = len(name).to_bytes(2, "big") + name + bytes((level, flags)) + b"\0\x3c" + payload
    return bytes((0x10, len(body))) + body


def field(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


async def refuses(site: Site, packet: bytes) -> None:
    client = await site.open()
    client.send(packet)
    assert await client.is_closed()


@statement()
async def test_mqtt_3_1_0_1_the_first_packet_is_connect(site: Site) -> None:
    await refuses(site, Publish(site.topic(), b"x").encode())
    await refuses(site, Subscribe(1, (Subscription("#"),)).encode())
    await refuses(site, mqtt.Pingreq().encode())


@statement()
async def test_mqtt_3_1_0_2_a_second_connect_ends_the_connection(site: Site) -> None:
    client = await site.client()
    client.send(Connect(site.name("client")))
    assert await client.is_closed()


@statement()
async def test_mqtt_3_1_2_1_another_protocol_name_is_not_served(site: Site) -> None:
    await refuses(site, raw_connect(2, field(b"x"), name=b"MQTx"))


@statement()
async def test_mqtt_3_1_2_2_an_unknown_protocol_level_gets_return_code_1(site: Site) -> None:
    client = await site.open()
    client.send(raw_connect(2, field(b"x"), level=9))
    answer = await client.next()
    assert isinstance(answer, mqtt.Connack)
    assert int(answer.reason) == 1
    assert await client.is_closed()


@statement()
async def test_mqtt_3_1_2_3_the_reserved_flag_is_0(site: Site) -> None:
    await refuses(site, raw_connect(3, field(b"x")))


@statement()
async def test_mqtt_3_1_2_4_without_clean_session_the_session_goes_on(site: Site) -> None:
    first = await site.client(clean_start=False)
    await first.subscribe(site.topic("t"), qos=1)
    await first.leave()
    back = await site.open()
    assert (await back.connect(site.name("client"), clean_start=False)).session_present
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"), b"still subscribed")
    assert [message.payload for message in await back.heard()] == [b"still subscribed"]


@statement()
async def test_mqtt_3_1_2_5_qos_1_and_2_wait_for_a_client_that_is_away(site: Site) -> None:
    away = await site.client("away", clean_start=False)
    await away.subscribe(site.topic("#"), qos=2)
    await away.leave()
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("one"), qos=1)
    await mouth.publish(site.topic("two"), qos=2)
    back = await site.client("away", clean_start=False)
    messages = [await back.message(), await back.message()]
    assert [(each.topic, each.qos, each.retain) for each in messages] == [
        (site.topic("one"), 1, False),
        (site.topic("two"), 2, False),
    ]


@statement()
async def test_mqtt_3_1_2_6_a_clean_session_forgets_an_older_one_and_is_forgotten(site: Site) -> None:
    lasting = await site.client(clean_start=False)
    await lasting.subscribe(site.topic("t"), qos=1)
    await lasting.leave()
    clean = await site.open()
    assert not (await clean.connect(site.name("client"), clean_start=True)).session_present
    await clean.leave()
    last = await site.open()
    assert not (await last.connect(site.name("client"), clean_start=False)).session_present
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"))
    assert await last.heard() == []


@statement()
async def test_mqtt_3_1_2_7_retained_messages_are_not_part_of_a_session(site: Site) -> None:
    mouth = await site.client("mouth", clean_start=True)
    await mouth.publish(site.topic("t"), b"kept", retain=True)
    await mouth.leave()
    ear = await site.client("ear")
    await ear.subscribe(site.topic("t"))
    assert (await ear.message()).payload == b"kept"


async def ear_for_will(site: Site, qos: int = 2) -> Client:
    ear = await site.client("ear")
    await ear.subscribe(site.topic("will"), qos=qos)
    return ear


@statement()
async def test_mqtt_3_1_2_8_the_will_is_published_when_the_connection_breaks(site: Site) -> None:
    ear = await ear_for_will(site)
    for end in (Client.vanish, Client.break_off):
        client = await site.client(will=Will(site.topic("will"), b"gone"))
        end(client)
        message = await ear.message()
        assert (message.payload, message.qos, message.retain) == (b"gone", 0, False)


@statement()
async def test_mqtt_3_1_2_8_the_will_is_published_when_the_client_breaks_the_protocol(site: Site) -> None:
    ear = await ear_for_will(site)
    client = await site.client(will=Will(site.topic("will"), b"gone"))
    client.send(b"\x36\x05\x00\x01t\x00\x01")
    assert (await ear.message()).payload == b"gone"


@statement()
async def test_mqtt_3_1_2_10_disconnect_discards_the_will(site: Site) -> None:
    ear = await ear_for_will(site)
    client = await site.client(will=Will(site.topic("will"), b"gone"))
    await client.leave()
    assert await ear.heard() == []


@statement()
async def test_mqtt_3_1_2_11_no_will_flag_no_will_qos_no_will_retain(site: Site) -> None:
    await refuses(site, raw_connect(0x02 | 0x08, field(b"x")))
    await refuses(site, raw_connect(0x02 | 0x20, field(b"x")))


@statement()
async def test_mqtt_3_1_2_14_a_will_has_no_qos_3(site: Site) -> None:
    await refuses(site, raw_connect(0x02 | 0x04 | 0x18, field(b"x") + field(b"t") + field(b"m")))


@statement()
async def test_mqtt_3_1_2_16_a_will_is_published_with_its_qos(site: Site) -> None:
    ear = await ear_for_will(site)
    for qos in (1, 2):
        client = await site.client(will=Will(site.topic("will"), b"gone", qos))
        client.vanish()
        assert (await ear.message()).qos == qos
        assert await ear.heard() == []


@statement()
async def test_mqtt_3_1_2_17_a_will_with_retain_is_retained(site: Site) -> None:
    ear = await ear_for_will(site)
    client = await site.client(will=Will(site.topic("will"), b"gone", retain=True))
    client.vanish()
    assert not (await ear.message()).retain
    late = await site.client("late")
    await late.subscribe(site.topic("will"))
    assert (await late.message()).retain


@statement()
async def test_mqtt_3_1_2_22_no_password_without_a_user_name(site: Site) -> None:
    await refuses(site, raw_connect(0x02 | 0x40, field(b"x") + field(b"secret")))


@statement()
async def test_mqtt_3_1_2_24_a_silent_client_is_cut_off_after_one_and_a_half_keep_alives(site: Site) -> None:
    ear = await ear_for_will(site)
    client = await site.client(keep_alive=1, will=Will(site.topic("will"), b"gone"))
    began = site.seconds()
    assert await client.is_closed()
    assert 1.5 <= site.seconds() - began <= 1.5 + site.tolerance
    assert (await ear.message()).payload == b"gone"


@statement()
async def test_mqtt_3_1_2_23_any_packet_is_a_sign_of_life(site: Site) -> None:
    client = await site.client(keep_alive=1)
    for _ in range(4):
        await asyncio.sleep(0.7)
        client.send(Publish(site.topic("t"), b"x"))
    assert await client.heard() == []


@statement()
async def test_mqtt_3_1_3_1_the_fields_are_all_there_and_nothing_else(site: Site) -> None:
    await refuses(site, raw_connect(0x02, b""))
    await refuses(site, raw_connect(0x02 | 0x80, field(b"x")))
    await refuses(site, raw_connect(0x02 | 0x04, field(b"x") + field(b"topic")))
    await refuses(site, raw_connect(0x02, field(b"x") + b"more"))


@statement()
async def test_mqtt_3_1_3_4_a_client_identifier_is_utf_8(site: Site) -> None:
    await refuses(site, raw_connect(0x02, field(b"\xc3\x28")))


@statement()
async def test_mqtt_3_1_3_5_identifiers_of_1_to_23_letters_and_digits_are_accepted(site: Site) -> None:
    for client_id in ("a", "0123456789abcdefghijABC", "ABCDEFGHIJKLMNOPQRSTUVW"):
        client = await site.open()
        assert not (await client.connect(client_id)).reason
        await client.leave()


@statement()
async def test_mqtt_3_1_3_6_an_empty_identifier_is_replaced_by_one_of_its_own(site: Site) -> None:
    first, second = await site.open(), await site.open()
    for client in (first, second):
        answer = await client.connect("", clean_start=True)
        assert not answer.reason
        assert not answer.session_present
    await first.subscribe(site.topic("t"))
    await second.publish(site.topic("t"))
    assert len(await first.heard()) == 1, "neither ended the other"


@statement()
async def test_mqtt_3_1_3_8_an_empty_identifier_needs_a_clean_session(site: Site) -> None:
    client = await site.open()
    answer = await client.connect("", clean_start=False)
    assert (int(answer.reason), answer.session_present) == (2, False)
    assert await client.is_closed()


@statement()
async def test_mqtt_3_1_3_10_a_will_topic_is_utf_8(site: Site) -> None:
    await refuses(site, raw_connect(0x02 | 0x04, field(b"x") + field(b"\xff") + field(b"m")))


@statement()
async def test_mqtt_3_1_3_11_a_user_name_is_utf_8(site: Site) -> None:
    await refuses(site, raw_connect(0x02 | 0x80, field(b"x") + field(b"\xed\xa0\x80")))


@statement()
async def test_mqtt_3_1_4_2_a_second_client_of_the_same_name_ends_the_first(site: Site) -> None:
    first = await site.client()
    second = await site.client()
    assert await first.is_closed()
    assert await second.heard() == []


@statement()
async def test_mqtt_3_1_4_2_the_one_taken_over_leaves_its_will(site: Site) -> None:
    ear = await ear_for_will(site)
    await site.client(will=Will(site.topic("will"), b"first"))
    await site.client(will=Will(site.topic("will"), b"second"))
    assert (await ear.message()).payload == b"first"
    assert await ear.heard() == []


@statement()
async def test_mqtt_3_1_4_3_a_session_taken_over_keeps_its_subscriptions(site: Site) -> None:
    first = await site.client(clean_start=False)
    await first.subscribe(site.topic("t"))
    second = await site.open()
    assert (await second.connect(site.name("client"), clean_start=False)).session_present
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"), b"there")
    assert [message.payload for message in await second.heard()] == [b"there"]


@statement()
async def test_mqtt_3_1_4_4_connect_is_answered_with_return_code_0(site: Site) -> None:
    client = await site.open()
    client.send(Connect(site.name("client")))
    await client.expect(mqtt.Connack())


@statement()
async def test_mqtt_3_1_4_5_what_follows_a_refused_connect_is_not_processed(site: Site) -> None:
    client = await site.open(guarded=True)
    client.send(Connect(site.name("client")), Publish("allowed/t", b"forged", 1, packet_id=1))
    answer = await client.next()
    assert isinstance(answer, mqtt.Connack)
    assert int(answer.reason) in (4, 5)
    assert await client.is_closed()


@statement()
async def test_mqtt_3_2_0_1_the_first_packet_of_the_broker_is_connack(site: Site) -> None:
    lasting = await site.client(clean_start=False)
    await lasting.subscribe(site.topic("t"), qos=1)
    await lasting.leave()
    mouth = await site.client("mouth")
    await mouth.publish(site.topic("t"))
    back = await site.open()
    back.send(Connect(site.name("client"), clean_start=False), mqtt.Pingreq())
    assert isinstance(await back.next(), mqtt.Connack)


@statement()
async def test_mqtt_3_2_2_1_a_clean_session_has_no_session_present(site: Site) -> None:
    for _ in range(2):
        client = await site.open()
        assert not (await client.connect(site.name("client"), clean_start=True)).session_present
        await client.leave()


@statement()
async def test_mqtt_3_2_2_2_session_present_tells_whether_there_was_one(site: Site) -> None:
    for expected in (False, True, True):
        client = await site.open()
        assert (await client.connect(site.name("client"), clean_start=False)).session_present is expected
        await client.leave()


@statement()
async def test_mqtt_3_2_2_4_a_refusal_has_no_session_present_and_ends_the_connection(site: Site) -> None:
    for options in ({}, {"user_name": USER, "password": b"guessed"}, {"user_name": "nobody", "password": b"x"}):
        client = await site.open(guarded=True)
        answer = await client.connect(site.name("client"), **options)
        assert int(answer.reason) in (4, 5)
        assert not answer.session_present
        assert await client.is_closed()


@statement()
async def test_mqtt_3_1_3_a_user_with_the_right_password_is_accepted(site: Site) -> None:
    client = await site.open(guarded=True)
    answer = await client.connect(site.name("client"), user_name=USER, password=PASSWORD.encode())
    assert not answer.reason


@statement()
async def test_mqtt_3_12_4_1_pingreq_is_answered(site: Site) -> None:
    client = await site.client()
    client.send(mqtt.Pingreq(), mqtt.Pingreq())
    await client.expect(mqtt.Pingresp(), mqtt.Pingresp())


@statement()
async def test_mqtt_3_14_1_1_disconnect_has_no_flags(site: Site) -> None:
    ear = await ear_for_will(site)
    client = await site.client(will=Will(site.topic("will"), b"gone"))
    client.send(b"\xe1\x00")
    assert await client.is_closed()
    assert (await ear.message()).payload == b"gone"


@statement()
async def test_mqtt_3_14_4_2_nothing_follows_a_disconnect(site: Site) -> None:
    ear = await site.client("ear")
    await ear.subscribe(site.topic("t"))
    client = await site.client()
    client.send(mqtt.Disconnect(), Publish(site.topic("t"), b"too late", 1, packet_id=1))
    assert await client.is_cut_off()
    assert await ear.heard() == []


@statement()
async def test_mqtt_3_14_4_1_the_broker_closes_after_a_disconnect(site: Site) -> None:
    client = await site.client()
    client.send(mqtt.Disconnect())
    assert await client.is_closed()


@statement()
async def test_mqtt_4_1_0_1_a_session_lasts_as_long_as_its_connection(site: Site) -> None:
    client = await site.client(clean_start=False, keep_alive=0)
    await client.subscribe(site.topic("t"), qos=1)
    mouth = await site.client("mouth")
    for payload in (b"first", b"last"):
        await mouth.publish(site.topic("t"), payload)
        await asyncio.sleep(0.05)
        assert [message.payload for message in await client.heard()] == [payload]


@statement()
async def test_mqtt_4_2_0_1_half_closed_is_over(site: Site) -> None:
    ear = await ear_for_will(site)
    client = await site.client(will=Will(site.topic("will"), b"gone"))
    client.half_close()
    assert (await ear.message()).payload == b"gone"
    assert await client.is_closed()


@statement()
async def test_mqtt_3_1_4_clients_may_send_before_connack(site: Site) -> None:
    client = await site.open()
    client.send(Connect(site.name("client")), Publish(site.topic(), b"x", 1, packet_id=5), mqtt.Pingreq())
    await client.expect(mqtt.Connack(), Puback(5), mqtt.Pingresp())
