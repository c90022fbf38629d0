"""Which requests to send: tags merged into as few blocks as the limits allow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from gateway.modbus.address import BIT_TABLES, Table

MAX_BITS = 2000
"""Quantity of coils one request may ask for: Modbus Application Protocol V1.1b3, 6.1."""


class Located(Protocol):
    """Something that stands at an address."""

    @property
    def where(self) -> tuple[Table, int]:
        """Table and zero-based offset of its first register or bit."""

    @property
    def size(self) -> int:
        """Registers, or bits, that it takes."""


T = TypeVar("T", bound=Located)


class Gap(NamedTuple):
    """Addresses that no request may read along with what stands before and behind them.

    Where `first` equals `after` nothing stands between two neighbours, and yet they cannot be read together.
    """

    table: Table
    first: int
    after: int

    def is_bridged(self, start: int, end: int) -> bool:
        """By a request from `start` up to, not including, `end`."""
        return start < self.first and self.after < end


class Place(NamedTuple):
    """What one tag takes; several tags can share it."""

    table: Table
    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Block(Generic[T]):
    """One request and the tags its answer feeds."""

    table: Table
    offset: int
    quantity: int
    tags: tuple[T, ...]

    @property
    def end(self) -> int:
        return self.offset + self.quantity

    @property
    def wanted(self) -> int:
        """Registers or bits that somebody asked for."""
        return self.quantity - sum(gap.after - gap.first for gap in self.gaps())

    def gaps(self) -> Iterator[Gap]:
        """What it reads though nobody asked for it."""
        end = self.offset
        for tag in self.tags:
            start = tag.where[1]
            if start > end:
                yield Gap(self.table, end, start)
            end = max(end, start + tag.size)

    def seams(self) -> list[Gap]:
        """Where it could be cut in two: at its gaps, or else between neighbours."""
        gaps = list(self.gaps())
        if gaps:
            return gaps
        seams: list[Gap] = []
        end = self.offset
        for tag in self.tags:
            if tag.where[1] == end > self.offset:
                seams.append(Gap(self.table, end, end))
            end = max(end, tag.where[1] + tag.size)
        return seams

    def places(self) -> list[Block[T]]:
        """A block for each place, which may overlap."""
        by_place: dict[Place, list[T]] = {}
        for tag in self.tags:
            by_place.setdefault(place_of(tag), []).append(tag)
        return [Block(self.table, place.first, place.size, tuple(tags)) for place, tags in by_place.items()]

    def cut(self, seam: Gap) -> tuple[Block[T], Block[T]]:
        """The two blocks before and behind one of its seams."""
        before = tuple(tag for tag in self.tags if tag.where[1] < seam.after)
        behind = tuple(tag for tag in self.tags if tag.where[1] >= seam.after)
        return (
            Block(self.table, self.offset, seam.first - self.offset, before),
            Block(self.table, seam.after, self.end - seam.after, behind),
        )


def poll_plan(
    tags: Iterable[T],
    max_registers: int,
    max_gap: int,
    max_bits: int = MAX_BITS,
    closed: Collection[Gap] = (),
    alone: Collection[Place] = (),
) -> tuple[Block[T], ...]:
    """Blocks that cover every tag exactly once, by table and ascending offset, and bridge no gap that is closed.

    A gap is the number of addresses between two neighbours that nobody asked for. What is at a place that must be read
    alone gets a block of its own, and so does a tag larger than the limit, which the configuration should have forbidden.
    """
    blocks: list[Block[T]] = []
    members: list[T] = []
    table: Table = "coil"
    start = end = 0

    def finish() -> None:
        if members:
            blocks.append(Block(table, start, end - start, tuple(members)))
            members.clear()

    loners: dict[Place, list[T]] = {}
    for tag in sorted(tags, key=lambda tag: (*tag.where, tag.size)):
        if alone and place_of(tag) in alone:
            loners.setdefault(place_of(tag), []).append(tag)
            continue
        its_table, its_start = tag.where
        its_end = its_start + tag.size
        limit = max_bits if its_table in BIT_TABLES else max_registers
        if (
            its_table != table
            or its_start - end > max_gap
            or max(end, its_end) - start > limit
            or (closed and _is_barred(closed, table, start, max(end, its_end)))
        ):
            finish()
        if not members:
            table, start, end = its_table, its_start, its_end
        members.append(tag)
        end = max(end, its_end)
    finish()
    blocks += [Block(place.table, place.first, place.size, tuple(those)) for place, those in loners.items()]
    return tuple(blocks)


def place_of(tag: Located) -> Place:
    return Place(*tag.where, tag.size)


def _is_barred(closed: Collection[Gap], table: Table, start: int, end: int) -> bool:
    return any(gap.table == table and gap.is_bridged(start, end) for gap in closed)
