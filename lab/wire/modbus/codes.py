"""Numbers of the Modbus Application Protocol V1.1b3, and the names they go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

PORT: Final = 502

MAX_PDU: Final = 253
"""Bytes, from the 256 of an RS-485 frame less address and CRC (section 4.1)."""
MAX_READ_BITS: Final = 2000
MAX_READ_REGISTERS: Final = 125
MAX_WRITE_BITS: Final = 1968
MAX_WRITE_REGISTERS: Final = 123
MAX_READ_WRITE_REGISTERS: Final = 121
"""Of the writing half of function 23; its reading half has the limit of a plain read."""
MAX_FIFO: Final = 31
MAX_RECORD: Final = 9999

EXCEPTION_BIT: Final = 0x80
COIL_ON: Final = 0xFF00
FILE_REFERENCE: Final = 6
"""The only reference type of functions 20 and 21."""

FUNCTIONS: Final[Mapping[int, str]] = {
    1: "Read Coils",
    2: "Read Discrete Inputs",
    3: "Read Holding Registers",
    4: "Read Input Registers",
    5: "Write Single Coil",
    6: "Write Single Register",
    7: "Read Exception Status",
    8: "Diagnostics",
    11: "Get Comm Event Counter",
    12: "Get Comm Event Log",
    15: "Write Multiple Coils",
    16: "Write Multiple Registers",
    17: "Report Server ID",
    20: "Read File Record",
    21: "Write File Record",
    22: "Mask Write Register",
    23: "Read/Write Multiple Registers",
    24: "Read FIFO Queue",
    43: "Encapsulated Interface Transport",
}


class ExceptionCode(IntEnum):
    """Why a server refused (section 7)."""

    ILLEGAL_FUNCTION = 0x01
    ILLEGAL_DATA_ADDRESS = 0x02
    ILLEGAL_DATA_VALUE = 0x03
    SERVER_DEVICE_FAILURE = 0x04
    ACKNOWLEDGE = 0x05
    SERVER_DEVICE_BUSY = 0x06
    MEMORY_PARITY_ERROR = 0x08
    GATEWAY_PATH_UNAVAILABLE = 0x0A
    GATEWAY_TARGET_FAILED_TO_RESPOND = 0x0B


class Diagnostic(IntEnum):
    """Sub-functions of function 8 (section 6.8)."""

    RETURN_QUERY_DATA = 0
    RESTART_COMMUNICATIONS = 1
    RETURN_DIAGNOSTIC_REGISTER = 2
    CHANGE_ASCII_DELIMITER = 3
    FORCE_LISTEN_ONLY = 4
    CLEAR_COUNTERS = 10
    RETURN_BUS_MESSAGE_COUNT = 11
    RETURN_BUS_COMMUNICATION_ERROR_COUNT = 12
    RETURN_BUS_EXCEPTION_ERROR_COUNT = 13
    RETURN_SERVER_MESSAGE_COUNT = 14
    RETURN_SERVER_NO_RESPONSE_COUNT = 15
    RETURN_SERVER_NAK_COUNT = 16
    RETURN_SERVER_BUSY_COUNT = 17
    RETURN_BUS_CHARACTER_OVERRUN_COUNT = 18
    CLEAR_OVERRUN_COUNTER = 20


class DeviceIdAccess(IntEnum):
    """What function 43/14 asks for (section 6.21)."""

    BASIC = 1
    REGULAR = 2
    EXTENDED = 3
    SPECIFIC = 4


class Mei(IntEnum):
    """MODBUS Encapsulated Interface types."""

    CANOPEN_GENERAL_REFERENCE = 13
    READ_DEVICE_IDENTIFICATION = 14


@dataclass(frozen=True, slots=True)
class IllegalPdu:
    """A message that arrived whole and breaks the rules of its function; the connection is none the worse for it."""

    function: int
    body: bytes
    """What followed the function code."""
    exception: ExceptionCode | None = None
    """What a server answers; None where the illegal message was itself an answer."""
    reason: str = field(default="", compare=False)

    def encode(self) -> bytes:
        return bytes((self.function,)) + self.body


class Illegal(Exception):
    """Raised inside the codec only; becomes an IllegalPdu."""

    def __init__(self, reason: str, exception: ExceptionCode = ExceptionCode.ILLEGAL_DATA_VALUE) -> None:
        super().__init__(reason)
        self.exception = exception
