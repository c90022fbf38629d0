"""MQTT 3.1.1, sections 3.8 to 3.11 SUBSCRIBE and UNSUBSCRIBE, and 4.7 topic names and filters."""

from __future__ import annotations

from conformance_kit import PASSWORD, USER, Client, Site, statement

from lab.wire import mqtt
from lab.wire.mqtt import Puback, Publish, Suback, Subscribe, Subscription, Unsuback, Unsubscribe


async def hears(site: Site, ear: Client, mouth: Client, *topics: str) -> list[str]:
    """Which of these topics reach a client, without the prefix."""
    for topic in topics:
        await mouth.publish(site.topic(topic), b"x", 1)
    start = len(site.topic(""))
    return [message.topic[start:] for message in await ear.heard()]


@statement()
async def test_mqtt_3_8_1_1_subscribe_has_its_flags(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("800600010001") + b"t\0")
    assert await client.is_closed()


@statement()
async def test_mqtt_3_8_3_1_a_topic_filter_is_utf_8(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("820700010002c32800"))
    assert await client.is_closed()


@statement()
async def test_mqtt_3_8_3_3_subscribe_has_a_topic_filter(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("82020001"))
    assert await client.is_closed()


@statement()
async def test_mqtt_3_8_3_4_a_requested_qos_is_0_1_or_2(site: Site) -> None:
    for qos in (b"\x03", b"\x04", b"\x80"):
        client = await site.client()
        client.send(bytes.fromhex("820600010001") + b"t" + qos)
        assert await client.is_closed()


@statement()
async def test_mqtt_3_8_4_1_subscribe_is_answered_by_suback(site: Site) -> None:
    client = await site.client()
    client.send(Subscribe(77, (Subscription(site.topic("t"), 1),)))
    answer = await client.next()
    assert isinstance(answer, Suback)
    assert answer.packet_id == 77


@statement()
async def test_mqtt_3_8_4_2_the_suback_has_the_identifier_of_the_subscribe(site: Site) -> None:
    client = await site.client()
    for identifier in (1, 300, 65_535):
        client.send(Subscribe(identifier, (Subscription(site.topic("t")),)))
        answer = await client.next()
        assert isinstance(answer, Suback)
        assert answer.packet_id == identifier


@statement()
async def test_mqtt_3_8_4_3_subscribing_again_replaces_and_sends_retained_messages_again(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await mouth.publish(site.topic("t"), b"kept", retain=True)
    for qos in (0, 1):
        assert await ear.subscribe(site.topic("t"), qos=qos) == (qos,)
        message = await ear.message()
        assert (message.payload, message.retain) == (b"kept", True)
        ear.acknowledge(message)
    await mouth.publish(site.topic("t"), b"once")
    assert [(message.payload, message.qos) for message in await ear.heard()] == [(b"once", 1)]


@statement()
async def test_mqtt_3_8_4_4_several_filters_are_as_good_as_several_packets(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    assert await ear.subscribe(site.topic("a"), site.topic("b/+"), site.topic("c/#"), qos=1) == (1, 1, 1)
    assert await hears(site, ear, mouth, "a", "b", "b/x", "c", "c/x/y", "d") == ["a", "b/x", "c", "c/x/y"]


@statement()
async def test_mqtt_3_8_4_5_the_suback_has_a_return_code_for_each_filter_in_order(site: Site) -> None:
    client = await site.client()
    wanted = tuple(Subscription(site.topic(str(qos)), qos) for qos in (2, 0, 1))
    client.send(Subscribe(5, wanted))
    answer = await client.next()
    assert isinstance(answer, Suback)
    assert tuple(map(int, answer.reasons)) == (2, 0, 1)


@statement(mosquitto="with an ACL file 2.0.11 grants the subscription and delivers nothing")
async def test_mqtt_3_9_3_a_denied_filter_gets_0x80(site: Site) -> None:
    client = await site.open(guarded=True)
    await client.connect(site.name("client"), user_name=USER, password=PASSWORD.encode())
    assert await client.subscribe("allowed/#", "forbidden/#", "#", qos=1) == (1, 0x80, 0x80)


@statement()
async def test_mqtt_3_10_1_1_unsubscribe_has_its_flags(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("a00500010001") + b"t")
    assert await client.is_closed()


@statement()
async def test_mqtt_3_10_3_1_the_filters_of_unsubscribe_are_utf_8(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("a20600010002c328"))
    assert await client.is_closed()


@statement()
async def test_mqtt_3_10_3_2_unsubscribe_has_a_topic_filter(site: Site) -> None:
    client = await site.client()
    client.send(bytes.fromhex("a2020001"))
    assert await client.is_closed()


@statement()
async def test_mqtt_3_10_4_1_filters_are_compared_character_by_character(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("a"), qos=1)
    await ear.unsubscribe(site.topic("+"), site.topic("A"), site.topic("a/"))
    assert await hears(site, ear, mouth, "a") == ["a"]
    await ear.unsubscribe(site.topic("a"))
    assert await hears(site, ear, mouth, "a") == []


@statement()
async def test_mqtt_3_10_4_2_no_new_messages_after_unsubscribing(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("#"), qos=1)
    assert await hears(site, ear, mouth, "a") == ["a"]
    await ear.unsubscribe(site.topic("#"))
    assert await hears(site, ear, mouth, "a") == []


@statement()
async def test_mqtt_3_10_4_3_what_was_begun_is_finished_after_unsubscribing(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("t"), qos=2)
    await mouth.publish(site.topic("t"), b"x", 2)
    message = await ear.message()
    await ear.unsubscribe(site.topic("t"))
    ear.send(mqtt.Pubrec(message.packet_id))
    await ear.expect(mqtt.Pubrel(message.packet_id))


@statement()
async def test_mqtt_3_10_4_5_unsubscribe_is_answered_even_where_there_was_no_subscription(site: Site) -> None:
    client = await site.client()
    client.send(Unsubscribe(9, (site.topic("never"),)))
    await client.expect(Unsuback(9))


@statement()
async def test_mqtt_3_10_4_6_several_filters_end_with_one_unsuback(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("a"), site.topic("b"), site.topic("c"), qos=1)
    ear.send(Unsubscribe(9, (site.topic("a"), site.topic("c"))))
    await ear.expect(Unsuback(9))
    assert await hears(site, ear, mouth, "a", "b", "c") == ["b"]


# -- 4.7 ---------------------------------------------------------------------------------------------------------------


@statement()
async def test_mqtt_4_7_1_2_a_number_sign_is_the_last_level_and_alone_in_it(site: Site) -> None:
    for topic in (b"a/#/b", b"a#", b"#/b"):
        client = await site.client()
        client.send(bytes((0x82, len(topic) + 5, 0, 1, 0, len(topic))) + topic + b"\0")
        try:
            answer = await client.next()
        except EOFError:
            continue
        assert isinstance(answer, Suback)
        assert int(answer.reasons[0]) == 0x80


@statement()
async def test_mqtt_4_7_1_3_a_plus_sign_is_alone_in_its_level(site: Site) -> None:
    for topic in (b"a+", b"+a/b", b"a/b+/c"):
        client = await site.client()
        client.send(bytes((0x82, len(topic) + 5, 0, 1, 0, len(topic))) + topic + b"\0")
        try:
            answer = await client.next()
        except EOFError:
            continue
        assert isinstance(answer, Suback)
        assert int(answer.reasons[0]) == 0x80


@statement()
async def test_mqtt_4_7_1_2_a_number_sign_matches_the_parent_and_everything_below(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("sport/#"), qos=1)
    told = ("sport", "sport/", "sport/tennis", "sport/tennis/player1", "sports", "other")
    assert await hears(site, ear, mouth, *told) == list(told[:4])


@statement()
async def test_mqtt_4_7_1_3_a_plus_sign_matches_one_level_even_an_empty_one(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("a/+/c"), qos=1)
    told = ("a/b/c", "a//c", "a/c", "a/b/b/c", "a/b/c/d")
    assert await hears(site, ear, mouth, *told) == ["a/b/c", "a//c"]


@statement()
async def test_mqtt_4_7_1_1_wildcards_are_wildcards_only_in_filters(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("+/+/#"), qos=1)
    assert await hears(site, ear, mouth, "a", "a/b", "/b", "a/b/c") == ["a/b", "/b", "a/b/c"]


@statement()
async def test_mqtt_4_7_2_1_wildcards_do_not_reach_topics_that_begin_with_a_dollar(site: Site) -> None:
    ear = await site.client("ear")
    await ear.subscribe("#", "+/broker/#", "+/broker/uptime", qos=0)
    assert [message.topic for message in await ear.heard() if message.topic.startswith("$")] == []
    await ear.unsubscribe("#")
    await ear.subscribe("$SYS/broker/version")
    assert [message.topic for message in await ear.heard()] == ["$SYS/broker/version"]


@statement()
async def test_mqtt_4_7_2_1_clients_cannot_say_what_the_broker_says_of_itself(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe("$SYS/broker/version")
    assert len(await ear.heard()) == 1
    mouth.send(Publish("$SYS/broker/version", b"forged", retain=True))
    try:
        await mouth.heard()
    except EOFError:
        pass  # it may be cut off for it
    assert b"forged" not in [message.payload for message in await ear.heard()]


@statement()
async def test_mqtt_4_7_3_1_topics_and_filters_are_not_empty(site: Site) -> None:
    for packet in (b"\x30\x03\0\0x", b"\x82\x05\0\1\0\0\0", b"\xa2\x04\0\1\0\0"):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement()
async def test_mqtt_4_7_3_4_topics_differ_by_case_blanks_and_slashes(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("Accounts"), site.topic("/finance"), qos=1)
    told = ("Accounts", "ACCOUNTS", "Accounts ", "finance", "/finance", "Accounts/")
    assert await hears(site, ear, mouth, *told) == ["Accounts", "/finance"]


@statement()
async def test_mqtt_4_7_3_3_a_topic_may_have_65535_bytes(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("#"), qos=1)
    topic = site.topic("x" * (65_535 - len(site.topic(""))))
    mouth.send(Publish(topic, b"x", 1, packet_id=1))
    await mouth.expect(Puback(1))
    assert [message.topic for message in await ear.heard()] == [topic]


# -- 1.5.3, 2.2, 4.8: what breaks the protocol -------------------------------------------------------------------------


@statement()
async def test_mqtt_1_5_3_2_no_string_contains_the_character_0(site: Site) -> None:
    for packet in (b"\x30\x06\0\3a\0bx", b"\x82\x08\0\1\0\3a\0b\0"):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement()
async def test_mqtt_1_5_3_3_a_byte_order_mark_is_a_character_like_any_other(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("\ufefft"), qos=1)
    assert await hears(site, ear, mouth, "t", "\ufefft") == ["\ufefft"]


@statement(mosquitto="2.0.11 does not look at the flags of acknowledgments and of PINGREQ")
async def test_mqtt_2_2_2_2_wrong_flags_end_the_connection(site: Site) -> None:
    for packet in (b"\x41\x02\0\1", b"\x52\x02\0\1", b"\x72\x02\0\1", b"\xc1\x00"):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement(mosquitto="2.0.11, which is a client too as a bridge, ignores SUBACK, UNSUBACK and PINGRESP")
async def test_mqtt_2_2_1_packets_that_only_a_server_sends_end_the_connection(site: Site) -> None:
    for packet in (b"\x20\x02\0\0", b"\x90\x03\0\1\0", b"\xb0\x02\0\1", b"\xd0\x00", b"\x00\x00", b"\xf0\x00"):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement()
async def test_mqtt_2_2_3_a_remaining_length_has_four_bytes_at_most(site: Site) -> None:
    client = await site.client()
    client.send(b"\x30\xff\xff\xff\xff\x7f")
    assert await client.is_closed()


@statement()
async def test_mqtt_4_8_0_1_a_packet_shorter_than_its_fields_ends_the_connection(site: Site) -> None:
    for packet in (b"\x30\x02\0\5", b"\x32\x03\0\1t", b"\x40\x01\0", b"\x82\x05\0\1\0\4t", b"\x62\x00"):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement(mosquitto="2.0.11 does not look at what follows the identifier of an acknowledgment")
async def test_mqtt_4_8_0_1_a_packet_longer_than_its_fields_ends_the_connection(site: Site) -> None:
    for packet in (b"\x40\x03\0\1x", b"\x62\x03\0\1x", b"\xe0\x01x"):
        client = await site.client()
        client.send(packet)
        assert await client.is_closed()


@statement()
async def test_mqtt_4_8_0_2_one_client_that_breaks_the_protocol_disturbs_nobody_else(site: Site) -> None:
    ear, mouth = await site.client("ear"), await site.client("mouth")
    await ear.subscribe(site.topic("#"), qos=1)
    vandal = await site.client("vandal")
    vandal.send(b"\xff" * 1000)
    assert await vandal.is_closed()
    assert await hears(site, ear, mouth, "t") == ["t"]


@statement()
async def test_mqtt_4_2_0_1_packets_may_come_in_any_pieces(site: Site) -> None:
    ear, client = await site.client("ear"), await site.client("client")
    await ear.subscribe(site.topic("#"), qos=1)
    packets = b"".join(Publish(site.topic("t"), b"%d" % number, 1, packet_id=7).encode() for number in range(3))
    for byte in packets:
        client.send(bytes((byte,)))
    await client.expect(Puback(7), Puback(7), Puback(7))
    assert [message.payload for message in await ear.heard()] == [b"0", b"1", b"2"]
