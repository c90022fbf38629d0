"""The poll plan as people look at it: which requests a configuration leads to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.modbus.address import Table, reference_of
from gateway.modbus.channel import READ_CODES
from gateway.modbus.config import ModbusDevice, ModbusLineDevice
from gateway.modbus.plan import poll_plan
from gateway.modbus.points import Point, points_of


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One request of one cycle."""

    device: str
    group: str
    period_ms: int
    unit: int
    function: int
    table: Table
    first: int
    """Zero-based, as on the wire."""
    last: int
    reference: str
    """The first address as manuals write it."""
    read: int
    """Registers, or bits."""
    wanted: int
    """Of them, those that belong to a tag."""
    tags: tuple[str, ...]


def plan_rows(devices: Iterable[object]) -> Iterator[PlanRow]:
    """The requests for all Modbus devices among these, in the order in which each group sends them."""
    for device in devices:
        if not isinstance(device, (ModbusDevice, ModbusLineDevice)):
            continue
        limits = device.connection
        for group in device.groups:
            by_unit: dict[int, list[Point]] = {}
            for point in points_of(device, limits, group):
                by_unit.setdefault(point.unit, []).append(point)
            for unit, points in by_unit.items():
                for block in poll_plan(points, limits.max_registers, limits.max_gap, limits.max_bits):
                    yield PlanRow(
                        device.name,
                        group.name,
                        group.period_ms,
                        unit,
                        READ_CODES[block.table],
                        block.table,
                        block.offset,
                        block.end - 1,
                        reference_of(block.table, block.offset),
                        block.quantity,
                        block.wanted,
                        tuple(point.name for point in block.tags),
                    )
