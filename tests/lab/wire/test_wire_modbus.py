"""Modbus TCP: what goes out comes back, whatever arrives is survived, and tshark reads the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire import modbus
from lab.wire.malformed import Malformed
from lab.wire.modbus import Adu, ExceptionCode, IllegalPdu, Request, RequestDecoder, Response, ResponseDecoder

GOLDEN = Path(__file__).parents[2] / "golden" / "modbus"

byte = st.integers(0, 255)
word = st.integers(0, 0xFFFF)
mei_data = st.binary(max_size=251)


def words(largest: int, smallest: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(word, min_size=smallest, max_size=largest).map(tuple)


def bits(largest: int) -> st.SearchStrategy[tuple[bool, ...]]:
    return st.lists(st.booleans(), min_size=1, max_size=largest).map(tuple)


file_records = st.lists(st.builds(modbus.FileRecord, word, word, words(50)), min_size=1, max_size=2).map(tuple)
diagnostics = st.one_of(
    st.builds(
        modbus.Diagnostics, st.just(0), words(125, 0).map(lambda values: b"".join(v.to_bytes(2) for v in values))
    ),
    st.builds(modbus.Diagnostics, st.just(1), st.sampled_from([b"\0\0", b"\xff\0"])),
    st.builds(modbus.Diagnostics, st.just(3), byte.map(lambda character: bytes((character, 0)))),
    st.builds(modbus.Diagnostics, st.sampled_from([2, 4, *range(10, 19), 20])),
)

requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(modbus.ReadCoils, word, st.integers(1, 2000)),
    st.builds(modbus.ReadDiscreteInputs, word, st.integers(1, 2000)),
    st.builds(modbus.ReadHoldingRegisters, word, st.integers(1, 125)),
    st.builds(modbus.ReadInputRegisters, word, st.integers(1, 125)),
    st.builds(modbus.WriteSingleCoil, word, st.booleans()),
    st.builds(modbus.WriteSingleRegister, word, word),
    st.builds(modbus.ReadExceptionStatus),
    diagnostics,
    st.builds(modbus.GetCommEventCounter),
    st.builds(modbus.GetCommEventLog),
    st.builds(modbus.WriteMultipleCoils, word, bits(1968)),
    st.builds(modbus.WriteMultipleRegisters, word, words(123)),
    st.builds(modbus.ReportServerId),
    st.builds(
        modbus.ReadFileRecord,
        st.lists(st.builds(modbus.FileReference, word, word, word), min_size=1, max_size=35).map(tuple),
    ),
    st.builds(modbus.WriteFileRecord, file_records),
    st.builds(modbus.MaskWriteRegister, word, word, word),
    st.builds(modbus.ReadWriteMultipleRegisters, word, st.integers(1, 125), word, words(121)),
    st.builds(modbus.ReadFifoQueue, word),
    st.builds(modbus.CanopenGeneralReference, mei_data),
    st.builds(modbus.ReadDeviceIdentification, st.integers(1, 4), byte),
)

device_objects = st.lists(st.builds(modbus.DeviceObject, byte, st.binary(max_size=40)), max_size=5).map(tuple)
responses: st.SearchStrategy[Response] = st.one_of(
    st.builds(modbus.BitsRead, st.sampled_from([1, 2]), bits(2000).map(lambda b: b + (False,) * (-len(b) % 8))),
    st.builds(modbus.RegistersRead, st.sampled_from([3, 4, 23]), words(125)),
    st.builds(modbus.CoilWritten, word, st.booleans()),
    st.builds(modbus.RegisterWritten, word, word),
    st.builds(modbus.ExceptionStatus, byte),
    diagnostics.map(lambda request: modbus.DiagnosticsAnswer(request.sub_function, request.data)),
    st.builds(modbus.CommEventCounter, st.booleans(), word),
    st.builds(modbus.CommEventLog, st.booleans(), word, word, st.binary(max_size=64)),
    st.builds(modbus.CoilsWritten, word, word),
    st.builds(modbus.RegistersWritten, word, word),
    st.builds(modbus.ServerId, st.binary(max_size=251)),
    st.builds(modbus.FileRecordsRead, st.lists(words(40, 0), min_size=1, max_size=3).map(tuple)),
    st.builds(modbus.FileRecordsWritten, file_records),
    st.builds(modbus.RegisterMasked, word, word, word),
    st.builds(modbus.FifoQueue, words(31, 0)),
    st.builds(modbus.CanopenGeneralReferenceAnswer, mei_data),
    st.builds(modbus.DeviceIdentification, byte, byte, device_objects, st.booleans(), byte),
    st.builds(modbus.ExceptionResponse, st.integers(0, 127), byte),
)


def split(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[start:end] for start, end in pairwise(edges))


@given(st.lists(st.builds(Adu, word, byte, requests), max_size=5), st.lists(st.integers(0)))
def test_requests_survive_any_segmentation(adus: list[Adu[Request]], cuts: list[int]) -> None:
    decoder = RequestDecoder()
    stream = b"".join(adu.encode() for adu in adus)
    assert [adu for part in split(stream, cuts) for adu in decoder.feed(part)] == adus


@given(st.lists(st.builds(Adu, word, byte, responses), max_size=5), st.lists(st.integers(0)))
def test_responses_survive_any_segmentation(adus: list[Adu[Response]], cuts: list[int]) -> None:
    decoder = ResponseDecoder()
    stream = b"".join(adu.encode() for adu in adus)
    assert [adu for part in split(stream, cuts) for adu in decoder.feed(part)] == adus


@given(st.one_of(requests, responses))
def test_no_message_outgrows_a_pdu(message: Request | Response) -> None:
    assert len(message.encode()) <= modbus.MAX_PDU


@given(st.binary(min_size=1, max_size=253))
def test_any_whole_request_is_a_message_that_can_be_sent_again(pdu: bytes) -> None:
    message = modbus.decode_request(pdu)
    assert modbus.decode_request(message.encode()) == message
    if isinstance(message, IllegalPdu):
        assert message.encode() == pdu
        assert message.exception in (1, 2, 3)


@given(st.one_of(st.binary(min_size=1, max_size=253), st.binary(max_size=30).map(lambda tail: b"\x2b\x0e" + tail)))
def test_any_whole_response_is_a_message_that_can_be_sent_again(pdu: bytes) -> None:
    message = modbus.decode_response(pdu)
    assert message.encode() == pdu
    assert not isinstance(message, IllegalPdu) or message.exception is None


@given(st.lists(st.one_of(st.binary(max_size=300), requests.map(lambda request: Adu(1, 1, request).encode()))))
def test_arbitrary_bytes_give_messages_or_malformed_and_are_not_hoarded(parts: list[bytes]) -> None:
    decoder = RequestDecoder()
    for part in parts:
        try:
            for adu in decoder.feed(part):
                assert 1 <= len(adu.pdu.encode()) <= modbus.MAX_PDU
        except Malformed:
            with pytest.raises(Malformed):
                decoder.feed(b"")
            return
        assert len(decoder._buffer) - decoder._at < 260


ONE_READ = bytes.fromhex("0001 0000 0006 07 04 0000 0009")


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("0002 0001 0006 07 03 0000 0001", "protocol identifier is 1"),
        ("0002 0000 0000 07 03 0000 0001", "length of 0"),
        ("0002 0000 0001 07 03 0000 0001", "length of 1"),
        ("0002 0000 00ff 07 03 0000 0001", "length of 255"),
    ],
)
def test_a_broken_envelope_loses_the_connection_but_nothing_before_it(header: str, rule: str) -> None:
    decoder = RequestDecoder()
    messages = decoder.feed(ONE_READ + bytes.fromhex(header) + ONE_READ)
    assert next(messages) == Adu(1, 7, modbus.ReadInputRegisters(0, 9))
    with pytest.raises(Malformed, match=rule):
        next(messages)
    with pytest.raises(Malformed, match=rule):
        decoder.feed(ONE_READ)


def test_bytes_are_taken_in_when_fed_and_not_when_the_messages_are_looked_at() -> None:
    decoder = RequestDecoder()
    first = decoder.feed(ONE_READ[:5])
    second = decoder.feed(ONE_READ[5:])
    assert len([*first, *second]) == 1


@pytest.mark.parametrize(
    ("pdu", "exception"),
    [
        ("00", ExceptionCode.ILLEGAL_FUNCTION),
        ("41 00", ExceptionCode.ILLEGAL_FUNCTION),
        ("83 02", ExceptionCode.ILLEGAL_FUNCTION),
        ("08 0005 0000", ExceptionCode.ILLEGAL_FUNCTION),
        ("2b 0f 00", ExceptionCode.ILLEGAL_FUNCTION),
        ("03 0000 0000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("03 0000 007e", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("01 0000 07d1", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("04 0000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("05 0000 1234", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("0f 0000 07b1 f7" + 247 * "00", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("0f 0000 0008 02 0000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("10 0000 0002 04 000000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("10 0000 0002 03 000000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("10 0000 007c f8" + 248 * "00", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("17 0000 0001 0000 007a f4" + 244 * "00", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("17 0000 007e 0000 0001 02 0000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("14 07 05 0001 0000 0001", ExceptionCode.ILLEGAL_DATA_ADDRESS),
        ("15 09 05 0001 0000 0001 0000", ExceptionCode.ILLEGAL_DATA_ADDRESS),
        ("15 09 06 0001 0000 0002 0000", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("07 00", ExceptionCode.ILLEGAL_DATA_VALUE),
        ("2b 0e 05 00", ExceptionCode.ILLEGAL_DATA_VALUE),
    ],
)
def test_an_illegal_request_says_which_exception_is_due(pdu: str, exception: ExceptionCode) -> None:
    data = bytes.fromhex(pdu)
    assert modbus.decode_request(data) == IllegalPdu(data[0], data[1:], exception)


@pytest.mark.parametrize(
    ("message", "pdu"),
    [  # the worked examples of the specification, section 6
        (modbus.ReadCoils(0x13, 0x13), "01 0013 0013"),
        (modbus.WriteSingleCoil(0xAC, True), "05 00AC FF00"),
        (modbus.Diagnostics(0, b"\xa5\x37"), "08 0000 A537"),
        (modbus.WriteMultipleCoils(0x13, tuple(c == "1" for c in "1011001110")), "0F 0013 000A 02 CD01"),
        (modbus.WriteMultipleRegisters(1, (0x000A, 0x0102)), "10 0001 0002 04 000A 0102"),
        (
            modbus.ReadFileRecord((modbus.FileReference(4, 1, 2), modbus.FileReference(3, 9, 2))),
            "14 0E 06 0004 0001 0002 06 0003 0009 0002",
        ),
        (
            modbus.WriteFileRecord((modbus.FileRecord(4, 7, (0x06AF, 0x04BE, 0x100D)),)),
            "15 0D 06 0004 0007 0003 06AF 04BE 100D",
        ),
        (modbus.MaskWriteRegister(4, 0xF2, 0x25), "16 0004 00F2 0025"),
        (modbus.ReadWriteMultipleRegisters(3, 6, 14, (255, 255, 255)), "17 0003 0006 000E 0003 06 00FF 00FF 00FF"),
        (modbus.ReadFifoQueue(0x4DE), "18 04DE"),
        (modbus.ReadDeviceIdentification(1, 0), "2B 0E 01 00"),
    ],
)
def test_requests_of_the_specification(message: Request, pdu: str) -> None:
    assert message.encode() == bytes.fromhex(pdu)
    assert modbus.decode_request(bytes.fromhex(pdu)) == message


@pytest.mark.parametrize(
    ("message", "pdu"),
    [
        (modbus.RegistersRead(3, (0x022B, 0x0000, 0x0064)), "03 06 022B 0000 0064"),
        (modbus.ExceptionStatus(0x6D), "07 6D"),
        (modbus.CommEventCounter(True, 0x0108), "0B FFFF 0108"),
        (modbus.CommEventLog(False, 0x0108, 0x0121, b"\x20\x00"), "0C 08 0000 0108 0121 20 00"),
        (modbus.FileRecordsRead(((0x0DFE, 0x0020), (0x33CD, 0x0040))), "14 0C 05 06 0DFE 0020 05 06 33CD 0040"),
        (modbus.FifoQueue((0x01B8, 0x1284)), "18 0006 0002 01B8 1284"),
        (modbus.ExceptionResponse(1, 2), "81 02"),
    ],
)
def test_responses_of_the_specification(message: Response, pdu: str) -> None:
    assert message.encode() == bytes.fromhex(pdu)
    assert modbus.decode_response(bytes.fromhex(pdu)) == message


def test_the_request_tells_how_many_bits_of_an_answer_are_meant() -> None:
    pdu = bytes.fromhex("01 02 4912")
    assert len(modbus.decode_response(pdu).values) == 16  # type: ignore[union-attr]
    trimmed = modbus.decode_response(pdu, modbus.ReadCoils(3, 13))
    assert trimmed == modbus.BitsRead(1, tuple(index % 3 == 0 for index in range(13)))


@pytest.mark.parametrize(
    "other", [modbus.ReadCoils(0, 8), modbus.ReadDiscreteInputs(3, 13), modbus.ReadInputRegisters(0, 1)]
)
def test_a_request_that_does_not_fit_the_answer_trims_nothing(other: Request) -> None:
    response = modbus.decode_response(bytes.fromhex("01 02 4912"), other)
    assert isinstance(response, modbus.BitsRead)
    assert len(response.values) == 16


def test_exceptions_have_the_names_of_the_specification() -> None:
    assert modbus.ExceptionResponse(3, 0x0B).name == "GATEWAY_TARGET_FAILED_TO_RESPOND"
    assert modbus.ExceptionResponse(3, 0x55).name == "0x55"


def golden() -> list[dict[str, list[str]]]:
    lines: list[dict[str, list[str]]] = json.loads((GOLDEN / "foreign.json").read_text())
    return lines


def decoded() -> Iterator[tuple[dict[str, list[str]], list[Adu[Any]]]]:
    """What tshark says of each frame of the capture, and our messages from it."""
    pending: dict[str, dict[int, Request]] = {}
    decoders: dict[tuple[str, bool], RequestDecoder | ResponseDecoder] = {}
    for line in golden():
        stream, is_request = line["tcp.stream"][0], line["tcp.dstport"] == ["502"]
        requests = pending.setdefault(stream, {})
        decoder = decoders.setdefault(
            (stream, is_request), RequestDecoder() if is_request else ResponseDecoder(requests)
        )
        adus = list(decoder.feed(bytes.fromhex(line["tcp.payload"][0])))
        if is_request:
            requests.update((adu.transaction, adu.pdu) for adu in adus)
        yield line, adus


def test_tshark_reads_the_same_in_traffic_between_foreign_programs() -> None:
    for line, adus in decoded():
        frame = f"frame {line['frame.number'][0]}"
        assert [adu.transaction for adu in adus] == numbers(line, "mbtcp.trans_id"), frame
        assert [adu.unit for adu in adus] == numbers(line, "mbtcp.unit_id"), frame
        assert [adu.pdu.function for adu in adus] == numbers(line, "modbus.func_code"), frame
        ours: dict[str, list[object]] = {}
        for adu in adus:
            for field, values in as_tshark(adu.pdu).items():
                ours.setdefault(f"modbus.{field}", []).extend(values)
        assert ours, f"{frame}: {adus}"
        for field, values in ours.items():
            theirs = line.get(field, []) if isinstance(values[0], str) else numbers(line, field)
            assert values == theirs, f"{frame} {field}"
        read_by_both = {*ours, "mbtcp.trans_id", "mbtcp.unit_id", "modbus.func_code"}
        missed = {field for field in line if field.startswith("modbus.")} - read_by_both - {"modbus.data"}
        assert not missed, frame


def test_the_golden_capture_has_every_kind_of_message_a_foreign_server_answers() -> None:
    seen = {adu.pdu.function for _, adus in decoded() for adu in adus}
    assert seen >= set(modbus.FUNCTIONS)
    assert sum(len(adus) for _, adus in decoded()) == sum(len(line["mbtcp.trans_id"]) for line in golden())


@pytest.mark.foreign
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_golden_fields_are_still_what_tshark_says() -> None:
    command = ["tshark", "-r", str(GOLDEN / "foreign.pcapng"), "-Y", "mbtcp", "-T", "fields"]
    command += ["-e", "mbtcp.trans_id", "-e", "modbus.func_code", "-e", "modbus.regval_uint16"]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    fields = ("mbtcp.trans_id", "modbus.func_code", "modbus.regval_uint16")
    expected = ["\t".join(",".join(line.get(field, [])) for field in fields) for line in golden()]
    assert run.stdout.splitlines() == expected


def numbers(line: dict[str, list[str]], field: str) -> list[int]:
    return [int(value, 0) for value in line.get(field, [])]


def as_tshark(message: Any) -> dict[str, list[object]]:
    """The fields tshark should show for our message."""
    match message:
        case modbus.ReadCoils() | modbus.ReadDiscreteInputs():
            return {"reference_num": [message.address], "bit_cnt": [message.quantity]}
        case modbus.ReadHoldingRegisters() | modbus.ReadInputRegisters():
            return {"reference_num": [message.address], "word_cnt": [message.quantity]}
        case modbus.BitsRead():
            return {"bitval": [int(bit) for bit in message.values]}
        case modbus.RegistersRead(function=3 | 4):
            return {"regval_uint16": list(message.values)}
        case modbus.RegistersRead(function=23):
            return {"data": [b"".join(value.to_bytes(2) for value in message.values).hex()]}
        case modbus.WriteSingleCoil() | modbus.CoilWritten():
            return {"reference_num": [message.address], "data": ["ff00" if message.value else "0000"]}
        case modbus.WriteSingleRegister() | modbus.RegisterWritten():
            return {"reference_num": [message.address], "data": [f"{message.value:04x}"]}
        case modbus.WriteMultipleCoils():
            packed = sum(bit << index for index, bit in enumerate(message.values))
            data = packed.to_bytes((len(message.values) + 7) // 8, "little").hex()
            return {"reference_num": [message.address], "bit_cnt": [len(message.values)], "data": [data]}
        case modbus.WriteMultipleRegisters():
            values = list(message.values)
            return {"reference_num": [message.address], "word_cnt": [len(values)], "regval_uint16": values}
        case modbus.CoilsWritten():
            return {"reference_num": [message.address], "bit_cnt": [message.quantity]}
        case modbus.RegistersWritten():
            return {"reference_num": [message.address], "word_cnt": [message.quantity]}
        case (
            modbus.ReadExceptionStatus()
            | modbus.GetCommEventCounter()
            | modbus.GetCommEventLog()
            | modbus.ReportServerId()
        ):
            return {"func_code": [message.function]}
        case modbus.ExceptionStatus():
            return {"data": [f"{message.status:02x}"]}
        case modbus.Diagnostics() | modbus.DiagnosticsAnswer():
            return {"diagnostic_code": [message.sub_function]}
        case modbus.CommEventCounter():
            return {"ev_status": [0xFFFF * message.busy], "ev_count": [message.events]}
        case modbus.CommEventLog():
            counts = {"ev_count": [message.events], "ev_msg_count": [message.messages]}
            return {"ev_status": [0xFFFF * message.busy], **counts}
        case modbus.ServerId():
            return {"data": [bytes((len(message.data),)).hex() + message.data.hex()]}
        case modbus.ReadFileRecord():
            return {"word_cnt": [each.length for each in message.records]}
        case modbus.WriteFileRecord() | modbus.FileRecordsWritten():
            return {"word_cnt": [len(each.values) for each in message.records]}
        case modbus.MaskWriteRegister() | modbus.RegisterMasked():
            masks = {"and_mask": [message.and_mask], "or_mask": [message.or_mask]}
            return {"reference_num": [message.address], **masks}
        case modbus.ReadWriteMultipleRegisters():
            read = {"read_reference_num": [message.read_address], "read_word_cnt": [message.read_quantity]}
            return {**read, "write_reference_num": [message.write_address], "write_word_cnt": [len(message.values)]}
        case modbus.ReadFifoQueue():
            return {"reference_num": [message.address]}
        case modbus.FifoQueue():
            return {"word_cnt": [len(message.values)]}
        case modbus.ReadDeviceIdentification():
            return {"mei": [14], "read_device_id": [message.access], "object_id": [message.object_id]}
        case modbus.DeviceIdentification():
            return {
                "mei": [14],
                "read_device_id": [message.access],
                "conformity_level": [message.conformity],
                "more_follows": [0xFF * message.more_follows],
                "next_object_id": [message.next_object_id],
                "num_objects": [len(message.objects)],
                "object_id": [each.id for each in message.objects],
                "object_str_value": [each.value.decode() for each in message.objects],
            }
        case modbus.ExceptionResponse():
            return {"exception_code": [message.code]}
        case _:
            raise AssertionError(f"tshark reads {message} as legal")
