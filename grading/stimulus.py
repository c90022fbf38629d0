"""What the acceptance run does to a plant, as data: checks ask for it, a runner carries it out, frames show the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Value = float | int | bool | str
ProbeKind = Literal["ping", "tcp", "udp", "modbus-read"]


@dataclass(frozen=True, slots=True)
class Force:
    """Hold a process value of a device for a while."""

    id: str
    """Unique within a run; the runner's events name it."""
    host: str
    point: str
    value: Value
    """In engineering units."""
    hold: float
    """Seconds"""


@dataclass(frozen=True, slots=True)
class Probe:
    """Try to reach something from a host of the plant."""

    id: str
    kind: ProbeKind
    source: str
    """The host that tries."""
    address: str
    """IPv4, dotted."""
    port: int = 0
    """0 for a ping."""
    unit: int = 1
    """Modbus unit id, for `modbus-read`."""
    patience: float = 3.0
    """Seconds to wait for an answer."""


Stimulus = Force | Probe
