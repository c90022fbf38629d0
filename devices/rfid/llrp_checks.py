"""Whether this reader can do what a ROSpec asks for; a client learns that when it adds it, not when it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devices.rfid.settings import ANTENNAS, LEAST_POWER, MOST_POWER
from lab.wire.llrp import Refused, StatusCode
from lab.wire.llrp.parameters import GpiTrigger
from lab.wire.llrp.specs import (
    AiSpec,
    AiStopTrigger,
    AntennaConfiguration,
    RoSpec,
    RoSpecState,
    StartTrigger,
    StopTrigger,
)

ROSPECS: Final = 8
AI_SPECS: Final = 16
PRIORITIES: Final = 8
GPIS: Final = 1
STEP: Final = 0.5
"""dB between the levels of the power table."""
POWERS: Final = tuple(LEAST_POWER + STEP * place for place in range(round((MOST_POWER - LEAST_POWER) / STEP) + 1))
"""dBm by index, of which the first is 1."""
_PROTOCOLS: Final = (0, 1)
_SESSIONS: Final = 4
EPC_BANK, TID_BANK = 1, 2


def nearest_index(power: float) -> int:
    """The index of the highest level that is not above so many dBm."""
    return max(1, sum(level <= power + 1e-9 for level in POWERS))


def check(spec: RoSpec) -> None:
    """Raises Refused for what the reader cannot do."""
    start, stop = spec.boundary.start, spec.boundary.stop
    _require(spec.id > 0, StatusCode.A_INVALID, "a ROSpecID is not 0")
    _require(spec.state == RoSpecState.DISABLED, StatusCode.A_INVALID, "a ROSpec is disabled when it is added")
    _require(spec.priority < PRIORITIES, StatusCode.A_OUT_OF_RANGE, f"priorities are 0 to {PRIORITIES - 1}")
    _require(1 <= len(spec.specs) <= AI_SPECS, StatusCode.M_MISSING_PARAMETER, f"1 to {AI_SPECS} AISpecs are wanted")
    if start.trigger == StartTrigger.PERIODIC:
        periodic = start.periodic
        _require(periodic is not None, StatusCode.M_MISSING_PARAMETER, "a periodic trigger says when")
    if start.trigger == StartTrigger.GPI:
        _check_gpi(start.gpi)
    if stop.trigger == StopTrigger.DURATION:
        _require(stop.duration > 0, StatusCode.A_OUT_OF_RANGE, "a duration of nothing")
    if stop.trigger == StopTrigger.GPI:
        _check_gpi(stop.gpi)
    for each in spec.specs:
        _check_ai_spec(each)


def _check_ai_spec(spec: AiSpec) -> None:
    _require(bool(spec.antennas), StatusCode.A_INVALID, "an AISpec names antennas, or 0 for all")
    _check_antennas(spec.antennas)
    _require(bool(spec.inventories), StatusCode.M_MISSING_PARAMETER, "an AISpec says how to inventory")
    stop = spec.stop
    if stop.trigger == AiStopTrigger.DURATION:
        _require(stop.duration > 0, StatusCode.A_OUT_OF_RANGE, "a duration of nothing")
    elif stop.trigger == AiStopTrigger.GPI:
        _check_gpi(stop.gpi)
    elif stop.trigger == AiStopTrigger.TAG_OBSERVATION:
        seen = stop.observation
        _require(seen is not None, StatusCode.M_MISSING_PARAMETER, "a tag observation trigger says what ends it")
        assert seen is not None
        wanted = (seen.tags, seen.quiet, seen.attempts)[seen.trigger]
        _require(wanted > 0, StatusCode.A_OUT_OF_RANGE, "a tag observation trigger of nothing")
    for inventory in spec.inventories:
        _require(inventory.protocol in _PROTOCOLS, StatusCode.A_INVALID, "the air protocol is EPC Gen2")
        check_antennas(inventory.antennas)


def check_antennas(antennas: Iterable[AntennaConfiguration]) -> None:
    """Raises Refused for antennas, levels and filters that are not there."""
    for antenna in antennas:
        _check_antennas((antenna.antenna,))
        if antenna.transmitter is not None:
            level = antenna.transmitter.power
            _require(1 <= level <= len(POWERS), StatusCode.A_OUT_OF_RANGE, f"power levels are 1 to {len(POWERS)}")
        for command in antenna.inventory:
            for each in command.filters:
                banks = (EPC_BANK, TID_BANK)
                _require(each.mask.bank in banks, StatusCode.A_INVALID, "filters look at banks 1 and 2")


def _check_antennas(numbers: Iterable[int]) -> None:
    for number in numbers:
        _require(number <= ANTENNAS, StatusCode.A_OUT_OF_RANGE, f"antenna {number}, where there are {ANTENNAS}")


def _check_gpi(trigger: GpiTrigger | None) -> None:
    _require(trigger is not None, StatusCode.M_MISSING_PARAMETER, "a GPI trigger says which")
    assert trigger is not None
    _require(1 <= trigger.port <= GPIS, StatusCode.A_OUT_OF_RANGE, f"input {trigger.port}, where there is {GPIS}")


def _require(condition: bool, code: StatusCode, what: str) -> None:
    if not condition:
        raise Refused(code, what)
