"""What to do on the air, and when (LLRP 1.0.1 sections 10, 12, 15.2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Annotated

from lab.wire.llrp.fields import U8, U16, U32, BitString, Flag, Top2, U16s, number
from lab.wire.llrp.parameters import GpiTrigger, Uptime, UtcTimestamp
from lab.wire.llrp.structure import parameter


class RoSpecState(IntEnum):
    DISABLED = 0
    INACTIVE = 1
    ACTIVE = 2


class StartTrigger(IntEnum):
    NULL = 0
    IMMEDIATE = 1
    PERIODIC = 2
    GPI = 3


class StopTrigger(IntEnum):
    NULL = 0
    DURATION = 1
    GPI = 2


class AiStopTrigger(IntEnum):
    NULL = 0
    DURATION = 1
    GPI = 2
    TAG_OBSERVATION = 3


class Observation(IntEnum):
    N_TAGS = 0
    NO_MORE_NEW_TAGS = 1
    N_ATTEMPTS = 2


class ReportTrigger(IntEnum):
    NONE = 0
    N_TAGS_OR_END_OF_AI_SPEC = 1
    N_TAGS_OR_END_OF_RO_SPEC = 2


class Selected(IntFlag):
    """What a report says of a tag beside its EPC (TagReportContentSelector)."""

    RO_SPEC_ID = 0x8000
    SPEC_INDEX = 0x4000
    INVENTORY_SPEC_ID = 0x2000
    ANTENNA_ID = 0x1000
    CHANNEL_INDEX = 0x0800
    PEAK_RSSI = 0x0400
    FIRST_SEEN = 0x0200
    LAST_SEEN = 0x0100
    SEEN_COUNT = 0x0080
    ACCESS_SPEC_ID = 0x0040


class EpcMemory(IntFlag):
    CRC = 0x80
    PC = 0x40


@parameter(180)
@dataclass(frozen=True, slots=True)
class Periodic:
    """PeriodicTriggerValue"""

    offset: U32
    """Milliseconds, as the next; after the time where one is given, else after the ROSpec is enabled."""
    period: U32
    time: UtcTimestamp | Uptime | None = None


@parameter(179)
@dataclass(frozen=True, slots=True)
class RoStart:
    """ROSpecStartTrigger"""

    trigger: Annotated[StartTrigger, number("B")]
    periodic: Periodic | None = None
    gpi: GpiTrigger | None = None


@parameter(182)
@dataclass(frozen=True, slots=True)
class RoStop:
    """ROSpecStopTrigger"""

    trigger: Annotated[StopTrigger, number("B")]
    duration: U32 = 0
    """Milliseconds"""
    gpi: GpiTrigger | None = None


@parameter(178)
@dataclass(frozen=True, slots=True)
class RoBoundary:
    """ROBoundarySpec"""

    start: RoStart
    stop: RoStop


@parameter(185)
@dataclass(frozen=True, slots=True)
class TagObservation:
    """TagObservationTrigger"""

    trigger: Annotated[Observation, number("B")]
    reserved: U8
    tags: U16
    attempts: U16
    quiet: U16
    """Milliseconds without a new tag."""
    timeout: U32
    """Milliseconds; 0 waits for ever."""


@parameter(184)
@dataclass(frozen=True, slots=True)
class AiStop:
    """AISpecStopTrigger"""

    trigger: Annotated[AiStopTrigger, number("B")]
    duration: U32 = 0
    """Milliseconds"""
    gpi: GpiTrigger | None = None
    observation: TagObservation | None = None


@parameter(332)
@dataclass(frozen=True, slots=True)
class TagMask:
    """C1G2TagInventoryMask"""

    bank: Top2
    pointer: U16
    """First bit in the memory bank."""
    mask: BitString


@parameter(333)
@dataclass(frozen=True, slots=True)
class StateAwareFilter:
    target: U8
    action: U8


@parameter(334)
@dataclass(frozen=True, slots=True)
class StateUnawareFilter:
    action: U8


@parameter(331)
@dataclass(frozen=True, slots=True)
class TagFilter:
    """C1G2Filter"""

    truncate: Top2
    mask: TagMask
    aware: StateAwareFilter | None = None
    unaware: StateUnawareFilter | None = None


@parameter(335)
@dataclass(frozen=True, slots=True)
class RfControl:
    """C1G2RFControl"""

    mode: U16
    tari: U16
    """Nanoseconds"""


@parameter(337)
@dataclass(frozen=True, slots=True)
class StateAwareSingulation:
    bits: U8


@parameter(336)
@dataclass(frozen=True, slots=True)
class Singulation:
    """C1G2SingulationControl"""

    session: Top2
    population: U16
    transit: U32
    """Milliseconds that a tag is expected to stay."""
    aware: StateAwareSingulation | None = None


@parameter(330)
@dataclass(frozen=True, slots=True)
class InventoryCommand:
    """C1G2InventoryCommand"""

    state_aware: Flag
    filters: tuple[TagFilter, ...] = ()
    rf: RfControl | None = None
    singulation: Singulation | None = None


@parameter(223)
@dataclass(frozen=True, slots=True)
class RfReceiver:
    sensitivity: U16
    """Index into the table of the capabilities."""


@parameter(224)
@dataclass(frozen=True, slots=True)
class RfTransmitter:
    hop_table: U16
    channel: U16
    power: U16
    """Index into the table of the capabilities."""


@parameter(222)
@dataclass(frozen=True, slots=True)
class AntennaConfiguration:
    antenna: U16
    """0 is every antenna."""
    receiver: RfReceiver | None = None
    transmitter: RfTransmitter | None = None
    inventory: tuple[InventoryCommand, ...] = ()


@parameter(186)
@dataclass(frozen=True, slots=True)
class InventorySpec:
    """InventoryParameterSpec"""

    id: U16
    protocol: U8
    antennas: tuple[AntennaConfiguration, ...] = ()


@parameter(183)
@dataclass(frozen=True, slots=True)
class AiSpec:
    """Inventory on some antennas until a stop trigger."""

    antennas: U16s
    """0 is every antenna."""
    stop: AiStop
    inventories: tuple[InventorySpec, ...]


@parameter(348)
@dataclass(frozen=True, slots=True)
class EpcMemorySelector:
    """C1G2EPCMemorySelector"""

    wanted: Annotated[EpcMemory, number("B")]


@parameter(238)
@dataclass(frozen=True, slots=True)
class ReportContent:
    """TagReportContentSelector"""

    selected: Annotated[Selected, number("H")]
    memory: tuple[EpcMemorySelector, ...] = ()


@parameter(237)
@dataclass(frozen=True, slots=True)
class RoReport:
    """ROReportSpec"""

    trigger: Annotated[ReportTrigger, number("B")]
    tags: U16
    """N; 0 means: not before the end."""
    content: ReportContent


@parameter(177)
@dataclass(frozen=True, slots=True)
class RoSpec:
    id: U32
    priority: U8
    """0 is the highest of 0 to 7."""
    state: Annotated[RoSpecState, number("B")]
    boundary: RoBoundary
    specs: tuple[AiSpec, ...]
    report: RoReport | None = None
