"""What one sets on the reader: in its file, and at run time through its registers and its OPC UA nodes."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from lab.model.plant import Strict

Trigger = Literal["continuous", "edge", "command"]
Mode = Literal["multiple", "single"]
ANTENNAS: Final = 4
LEAST_POWER, MOST_POWER = 10.0, 33.0
"""dBm"""
LEAST_DWELL, MOST_DWELL = 100, 60_000
"""Milliseconds"""
MOST_FILTER: Final = 7


class EpcMask(Strict):
    """Only tags whose EPC has these digits at this place are identifiers."""

    bit: int = Field(default=0, ge=0, le=495, multiple_of=4, description="起始位。First bit, a multiple of 4.")
    match: str = Field(
        pattern=r"^[0-9A-Fa-f]{1,124}$", description="十六进制内容，如 `30`。Hexadecimal digits, such as `30`."
    )

    def fits(self, epc: bytes) -> bool:
        digits, place = epc.hex(), self.bit // 4
        return digits[place : place + len(self.match)] == self.match.lower()


class ReaderSettings(Strict):
    """As delivered: full power on every antenna, all the time."""

    power: float = Field(
        default=31.5,
        ge=LEAST_POWER,
        le=MOST_POWER,
        description="发射功率 dBm，步进 0.1。Transmit power in dBm, in steps of 0.1.",
    )
    antennas: tuple[Annotated[int, Field(ge=1, le=ANTENNAS)], ...] = Field(
        default=(1, 2, 3, 4), max_length=ANTENNAS, description="启用的天线。Antennas in use."
    )
    dwell_ms: int = Field(
        default=500,
        ge=LEAST_DWELL,
        le=MOST_DWELL,
        description="驻留时间：期间同一标签只上报一次。Milliseconds within which a tag is reported once.",
    )
    filter: int = Field(
        default=0,
        ge=0,
        le=MOST_FILTER,
        description="EPC 滤值，0 不过滤。Filter value of the EPCs wanted; 0 takes all.",
    )
    mask: EpcMask | None = Field(default=None, description="EPC 掩码。Digits the EPCs wanted have.")
    trigger: Trigger = Field(
        default="continuous",
        description="触发：连续、光幕上升沿、命令。When to read: always, when the light curtain is broken, on command.",
    )
    mode: Mode = Field(
        default="multiple",
        description="一次驻留读多个还是只允许一个标签。Whether several tags in one dwell are welcome or an error.",
    )
    session: int = Field(default=1, ge=0, le=3, description="Gen2 会话。Session of the air interface.")

    @property
    def antenna_mask(self) -> int:
        """Bit 0 is antenna 1."""
        return sum(1 << number - 1 for number in set(self.antennas))


class OperationStatus(IntEnum):
    """AutoIdOperationStatusEnumeration of OPC 30010 section 9.2.1, as far as a reader that only reads uses it."""

    SUCCESS = 0
    NO_IDENTIFIER = 8
    MULTIPLE_IDENTIFIERS = 9
    READ_ERROR = 10
    DECODING_ERROR = 11
    CODE_NOT_SUPPORTED = 13
    NOT_SUPPORTED_BY_DEVICE = 15
    DEVICE_NOT_READY = 17
    INVALID_CONFIGURATION = 18


class DeviceStatus(IntEnum):
    """DeviceStatusEnumeration of OPC 30010 section 9.2.2."""

    IDLE = 0
    ERROR = 1
    SCANNING = 2
    BUSY = 3


def antennas_of(mask: int) -> tuple[int, ...]:
    return tuple(number for number in range(1, ANTENNAS + 1) if mask >> number - 1 & 1)
