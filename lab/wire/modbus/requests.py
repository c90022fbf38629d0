"""Modbus requests: what a client asks of a server, one class for each public function code.

Encoding does not judge: a client that wants to break a rule may. Decoding does, and says which exception is due.
Addresses count from zero, as on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.wire.modbus.codes import (
    COIL_ON,
    FILE_REFERENCE,
    MAX_READ_BITS,
    MAX_READ_REGISTERS,
    MAX_READ_WRITE_REGISTERS,
    MAX_WRITE_BITS,
    MAX_WRITE_REGISTERS,
    DeviceIdAccess,
    Diagnostic,
    ExceptionCode,
    Illegal,
    IllegalPdu,
    Mei,
)
from lab.wire.modbus.packing import PAIR, TRIPLE, WORD, pack_bits, pack_words, unpack_bits, unpack_words


@dataclass(frozen=True, slots=True)
class _Read:
    function: ClassVar[int]

    address: int
    quantity: int

    def encode(self) -> bytes:
        return bytes((self.function,)) + PAIR.pack(self.address, self.quantity)


class ReadCoils(_Read):
    __slots__ = ()
    function = 1


class ReadDiscreteInputs(_Read):
    __slots__ = ()
    function = 2


class ReadHoldingRegisters(_Read):
    __slots__ = ()
    function = 3


class ReadInputRegisters(_Read):
    __slots__ = ()
    function = 4


@dataclass(frozen=True, slots=True)
class WriteSingleCoil:
    function: ClassVar[int] = 5

    address: int
    value: bool

    def encode(self) -> bytes:
        return b"\x05" + PAIR.pack(self.address, COIL_ON if self.value else 0)


@dataclass(frozen=True, slots=True)
class WriteSingleRegister:
    function: ClassVar[int] = 6

    address: int
    value: int

    def encode(self) -> bytes:
        return b"\x06" + PAIR.pack(self.address, self.value)


@dataclass(frozen=True, slots=True)
class ReadExceptionStatus:
    function: ClassVar[int] = 7

    def encode(self) -> bytes:
        return b"\x07"


@dataclass(frozen=True, slots=True)
class Diagnostics:
    function: ClassVar[int] = 8

    sub_function: int
    """One of `Diagnostic`."""
    data: bytes = b"\0\0"
    """Two bytes, but any even number of them for RETURN_QUERY_DATA."""

    def encode(self) -> bytes:
        return b"\x08" + WORD.pack(self.sub_function) + self.data


@dataclass(frozen=True, slots=True)
class GetCommEventCounter:
    function: ClassVar[int] = 11

    def encode(self) -> bytes:
        return b"\x0b"


@dataclass(frozen=True, slots=True)
class GetCommEventLog:
    function: ClassVar[int] = 12

    def encode(self) -> bytes:
        return b"\x0c"


@dataclass(frozen=True, slots=True)
class WriteMultipleCoils:
    function: ClassVar[int] = 15

    address: int
    values: tuple[bool, ...]

    def encode(self) -> bytes:
        data = pack_bits(self.values)
        return b"\x0f" + PAIR.pack(self.address, len(self.values)) + bytes((len(data),)) + data


@dataclass(frozen=True, slots=True)
class WriteMultipleRegisters:
    function: ClassVar[int] = 16

    address: int
    values: tuple[int, ...]

    def encode(self) -> bytes:
        count = len(self.values)
        return b"\x10" + PAIR.pack(self.address, count) + bytes((2 * count,)) + pack_words(self.values)


@dataclass(frozen=True, slots=True)
class ReportServerId:
    function: ClassVar[int] = 17

    def encode(self) -> bytes:
        return b"\x11"


@dataclass(frozen=True, slots=True)
class FileReference:
    """A run of records in a file, to be read."""

    file: int
    record: int
    length: int
    """In 16-bit words."""


@dataclass(frozen=True, slots=True)
class ReadFileRecord:
    function: ClassVar[int] = 20

    records: tuple[FileReference, ...]

    def encode(self) -> bytes:
        parts = b"".join(
            bytes((FILE_REFERENCE,)) + TRIPLE.pack(each.file, each.record, each.length) for each in self.records
        )
        return bytes((20, len(parts))) + parts


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A run of records in a file, with what is to stand there."""

    file: int
    record: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WriteFileRecord:
    function: ClassVar[int] = 21

    records: tuple[FileRecord, ...]

    def encode(self) -> bytes:
        return encode_file_records(self.records)


@dataclass(frozen=True, slots=True)
class MaskWriteRegister:
    """The register becomes (itself AND and_mask) OR (or_mask AND NOT and_mask)."""

    function: ClassVar[int] = 22

    address: int
    and_mask: int
    or_mask: int

    def encode(self) -> bytes:
        return b"\x16" + TRIPLE.pack(self.address, self.and_mask, self.or_mask)


@dataclass(frozen=True, slots=True)
class ReadWriteMultipleRegisters:
    """The writing is done before the reading."""

    function: ClassVar[int] = 23

    read_address: int
    read_quantity: int
    write_address: int
    values: tuple[int, ...]

    def encode(self) -> bytes:
        count = len(self.values)
        head = PAIR.pack(self.read_address, self.read_quantity) + PAIR.pack(self.write_address, count)
        return b"\x17" + head + bytes((2 * count,)) + pack_words(self.values)


@dataclass(frozen=True, slots=True)
class ReadFifoQueue:
    function: ClassVar[int] = 24

    address: int

    def encode(self) -> bytes:
        return b"\x18" + WORD.pack(self.address)


@dataclass(frozen=True, slots=True)
class CanopenGeneralReference:
    """Function 43/13, whose inside belongs to CiA 309-2 and stays closed here."""

    function: ClassVar[int] = 43

    data: bytes

    def encode(self) -> bytes:
        return bytes((43, Mei.CANOPEN_GENERAL_REFERENCE)) + self.data


@dataclass(frozen=True, slots=True)
class ReadDeviceIdentification:
    """Function 43/14."""

    function: ClassVar[int] = 43

    access: int
    """One of `DeviceIdAccess`."""
    object_id: int
    """Where to begin, or with SPECIFIC the one object wanted."""

    def encode(self) -> bytes:
        return bytes((43, Mei.READ_DEVICE_IDENTIFICATION, self.access, self.object_id))


Request = (
    ReadCoils
    | ReadDiscreteInputs
    | ReadHoldingRegisters
    | ReadInputRegisters
    | WriteSingleCoil
    | WriteSingleRegister
    | ReadExceptionStatus
    | Diagnostics
    | GetCommEventCounter
    | GetCommEventLog
    | WriteMultipleCoils
    | WriteMultipleRegisters
    | ReportServerId
    | ReadFileRecord
    | WriteFileRecord
    | MaskWriteRegister
    | ReadWriteMultipleRegisters
    | ReadFifoQueue
    | CanopenGeneralReference
    | ReadDeviceIdentification
    | IllegalPdu
)


def decode_request(pdu: bytes) -> Request:
    """A request from its PDU, at least one byte; what breaks the rules comes out as IllegalPdu."""
    decode = _DECODERS.get(pdu[0])
    if decode is None:
        return IllegalPdu(pdu[0], pdu[1:], ExceptionCode.ILLEGAL_FUNCTION, f"{pdu[0]} is not a public function code")
    try:
        return decode(pdu)
    except Illegal as illegal:
        return IllegalPdu(pdu[0], pdu[1:], illegal.exception, str(illegal))


def encode_file_records(records: tuple[FileRecord, ...]) -> bytes:
    """Function 21, whose answer repeats the question."""
    parts = b"".join(
        bytes((FILE_REFERENCE,)) + TRIPLE.pack(each.file, each.record, len(each.values)) + pack_words(each.values)
        for each in records
    )
    return bytes((21, len(parts))) + parts


def decode_file_records(pdu: bytes) -> tuple[FileRecord, ...]:
    expect_byte_count(pdu, 1)
    if not 0x09 <= pdu[1] <= 0xFB:
        raise Illegal(f"a byte count of {pdu[1]}, function 21 allows 9 to 251")
    records = []
    at = 2
    while at < len(pdu):
        if len(pdu) - at < 7:
            raise Illegal("a file record is cut off")
        expect_file_reference(pdu[at])
        file, record, length = TRIPLE.unpack_from(pdu, at + 1)
        at += 7
        if len(pdu) - at < 2 * length:
            raise Illegal(f"{length} words announced, {len(pdu) - at} bytes left")
        records.append(FileRecord(file, record, unpack_words(pdu, at, length)))
        at += 2 * length
    return tuple(records)


def expect_length(pdu: bytes, length: int) -> None:
    if len(pdu) != length:
        raise Illegal(f"{len(pdu)} bytes, function {pdu[0]} has {length}")


def expect_byte_count(pdu: bytes, at: int) -> None:
    """The byte at `at` says how many follow it."""
    if len(pdu) <= at:
        raise Illegal(f"{len(pdu)} bytes, too few for function {pdu[0]}")
    if pdu[at] != len(pdu) - at - 1:
        raise Illegal(f"a byte count of {pdu[at]} for {len(pdu) - at - 1} bytes")


def expect_file_reference(kind: int) -> None:
    if kind != FILE_REFERENCE:
        raise Illegal(f"reference type {kind}, not 6", ExceptionCode.ILLEGAL_DATA_ADDRESS)


def _expect_quantity(quantity: int, limit: int) -> None:
    if not 0 < quantity <= limit:
        raise Illegal(f"a quantity of {quantity}, the limit is 1 to {limit}")


def _read(message: Callable[[int, int], Request], limit: int) -> Callable[[bytes], Request]:
    def decode(pdu: bytes) -> Request:
        expect_length(pdu, 5)
        address, quantity = PAIR.unpack_from(pdu, 1)
        _expect_quantity(quantity, limit)
        return message(address, quantity)

    return decode


def _bare(message: Callable[[], Request]) -> Callable[[bytes], Request]:
    def decode(pdu: bytes) -> Request:
        expect_length(pdu, 1)
        return message()

    return decode


def _write_single_coil(pdu: bytes) -> Request:
    expect_length(pdu, 5)
    address, value = PAIR.unpack_from(pdu, 1)
    if value not in (0, COIL_ON):
        raise Illegal(f"a coil is written with 0x0000 or 0xff00, not 0x{value:04x}")
    return WriteSingleCoil(address, value == COIL_ON)


def _write_single_register(pdu: bytes) -> Request:
    expect_length(pdu, 5)
    return WriteSingleRegister(*PAIR.unpack_from(pdu, 1))


def _diagnostics(pdu: bytes) -> Request:
    if len(pdu) < 3:
        raise Illegal("no room for a sub-function")
    sub_function, data = WORD.unpack_from(pdu, 1)[0], pdu[3:]
    if sub_function not in _DIAGNOSTICS:
        raise Illegal(f"unknown sub-function {sub_function}", ExceptionCode.ILLEGAL_FUNCTION)
    if sub_function == Diagnostic.RETURN_QUERY_DATA:
        legal = len(data) % 2 == 0
    elif sub_function == Diagnostic.RESTART_COMMUNICATIONS:
        legal = data in (b"\0\0", b"\xff\0")
    elif sub_function == Diagnostic.CHANGE_ASCII_DELIMITER:
        legal = len(data) == 2 and data[1] == 0
    else:
        legal = data == b"\0\0"
    if not legal:
        raise Illegal(f"data {data.hex()} for sub-function {sub_function}")
    return Diagnostics(sub_function, data)


def _write_multiple_coils(pdu: bytes) -> Request:
    expect_byte_count(pdu, 5)
    address, quantity = PAIR.unpack_from(pdu, 1)
    _expect_quantity(quantity, MAX_WRITE_BITS)
    if pdu[5] != (quantity + 7) // 8:
        raise Illegal(f"{pdu[5]} bytes for {quantity} coils")
    return WriteMultipleCoils(address, unpack_bits(pdu[6:])[:quantity])


def _write_multiple_registers(pdu: bytes) -> Request:
    expect_byte_count(pdu, 5)
    address, quantity = PAIR.unpack_from(pdu, 1)
    _expect_quantity(quantity, MAX_WRITE_REGISTERS)
    if pdu[5] != 2 * quantity:
        raise Illegal(f"{pdu[5]} bytes for {quantity} registers")
    return WriteMultipleRegisters(address, unpack_words(pdu, 6, quantity))


def _read_file_record(pdu: bytes) -> Request:
    expect_byte_count(pdu, 1)
    if not 0x07 <= pdu[1] <= 0xF5 or pdu[1] % 7:
        raise Illegal(f"a byte count of {pdu[1]}, function 20 allows multiples of 7 up to 245")
    records = []
    for at in range(2, len(pdu), 7):
        expect_file_reference(pdu[at])
        records.append(FileReference(*TRIPLE.unpack_from(pdu, at + 1)))
    return ReadFileRecord(tuple(records))


def _write_file_record(pdu: bytes) -> Request:
    return WriteFileRecord(decode_file_records(pdu))


def _mask_write_register(pdu: bytes) -> Request:
    expect_length(pdu, 7)
    return MaskWriteRegister(*TRIPLE.unpack_from(pdu, 1))


def _read_write_multiple_registers(pdu: bytes) -> Request:
    expect_byte_count(pdu, 9)
    read_address, read_quantity = PAIR.unpack_from(pdu, 1)
    write_address, write_quantity = PAIR.unpack_from(pdu, 5)
    _expect_quantity(read_quantity, MAX_READ_REGISTERS)
    _expect_quantity(write_quantity, MAX_READ_WRITE_REGISTERS)
    if pdu[9] != 2 * write_quantity:
        raise Illegal(f"{pdu[9]} bytes for {write_quantity} registers")
    values = unpack_words(pdu, 10, write_quantity)
    return ReadWriteMultipleRegisters(read_address, read_quantity, write_address, values)


def _read_fifo_queue(pdu: bytes) -> Request:
    expect_length(pdu, 3)
    return ReadFifoQueue(WORD.unpack_from(pdu, 1)[0])


def _encapsulated_interface(pdu: bytes) -> Request:
    if len(pdu) < 2:
        raise Illegal("no room for an MEI type")
    if pdu[1] == Mei.CANOPEN_GENERAL_REFERENCE:
        return CanopenGeneralReference(pdu[2:])
    if pdu[1] != Mei.READ_DEVICE_IDENTIFICATION:
        raise Illegal(f"unknown MEI type {pdu[1]}", ExceptionCode.ILLEGAL_FUNCTION)
    expect_length(pdu, 4)
    if pdu[2] not in _ACCESSES:
        raise Illegal(f"unknown read device id code {pdu[2]}")
    return ReadDeviceIdentification(pdu[2], pdu[3])


_DIAGNOSTICS = frozenset(Diagnostic)
_ACCESSES = frozenset(DeviceIdAccess)

_DECODERS: Mapping[int, Callable[[bytes], Request]] = {
    1: _read(ReadCoils, MAX_READ_BITS),
    2: _read(ReadDiscreteInputs, MAX_READ_BITS),
    3: _read(ReadHoldingRegisters, MAX_READ_REGISTERS),
    4: _read(ReadInputRegisters, MAX_READ_REGISTERS),
    5: _write_single_coil,
    6: _write_single_register,
    7: _bare(ReadExceptionStatus),
    8: _diagnostics,
    11: _bare(GetCommEventCounter),
    12: _bare(GetCommEventLog),
    15: _write_multiple_coils,
    16: _write_multiple_registers,
    17: _bare(ReportServerId),
    20: _read_file_record,
    21: _write_file_record,
    22: _mask_write_register,
    23: _read_write_multiple_registers,
    24: _read_fifo_queue,
    43: _encapsulated_interface,
}
