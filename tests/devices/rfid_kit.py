"""A dock with pallets, for stories about the reader beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from device_kit import Lab, in_lab

T = TypeVar("T")

CARTON = "3035A537C8377540{:08X}"
"""SGTIN-96 with filter value 1, by serial number."""
DONE = 20.0
"""Seconds after which a pallet that came at 2 s has long gone."""

COMMISSIONED = {"power": 22.0, "antennas": [1, 2], "trigger": "edge", "dwell_ms": 1500, "filter": 1}
ON_COMMAND = {**COMMISSIONED, "trigger": "command"}


def cartons(first: int, number: int = 24) -> list[str]:
    return [CARTON.format(serial) for serial in range(first, first + number)]


def pallet(name: str, zone: str, arrives: float, epcs: list[str], stays: float = 0.0, **label: Any) -> dict[str, Any]:
    tags = [{"epc": epc, **label} for epc in epcs]
    return {"name": name, "zone": zone, "arrives": arrives, "stays": stays, "tags": tags}


def two_pallets() -> list[dict[str, Any]]:
    """One passes dock 3, another waits in dock 4 all the while."""
    return [
        pallet("PAL-1", "dock-3", 2.0, cartons(1000)),
        pallet("PAL-2", "dock-4", 0.0, cartons(5000), stays=3600.0),
    ]


def listen(lab: Lab) -> list[str]:
    """What is identified from now on, in order."""
    heard: list[str] = []
    lab.device.reader.identified.append(lambda identifier: heard.append(identifier.epc.hex().upper()))  # type: ignore[attr-defined]
    return heard


def at_dock(story: Callable[[Lab], Awaitable[T]], **options: Any) -> T:
    """A story that has no use for OPC UA."""
    return in_lab("rfid-reader", story, **{"opcua": {"enabled": False}, **options})
