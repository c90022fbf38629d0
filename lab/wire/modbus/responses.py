"""Modbus responses: what a server answers, named for what it has done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from lab.wire.modbus.codes import (
    COIL_ON,
    EXCEPTION_BIT,
    FILE_REFERENCE,
    MAX_FIFO,
    ExceptionCode,
    Illegal,
    IllegalPdu,
    Mei,
)
from lab.wire.modbus.packing import PAIR, TRIPLE, WORD, pack_bits, pack_words, unpack_bits, unpack_words
from lab.wire.modbus.requests import (
    FileRecord,
    ReadCoils,
    ReadDiscreteInputs,
    Request,
    decode_file_records,
    encode_file_records,
    expect_byte_count,
    expect_file_reference,
    expect_length,
)


@dataclass(frozen=True, slots=True)
class BitsRead:
    """Answers functions 1 and 2."""

    function: int
    values: tuple[bool, ...]
    """As many as were asked for; where the request is not known, filled up with False to whole bytes."""

    def encode(self) -> bytes:
        data = pack_bits(self.values)
        return bytes((self.function, len(data))) + data


@dataclass(frozen=True, slots=True)
class RegistersRead:
    """Answers functions 3, 4 and 23."""

    function: int
    values: tuple[int, ...]

    def encode(self) -> bytes:
        return bytes((self.function, 2 * len(self.values))) + pack_words(self.values)


@dataclass(frozen=True, slots=True)
class CoilWritten:
    function: ClassVar[int] = 5

    address: int
    value: bool

    def encode(self) -> bytes:
        return b"\x05" + PAIR.pack(self.address, COIL_ON if self.value else 0)


@dataclass(frozen=True, slots=True)
class RegisterWritten:
    function: ClassVar[int] = 6

    address: int
    value: int

    def encode(self) -> bytes:
        return b"\x06" + PAIR.pack(self.address, self.value)


@dataclass(frozen=True, slots=True)
class ExceptionStatus:
    function: ClassVar[int] = 7

    status: int
    """Eight bits whose meaning is the device's own."""

    def encode(self) -> bytes:
        return bytes((7, self.status))


@dataclass(frozen=True, slots=True)
class DiagnosticsAnswer:
    function: ClassVar[int] = 8

    sub_function: int
    data: bytes

    def encode(self) -> bytes:
        return b"\x08" + WORD.pack(self.sub_function) + self.data


@dataclass(frozen=True, slots=True)
class CommEventCounter:
    function: ClassVar[int] = 11

    busy: bool
    events: int

    def encode(self) -> bytes:
        return b"\x0b" + PAIR.pack(0xFFFF if self.busy else 0, self.events)


@dataclass(frozen=True, slots=True)
class CommEventLog:
    function: ClassVar[int] = 12

    busy: bool
    events: int
    messages: int
    log: bytes
    """One byte an event, the latest first."""

    def encode(self) -> bytes:
        head = TRIPLE.pack(0xFFFF if self.busy else 0, self.events, self.messages)
        return bytes((12, len(head) + len(self.log))) + head + self.log


@dataclass(frozen=True, slots=True)
class CoilsWritten:
    function: ClassVar[int] = 15

    address: int
    quantity: int

    def encode(self) -> bytes:
        return b"\x0f" + PAIR.pack(self.address, self.quantity)


@dataclass(frozen=True, slots=True)
class RegistersWritten:
    function: ClassVar[int] = 16

    address: int
    quantity: int

    def encode(self) -> bytes:
        return b"\x10" + PAIR.pack(self.address, self.quantity)


@dataclass(frozen=True, slots=True)
class ServerId:
    function: ClassVar[int] = 17

    data: bytes
    """Server id, run indicator (0x00 or 0xFF) and more; only the device's maker knows where each ends."""

    def encode(self) -> bytes:
        return bytes((17, len(self.data))) + self.data


@dataclass(frozen=True, slots=True)
class FileRecordsRead:
    function: ClassVar[int] = 20

    records: tuple[tuple[int, ...], ...]

    def encode(self) -> bytes:
        parts = b"".join(bytes((1 + 2 * len(values), FILE_REFERENCE)) + pack_words(values) for values in self.records)
        return bytes((20, len(parts))) + parts


@dataclass(frozen=True, slots=True)
class FileRecordsWritten:
    function: ClassVar[int] = 21

    records: tuple[FileRecord, ...]

    def encode(self) -> bytes:
        return encode_file_records(self.records)


@dataclass(frozen=True, slots=True)
class RegisterMasked:
    function: ClassVar[int] = 22

    address: int
    and_mask: int
    or_mask: int

    def encode(self) -> bytes:
        return b"\x16" + TRIPLE.pack(self.address, self.and_mask, self.or_mask)


@dataclass(frozen=True, slots=True)
class FifoQueue:
    function: ClassVar[int] = 24

    values: tuple[int, ...]

    def encode(self) -> bytes:
        count = len(self.values)
        return b"\x18" + PAIR.pack(2 + 2 * count, count) + pack_words(self.values)


@dataclass(frozen=True, slots=True)
class CanopenGeneralReferenceAnswer:
    function: ClassVar[int] = 43

    data: bytes

    def encode(self) -> bytes:
        return bytes((43, Mei.CANOPEN_GENERAL_REFERENCE)) + self.data


class DeviceObject(NamedTuple):
    """One object of a device's identity: 0 VendorName, 1 ProductCode, 2 MajorMinorRevision …"""

    id: int
    value: bytes


@dataclass(frozen=True, slots=True)
class DeviceIdentification:
    """Answers function 43/14."""

    function: ClassVar[int] = 43

    access: int
    conformity: int
    """1 basic, 2 regular, 3 extended; plus 0x80 where objects can be read one by one."""
    objects: tuple[DeviceObject, ...]
    more_follows: bool = False
    next_object_id: int = 0
    """Where to go on asking, if more follows."""

    def encode(self) -> bytes:
        more = 0xFF if self.more_follows else 0
        head = (43, Mei.READ_DEVICE_IDENTIFICATION, self.access, self.conformity, more, self.next_object_id)
        parts = b"".join(bytes((each.id, len(each.value))) + each.value for each in self.objects)
        return bytes((*head, len(self.objects))) + parts


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    function: int
    """Of the request, without the bit that marks an exception."""
    code: int

    def encode(self) -> bytes:
        return bytes((self.function | EXCEPTION_BIT, self.code))

    @property
    def name(self) -> str:
        """`ILLEGAL_DATA_ADDRESS`, or the bare number where the specification has no name for it."""
        try:
            return ExceptionCode(self.code).name
        except ValueError:
            return f"0x{self.code:02x}"


Response = (
    BitsRead
    | RegistersRead
    | CoilWritten
    | RegisterWritten
    | ExceptionStatus
    | DiagnosticsAnswer
    | CommEventCounter
    | CommEventLog
    | CoilsWritten
    | RegistersWritten
    | ServerId
    | FileRecordsRead
    | FileRecordsWritten
    | RegisterMasked
    | FifoQueue
    | CanopenGeneralReferenceAnswer
    | DeviceIdentification
    | ExceptionResponse
    | IllegalPdu
)


def decode_response(pdu: bytes, request: Request | None = None) -> Response:
    """A response from its PDU, at least one byte; what breaks the rules comes out as IllegalPdu.

    The request says how many of the bits in an answer to functions 1 and 2 are meant; nothing else depends on it.
    """
    function = pdu[0]
    decode = _DECODERS.get(function)
    try:
        if decode is not None:
            response = decode(pdu)
        elif function & EXCEPTION_BIT:
            expect_length(pdu, 2)
            return ExceptionResponse(function & ~EXCEPTION_BIT, pdu[1])
        else:
            raise Illegal(f"{function} is not a public function code")
    except Illegal as illegal:
        return IllegalPdu(function, pdu[1:], reason=str(illegal))
    if isinstance(request, (ReadCoils, ReadDiscreteInputs)) and isinstance(response, BitsRead):
        quantity = request.quantity
        if request.function == function and (quantity + 7) // 8 == pdu[1]:
            return BitsRead(function, response.values[:quantity])
    return response


def _bits_read(pdu: bytes) -> Response:
    expect_byte_count(pdu, 1)
    return BitsRead(pdu[0], unpack_bits(pdu[2:]))


def _registers_read(pdu: bytes) -> Response:
    expect_byte_count(pdu, 1)
    if pdu[1] % 2:
        raise Illegal(f"{pdu[1]} bytes are no whole number of registers")
    return RegistersRead(pdu[0], unpack_words(pdu, 2, pdu[1] // 2))


def _coil_written(pdu: bytes) -> Response:
    expect_length(pdu, 5)
    address, value = PAIR.unpack_from(pdu, 1)
    if value not in (0, COIL_ON):
        raise Illegal(f"a coil is 0x0000 or 0xff00, not 0x{value:04x}")
    return CoilWritten(address, value == COIL_ON)


def _pair(message: Callable[[int, int], Response]) -> Callable[[bytes], Response]:
    def decode(pdu: bytes) -> Response:
        expect_length(pdu, 5)
        return message(*PAIR.unpack_from(pdu, 1))

    return decode


def _exception_status(pdu: bytes) -> Response:
    expect_length(pdu, 2)
    return ExceptionStatus(pdu[1])


def _diagnostics(pdu: bytes) -> Response:
    if len(pdu) < 3 or len(pdu) % 2 == 0:
        raise Illegal(f"{len(pdu)} bytes are no sub-function and whole words")
    return DiagnosticsAnswer(WORD.unpack_from(pdu, 1)[0], pdu[3:])


def _comm_event_counter(pdu: bytes) -> Response:
    expect_length(pdu, 5)
    status, events = PAIR.unpack_from(pdu, 1)
    return CommEventCounter(_busy(status), events)


def _comm_event_log(pdu: bytes) -> Response:
    expect_byte_count(pdu, 1)
    if pdu[1] < 6:
        raise Illegal(f"a byte count of {pdu[1]}, function 12 has at least 6")
    status, events, messages = TRIPLE.unpack_from(pdu, 2)
    return CommEventLog(_busy(status), events, messages, pdu[8:])


def _busy(status: int) -> bool:
    if status not in (0, 0xFFFF):
        raise Illegal(f"a status of 0x{status:04x}, not 0x0000 or 0xffff")
    return status == 0xFFFF


def _server_id(pdu: bytes) -> Response:
    expect_byte_count(pdu, 1)
    return ServerId(pdu[2:])


def _file_records_read(pdu: bytes) -> Response:
    expect_byte_count(pdu, 1)
    records = []
    at = 2
    while at < len(pdu):
        length = pdu[at]
        if length % 2 == 0 or len(pdu) - at - 1 < length:
            raise Illegal(f"a file record of {length} bytes in {len(pdu) - at - 1}")
        expect_file_reference(pdu[at + 1])
        records.append(unpack_words(pdu, at + 2, length // 2))
        at += 1 + length
    return FileRecordsRead(tuple(records))


def _file_records_written(pdu: bytes) -> Response:
    return FileRecordsWritten(decode_file_records(pdu))


def _register_masked(pdu: bytes) -> Response:
    expect_length(pdu, 7)
    return RegisterMasked(*TRIPLE.unpack_from(pdu, 1))


def _fifo_queue(pdu: bytes) -> Response:
    if len(pdu) < 5:
        raise Illegal("no room for the counts of function 24")
    size, count = PAIR.unpack_from(pdu, 1)
    if size != len(pdu) - 3 or size != 2 + 2 * count or count > MAX_FIFO:
        raise Illegal(f"a byte count of {size} and {count} words in {len(pdu) - 3} bytes")
    return FifoQueue(unpack_words(pdu, 5, count))


def _encapsulated_interface(pdu: bytes) -> Response:
    if len(pdu) < 2:
        raise Illegal("no room for an MEI type")
    if pdu[1] == Mei.CANOPEN_GENERAL_REFERENCE:
        return CanopenGeneralReferenceAnswer(pdu[2:])
    if pdu[1] != Mei.READ_DEVICE_IDENTIFICATION or len(pdu) < 7:
        raise Illegal(f"MEI type {pdu[1]} in {len(pdu)} bytes")
    _, _, access, conformity, more, next_object_id, count = pdu[:7]
    if more not in (0, 0xFF):
        raise Illegal(f"more follows is 0x{more:02x}, not 0x00 or 0xff")
    objects = []
    at = 7
    while at < len(pdu):
        if len(pdu) - at < 2 or len(pdu) - at - 2 < pdu[at + 1]:
            raise Illegal("a device object is cut off")
        end = at + 2 + pdu[at + 1]
        objects.append(DeviceObject(pdu[at], pdu[at + 2 : end]))
        at = end
    if len(objects) != count:
        raise Illegal(f"{count} objects announced, {len(objects)} here")
    return DeviceIdentification(access, conformity, tuple(objects), more == 0xFF, next_object_id)


_DECODERS: Mapping[int, Callable[[bytes], Response]] = {
    1: _bits_read,
    2: _bits_read,
    3: _registers_read,
    4: _registers_read,
    5: _coil_written,
    6: _pair(RegisterWritten),
    7: _exception_status,
    8: _diagnostics,
    11: _comm_event_counter,
    12: _comm_event_log,
    15: _pair(CoilsWritten),
    16: _pair(RegistersWritten),
    17: _server_id,
    20: _file_records_read,
    21: _file_records_written,
    22: _register_masked,
    23: _registers_read,
    24: _fifo_queue,
    43: _encapsulated_interface,
}
