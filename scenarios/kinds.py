"""Every kind of device a scenario may put into its plant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from devices import registry as devices
from gateway import registry as gateway
from lab.network.appliance import Appliance

APPLIANCES: Mapping[str, type[Appliance[Any]]] = {**devices.KINDS, **gateway.KINDS}
SWITCHES = devices.SWITCHES


def known_kinds() -> Iterator[str]:
    yield from APPLIANCES
    yield from SWITCHES


def ports_of(kind: str) -> tuple[str, ...]:
    """The Ethernet ports of a device of this kind; raises KeyError."""
    if kind in SWITCHES:
        return tuple(f"p{number}" for number in range(1, SWITCHES[kind] + 1))
    return APPLIANCES[kind].ports


def interfaces_of(kind: str) -> tuple[str, ...]:
    """What may have an IP address in a device of this kind; raises KeyError for one without configuration."""
    appliance = APPLIANCES[kind]
    return appliance.ports if appliance.interfaces is None else appliance.interfaces


def terminals_of(kind: str) -> tuple[str, ...]:
    """Where wires end in a device of this kind; raises KeyError."""
    return () if kind in SWITCHES else APPLIANCES[kind].terminals
