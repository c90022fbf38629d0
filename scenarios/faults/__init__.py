"""Everything that can go wrong with a plant, injected by a scenario, by schedule, or live by an instructor."""

from __future__ import annotations

from scenarios.faults import addresses, cables, hosts, programs, sensors, serial, services, signals, switches
from scenarios.faults.fault import FAULTS, CannotInject, Fault
from scenarios.faults.injection import Injected, Injector, left_of, read_fault

KINDS = (addresses, cables, hosts, programs, sensors, serial, services, signals, switches)
"""The modules whose faults are in the catalogue."""

__all__ = ["FAULTS", "KINDS", "CannotInject", "Fault", "Injected", "Injector", "left_of", "read_fault"]
