"""What comes of reading: identifiers, mistakes, outcomes, and how many of them there were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devices.rfid.radio import Observation
from devices.rfid.settings import OperationStatus

ERRORS_KEPT: Final = 16


@dataclass(slots=True)
class Identifier:
    """A tag the reader has identified in this dwell."""

    epc: bytes
    pc: int
    power: float
    """dBm it was read with."""
    antenna: int
    rssi: float
    """dBm; the antenna is the one with the best."""
    first: int
    """Nanoseconds since the Unix epoch."""
    last: int
    count: int = 1

    def seen_again(self, observation: Observation) -> None:
        self.last = observation.at
        self.count += 1
        if observation.heard.rssi > self.rssi:
            self.rssi, self.antenna = observation.heard.rssi, observation.heard.antenna


@dataclass(frozen=True, slots=True)
class Mistake:
    """An entry of the error log."""

    status: OperationStatus
    antenna: int
    at: int
    """Nanoseconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a scan ends by itself (ScanSettings of OPC 30010 section 9.3.7); nothing means never."""

    seconds: float = 0.0
    cycles: int = 0
    """Turns through all antennas."""
    data_available: bool = False
    """At the first identifier."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dwell or a scan came to."""

    status: OperationStatus
    identifiers: tuple[Identifier, ...]


@dataclass(slots=True)
class Counters:
    """Since power came or the reader was reset."""

    answers: int = 0
    identifiers: int = 0
    dwells: int = 0
    rate: float = 0.0
    """Answers per second in the last dwell."""
    last: int = 0
    """Identifiers in the last dwell."""
