"""Everything that can go wrong with a plant, injected by a scenario, by schedule, or live by an instructor."""

from __future__ import annotations

from scenarios.faults import addresses, cables, hosts
from scenarios.faults.fault import FAULTS, CannotInject, Fault
from scenarios.faults.injection import FaultSpec, Injected, Injector, read_fault

__all__ = [
    "FAULTS",
    "CannotInject",
    "Fault",
    "FaultSpec",
    "Injected",
    "Injector",
    "addresses",
    "cables",
    "hosts",
    "read_fault",
]
