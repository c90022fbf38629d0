"""What is understood of Modbus, MQTT, OPC UA and TLS: on paper, and in captures of programs that others wrote."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from grading_kit import Paper, all_of, foreign, observe, only
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.dissector import Dissector
from grading.observations import (
    ChannelSecured,
    DataChanged,
    FunctionUsed,
    IdentificationRead,
    MalformedMessage,
    MessageDelivered,
    MessagePublished,
    MethodCalled,
    ModbusException,
    ModbusUnanswered,
    MonitoredItemsCreated,
    MqttConnected,
    MqttDisconnected,
    MqttWill,
    NodeRead,
    NodeWritten,
    Observation,
    RegistersRead,
    RegistersWritten,
    ServiceFailed,
    SessionOpened,
    Subscribed,
    TlsHandshake,
)
from lab.wire import modbus, mqtt, opcua
from lab.wire.modbus import Adu
from lab.wire.opcua.attribute import ReadRequest, ReadResponse
from lab.wire.opcua.common import RequestHeader, ResponseHeader, TimestampsToReturn

GOLDEN = Path(__file__).parent.parent / "golden"


def modbus_talk(*pairs: tuple[modbus.Request, modbus.Response | None], until: float = 1.0) -> list[Observation]:
    """What becomes of requests and their answers, asked one after the other."""
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    for number, (request, answer) in enumerate(pairs, 1):
        talk.say(Adu(number, 7, request).encode())
        if answer is not None:
            talk.answer(Adu(number, 7, answer).encode())
    return observe(paper, until=until)


@pytest.mark.parametrize(
    ("request_", "answer", "table", "address", "values"),
    [
        (modbus.ReadHoldingRegisters(5, 2), modbus.RegistersRead(3, (1, 2)), "holding", 5, (1, 2)),
        (modbus.ReadInputRegisters(5, 2), modbus.RegistersRead(4, (1, 2)), "input", 5, (1, 2)),
        (modbus.ReadCoils(0, 3), modbus.BitsRead(1, (True, False, True)), "coil", 0, (True, False, True)),
        (modbus.ReadDiscreteInputs(9, 1), modbus.BitsRead(2, (True,)), "discrete", 9, (True,)),
    ],
)
def test_registers_and_bits_are_read(
    request_: modbus.Request, answer: modbus.Response, table: str, address: int, values: tuple[int, ...]
) -> None:
    read = only(RegistersRead, modbus_talk((request_, answer)))
    assert (read.unit, read.table, read.address, read.values) == (7, table, address, values)


@pytest.mark.parametrize(
    ("request_", "answer", "table", "address", "values"),
    [
        (modbus.WriteSingleCoil(3, True), modbus.CoilWritten(3, True), "coil", 3, (True,)),
        (modbus.WriteSingleRegister(3, 9), modbus.RegisterWritten(3, 9), "holding", 3, (9,)),
        (modbus.WriteMultipleCoils(3, (True, False)), modbus.CoilsWritten(3, 2), "coil", 3, (True, False)),
        (modbus.WriteMultipleRegisters(3, (8, 9)), modbus.RegistersWritten(3, 2), "holding", 3, (8, 9)),
        (modbus.MaskWriteRegister(3, 0xF0, 1), modbus.RegisterMasked(3, 0xF0, 1), "holding", 3, (0xF0, 1)),
        (modbus.ReadWriteMultipleRegisters(0, 1, 3, (8, 9)), modbus.RegistersRead(23, (5,)), "holding", 3, (8, 9)),
    ],
)
def test_every_way_of_writing_is_a_write(
    request_: modbus.Request, answer: modbus.Response, table: str, address: int, values: tuple[int, ...]
) -> None:
    write = only(RegistersWritten, modbus_talk((request_, answer)))
    assert (write.function, write.table, write.address, write.values) == (answer.function, table, address, values)


def test_a_refusal_says_what_had_been_asked_for() -> None:
    refused = only(ModbusException, modbus_talk((modbus.ReadHoldingRegisters(90, 9), modbus.ExceptionResponse(3, 2))))
    assert (refused.function, refused.code, refused.address, refused.quantity) == (3, 2, 90, 9)


def test_a_request_without_an_answer_is_said_after_a_while_or_at_the_end() -> None:
    silent = only(ModbusUnanswered, modbus_talk((modbus.WriteSingleRegister(4, 1), None), until=20))
    assert (silent.function, silent.address, silent.quantity) == (6, 4, 1)
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    talk.say(Adu(1, 7, modbus.ReadCoils(0, 1)).encode())
    talk.close()
    assert only(ModbusUnanswered, observe(paper)).function == 1


def test_an_answer_that_comes_after_all_is_still_an_answer() -> None:
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    talk.say(Adu(1, 7, modbus.ReadInputRegisters(0, 1)).encode())
    paper.wait(8)
    talk.answer(Adu(1, 7, modbus.RegistersRead(4, (5,))).encode())
    seen = observe(paper)
    assert only(ModbusUnanswered, seen).at == pytest.approx(5.0, abs=0.001)
    assert only(RegistersRead, seen).values == (5,)
    assert not all_of(MalformedMessage, seen)


def test_pipelined_requests_find_their_answers_in_any_order() -> None:
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    talk.say(b"".join(Adu(n, 7, modbus.ReadInputRegisters(10 * n, 1)).encode() for n in (1, 2, 3)))
    for number in (3, 1, 2):
        talk.answer(Adu(number, 7, modbus.RegistersRead(4, (number,))).encode())
    assert [(read.address, read.values) for read in all_of(RegistersRead, observe(paper))] == [
        (30, (3,)),
        (10, (1,)),
        (20, (2,)),
    ]


def test_a_confirmed_write_counts_even_if_its_request_was_hidden() -> None:
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    talk.answer(Adu(9, 7, modbus.RegistersWritten(3, 2)).encode())
    write = only(RegistersWritten, observe(paper))
    assert (write.address, write.quantity, write.values) == (3, 2, ())


def test_an_answer_of_the_wrong_length_is_malformed_and_no_read() -> None:
    seen = modbus_talk((modbus.ReadInputRegisters(0, 3), modbus.RegistersRead(4, (1, 2))))
    assert only(MalformedMessage, seen).by_client is False
    assert not all_of(RegistersRead, seen)


def test_rubbish_makes_nobody_invisible() -> None:
    paper = Paper("gw", "plc")
    talk = paper.connect("gw", "plc", 502)
    talk.say(b"GET / HTTP/1.1\r\n\r\n")
    talk.say(Adu(1, 7, modbus.WriteSingleRegister(3, 9)).encode())
    talk.answer(Adu(1, 7, modbus.RegisterWritten(3, 9)).encode())
    seen = observe(paper)
    assert only(MalformedMessage, seen).protocol == "modbus"
    assert only(RegistersWritten, seen).values == (9,)


# -- MQTT --------------------------------------------------------------------------------------------------------------

WILL = mqtt.Will("v1/s/gw/status", b'{"online":false}', 1, True)
CONNECT = mqtt.Connect("gw-1", keep_alive=30, user_name="gw", password=b"secret", will=WILL)


def mqtt_session(connect: mqtt.Connect = CONNECT, connack: mqtt.Connack = mqtt.Connack()) -> tuple[Paper, object]:  # noqa: B008
    paper = Paper("gw", "broker")
    talk = paper.connect("gw", "broker", 1883)
    talk.say(connect.encode())
    talk.answer(connack.encode(connect.level))
    return paper, talk


def test_a_session_is_told_with_all_it_was_asked_for_but_the_password() -> None:
    paper, _ = mqtt_session()
    connected = only(MqttConnected, observe(paper))
    assert (connected.client_id, connected.level, connected.clean_start, connected.keep_alive) == ("gw-1", 4, True, 30)
    assert (connected.user, connected.has_password, connected.return_code) == ("gw", True, 0)
    assert connected.will == MqttWill("v1/s/gw/status", b'{"online":false}', 1, True)
    assert "secret" not in repr(connected)


def test_a_refused_session_says_why() -> None:
    paper, _ = mqtt_session(connack=mqtt.Connack(reason=mqtt.ReturnCode.NOT_AUTHORIZED))
    assert only(MqttConnected, observe(paper)).return_code == 5


def test_a_message_is_published_when_it_was_sent_and_known_when_it_was_acknowledged() -> None:
    paper, talk = mqtt_session()
    talk.say(mqtt.Publish("a/b", b"1", 1, packet_id=4).encode())
    paper.wait(2)
    assert not all_of(MessagePublished, observe(paper))
    talk.answer(mqtt.Puback(4).encode())
    published = only(MessagePublished, observe(paper))
    assert published.acknowledged
    assert published.at < 1
    assert (published.topic, published.payload, published.qos, published.retain) == ("a/b", b"1", 1, False)


def test_an_unacknowledged_message_is_told_in_the_end() -> None:
    paper, talk = mqtt_session()
    talk.say(mqtt.Publish("a/b", b"1", 1, packet_id=4).encode())
    assert not only(MessagePublished, observe(paper, until=60)).acknowledged
    talk.close()
    assert not only(MessagePublished, observe(paper)).acknowledged


def test_messages_without_acknowledgment_are_told_at_once() -> None:
    paper, talk = mqtt_session()
    talk.say(mqtt.Publish("a/b", b"1").encode() + mqtt.Publish("a/b", b"2", retain=True).encode())
    assert [(each.payload, each.retain) for each in all_of(MessagePublished, observe(paper))] == [
        (b"1", False),
        (b"2", True),
    ]


def test_an_attempt_repeated_on_one_connection_is_one_message() -> None:
    paper, talk = mqtt_session()
    talk.say(mqtt.Publish("a/b", b"1", 1, packet_id=4).encode())
    talk.say(mqtt.Publish("a/b", b"1", 1, duplicate=True, packet_id=4).encode())
    talk.answer(mqtt.Puback(4).encode())
    assert only(MessagePublished, observe(paper)).payload == b"1"


def test_topic_aliases_of_mqtt_5_are_resolved() -> None:
    properties = mqtt.Properties(topic_alias_maximum=5)
    paper, talk = mqtt_session(mqtt.Connect("gw-1", 5), mqtt.Connack(properties=properties))
    alias = mqtt.Properties(topic_alias=3)
    talk.say(mqtt.Publish("a/b", b"1", properties=alias).encode(5))
    talk.say(mqtt.Publish("", b"2", properties=alias).encode(5))
    assert [each.topic for each in all_of(MessagePublished, observe(paper))] == ["a/b", "a/b"]


def test_subscriptions_and_deliveries_belong_to_the_subscriber() -> None:
    paper, talk = mqtt_session()
    talk.say(mqtt.Subscribe(1, (mqtt.Subscription("v1/#", 1), mqtt.Subscription("secret/#"))).encode())
    talk.answer(mqtt.Suback(1, (mqtt.ReasonCode.GRANTED_QOS_1, mqtt.ReasonCode.UNSPECIFIED_ERROR)).encode())
    talk.answer(mqtt.Publish("v1/x", b"7", 1, packet_id=2).encode())
    seen = observe(paper)
    assert only(Subscribed, seen).filters == (("v1/#", 1), ("secret/#", 128))
    assert only(MessageDelivered, seen).topic == "v1/x"


@pytest.mark.parametrize("goodbye", [True, False])
def test_whoever_leaves_without_a_word_leaves_a_will(goodbye: bool) -> None:
    paper, talk = mqtt_session()
    if goodbye:
        talk.say(mqtt.Disconnect().encode())
    talk.close()
    left = only(MqttDisconnected, observe(paper))
    assert (left.client_id, left.was_clean) == ("gw-1", goodbye)


# -- whatever they say -------------------------------------------------------------------------------------------------

GOOD_BYTES = (
    Adu(1, 7, modbus.ReadInputRegisters(0, 1)).encode(),
    Adu(1, 7, modbus.RegistersRead(4, (5,))).encode(),
    Adu(1, 7, modbus.ReadCoils(0, 9)).encode(),
    Adu(1, 7, modbus.WriteMultipleRegisters(0, (1, 2))).encode(),
    Adu(1, 7, modbus.ExceptionResponse(4, 2)).encode(),
    Adu(1, 7, modbus.DeviceIdentification(1, 1, ())).encode(),
    CONNECT.encode(),
    mqtt.Connect("x", 5).encode(),
    mqtt.Connack().encode(),
    mqtt.Connack().encode(5),
    mqtt.Publish("a", b"1", 1, packet_id=1).encode(),
    mqtt.Publish("", b"1", properties=mqtt.Properties(topic_alias=1)).encode(5),
    mqtt.Puback(1).encode(),
    mqtt.Subscribe(1, (mqtt.Subscription("#"),)).encode(),
    mqtt.Suback(1, (mqtt.ReasonCode.SUCCESS,)).encode(),
    mqtt.Disconnect().encode(),
    opcua.Hello(0, 65_535, 65_535, 0, 0, "opc.tcp://plc:4840").encode(),
    opcua.Message(1, 1, 1, 1, ReadRequest(RequestHeader(), 0.0, TimestampsToReturn.BOTH, ())).encode(),
    opcua.Message(1, 1, 1, 1, ReadResponse(ResponseHeader(), (), ())).encode(),
    opcua.Error(opcua.StatusCode(0x80010000), "no").encode(),
    b"\x15\x03\x03\0\x02\x02\x28",
)
SAID = st.lists(
    st.tuples(st.booleans(), st.binary(max_size=40) | st.sampled_from(GOOD_BYTES), st.integers(0, 3)), max_size=12
)


@settings(max_examples=300)
@given(st.sampled_from((502, 1883, 4840, 443)), SAID)
def test_whatever_two_sides_say_is_never_an_error(port: int, said: list[tuple[bool, bytes, int]]) -> None:
    paper = Paper("h1", "h2")
    talk = paper.connect("h1", "h2", port)
    for by_client, data, lost in said:
        if lost == 0:  # this one is not in the capture, but acknowledged
            kept = list(paper.frames)
            (talk.say if by_client else talk.answer)(data)
            paper.frames = kept
        else:
            (talk.say if by_client else talk.answer)(data)
    talk.close()
    observe(paper, until=100)


# -- captures made by others -------------------------------------------------------------------------------------------


def read_foreign(name: str, port: int, protocol: str) -> list[Observation]:
    frames = foreign(GOLDEN / f"{name}.pcapng", port)
    looking = Dissector(["client", "server"], frames[0].at, {port: protocol})
    seen = [each for frame in frames for each in looking.feed(frame)]
    seen += looking.advance(frames[-1].at + 100 * 10**9)
    assert not all_of(MalformedMessage, seen)
    return seen


def test_modbus_of_foreign_programs() -> None:
    seen = read_foreign("modbus/foreign", 502, "modbus")
    counts = Counter(type(each) for each in seen)
    kinds = (RegistersRead, RegistersWritten, ModbusException, FunctionUsed, IdentificationRead, ModbusUnanswered)
    assert [counts[kind] for kind in kinds] == [26, 10, 3, 20, 4, 0]


@pytest.mark.parametrize(("name", "level", "messages"), [("mqtt311", 4, 9), ("mqtt5", 5, 6)])
def test_mqtt_of_foreign_programs(name: str, level: int, messages: int) -> None:
    seen = read_foreign(f"mqtt/{name}", 11883, "mqtt")
    published = all_of(MessagePublished, seen)
    assert len(published) == messages
    assert all(each.acknowledged for each in published if each.topic.startswith("plant/"))
    assert all_of(MqttConnected, seen)[0].level == level
    assert len(all_of(MqttConnected, seen)) == len(all_of(MqttDisconnected, seen))


@pytest.mark.parametrize(
    ("name", "user", "security"),
    [("asyncua", ("anonymous", ""), ("None", "None")), ("node", ("user-name", "acq"), ("None", "None"))],
)
def test_opc_ua_of_foreign_programs(name: str, user: tuple[str, str], security: tuple[str, str]) -> None:
    seen = read_foreign(f"opcua/{name}", 14840, "opcua")
    session = all_of(SessionOpened, seen)[-1]
    assert ((session.user_kind, session.user), (session.policy, session.mode)) == (user, security)
    assert any(each.node == "ns=2;s=CNC01.SetSpeed" and each.status == "Good" for each in all_of(NodeWritten, seen))
    called = all_of(MethodCalled, seen)[0]
    assert (called.method, called.inputs, called.outputs, called.status) == (
        "ns=2;s=CNC01.Sum",
        (20, 22),
        (42,),
        "Good",
    )
    created = only(MonitoredItemsCreated, seen)
    assert [item.node for item in created.items] == ["ns=2;s=CNC01.PartCount"]
    changes = all_of(DataChanged, seen)
    assert {change.node for change in changes} == {"ns=2;s=CNC01.PartCount"}
    counts = [change.value for change in changes]
    assert counts == sorted(counts)
    assert all_of(NodeRead, seen)


def test_a_refused_user_of_opc_ua() -> None:
    refused = only(ServiceFailed, read_foreign("opcua/asyncua", 14840, "opcua"))
    assert (refused.service, refused.status) == ("ActivateSession", "Bad_UserAccessDenied")


def test_what_is_signed_is_read_and_what_is_encrypted_is_only_known_to_be() -> None:
    seen = read_foreign("opcua/secured", 14840, "opcua")
    secured = [(each.policy, each.mode) for each in all_of(ChannelSecured, seen)]
    assert secured == [
        ("None", "None"),
        ("Basic256Sha256", "Sign"),
        ("None", "None"),
        ("Basic256Sha256", "SignAndEncrypt"),
    ]
    assert only(SessionOpened, seen).mode == "Sign"


@pytest.mark.parametrize(
    ("port", "version", "is_complete", "alert"),
    [
        (20300, "TLS 1.2", True, ""),
        (20301, "TLS 1.3", True, ""),
        (20305, "TLS 1.2", False, "client: unknown_ca"),
        (20312, "", False, "server: protocol_version"),
    ],
)
def test_tls_handshakes_of_foreign_programs(port: int, version: str, is_complete: bool, alert: str) -> None:
    frames = [
        frame
        for frame in foreign(GOLDEN / "tls/foreign.pcapng", port)
        if port.to_bytes(2, "big") in (frame.data[34:36], frame.data[36:38])
    ]
    looking = Dissector(["client", "server"], frames[0].at, {port: "tls"})
    handshake = only(TlsHandshake, [each for frame in frames for each in looking.feed(frame)])
    assert (handshake.version, handshake.is_complete, handshake.alert) == (version, is_complete, alert)
