"""What a reader can do (LLRP 1.0.1 sections 9.2, 15.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Annotated

from lab.wire.llrp.fields import S16, U8, U16, U32, Flag, U8s, U32s, Utf8, number
from lab.wire.llrp.structure import parameter


class DeviceFlags(IntFlag):
    CAN_SET_ANTENNA_PROPERTIES = 0x8000
    HAS_UTC_CLOCK = 0x4000


class LlrpFlags(IntFlag):
    CAN_DO_RF_SURVEY = 0x80
    CAN_REPORT_BUFFER_FILL_WARNING = 0x40
    SUPPORTS_CLIENT_REQUEST_OP_SPEC = 0x20
    CAN_DO_STATE_AWARE_SINGULATION = 0x10
    SUPPORTS_EVENT_AND_REPORT_HOLDING = 0x08


class ModeFlags(IntFlag):
    DIVIDE_RATIO_64_3 = 0x80
    HAG_CONFORMANCE = 0x40


class C1G2Flags(IntFlag):
    CAN_BLOCK_ERASE = 0x80
    CAN_BLOCK_WRITE = 0x40


@parameter(139)
@dataclass(frozen=True, slots=True)
class ReceiveSensitivity:
    index: U16
    value: S16
    """dB above the most sensitive."""


@parameter(149)
@dataclass(frozen=True, slots=True)
class AntennaSensitivityRange:
    antenna: U16
    least: U16
    most: U16


@parameter(141)
@dataclass(frozen=True, slots=True)
class GpioCapabilities:
    inputs: U16
    outputs: U16


@parameter(140)
@dataclass(frozen=True, slots=True)
class AntennaProtocols:
    """PerAntennaAirProtocol"""

    antenna: U16
    protocols: U8s
    """1 is EPCglobal Class 1 Gen 2."""


@parameter(137)
@dataclass(frozen=True, slots=True)
class GeneralDeviceCapabilities:
    antennas: U16
    flags: Annotated[DeviceFlags, number("H")]
    manufacturer: U32
    """Its IANA private enterprise number, as in the next."""
    model: U32
    firmware: Utf8
    sensitivities: tuple[ReceiveSensitivity, ...]
    ranges: tuple[AntennaSensitivityRange, ...]
    gpio: GpioCapabilities
    protocols: tuple[AntennaProtocols, ...]


@parameter(142)
@dataclass(frozen=True, slots=True)
class LlrpCapabilities:
    flags: Annotated[LlrpFlags, number("B")]
    priorities: U8
    client_timeout: U16
    """Milliseconds"""
    ro_specs: U32
    specs_per_ro_spec: U32
    inventories_per_ai_spec: U32
    access_specs: U32
    op_specs_per_access_spec: U32


@parameter(145)
@dataclass(frozen=True, slots=True)
class PowerLevel:
    """TransmitPowerLevelTableEntry"""

    index: U16
    power: S16
    """Hundredths of a dBm."""


@parameter(147)
@dataclass(frozen=True, slots=True)
class HopTable:
    id: U8
    reserved: U8
    frequencies: U32s
    """kHz"""


@parameter(148)
@dataclass(frozen=True, slots=True)
class FixedFrequencies:
    frequencies: U32s
    """kHz"""


@parameter(146)
@dataclass(frozen=True, slots=True)
class FrequencyInformation:
    hopping: Flag
    hops: tuple[HopTable, ...] = ()
    fixed: FixedFrequencies | None = None


@parameter(329)
@dataclass(frozen=True, slots=True)
class RfMode:
    """C1G2UHFRFModeTableEntry"""

    id: U32
    flags: Annotated[ModeFlags, number("B")]
    miller: U8
    """0 FM0, 1 Miller 2, 2 Miller 4, 3 Miller 8."""
    forward: U8
    """0 PR-ASK, 1 SSB-ASK, 2 DSB-ASK."""
    spectral_mask: U8
    bit_rate: U32
    """Of the tag, in bit/s."""
    pie: U32
    """Thousandths: how much longer a one is than a zero."""
    least_tari: U32
    """Nanoseconds, as the two that follow."""
    most_tari: U32
    tari_step: U32


@parameter(328)
@dataclass(frozen=True, slots=True)
class RfModes:
    """C1G2UHFRFModeTable"""

    modes: tuple[RfMode, ...]


@parameter(144)
@dataclass(frozen=True, slots=True)
class UhfBand:
    """UHFBandCapabilities"""

    powers: tuple[PowerLevel, ...]
    frequencies: FrequencyInformation
    modes: tuple[RfModes, ...]


@parameter(143)
@dataclass(frozen=True, slots=True)
class RegulatoryCapabilities:
    country: U16
    """ISO 3166 numeric; 156 is China."""
    standard: U16
    """0 is one that is not in the list."""
    uhf: UhfBand | None = None


@parameter(327)
@dataclass(frozen=True, slots=True)
class C1G2Capabilities:
    """C1G2LLRPCapabilities"""

    flags: Annotated[C1G2Flags, number("B")]
    filters: U16
    """Select filters for one query."""
