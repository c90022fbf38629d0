"""What a Modbus device answers, by the specification."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.modbus_unit import Identity, ModbusUnit
from devices.registers import Registers
from lab.wire import modbus
from lab.wire.modbus import Diagnostic, ExceptionCode, ExceptionResponse, Request

IDENTITY = Identity("Lab Works", "LW-1", "V1.2")


def registers() -> Registers:
    """Holding 0, 1 and (writable) 10, 11; inputs 0-4; discrete inputs 0-9; coils 0 and (writable) 3, 4."""
    tables = Registers()
    for address in (0, 1):
        tables.holding_registers.number(address, "u16").write(100 + address)
    for address in (10, 11):
        tables.holding_registers.number(address, "u16", writable=True)
    for address in range(5):
        tables.input_registers.number(address, "u16").write(7 * address)
    for address in range(10):
        tables.discrete_inputs.bit(address).write(address % 3 == 0)
    tables.coils.bit(0).write(True)
    for address in (3, 4):
        tables.coils.bit(address, writable=True)
    return tables


@pytest.fixture
def unit() -> ModbusUnit:
    return ModbusUnit(registers(), IDENTITY)


def refusal(function: int, code: ExceptionCode) -> ExceptionResponse:
    return ExceptionResponse(function, code)


def test_registers_and_bits_are_read(unit: ModbusUnit) -> None:
    assert unit.answer(modbus.ReadHoldingRegisters(0, 2)) == modbus.RegistersRead(3, (100, 101))
    assert unit.answer(modbus.ReadInputRegisters(1, 3)) == modbus.RegistersRead(4, (7, 14, 21))
    assert unit.answer(modbus.ReadDiscreteInputs(2, 3)) == modbus.BitsRead(2, (False, True, False))
    assert unit.answer(modbus.ReadCoils(0, 1)) == modbus.BitsRead(1, (True,))


@pytest.mark.parametrize(
    "request_",
    [
        modbus.ReadHoldingRegisters(2, 1),
        modbus.ReadHoldingRegisters(1, 2),
        modbus.ReadHoldingRegisters(0, 11),
        modbus.ReadInputRegisters(65535, 125),
        modbus.ReadCoils(1, 1),
        modbus.ReadDiscreteInputs(9, 2),
        modbus.WriteSingleRegister(2, 1),
        modbus.WriteMultipleRegisters(11, (1, 2)),
        modbus.WriteSingleCoil(5, True),
        modbus.MaskWriteRegister(2, 0, 0),
        modbus.ReadWriteMultipleRegisters(2, 1, 10, (1,)),
        modbus.ReadWriteMultipleRegisters(0, 1, 12, (1,)),
    ],
)
def test_an_address_that_is_not_there_is_exception_2(unit: ModbusUnit, request_: Request) -> None:
    assert unit.answer(request_) == refusal(request_.function, ExceptionCode.ILLEGAL_DATA_ADDRESS)


@pytest.mark.parametrize(
    "request_",
    [
        modbus.WriteSingleRegister(0, 1),
        modbus.WriteMultipleRegisters(0, (1,)),
        modbus.WriteSingleCoil(0, False),
        modbus.WriteMultipleCoils(0, (False,)),
        modbus.MaskWriteRegister(1, 0, 0),
        modbus.ReadWriteMultipleRegisters(0, 1, 1, (1,)),
    ],
)
def test_a_protected_address_is_exception_2_and_stays_as_it_is(unit: ModbusUnit, request_: Request) -> None:
    assert unit.answer(request_) == refusal(request_.function, ExceptionCode.ILLEGAL_DATA_ADDRESS)
    assert unit.registers == registers()


@given(st.binary(min_size=1, max_size=253))
def test_any_pdu_gets_an_answer_that_can_be_sent(pdu: bytes) -> None:
    request = modbus.decode_request(pdu)
    response = ModbusUnit(registers(), IDENTITY).answer(request)
    if response is None:
        assert isinstance(request, modbus.Diagnostics)
        return
    again = modbus.decode_response(response.encode(), request)
    assert not isinstance(again, modbus.IllegalPdu)
    assert pdu[0] & 0x7F == again.function


@pytest.mark.parametrize(
    ("pdu", "answer"),
    [
        ("41", "c1 01"),
        ("14 07 06 0001 0000 0001", "94 01"),
        ("18 0000", "98 01"),
        ("2b 0d 00", "ab 01"),
        ("03 0000 0000", "83 03"),
        ("03 0000 007e", "83 03"),
        ("05 0003 1234", "85 03"),
        ("10 000a 0002 02 0001", "90 03"),
        ("04 00", "84 03"),
        ("08 0063 0000", "88 01"),
    ],
)
def test_an_illegal_request_is_refused_with_its_own_function_code(unit: ModbusUnit, pdu: str, answer: str) -> None:
    response = unit.answer(modbus.decode_request(bytes.fromhex(pdu)))
    assert response is not None
    assert response.encode() == bytes.fromhex(answer)


@pytest.mark.parametrize(
    ("most", "too_many"),
    [
        (modbus.ReadHoldingRegisters(0, 1), modbus.ReadHoldingRegisters(0, 2)),
        (modbus.ReadInputRegisters(0, 1), modbus.ReadInputRegisters(0, 2)),
        (modbus.WriteMultipleRegisters(10, (1,)), modbus.WriteMultipleRegisters(10, (1, 2))),
        (modbus.ReadWriteMultipleRegisters(0, 1, 10, (1,)), modbus.ReadWriteMultipleRegisters(0, 2, 10, (1,))),
        (modbus.ReadWriteMultipleRegisters(0, 1, 10, (1,)), modbus.ReadWriteMultipleRegisters(0, 1, 10, (1, 2))),
    ],
)
def test_more_registers_than_it_takes_at_once_are_exception_3_and_nothing_is_written(
    most: Request, too_many: Request
) -> None:
    unit = ModbusUnit(registers(), IDENTITY, max_registers=1)
    assert unit.answer(too_many) == refusal(too_many.function, ExceptionCode.ILLEGAL_DATA_VALUE)
    assert unit.registers == registers()
    assert not isinstance(unit.answer(most), modbus.ExceptionResponse)


def test_what_is_written_is_read_and_reported() -> None:
    written: list[dict[int, int]] = []
    tables = registers()
    unit = ModbusUnit(tables, IDENTITY, written=lambda: written.append(dict(tables.holding_registers.values)))
    assert unit.answer(modbus.WriteSingleRegister(10, 5)) == modbus.RegisterWritten(10, 5)
    assert unit.answer(modbus.WriteMultipleRegisters(10, (6, 7))) == modbus.RegistersWritten(10, 2)
    assert unit.answer(modbus.ReadHoldingRegisters(10, 2)) == modbus.RegistersRead(3, (6, 7))
    assert [each[10] for each in written] == [5, 6]
    assert unit.answer(modbus.WriteSingleCoil(3, True)) == modbus.CoilWritten(3, True)
    assert unit.answer(modbus.WriteMultipleCoils(3, (False, True))) == modbus.CoilsWritten(3, 2)
    assert unit.answer(modbus.ReadCoils(3, 2)) == modbus.BitsRead(1, (False, True))
    assert len(written) == 4


def test_the_mask_write_of_the_specification(unit: ModbusUnit) -> None:
    unit.answer(modbus.WriteSingleRegister(10, 0x12))
    assert unit.answer(modbus.MaskWriteRegister(10, 0xF2, 0x25)) == modbus.RegisterMasked(10, 0xF2, 0x25)
    assert unit.registers.holding_registers.values[10] == 0x17


def test_read_write_writes_first(unit: ModbusUnit) -> None:
    assert unit.answer(modbus.ReadWriteMultipleRegisters(10, 2, 11, (9,))) == modbus.RegistersRead(23, (0, 9))


def test_a_broadcast_is_obeyed_and_not_answered(unit: ModbusUnit) -> None:
    assert unit.answer(modbus.WriteSingleRegister(10, 5), broadcast=True) is None
    assert unit.registers.holding_registers.values[10] == 5
    assert counter(unit, Diagnostic.RETURN_SERVER_NO_RESPONSE_COUNT) == 1


def identify(unit: ModbusUnit, access: int, object_id: int) -> modbus.DeviceIdentification:
    response = unit.answer(modbus.ReadDeviceIdentification(access, object_id))
    assert isinstance(response, modbus.DeviceIdentification)
    return response


def test_a_device_says_who_it_is() -> None:
    full = replace(IDENTITY, product_name="Press", model_name="P4")
    unit = ModbusUnit(registers(), full)
    assert identify(unit, 1, 0).objects == ((0, b"Lab Works"), (1, b"LW-1"), (2, b"V1.2"))
    assert [each.id for each in identify(unit, 2, 0).objects] == [0, 1, 2, 4, 5]
    assert [each.id for each in identify(unit, 3, 4).objects] == [4, 5]
    assert identify(unit, 4, 1).objects == ((1, b"LW-1"),)
    assert identify(unit, 1, 0).conformity == 0x82
    assert identify(ModbusUnit(registers(), IDENTITY), 1, 0).conformity == 0x81


def test_an_unknown_object_starts_over_in_a_stream_and_is_refused_alone(unit: ModbusUnit) -> None:
    assert [each.id for each in identify(unit, 1, 77).objects] == [0, 1, 2]
    assert unit.answer(modbus.ReadDeviceIdentification(4, 77)) == refusal(43, ExceptionCode.ILLEGAL_DATA_ADDRESS)


def test_an_identity_that_does_not_fit_one_response_comes_in_several() -> None:
    unit = ModbusUnit(registers(), Identity("v" * 200, "p" * 200, "r" * 40))
    first = identify(unit, 1, 0)
    assert (first.more_follows, first.next_object_id, len(first.objects)) == (True, 1, 1)
    second = identify(unit, 1, 1)
    assert (second.more_follows, [each.id for each in second.objects]) == (False, [1, 2])


def test_an_object_that_fits_no_response_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="object 1 "):
        ModbusUnit(registers(), Identity("v", "p" * 245, "r"))


def counter(unit: ModbusUnit, sub_function: Diagnostic) -> int:
    response = unit.answer(modbus.Diagnostics(sub_function))
    assert isinstance(response, modbus.DiagnosticsAnswer)
    return int.from_bytes(response.data, "big")


def test_the_counters_count(unit: ModbusUnit) -> None:
    unit.answer(modbus.ReadHoldingRegisters(0, 1))
    unit.answer(modbus.ReadHoldingRegisters(2, 1))
    assert counter(unit, Diagnostic.RETURN_BUS_EXCEPTION_ERROR_COUNT) == 1
    assert counter(unit, Diagnostic.RETURN_BUS_MESSAGE_COUNT) == 4
    assert unit.answer(modbus.GetCommEventCounter()) == modbus.CommEventCounter(False, 3)
    unit.answer(modbus.Diagnostics(Diagnostic.CLEAR_COUNTERS))
    assert counter(unit, Diagnostic.RETURN_BUS_EXCEPTION_ERROR_COUNT) == 0
    assert unit.answer(modbus.Diagnostics(0, b"\xa5\x37")) == modbus.DiagnosticsAnswer(0, b"\xa5\x37")


def test_the_event_log_has_the_latest_first(unit: ModbusUnit) -> None:
    unit.answer(modbus.ReadHoldingRegisters(2, 1))
    response = unit.answer(modbus.GetCommEventLog())
    assert response == modbus.CommEventLog(False, 0, 2, bytes.fromhex("80 41 80"))
    for _ in range(100):
        unit.answer(modbus.ReadHoldingRegisters(0, 1))
    response = unit.answer(modbus.GetCommEventLog())
    assert isinstance(response, modbus.CommEventLog)
    assert len(response.log) == 64


def test_forced_to_listen_it_says_nothing_until_restarted(unit: ModbusUnit) -> None:
    assert unit.answer(modbus.Diagnostics(Diagnostic.FORCE_LISTEN_ONLY)) is None
    assert unit.answer(modbus.ReadHoldingRegisters(0, 1)) is None
    assert unit.answer(modbus.WriteSingleRegister(10, 5)) is None
    assert unit.registers.holding_registers.values[10] == 0
    assert unit.answer(modbus.Diagnostics(Diagnostic.RESTART_COMMUNICATIONS)) is None
    assert unit.answer(modbus.ReadHoldingRegisters(0, 1)) == modbus.RegistersRead(3, (100,))


def test_a_restart_is_answered_by_a_device_that_talks(unit: ModbusUnit) -> None:
    restart = modbus.Diagnostics(Diagnostic.RESTART_COMMUNICATIONS, b"\xff\0")
    assert unit.answer(restart) == modbus.DiagnosticsAnswer(1, b"\xff\0")
    assert unit.answer(modbus.GetCommEventCounter()) == modbus.CommEventCounter(False, 1)


def test_its_server_id_shows_whether_it_runs(unit: ModbusUnit) -> None:
    assert unit.answer(modbus.ReportServerId()) == modbus.ServerId(b"\x01\xffLW-1")
    unit.running = False
    assert unit.answer(modbus.ReportServerId()) == modbus.ServerId(b"\x01\x00LW-1")
    unit.exception_status = 0x6D
    assert unit.answer(modbus.ReadExceptionStatus()) == modbus.ExceptionStatus(0x6D)
