"""What the reader says of itself in LLRP (LLRP 1.0.1 section 9)."""

from __future__ import annotations

from typing import Final

from devices.rfid.llrp_checks import AI_SPECS, GPIS, POWERS, PRIORITIES, ROSPECS
from devices.rfid.modbus_face import FIRMWARE
from devices.rfid.settings import ANTENNAS
from devices.rfid.site import SiteConfig
from lab.wire.llrp.capabilities import (
    AntennaProtocols,
    C1G2Capabilities,
    C1G2Flags,
    DeviceFlags,
    FixedFrequencies,
    FrequencyInformation,
    GeneralDeviceCapabilities,
    GpioCapabilities,
    LlrpCapabilities,
    LlrpFlags,
    ModeFlags,
    PowerLevel,
    ReceiveSensitivity,
    RegulatoryCapabilities,
    RfMode,
    RfModes,
    UhfBand,
)
from lab.wire.llrp.messages import Capabilities, GetReaderCapabilitiesResponse
from lab.wire.llrp.parameters import SUCCESS

MANUFACTURER: Final = 32473
"""The private enterprise number that RFC 5612 keeps for examples."""
MODEL: Final = 4
_CHINA: Final = 156
_GEN2: Final = bytes((1,))
_MILLER_4: Final = RfMode(1, ModeFlags.DIVIDE_RATIO_64_3, 2, 2, 3, 250_000, 1_500, 12_500, 12_500, 0)


def capabilities(requested: Capabilities, site: SiteConfig) -> GetReaderCapabilitiesResponse:
    """What was requested of them, or all."""
    everything = requested == Capabilities.ALL
    return GetReaderCapabilitiesResponse(
        SUCCESS,
        _device() if everything or requested == Capabilities.DEVICE else None,
        _llrp() if everything or requested == Capabilities.LLRP else None,
        _regulatory(site) if everything or requested == Capabilities.REGULATORY else None,
        C1G2Capabilities(C1G2Flags(0), 4) if everything or requested == Capabilities.AIR_PROTOCOL else None,
    )


def _device() -> GeneralDeviceCapabilities:
    return GeneralDeviceCapabilities(
        ANTENNAS,
        DeviceFlags.HAS_UTC_CLOCK,
        MANUFACTURER,
        MODEL,
        FIRMWARE,
        (ReceiveSensitivity(1, 0),),
        (),
        GpioCapabilities(GPIS, 0),
        tuple(AntennaProtocols(number, _GEN2) for number in range(1, ANTENNAS + 1)),
    )


def _llrp() -> LlrpCapabilities:
    return LlrpCapabilities(
        LlrpFlags.SUPPORTS_EVENT_AND_REPORT_HOLDING,
        priorities=PRIORITIES - 1,
        client_timeout=0,
        ro_specs=ROSPECS,
        specs_per_ro_spec=AI_SPECS,
        inventories_per_ai_spec=1,
        access_specs=0,
        op_specs_per_access_spec=0,
    )


def _regulatory(site: SiteConfig) -> RegulatoryCapabilities:
    powers = tuple(PowerLevel(index, round(power * 100)) for index, power in enumerate(POWERS, 1))
    channel = FixedFrequencies((round(site.frequency * 1000),))
    band = UhfBand(powers, FrequencyInformation(hopping=False, fixed=channel), (RfModes((_MILLER_4,)),))
    return RegulatoryCapabilities(_CHINA, 0, band)
