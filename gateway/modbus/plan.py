"""Which requests to send: tags merged into as few blocks as the limits allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gateway.modbus.config import Table

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


@dataclass(frozen=True, slots=True)
class Block(Generic[T]):
    """One request and the tags its answer feeds."""

    table: Table
    offset: int
    quantity: int
    tags: tuple[T, ...]


def poll_plan(tags: Iterable[T], max_registers: int, max_gap: int, max_bits: int = MAX_BITS) -> tuple[Block[T], ...]:
    """Blocks that cover every tag exactly once, by table and ascending offset.

    A gap is the number of addresses between two neighbours that nobody asked for. A tag larger than the limit gets a
    block of its own, which the caller's configuration should have forbidden.
    """
    blocks: list[Block[T]] = []
    members: list[T] = []
    table: Table = "coil"
    start = end = 0

    def finish() -> None:
        if members:
            blocks.append(Block(table, start, end - start, tuple(members)))
            members.clear()

    for tag in sorted(tags, key=lambda tag: (*tag.where, tag.size)):
        its_table, its_start = tag.where
        its_end = its_start + tag.size
        limit = max_bits if its_table in ("coil", "discrete") else max_registers
        if its_table != table or its_start - end > max_gap or max(end, its_end) - start > limit:
            finish()
        if not members:
            table, start, end = its_table, its_start, its_end
        members.append(tag)
        end = max(end, its_end)
    finish()
    return tuple(blocks)
