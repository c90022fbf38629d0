"""How a reader is set up (LLRP 1.0.1 sections 13.1, 15.2.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from lab.wire.llrp.fields import S16, U8, U16, U32, Flag, U8s, number
from lab.wire.llrp.structure import parameter


class Notification(IntEnum):
    """NotificationEventType"""

    HOPPING = 0
    GPI = 1
    RO_SPEC = 2
    BUFFER_WARNING = 3
    READER_EXCEPTION = 4
    RF_SURVEY = 5
    AI_SPEC = 6
    AI_SPEC_WITH_DETAILS = 7
    ANTENNA = 8


class KeepaliveTrigger(IntEnum):
    NULL = 0
    PERIODIC = 1


class GpiState(IntEnum):
    LOW = 0
    HIGH = 1
    UNKNOWN = 2


@parameter(217)
@dataclass(frozen=True, slots=True)
class ConfigurationState:
    """LLRPConfigurationStateValue"""

    value: U32
    """Another one whenever the configuration is another."""


@parameter(218)
@dataclass(frozen=True, slots=True)
class Identification:
    type: U8
    """0 MAC address (EUI-64), 1 EPC."""
    id: U8s


@parameter(219)
@dataclass(frozen=True, slots=True)
class GpoWrite:
    port: U16
    data: Flag


@parameter(220)
@dataclass(frozen=True, slots=True)
class Keepalive:
    """KeepaliveSpec"""

    trigger: Annotated[KeepaliveTrigger, number("B")]
    period: U32
    """Milliseconds"""


@parameter(221)
@dataclass(frozen=True, slots=True)
class AntennaProperties:
    connected: Flag
    antenna: U16
    gain: S16
    """Hundredths of a dBi."""


@parameter(225)
@dataclass(frozen=True, slots=True)
class GpiPort:
    """GPIPortCurrentState"""

    port: U16
    enabled: Flag
    state: Annotated[GpiState, number("B")]


@parameter(226)
@dataclass(frozen=True, slots=True)
class EventsAndReports:
    hold: Flag
    """Whether a client that comes back must ask for what was kept for it."""


@parameter(239)
@dataclass(frozen=True, slots=True)
class AccessReport:
    """AccessReportSpec"""

    trigger: U8


@parameter(245)
@dataclass(frozen=True, slots=True)
class EventState:
    """EventNotificationState"""

    event: Annotated[Notification, number("H")]
    enabled: Flag


@parameter(244)
@dataclass(frozen=True, slots=True)
class EventStates:
    """ReaderEventNotificationSpec"""

    states: tuple[EventState, ...]
