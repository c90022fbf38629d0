"""MQTT packets: the standard's rules, any bytes at all, and what foreign clients and brokers really send."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire import ethernet, ipv4, pcapng
from lab.wire.malformed import Malformed
from lab.wire.mqtt import (
    NO_PROPERTIES,
    Auth,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    ReturnCode,
    Suback,
    Subscribe,
    Subscription,
    TopicAliases,
    Unsuback,
    Unsubscribe,
    Will,
    matches,
    reasons,
)
from lab.wire.mqtt.properties import PROPERTIES, Place

GOLDEN = Path(__file__).parents[2] / "golden" / "mqtt"


def decode(data: bytes, level: int = 4, step: int = 0) -> list[Packet]:
    decoder = Decoder(level=level)
    step = step or len(data) or 1
    return [packet for at in range(0, len(data), step) for packet in decoder.feed(data[at : at + step])]


# --- any packet -------------------------------------------------------------------------------------------------------

strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
topics = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=12)
filters = st.lists(st.sampled_from(["+", "a", "温度", "", "$SYS"]), min_size=1, max_size=4).map("/".join).filter(bool)
any_filters = filters | filters.map(lambda above: above + "/#") | filters.map(lambda rest: "$share/group/" + rest)
binaries = st.binary(max_size=20)
numbers = st.integers(1, 0xFFFF)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "message_expiry_interval": st.integers(0, 0xFFFFFFFF),
    "response_topic": topics,
    "subscription_identifiers": st.lists(st.integers(1, 268_435_455), min_size=1, max_size=1).map(tuple),
    "session_expiry_interval": st.integers(0, 0xFFFFFFFF),
    "server_keep_alive": st.integers(0, 0xFFFF),
    "will_delay_interval": st.integers(0, 0xFFFFFFFF),
    "receive_maximum": numbers,
    "topic_alias_maximum": st.integers(0, 0xFFFF),
    "topic_alias": numbers,
    "user_properties": st.lists(st.tuples(strings, strings), min_size=1, max_size=3).map(tuple),
    "maximum_packet_size": st.integers(1, 0xFFFFFFFF),
}
VALUES |= dict.fromkeys(("correlation_data", "authentication_data"), binaries)
VALUES |= dict.fromkeys(("content_type", "assigned_client_identifier", "authentication_method"), strings)
VALUES |= dict.fromkeys(("response_information", "server_reference", "reason_string"), strings)


def properties(place: Place, level: int) -> st.SearchStrategy[Properties]:
    if level < 5:
        return st.just(NO_PROPERTIES)
    names = [name for name, places, *_ in PROPERTIES.values() if place in places]
    fields = {name: VALUES.get(name, st.integers(0, 1)) for name in names}
    return st.just(NO_PROPERTIES) | st.fixed_dictionaries({}, optional=fields).map(
        lambda chosen: Properties(**chosen)  # type: ignore[arg-type]
    )


def packets(level: int) -> st.SearchStrategy[Packet]:
    def reason(known: reasons.Reasons) -> st.SearchStrategy[ReasonCode]:
        return st.sampled_from(list(known)) if level == 5 else st.just(ReasonCode.SUCCESS)

    def receipt(kind: type[Puback | Pubrec | Pubrel | Pubcomp], known: reasons.Reasons) -> st.SearchStrategy[Packet]:
        return st.builds(kind, numbers, reason(known), properties(Place[known.packet], level))

    qos = st.integers(0, 2)
    flags = st.booleans() if level == 5 else st.just(False)
    handling = st.integers(0, 2) if level == 5 else st.just(0)
    five = properties
    will = st.builds(Will, topics, binaries, qos, st.booleans(), five(Place.WILL, level))
    connect = st.builds(
        Connect,
        strings,
        st.just(level),
        st.booleans(),
        st.integers(0, 0xFFFF),
        strings,
        st.none() | binaries,
        st.none() | will,
        five(Place.CONNECT, level),
    )
    refusals = reason(reasons.CONNACK) if level == 5 else st.sampled_from(ReturnCode)
    subscriptions = st.lists(st.builds(Subscription, filters, qos, flags, flags, handling), min_size=1, max_size=3)
    granted = reasons.SUBACK if level == 5 else reasons.SUBACK_3
    dropped = st.lists(reason(reasons.UNSUBACK), min_size=1).map(tuple) if level == 5 else st.just(())
    quiet = st.builds(Publish, topics, binaries, st.just(0), st.booleans(), properties=five(Place.PUBLISH, level))
    counted = st.builds(
        Publish, topics, binaries, st.integers(1, 2), st.booleans(), st.booleans(), numbers, five(Place.PUBLISH, level)
    )
    kinds: list[st.SearchStrategy[Packet]] = [
        connect,
        st.builds(Connack, st.booleans(), refusals, five(Place.CONNACK, level)),
        quiet,
        counted,
        receipt(Puback, reasons.PUBACK),
        receipt(Pubrec, reasons.PUBREC),
        receipt(Pubrel, reasons.PUBREL),
        receipt(Pubcomp, reasons.PUBCOMP),
        st.builds(Subscribe, numbers, subscriptions.map(tuple), five(Place.SUBSCRIBE, level)),
        st.builds(
            Suback, numbers, st.lists(st.sampled_from(list(granted)), min_size=1).map(tuple), five(Place.SUBACK, level)
        ),
        st.builds(Unsubscribe, numbers, st.lists(any_filters, min_size=1).map(tuple), five(Place.UNSUBSCRIBE, level)),
        st.builds(Unsuback, numbers, dropped, five(Place.UNSUBACK, level)),
        st.just(Pingreq()),
        st.just(Pingresp()),
        st.builds(Disconnect, reason(reasons.DISCONNECT), five(Place.DISCONNECT, level)),
    ]
    if level == 5:
        kinds.append(st.builds(Auth, reason(reasons.AUTH), five(Place.AUTH, level)))
    return st.one_of(kinds)


conversations = st.sampled_from([4, 5]).flatmap(
    lambda level: st.tuples(st.just(level), st.lists(packets(level), max_size=5))
)


@given(conversations, st.integers(1, 40))
def test_a_packet_survives_encoding_and_any_segmentation(conversation: tuple[int, list[Packet]], step: int) -> None:
    level, said = conversation
    stream = b"".join(packet.encode(level) for packet in said)
    assert decode(stream, level, step) == said


@given(st.binary(max_size=60), st.sampled_from([4, 5]), st.integers(1, 60))
def test_any_bytes_are_packets_or_malformed(data: bytes, level: int, step: int) -> None:
    try:
        found = decode(data, level, step)
    except Malformed:
        return
    assert len(found) <= len(data) // 2


@given(conversations.filter(lambda conversation: bool(conversation[1])), st.data())
def test_a_damaged_packet_is_a_packet_or_malformed(conversation: tuple[int, list[Packet]], data: st.DataObject) -> None:
    level, said = conversation
    stream = bytearray(b"".join(packet.encode(level) for packet in said))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(stream), level)
    except Malformed:
        return
    assert len(found) <= len(stream) // 2


# --- rules ------------------------------------------------------------------------------------------------------------

CONNECT = "00 04 4d515454 04 02 003c 0001 63"


@pytest.mark.parametrize(
    ("rule", "level", "packet"),
    [
        ("MQTT-1.5.3-1", 4, "30 04 0002 c328"),
        ("MQTT-1.5.3-1", 4, "30 05 0003 eda080"),  # a surrogate
        ("MQTT-1.5.3-2", 4, "30 03 0001 00"),
        ("MQTT-1.5.5-1", 5, "30 8500 0001 61 00 00"),
        ("section 2.2.3", 4, "30 ffffffff7f"),
        ("section 2.2.1", 4, "00 00"),
        ("section 2.2.1", 4, "f0 00"),
        ("MQTT-2.2.2-2", 4, "11 0d" + CONNECT),
        ("MQTT-2.2.2-2", 4, "42 02 0001"),
        ("MQTT-2.2.2-2", 4, "60 02 0001"),
        ("MQTT-2.2.2-2", 4, "80 06 0001 0001 61 00"),
        ("MQTT-2.2.2-2", 4, "a0 05 0001 0001 61"),
        ("MQTT-2.3.1-1", 4, "32 05 0001 61 0000"),
        ("MQTT-2.3.1-1", 4, "40 02 0000"),
        ("MQTT-2.3.1-1", 4, "82 06 0000 0001 61 00"),
        ("MQTT-3.1.2-1", 4, "10 0d 0004 4d515455 04 02 003c 0001 63"),
        ("MQTT-3.1.2-2", 4, "10 0d 0004 4d515454 06 02 003c 0001 63"),
        ("MQTT-3.1.2-3", 4, "10 0d 0004 4d515454 04 03 003c 0001 63"),
        ("MQTT-3.1.2-11", 4, "10 0d 0004 4d515454 04 22 003c 0001 63"),
        ("MQTT-3.1.2-11", 4, "10 0d 0004 4d515454 04 0a 003c 0001 63"),
        ("MQTT-3.1.2-14", 4, "10 12 0004 4d515454 04 1e 003c 0001 63 0001 77 0000"),
        ("MQTT-3.1.2-22", 4, "10 0f 0004 4d515454 04 42 003c 0001 63 0000"),
        ("MQTT-3.2.2-1", 4, "20 02 02 00"),
        ("section 3.2.2.3", 4, "20 02 00 06"),
        ("MQTT-3.2.2-8", 5, "20 03 00 01 00"),
        ("MQTT-3.3.1-2", 4, "38 03 0001 61"),
        ("MQTT-3.3.1-4", 4, "36 05 0001 61 0001"),
        ("MQTT-3.3.2-2", 4, "30 05 0003 61 2f 2b"),
        ("MQTT-3.3.2-2", 4, "30 03 0001 23"),
        ("MQTT-3.3.2-8", 5, "30 07 0001 61 03 23 0000"),
        ("MQTT-3.3.2-14", 5, "30 08 0001 61 04 08 0001 23"),
        ("MQTT-3.4.2-1", 5, "40 03 0001 01"),
        ("MQTT-3.8.3-3", 4, "82 02 0001"),
        ("MQTT-3.8.3-4", 4, "82 06 0001 0001 61 03"),
        ("MQTT-3.8.3-4", 4, "82 06 0001 0001 61 04"),
        ("MQTT-3.8.3-5", 5, "82 07 0001 00 0001 61 40"),
        ("section 3.8.3.1", 5, "82 07 0001 00 0001 61 30"),
        ("MQTT-3.8.3-4", 5, "82 10 0001 00 000a 2473686172652f672f61 04"),
        ("MQTT-4.8.2-1", 5, "82 0e 0001 00 0008 2473686172652f67 00"),
        ("MQTT-3.8.4-5", 4, "90 02 0001"),
        ("MQTT-3.9.3-2", 4, "90 03 0001 03"),
        ("MQTT-3.10.3-2", 4, "a2 02 0001"),
        ("MQTT-3.14.2-1", 5, "e0 01 01"),
        ("MQTT-3.15.2-1", 5, "f0 02 01 00"),
        ("MQTT-4.7.1-2", 4, "82 08 0001 0003 232f61 00"),
        ("MQTT-4.7.1-3", 4, "82 07 0001 0002 612b 00"),
        ("MQTT-4.7.3-1", 4, "30 02 0000"),
        ("MQTT-4.7.3-1", 4, "82 05 0001 0000 00"),
        ("section 2.2.2.2", 5, "30 06 0001 61 02 ff01"),  # no such property
        ("section 2.2.2.2", 5, "30 07 0001 61 03 21 0001"),  # receive maximum in a PUBLISH
        ("section 2.2.2.2", 5, "30 08 0001 61 04 0100 0100"),  # twice
        ("section 3.8.2.1.2", 5, "82 09 0001 02 0b00 0001 61 00"),
        ("follow the end", 4, "c0 01 00"),
        ("follow the end", 4, "40 03 0001 00"),
        ("left in the packet", 4, "82 05 0001 0009 61"),
        ("cut off", 4, "30 03 0005 61"),
        ("cut off", 4, "32 03 0001 61"),
        ("left in the packet", 5, "30 05 0001 61 09 01"),
        ("crosses the end", 5, "30 08 0001 61 01 09 0000 00"),
    ],
)
def test_a_broken_rule_is_named(rule: str, level: int, packet: str) -> None:
    stream = bytes.fromhex(packet)
    for step in (1, len(stream)):
        with pytest.raises(Malformed, match=rule):
            decode(stream, level, step)


def test_what_came_before_the_malformed_packet_is_still_told_and_nothing_after() -> None:
    decoder = Decoder()
    heard = decoder.feed(Pingreq().encode() + b"\x36\x05\0\x01a\0\x01" + Pingreq().encode())
    assert next(heard) == Pingreq()
    with pytest.raises(Malformed):
        next(heard)
    with pytest.raises(Malformed, match=r"MQTT-3\.3\.1-4"):
        decoder.feed(Pingreq().encode())


def test_bytes_are_taken_in_when_fed_not_when_read() -> None:
    decoder = Decoder()
    first = decoder.feed(b"\xc0\0\xd0")
    second = decoder.feed(b"\0")
    assert [list(second), list(first)] == [[Pingresp()], [Pingreq()]]


def test_a_packet_above_the_limit_is_malformed_before_its_body_arrives() -> None:
    decoder = Decoder(max_packet=100)
    with pytest.raises(Malformed, match="100 are allowed"):
        list(decoder.feed(b"\x30\x80\x80\x01"))


def test_a_large_packet_arrives_in_small_pieces() -> None:
    message = Publish("a", bytes(1 << 19))
    stream = message.encode()
    decoder = Decoder()
    pieces = [stream[at : at + 64] for at in range(0, len(stream), 64)]
    assert [packet for piece in pieces for packet in decoder.feed(piece)] == [message]


def test_the_level_is_learned_from_connect() -> None:
    stream = Connect("c", level=5).encode() + Publish("a", b"x").encode(5)
    assert decode(stream)[1] == Publish("a", b"x")


@pytest.mark.parametrize(("believed", "spoken"), [(4, 5), (5, 4), (3, 3)])
def test_the_level_is_learned_from_the_form_of_connack(believed: int, spoken: int) -> None:
    stream = Connack().encode(spoken) + Publish("a", b"x").encode(spoken)
    decoder = Decoder(level=believed)
    assert list(decoder.feed(stream)) == [Connack(), Publish("a", b"x")]
    assert decoder.level == spoken


def test_optional_endings_of_mqtt_5_packets_may_be_left_out() -> None:
    assert decode(bytes.fromhex("40 02 0001  40 03 0001 10  40 04 0001 10 00"), 5) == [
        Puback(1),
        Puback(1, ReasonCode.NO_MATCHING_SUBSCRIBERS),
        Puback(1, ReasonCode.NO_MATCHING_SUBSCRIBERS),
    ]
    assert decode(bytes.fromhex("e0 00  e0 01 04  e0 02 04 00  f0 00"), 5) == [
        Disconnect(),
        Disconnect(ReasonCode.DISCONNECT_WITH_WILL),
        Disconnect(ReasonCode.DISCONNECT_WITH_WILL),
        Auth(),
    ]


@pytest.mark.parametrize(
    "packet",
    [
        Publish("a", properties=Properties(topic_alias=1)),
        Puback(1, ReasonCode.QUOTA_EXCEEDED),
        Subscribe(1, (Subscription("a", no_local=True),)),
        Unsuback(1, (ReasonCode.SUCCESS,)),
        Disconnect(ReasonCode.SERVER_BUSY),
        Auth(),
    ],
)
def test_what_only_mqtt_5_can_say_is_not_lost_silently(packet: Packet) -> None:
    with pytest.raises(ValueError, match="MQTT 5"):
        packet.encode(4)


def test_a_topic_alias_stands_for_the_topic_it_was_given_with() -> None:
    aliases, alias = TopicAliases(5), Properties(topic_alias=2)
    stream = Publish("plant/a", properties=alias).encode(5) + Publish("", properties=alias).encode(5)
    told = [packet for packet in decode(stream, 5) if isinstance(packet, Publish)]
    assert list(map(aliases.topic, told)) == ["plant/a", "plant/a"]
    with pytest.raises(Malformed, match="alias 3"):
        aliases.topic(Publish("", properties=Properties(topic_alias=3)))
    with pytest.raises(Malformed, match=r"MQTT-3\.3\.2-9"):
        aliases.topic(Publish("plant/b", properties=Properties(topic_alias=6)))


@pytest.mark.parametrize(
    ("wanted", "topic", "expected"),
    [  # the examples of section 4.7
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/tennis/player1/#", "sport/tennis/player10", False),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/uptime", False),
        ("+/uptime", "$SYS/uptime", False),
        ("$SYS/#", "$SYS/uptime", True),
        ("sport", "Sport", False),
        ("$share/group/sport/+", "sport/tennis", True),
    ],
)
def test_a_filter_matches_as_the_standard_says(wanted: str, topic: str, expected: bool) -> None:
    assert matches(wanted, topic) is expected


# --- what foreign clients and brokers send, as tshark reads it (recorded by tests/golden/mqtt/record.py) --------------


def streams(capture: Path) -> Iterator[tuple[int, int, bytes]]:
    """Stream number, source port and all payload of every direction of every TCP connection."""
    numbers: dict[tuple[int, int], int] = {}
    payloads: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)
    with capture.open("rb") as file:
        for frame in pcapng.read(file):
            # By hand: the loopback interface leaves TCP checksums unfinished, which lab.wire.tcp refuses.
            segment = ipv4.decode(ethernet.decode(frame.data).payload).payload
            source, destination, sequence = struct.unpack_from("!HHI", segment)
            numbers.setdefault((min(source, destination), max(source, destination)), len(numbers))
            if payload := segment[(segment[12] >> 4) * 4 :]:
                payloads[source, destination][sequence] = payload
    for (source, destination), pieces in payloads.items():
        stream = numbers[min(source, destination), max(source, destination)]
        yield stream, source, b"".join(piece for _, piece in sorted(pieces.items()))


def property_values(given: Properties) -> list[tuple[object, ...]]:
    told: list[tuple[object, ...]] = []
    for identifier, (name, *_) in PROPERTIES.items():
        value = getattr(given, name)
        for one in value if isinstance(value, tuple) else () if value is None else (value,):
            one = one.decode() if isinstance(one, bytes) else one
            told.append((identifier, *(map(str, one) if isinstance(one, tuple) else (str(one),))))
    return told


def as_we_see(packet: Packet, level: int, aliases: TopicAliases) -> list[tuple[object, ...]]:
    def told(**values: object) -> list[tuple[object, ...]]:
        return [(name, str(int(value) if isinstance(value, bool) else value)) for name, value in values.items()]

    properties = property_values(packet.properties) if hasattr(packet, "properties") else []
    match packet:
        case Connect():
            seen = told(ver=packet.level, kalive=packet.keep_alive, clientid=packet.client_id)
            seen += told(cleansess=packet.clean_start, willflag=packet.will is not None)
            if packet.will:
                seen += told(willtopic=packet.will.topic, willmsg=packet.will.payload.hex(":"))
                seen += told(conflag_qos=packet.will.qos, conflag_retain=packet.will.retain)
                seen += property_values(packet.will.properties)
            else:
                seen += told(conflag_qos=0, conflag_retain=False)
            seen += told(username=packet.user_name) if packet.user_name is not None else []
            seen += told(passwd=packet.password.decode()) if packet.password is not None else []
        case Connack():
            seen = told(reason=int(packet.reason)) + (told(sp=packet.session_present) if level > 3 else [])
        case Publish():
            seen = told(topic=aliases.topic(packet), qos=packet.qos, retain=packet.retain, dupflag=packet.duplicate)
            seen += told(msg=packet.payload.hex(":")) + (told(msgid=packet.packet_id) if packet.qos else [])
        case Puback() | Pubrec() | Pubrel() | Pubcomp():
            seen = told(msgid=packet.packet_id)
            seen += told(reason=int(packet.reason)) if packet.reason else []
        case Subscribe():
            seen = told(msgid=packet.packet_id)
            for one in packet.subscriptions:
                seen += told(topic=one.filter, qos=one.qos)
                if level == 5:
                    seen += told(nl=one.no_local, rap=one.retain_as_published, retain=one.retain_handling)
        case Suback() | Unsuback():
            seen = told(msgid=packet.packet_id)
            seen += [("reason", str(int(one))) for one in packet.reasons]
        case Unsubscribe():
            seen = told(msgid=packet.packet_id) + [("topic", one) for one in packet.filters]
        case _:
            seen = []
    return sorted(map(repr, seen + properties))  # type: ignore[arg-type]


OURS_FOR_TSHARKS = {
    "conflag.qos": "conflag_qos",
    "conflag.retain": "conflag_retain",
    "conflag.cleansess": "cleansess",
    "conflag.willflag": "willflag",
    "conack.flags.sp": "sp",
    "conack.val": "reason",
    "connack.reason_code": "reason",
    "puback.reason_code": "reason",
    "suback.reason_code": "reason",
    "suback.qos": "reason",
    "unsuback.reason_code": "reason",
    "sub.qos": "qos",
    "subscription_options_qos": "qos",
    "subscription_options_nl": "nl",
    "subscription_options_rap": "rap",
    "subscription_options_retain": "retain",
}
ALIKE = {"ver", "kalive", "clientid", "willtopic", "willmsg", "username", "passwd"}
ALIKE |= {"topic", "qos", "retain", "dupflag", "msg", "msgid"}


def as_tshark_sees(fields: list[list[str]]) -> list[str]:
    seen: list[tuple[object, ...]] = []
    for name, value in fields:
        name = name.removeprefix("mqtt.")
        if name == "property_id":
            seen.append((int(value, 16),))
        elif name.startswith("prop") and not name.endswith("_len") and name != "protoname":
            seen[-1] = (*seen[-1], value)
        elif name in ALIKE:
            seen.append((name, value))
        elif name in OURS_FOR_TSHARKS:
            seen.append((OURS_FOR_TSHARKS[name], value))
    if ["mqtt.msgtype", "3"] in fields:
        seen = list(dict.fromkeys(seen))  # the topic is there again where an alias is defined
    return sorted(map(repr, seen))


@pytest.mark.parametrize("name", ["mqtt311", "mqtt5"])
def test_we_see_in_foreign_traffic_what_tshark_sees(name: str) -> None:
    expected = defaultdict(list)
    for line in (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        packet = json.loads(line)
        expected[packet["stream"], packet["port"]].append(packet["fields"])
    levels: dict[int, int] = {}
    kinds = set()
    for stream, port, data in streams(GOLDEN / f"{name}.pcapng"):
        decoder = Decoder(level=levels.get(stream, 4))
        ours = list(decoder.feed(data))
        levels[stream] = decoder.level
        aliases = TopicAliases(10)
        for packet, fields in zip(ours, expected.pop((stream, port)), strict=True):
            kinds.add(type(packet))
            assert int(dict(fields)["mqtt.msgtype"]) == packet.encode(decoder.level)[0] >> 4
            if not any(value.startswith("sha256:") for _, value in fields):
                assert as_we_see(packet, decoder.level, aliases) == as_tshark_sees(fields)
        if decoder.level < 5:  # then there is one way to write a packet, and foreign programs do it that way
            assert b"".join(packet.encode(decoder.level) for packet in ours) == data
    assert not expected
    assert kinds == set(get_args(Packet)) - {Auth}
