"""What a reader reports of tags and of itself (LLRP 1.0.1 sections 14, 15.2.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from lab.wire.llrp.fields import S8, U8, U16, U32, U64, BitString, Epc96, Flag, Utf8, number
from lab.wire.llrp.parameters import (
    AccessSpecId,
    AntennaId,
    InventorySpecId,
    RoSpecId,
    SpecIndex,
    Uptime,
    UtcTimestamp,
)
from lab.wire.llrp.structure import parameter


class RoSpecEventType(IntEnum):
    START = 0
    END = 1
    PREEMPTION = 2


class ConnectionAttempt(IntEnum):
    SUCCESS = 0
    READER_INITIATED_EXISTS = 1
    CLIENT_INITIATED_EXISTS = 2
    OTHER_REASON = 3
    ANOTHER_ATTEMPTED = 4


@parameter(241)
@dataclass(frozen=True, slots=True)
class EpcData:
    """An EPC of any length but 96 bits."""

    epc: BitString


@parameter(13)
@dataclass(frozen=True, slots=True)
class EpcOf96:
    """EPC_96"""

    epc: Epc96


@parameter(6)
@dataclass(frozen=True, slots=True)
class PeakRssi:
    dbm: S8


@parameter(7)
@dataclass(frozen=True, slots=True)
class ChannelIndex:
    index: U16


@parameter(2)
@dataclass(frozen=True, slots=True)
class FirstSeenUtc:
    microseconds: U64


@parameter(3)
@dataclass(frozen=True, slots=True)
class FirstSeenUptime:
    microseconds: U64


@parameter(4)
@dataclass(frozen=True, slots=True)
class LastSeenUtc:
    microseconds: U64


@parameter(5)
@dataclass(frozen=True, slots=True)
class LastSeenUptime:
    microseconds: U64


@parameter(8)
@dataclass(frozen=True, slots=True)
class SeenCount:
    count: U16


@parameter(12)
@dataclass(frozen=True, slots=True)
class PcBits:
    """C1G2_PC"""

    pc: U16


@parameter(11)
@dataclass(frozen=True, slots=True)
class Crc:
    """C1G2_CRC"""

    crc: U16


@parameter(240)
@dataclass(frozen=True, slots=True)
class TagReport:
    """TagReportData"""

    epc: EpcData | EpcOf96
    ro_spec: RoSpecId | None = None
    spec_index: SpecIndex | None = None
    inventory: InventorySpecId | None = None
    antenna: AntennaId | None = None
    rssi: PeakRssi | None = None
    channel: ChannelIndex | None = None
    first_seen: FirstSeenUtc | FirstSeenUptime | None = None
    last_seen: LastSeenUtc | LastSeenUptime | None = None
    count: SeenCount | None = None
    memory: tuple[PcBits | Crc, ...] = ()
    access_spec: AccessSpecId | None = None


@parameter(248)
@dataclass(frozen=True, slots=True)
class GpiEvent:
    port: U16
    level: Flag


@parameter(249)
@dataclass(frozen=True, slots=True)
class RoSpecEvent:
    event: Annotated[RoSpecEventType, number("B")]
    id: U32
    preempting: U32 = 0


@parameter(250)
@dataclass(frozen=True, slots=True)
class BufferWarning:
    """ReportBufferLevelWarningEvent"""

    percent: U8


@parameter(251)
@dataclass(frozen=True, slots=True)
class BufferOverflow:
    """ReportBufferOverflowErrorEvent"""


@parameter(252)
@dataclass(frozen=True, slots=True)
class ReaderException:
    message: Utf8
    ro_spec: RoSpecId | None = None
    spec_index: SpecIndex | None = None
    inventory: InventorySpecId | None = None
    antenna: AntennaId | None = None
    access_spec: AccessSpecId | None = None


@parameter(18)
@dataclass(frozen=True, slots=True)
class SingulationDetails:
    """C1G2SingulationDetails"""

    collided: U16
    """Slots, as the next"""
    empty: U16


@parameter(254)
@dataclass(frozen=True, slots=True)
class AiSpecEvent:
    event: U8
    """0 is its end; there is no other."""
    ro_spec: U32
    spec_index: U16
    details: SingulationDetails | None = None


@parameter(255)
@dataclass(frozen=True, slots=True)
class AntennaEvent:
    connected: U8
    antenna: U16


@parameter(256)
@dataclass(frozen=True, slots=True)
class ConnectionAttempted:
    """ConnectionAttemptEvent"""

    status: Annotated[ConnectionAttempt, number("H")]


@parameter(257)
@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """ConnectionCloseEvent"""


@parameter(246)
@dataclass(frozen=True, slots=True)
class ReaderEvent:
    """ReaderEventNotificationData"""

    time: UtcTimestamp | Uptime
    gpi: GpiEvent | None = None
    ro_spec: RoSpecEvent | None = None
    buffer_warning: BufferWarning | None = None
    buffer_overflow: BufferOverflow | None = None
    exception: ReaderException | None = None
    ai_spec: AiSpecEvent | None = None
    antenna: AntennaEvent | None = None
    connection: ConnectionAttempted | None = None
    closed: ConnectionClosed | None = None
