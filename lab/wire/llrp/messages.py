"""The messages, requests and their responses side by side (LLRP 1.0.1 section 15.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from lab.wire.llrp.capabilities import (
    C1G2Capabilities,
    GeneralDeviceCapabilities,
    LlrpCapabilities,
    RegulatoryCapabilities,
)
from lab.wire.llrp.configuration import (
    AccessReport,
    AntennaProperties,
    ConfigurationState,
    EventsAndReports,
    EventStates,
    GpiPort,
    GpoWrite,
    Identification,
    Keepalive,
)
from lab.wire.llrp.fields import U8, U16, U32, Flag, Rest, number
from lab.wire.llrp.parameters import LlrpStatus
from lab.wire.llrp.reports import ReaderEvent, TagReport
from lab.wire.llrp.specs import AntennaConfiguration, RoReport, RoSpec
from lab.wire.llrp.structure import message


class Capabilities(IntEnum):
    """GetReaderCapabilitiesRequestedData"""

    ALL = 0
    DEVICE = 1
    LLRP = 2
    REGULATORY = 3
    AIR_PROTOCOL = 4


class Configuration(IntEnum):
    """GetReaderConfigRequestedData"""

    ALL = 0
    IDENTIFICATION = 1
    ANTENNA_PROPERTIES = 2
    ANTENNA_CONFIGURATION = 3
    RO_REPORT = 4
    EVENTS = 5
    ACCESS_REPORT = 6
    STATE = 7
    KEEPALIVE = 8
    GPI = 9
    GPO = 10
    HOLDING = 11


@message(1)
@dataclass(frozen=True, slots=True)
class GetReaderCapabilities:
    requested: Annotated[Capabilities, number("B")] = Capabilities.ALL


@message(11)
@dataclass(frozen=True, slots=True)
class GetReaderCapabilitiesResponse:
    status: LlrpStatus
    device: GeneralDeviceCapabilities | None = None
    llrp: LlrpCapabilities | None = None
    regulatory: RegulatoryCapabilities | None = None
    c1g2: C1G2Capabilities | None = None


@message(2)
@dataclass(frozen=True, slots=True)
class GetReaderConfig:
    antenna: U16 = 0
    requested: Annotated[Configuration, number("B")] = Configuration.ALL
    gpi: U16 = 0
    gpo: U16 = 0


@message(12)
@dataclass(frozen=True, slots=True)
class GetReaderConfigResponse:
    status: LlrpStatus
    identification: Identification | None = None
    properties: tuple[AntennaProperties, ...] = ()
    antennas: tuple[AntennaConfiguration, ...] = ()
    events: EventStates | None = None
    report: RoReport | None = None
    access_report: AccessReport | None = None
    state: ConfigurationState | None = None
    keepalive: Keepalive | None = None
    gpis: tuple[GpiPort, ...] = ()
    gpos: tuple[GpoWrite, ...] = ()
    holding: EventsAndReports | None = None


@message(3)
@dataclass(frozen=True, slots=True)
class SetReaderConfig:
    reset: Flag = False
    events: EventStates | None = None
    properties: tuple[AntennaProperties, ...] = ()
    antennas: tuple[AntennaConfiguration, ...] = ()
    report: RoReport | None = None
    access_report: AccessReport | None = None
    keepalive: Keepalive | None = None
    gpos: tuple[GpoWrite, ...] = ()
    gpis: tuple[GpiPort, ...] = ()
    holding: EventsAndReports | None = None


@message(13)
@dataclass(frozen=True, slots=True)
class SetReaderConfigResponse:
    status: LlrpStatus


@message(14)
@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Nothing is in it."""


@message(4)
@dataclass(frozen=True, slots=True)
class CloseConnectionResponse:
    status: LlrpStatus


@message(20)
@dataclass(frozen=True, slots=True)
class AddRoSpec:
    spec: RoSpec


@message(30)
@dataclass(frozen=True, slots=True)
class AddRoSpecResponse:
    status: LlrpStatus


@message(21)
@dataclass(frozen=True, slots=True)
class DeleteRoSpec:
    id: U32


@message(31)
@dataclass(frozen=True, slots=True)
class DeleteRoSpecResponse:
    status: LlrpStatus


@message(22)
@dataclass(frozen=True, slots=True)
class StartRoSpec:
    id: U32


@message(32)
@dataclass(frozen=True, slots=True)
class StartRoSpecResponse:
    status: LlrpStatus


@message(23)
@dataclass(frozen=True, slots=True)
class StopRoSpec:
    id: U32


@message(33)
@dataclass(frozen=True, slots=True)
class StopRoSpecResponse:
    status: LlrpStatus


@message(24)
@dataclass(frozen=True, slots=True)
class EnableRoSpec:
    id: U32


@message(34)
@dataclass(frozen=True, slots=True)
class EnableRoSpecResponse:
    status: LlrpStatus


@message(25)
@dataclass(frozen=True, slots=True)
class DisableRoSpec:
    id: U32


@message(35)
@dataclass(frozen=True, slots=True)
class DisableRoSpecResponse:
    status: LlrpStatus


@message(26)
@dataclass(frozen=True, slots=True)
class GetRoSpecs:
    """Nothing is in it."""


@message(36)
@dataclass(frozen=True, slots=True)
class GetRoSpecsResponse:
    status: LlrpStatus
    specs: tuple[RoSpec, ...] = ()


@message(41)
@dataclass(frozen=True, slots=True)
class DeleteAccessSpec:
    id: U32


@message(51)
@dataclass(frozen=True, slots=True)
class DeleteAccessSpecResponse:
    status: LlrpStatus


@message(42)
@dataclass(frozen=True, slots=True)
class EnableAccessSpec:
    id: U32


@message(52)
@dataclass(frozen=True, slots=True)
class EnableAccessSpecResponse:
    status: LlrpStatus


@message(43)
@dataclass(frozen=True, slots=True)
class DisableAccessSpec:
    id: U32


@message(53)
@dataclass(frozen=True, slots=True)
class DisableAccessSpecResponse:
    status: LlrpStatus


@message(44)
@dataclass(frozen=True, slots=True)
class GetAccessSpecs:
    """Nothing is in it."""


@message(54)
@dataclass(frozen=True, slots=True)
class GetAccessSpecsResponse:
    status: LlrpStatus


@message(60)
@dataclass(frozen=True, slots=True)
class GetReport:
    """Nothing is in it."""


@message(61)
@dataclass(frozen=True, slots=True)
class RoAccessReport:
    tags: tuple[TagReport, ...] = ()


@message(62)
@dataclass(frozen=True, slots=True)
class KeepaliveMessage:
    """Nothing is in it."""


@message(72)
@dataclass(frozen=True, slots=True)
class KeepaliveAck:
    """Nothing is in it."""


@message(63)
@dataclass(frozen=True, slots=True)
class ReaderEventNotification:
    event: ReaderEvent


@message(64)
@dataclass(frozen=True, slots=True)
class EnableEventsAndReports:
    """Nothing is in it."""


@message(100)
@dataclass(frozen=True, slots=True)
class ErrorMessage:
    status: LlrpStatus


@message(1023)
@dataclass(frozen=True, slots=True)
class CustomMessage:
    vendor: U32
    subtype: U8
    data: Rest


Message = (
    GetReaderCapabilities
    | GetReaderCapabilitiesResponse
    | GetReaderConfig
    | GetReaderConfigResponse
    | SetReaderConfig
    | SetReaderConfigResponse
    | CloseConnection
    | CloseConnectionResponse
    | AddRoSpec
    | AddRoSpecResponse
    | DeleteRoSpec
    | DeleteRoSpecResponse
    | StartRoSpec
    | StartRoSpecResponse
    | StopRoSpec
    | StopRoSpecResponse
    | EnableRoSpec
    | EnableRoSpecResponse
    | DisableRoSpec
    | DisableRoSpecResponse
    | GetRoSpecs
    | GetRoSpecsResponse
    | DeleteAccessSpec
    | DeleteAccessSpecResponse
    | EnableAccessSpec
    | EnableAccessSpecResponse
    | DisableAccessSpec
    | DisableAccessSpecResponse
    | GetAccessSpecs
    | GetAccessSpecsResponse
    | GetReport
    | RoAccessReport
    | KeepaliveMessage
    | KeepaliveAck
    | ReaderEventNotification
    | EnableEventsAndReports
    | ErrorMessage
    | CustomMessage
)
