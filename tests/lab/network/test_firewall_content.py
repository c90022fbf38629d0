"""Content rules: what of Modbus and OPC UA passes, however the stream is cut."""

from __future__ import annotations

from typing import Any

import pytest
from filter_kit import PA, A, Bench, passed, policy, tcp
from hypothesis import given
from hypothesis import strategies as st

from lab.network.firewall.content import ContentProfile
from lab.network.firewall.content_modbus import ModbusJudge, ModbusRules
from lab.network.firewall.inspection import Inspection, Inspector, Judge
from lab.wire import modbus
from lab.wire.modbus import Adu, Request
from lab.wire.opcua import (
    NONE,
    Acknowledge,
    DataValue,
    Hello,
    Kind,
    Message,
    NodeId,
    Opaque,
    Open,
    UnknownService,
)
from lab.wire.opcua.attribute import CallRequest, ReadRequest, ReadResponse, WriteRequest, WriteValue
from lab.wire.opcua.common import MessageSecurityMode, RequestHeader, ResponseHeader, TimestampsToReturn
from lab.wire.opcua.session import CloseSessionRequest, OpenSecureChannelRequest, SecurityTokenRequestType
from lab.wire.opcua.transport import TWO_NUMBERS
from lab.wire.opcua.variant import TYPE_IDS

SIGNED_POLICY = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
ENGINEER = {
    "units": [1, "10-12"],
    "functions": [3, 4, 6, 16, 22, 23],
    "reads": {"holding": ["0-39", "40-41"], "input": [5]},
    "writes": [
        {"addresses": ["40-41"], "values": ["0-200"]},
        {"addresses": [50]},
        {"table": "coils", "addresses": [3]},
    ],
}


def judge(content: dict[str, Any]) -> Judge:
    return Inspector(ContentProfile.model_validate(content)).judge()


def wire(request: Request, unit: int = 1, transaction: int = 1) -> bytes:
    return Adu(transaction, unit, request).encode()


# -- Modbus ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "unit", "fault"),
    [
        (modbus.ReadHoldingRegisters(0, 42), 1, None),
        (modbus.ReadHoldingRegisters(38, 4), 12, None),
        (modbus.ReadHoldingRegisters(0, 43), 1, "read holding 0-42"),
        (modbus.ReadHoldingRegisters(41, 2), 1, "read holding 41-42"),
        (modbus.ReadHoldingRegisters(0, 1), 2, "unit 2"),
        (modbus.ReadInputRegisters(5, 1), 1, None),
        (modbus.ReadInputRegisters(4, 1), 1, "read input 4-4"),
        (modbus.ReadCoils(0, 1), 1, "function 1 Read Coils"),
        (modbus.WriteSingleRegister(40, 200), 1, None),
        (modbus.WriteSingleRegister(40, 201), 1, "write holding 40 value 201"),
        (modbus.WriteSingleRegister(42, 0), 1, "write holding 42"),
        (modbus.WriteSingleRegister(50, 60_000), 1, None),
        (modbus.WriteMultipleRegisters(40, (1, 2)), 1, None),
        (modbus.WriteMultipleRegisters(40, (1, 2, 3)), 1, "write holding 42"),
        (modbus.WriteMultipleRegisters(39, (1, 2)), 1, "write holding 39"),
        (modbus.ReadWriteMultipleRegisters(0, 5, 40, (7,)), 1, None),
        (modbus.ReadWriteMultipleRegisters(0, 5, 43, (7,)), 1, "write holding 43"),
        (modbus.ReadWriteMultipleRegisters(60, 5, 40, (7,)), 1, "read holding 60-64"),
        (modbus.MaskWriteRegister(40, 0, 0), 1, "write holding 40 by mask"),
        (modbus.MaskWriteRegister(50, 0, 0), 1, None),
        (modbus.Diagnostics(0), 1, "function 8 Diagnostics"),
        (modbus.ReadDeviceIdentification(1, 0), 1, "function 43 Encapsulated Interface Transport"),
    ],
)
def test_modbus_requests_by_a_profile(request_: Request, unit: int, fault: str | None) -> None:
    assert judge({"modbus": ENGINEER}).feed(wire(request_, unit)) == fault


def test_files_are_neither_read_nor_written_where_tables_are_limited() -> None:
    limited = judge({"modbus": {"reads": {"holding": [1]}, "writes": []}})
    assert limited.feed(wire(modbus.ReadFileRecord((modbus.FileReference(1, 1, 1),)))) == "read file"
    assert limited.feed(wire(modbus.WriteFileRecord((modbus.FileRecord(1, 1, (1,)),)))) == "write file"
    assert limited.feed(wire(modbus.WriteSingleCoil(3, True))) == "write coils 3"
    assert limited.feed(wire(modbus.WriteMultipleCoils(3, (True,)))) == "write coils 3"
    assert limited.feed(wire(modbus.ReadFifoQueue(2))) == "read holding 2-2"


@pytest.mark.parametrize(
    ("bytes_", "fault"),
    [
        ("000100010006010300000001", "format: protocol identifier 1"),
        ("000100000001010300000001", "format: length 1"),
        ("0001000000ff010300000001", "format: length 255"),
        ("000100000007010300000001", "format: length 7 for function 3, which has 6"),
        ("00010000000701030000000100", "format: length 7 for function 3, which has 6"),
        ("0001000000060103000000010000", None),
        ("00010000000a011000000001020007", "format: length 10 for function 16, which has 9"),
        ("000100000006010300000000", "format: function 3: a quantity of 0, the limit is 1 to 125"),
        ("00010000000601050001ff01", "format: function 5: a coil is written with 0x0000 or 0xff00, not 0xff01"),
        ("0001000000060163000000010000", "format: function 99: 99 is not a public function code"),
        ("000100000006010300ff", None),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_the_format_of_modbus_messages(bytes_: str, fault: str | None, step: int) -> None:
    following = judge({"modbus": {}})
    data = bytes.fromhex(bytes_)
    found = [each for at in range(0, len(data), step) if (each := following.feed(data[at : at + step])) is not None]
    assert found[:1] == ([fault] if fault else [])


def test_trailing_bytes_are_the_next_message_and_must_be_one() -> None:
    following = judge({"modbus": {}})
    assert following.feed(wire(modbus.ReadHoldingRegisters(0, 1)) + b"\xde\xad\xbe\xef") is None
    assert following.feed(b"\0\6\1\3\0\0\0\1") == "format: protocol identifier 48879"


def test_reading_only() -> None:
    allowed = {
        code
        for code in modbus.FUNCTIONS
        if judge({"modbus": {"read_only": True, "format_check": False}}).feed(bytes((0, 1, 0, 0, 0, 100, 1, code)))
        is None
    }
    assert allowed == {1, 2, 3, 4, 7, 11, 12, 17, 20, 24, 43}


requests = st.one_of(
    st.builds(modbus.ReadHoldingRegisters, st.integers(0, 60), st.integers(1, 60)),
    st.builds(modbus.WriteSingleRegister, st.integers(35, 60), st.integers(0, 300)),
    st.builds(modbus.WriteMultipleRegisters, st.integers(35, 60), st.lists(st.integers(0, 250), min_size=1).map(tuple)),
)


@given(st.lists(requests, min_size=1, max_size=8), st.lists(st.integers(1, 20), min_size=1))
def test_however_a_stream_is_cut_the_same_requests_pass(stream: list[Request], steps: list[int]) -> None:
    rules = ModbusRules(ContentProfile.model_validate({"modbus": ENGINEER}).modbus)  # type: ignore[arg-type]
    single = [ModbusJudge(rules).feed(wire(each)) for each in stream]
    expected = next((fault for fault in single if fault), None)
    following, data, at, number = ModbusJudge(rules), b"".join(map(wire, stream)), 0, 0
    found = None
    while at < len(data) and found is None:
        step = steps[number % len(steps)]
        found = following.feed(data[at : at + step])
        at, number = at + step, number + 1
    assert found == expected
    if expected is not None:
        whole = sum(len(wire(each)) for each in stream[: single.index(expected)])
        assert at > whole, "what is right before it has passed"


@given(st.binary(max_size=600), st.integers(1, 50))
def test_any_bytes_are_judged(data: bytes, step: int) -> None:
    for content in ({"modbus": ENGINEER}, {"opcua": {"policies": ["None"], "forbidden": ["Write"]}}):
        following = judge(content)
        for at in range(0, len(data), step):
            if following.feed(data[at : at + step]) is not None:
                break


# -- the stream in the segments ----------------------------------------------------------------------------------------


def inspection(sequence: int = 1000) -> Inspection:
    return Inspection(Inspector(ContentProfile.model_validate({"modbus": {"read_only": True}})), sequence)


GOOD, BAD = wire(modbus.ReadHoldingRegisters(0, 1)), wire(modbus.WriteSingleRegister(0, 1))


def test_what_is_sent_again_must_be_the_same() -> None:
    following = inspection()
    assert following.take(1000, GOOD) is None
    assert following.take(1000, GOOD) is None
    assert following.take(1006, GOOD[6:] + GOOD[:3]) is None, "old and new in one segment"
    assert following.next == 1000 + 15
    assert following.take(1000, BAD) == "retransmission differs"
    assert following.take(1015, GOOD[3:]) == "retransmission differs", "it is over"


def test_what_the_receiver_has_need_not_be_compared() -> None:
    following = inspection()
    following.take(1000, GOOD)
    following.acknowledge(1006)
    assert following.held == 6
    assert following.take(1000, bytes(6) + GOOD[6:]) is None
    following.acknowledge(1012)
    following.acknowledge(900)
    assert following.held == 0


def test_a_segment_behind_a_gap_waits_for_its_turn() -> None:
    following = inspection()
    assert following.take(1006, GOOD[6:]) == "gap"
    assert following.fault is None
    assert following.take(1000, GOOD[:6]) is None
    assert following.take(1006, GOOD[6:]) is None


def test_sequence_numbers_wrap() -> None:
    following = inspection(0xFFFF_FFFA)
    assert following.take(0xFFFF_FFFA, GOOD) is None
    assert following.next == 6
    assert following.take(0xFFFF_FFFA, GOOD) is None
    assert following.take(6, BAD) == "function 6 Write Single Register"


MODBUS_RULE = {"name": "m", "from": "out", "to": "in", "service": "modbus", "content": "r"}
CLIENT, SERVER = "10.0.1.5:40000", "10.0.2.9:502"


def test_a_violation_ends_the_connection_and_the_requests_before_it_had_passed() -> None:
    bench = Bench(policy(MODBUS_RULE, content={"r": {"modbus": {"read_only": True}}}))
    bench.handshake(CLIENT, SERVER)
    assert passed(bench.inward(tcp(CLIENT, SERVER, PA, 101, 501, GOOD)))
    assert passed(bench.outward(tcp(SERVER, CLIENT, A, 501, 101 + len(GOOD))))
    decision = bench.inward(tcp(CLIENT, SERVER, PA, 101 + len(GOOD), 501, GOOD + BAD))
    assert (decision.rule, decision.resets, decision.is_logged) == ("m", True, True)
    assert decision.reason == "content: function 6 Write Single Register"
    assert bench.inward(tcp(CLIENT, SERVER, PA, 101 + len(GOOD), 501, GOOD)).reason == "no connection"


# -- OPC UA ------------------------------------------------------------------------------------------------------------

HEADER = RequestHeader()
OPENING = OpenSecureChannelRequest(HEADER, 0, SecurityTokenRequestType.ISSUE, MessageSecurityMode.NONE, None, 3_600_000)
READING = ReadRequest(HEADER, 0.0, TimestampsToReturn.SOURCE, ())
WRITING = WriteRequest(HEADER, ())
CALLING = CallRequest(HEADER, ())


def message(body: Any, number: int = 2, *, closes: bool = False) -> bytes:
    return Message(1, 1, number, number, body, closes).encode()


def opened(policy_uri: str = NONE) -> bytes:
    hello = Hello(0, 65535, 65535, 0, 0, "opc.tcp://plc:4840").encode()
    if policy_uri == NONE:
        return hello + Open(0, 1, 1, OPENING).encode()
    return hello + Opaque(Kind.OPEN, "F", 0, None, policy_uri, bytes(256), b"certificate", b"thumbprint").encode()


def fault_of(content: dict[str, Any], *messages: bytes) -> str | None:
    following = judge({"opcua": content})
    for each in messages:
        for at in range(0, len(each), 7):
            if (fault := following.feed(each[at : at + 7])) is not None:
                return fault
    return None


def test_security_policies() -> None:
    assert fault_of({"policies": ["Basic256Sha256"]}, opened()) == "policy None"
    assert fault_of({"policies": ["Basic256Sha256"]}, opened(SIGNED_POLICY)) is None
    assert fault_of({"policies": ["Aes256_Sha256_RsaPss"]}, opened(SIGNED_POLICY)) == "policy Basic256Sha256"
    assert fault_of({}, opened()) is None


def test_security_modes() -> None:
    secret = Opaque(Kind.MESSAGE, "F", 1, 1, SIGNED_POLICY, b"\x9a" * 64).encode()
    assert fault_of({"modes": ["Sign"]}, opened(SIGNED_POLICY), secret) == "mode SignAndEncrypt"
    assert fault_of({"modes": ["SignAndEncrypt"]}, opened(SIGNED_POLICY), secret) is None
    content = TWO_NUMBERS.pack(2, 2) + b"\x01\x00" + TYPE_IDS[ReadRequest].to_bytes(2, "little") + bytes(80)
    signed = Opaque(Kind.MESSAGE, "F", 1, 1, SIGNED_POLICY, content).encode()
    assert fault_of({"modes": ["SignAndEncrypt"]}, opened(SIGNED_POLICY), signed) == "mode Sign"


@pytest.mark.parametrize(
    ("content", "body", "fault"),
    [
        ({"forbidden": ["Write", "Call"]}, READING, None),
        ({"forbidden": ["Write", "Call"]}, WRITING, "service Write"),
        ({"forbidden": ["Write", "Call"]}, CALLING, "service Call"),
        ({"forbidden": ["HistoryUpdate"]}, UnknownService(NodeId(0, 700), b""), "service HistoryUpdate"),
        ({"forbidden": ["Write"]}, UnknownService(NodeId(3, 1), b""), "service UnknownService"),
        ({}, UnknownService(NodeId(3, 1), b""), None),
        ({"services": ["Read", "Browse"]}, READING, None),
        ({"services": ["Browse"]}, READING, "service Read"),
        ({"services": []}, CloseSessionRequest(HEADER, True), None),
        ({}, ReadResponse(ResponseHeader(), (), ()), "format: ReadResponse is no request"),
        ({}, UnknownService(NodeId(0, 631), b"\x07"), "format"),
    ],
)
def test_services_on_channels_one_can_read(content: dict[str, Any], body: Any, fault: str | None) -> None:
    found = fault_of(content, opened(), message(body))
    assert found == fault or (fault == "format" and found is not None and found.startswith("format: "))


def test_a_request_in_many_chunks_does_not_arrive_whole() -> None:
    writing = WriteRequest(HEADER, tuple(WriteValue(NodeId(0, n), 13, None, DataValue()) for n in range(200)))
    chunks = Message(1, 1, 2, 2, writing).encode(400)
    assert len(chunks) > 2000
    assert fault_of({"forbidden": ["Write"]}, opened(), chunks[:-1]) is None
    assert fault_of({"forbidden": ["Write"]}, opened(), chunks) == "service Write"


def test_what_a_client_does_not_say() -> None:
    assert fault_of({}, Acknowledge(0, 65535, 65535, 0, 0).encode()) == "format: a client sent Acknowledge"
    assert fault_of({}, b"GET / HTTP/1.1\r\n\r\n") == ("format: message type b'GET' [OPC 10000-6 section 7.1.2.2]")
