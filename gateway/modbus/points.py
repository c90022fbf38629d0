"""Tags with all that their group and device decide for them, and how their values come out of registers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gateway.conversion import conversion, raw_value
from gateway.modbus.address import BIT_TABLES, Table
from gateway.modbus.channel import Answer
from gateway.modbus.config import AnyModbusDevice, ModbusGroup, ModbusLimits, ModbusTag, unit_of
from gateway.modbus.plan import Block
from gateway.modbus.registers import FORMATS, TEXTS, WHOLE, Order, bits_of, encode, in_order, swapped, text_of
from gateway.samples import NOT_A_NUMBER, Quality, Sample, Value, all_good, bad

From = Callable[[Any], Value | None]

# Whether the bytes of each register are swapped first, and the direction in which the rest is then read.
_AS_IT_CAME, _FROM_BEHIND, _SWAPPED, _SWAPPED_FROM_BEHIND = (False, ">"), (False, "<"), (True, ">"), (True, "<")
_WAYS: Final = {
    "AB": _AS_IT_CAME, "BA": _FROM_BEHIND,
    "ABCD": _AS_IT_CAME, "CDAB": _SWAPPED_FROM_BEHIND, "BADC": _SWAPPED, "DCBA": _FROM_BEHIND,
    "ABCDEFGH": _AS_IT_CAME, "GHEFCDAB": _SWAPPED_FROM_BEHIND, "BADCFEHG": _SWAPPED, "HGFEDCBA": _FROM_BEHIND,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A tag at its unit, in its order."""

    tag: ModbusTag
    unit: int
    order: Order

    @property
    def name(self) -> str:
        return self.tag.name

    @property
    def where(self) -> tuple[Table, int]:
        return self.tag.where

    @property
    def size(self) -> int:
        return self.tag.size

    def value(self, answer: Answer) -> Value | None:
        """What exactly these registers, or this bit, say."""
        samples: dict[str, Sample] = {}
        BlockDecoder(Block(*self.where, self.size, (self,))).decode(answer, 0, samples)
        return samples[self.name].value

    def raw_for(self, value: Value, before: Answer) -> list[int] | list[bool]:
        """The registers, or the bit, that say a value; `before` are those whose other bits are to stay.

        Raises ValueError for a value that does not fit.
        """
        tag = self.tag
        if tag.kind == "bool":
            on = _switch(value)
            if tag.address.table in BIT_TABLES:
                return [on]
            mask = encode("bool", self.order, True, bit=tag.bit or 0)[0]
            return [before[0] | mask if on else before[0] & ~mask & 0xFFFF]
        if tag.kind in TEXTS:
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is no text")
            return encode(tag.kind, self.order, value, length=tag.length or 0, encoding=tag.encoding)
        if isinstance(value, (bool, str)):
            raise ValueError(f"{value!r} is no number")
        raw = raw_value(tag, value, whole=tag.kind in WHOLE)
        if tag.bits is not None:
            raw = self._with_field(int(raw), before)
        return encode(tag.kind, self.order, raw)

    def _with_field(self, field: int, before: Answer) -> int:
        bits, size = self.tag.bits, 16 * self.size
        assert bits is not None
        signed = self.tag.kind.startswith("i")
        low, high = (-(1 << bits.length - 1), (1 << bits.length - 1) - 1) if signed else (0, (1 << bits.length) - 1)
        if not low <= field <= high:
            raise ValueError(f"{field} does not fit {bits.length} bits")
        mask = (1 << bits.length) - 1 << bits.start
        whole = int.from_bytes(in_order(self.order, struct.pack(f">{len(before)}H", *before)), "big")
        whole = whole & ~mask | field << bits.start & mask
        return whole - (1 << size) if signed and whole >> size - 1 else whole


def points_of(device: AnyModbusDevice, limits: ModbusLimits, group: ModbusGroup) -> list[Point]:
    """The tags of a group in the order of the file."""
    return [Point(tag, unit_of(limits, group, tag), tag.order_on(device.order)) for tag in group.tags]


class BlockDecoder:
    """Takes the answer to a block apart, many values at a stroke."""

    def __init__(self, block: Block[Point]) -> None:
        self.block = block
        self.last: Answer | None = None
        self._bits: list[tuple[str, int]] = []
        self._layers: list[_Layer] = []
        if block.table in BIT_TABLES:
            self._bits = [(point.name, point.where[1] - block.offset) for point in block.tags]
            return
        open_layers: dict[tuple[bool, str], list[_Layer]] = {}
        for point in block.tags:
            way = _way(point)
            layers = open_layers.setdefault(way, [])
            place = 2 * (point.where[1] - block.offset)
            layer = next((layer for layer in layers if layer.end <= place), None)
            if layer is None:
                layer = _Layer(*way)
                layers.append(layer)
                self._layers.append(layer)
            layer.add(point, place)
        for layer in self._layers:
            layer.finish(2 * block.quantity)

    def decode(self, answer: Answer, at: int, samples: dict[str, Sample]) -> None:
        """Put a sample of each tag into `samples`."""
        self.last = answer
        good = Quality.GOOD
        for name, place in self._bits:
            samples[name] = Sample(bool(answer[place]), good, at)
        if not self._layers:
            return
        data = struct.pack(f">{len(answer)}H", *answer)
        other = b""
        for layer in self._layers:
            if layer.is_swapped and not other:
                other = swapped(data)
            raws = layer.unpack(other if layer.is_swapped else data)
            if layer.is_plain:
                samples.update(zip(layer.names, all_good(raws, at), strict=True))
                continue
            for (name, convert), raw in zip(layer.slots, raws, strict=True):
                value = raw if convert is None else convert(raw)
                samples[name] = bad(NOT_A_NUMBER, at) if value is None else Sample(value, good, at)

    def raw(self) -> dict[str, str]:
        """The last registers of each tag in hex."""
        if self.last is None:
            return {}
        shown: dict[str, str] = {}
        for point in self.block.tags:
            first = point.where[1] - self.block.offset
            words = self.last[first : first + point.size]
            is_bit = self.block.table in BIT_TABLES
            shown[point.name] = str(int(words[0])) if is_bit else " ".join(f"{word:04X}" for word in words)
        return shown


class _Layer:
    """Values of one byte order that do not overlap: one `struct` takes them all."""

    def __init__(self, is_swapped: bool, direction: str) -> None:
        self.is_swapped = is_swapped
        self.end = 0
        """Bytes"""
        self.slots: list[tuple[str, From | None]] = []
        self._format = direction

    def add(self, point: Point, place: int) -> None:
        size = 2 * point.size
        code = FORMATS.get(point.tag.kind) if len(point.order) == 2 or point.order in _WAYS else None
        if point.tag.kind == "bool":
            code = "H"
        self._format += f"{place - self.end}x" + (code or f"{size}s")
        self.end = place + size
        self.slots.append((point.name, _from(point)))

    def finish(self, size: int) -> None:
        self.unpack = struct.Struct(self._format + f"{size - self.end}x").unpack
        self.names = tuple(name for name, _ in self.slots)
        self.is_plain = all(convert is None for _, convert in self.slots)


def _way(point: Point) -> tuple[bool, str]:
    if point.tag.kind in TEXTS:
        return (point.order == "BA", ">")
    return _WAYS.get(point.order, _AS_IT_CAME)


def _from(point: Point) -> From | None:
    """What makes a value of what `struct` unpacks; None where they are the same."""
    tag, order = point.tag, point.order
    if tag.kind == "bool":
        mask = 1 << (tag.bit or 0)
        return lambda raw: bool(raw & mask)
    if tag.kind in TEXTS:
        return lambda raw: text_of(tag.kind, raw[: tag.length], tag.encoding)
    steps: list[Callable[[Any], Any]] = []
    if order not in _WAYS:
        number = struct.Struct(f">{FORMATS[tag.kind]}")
        steps.append(lambda raw: number.unpack(in_order(order, raw))[0])
    if tag.bits is not None:
        steps.append(partial(bits_of, start=tag.bits.start, length=tag.bits.length, signed=tag.kind.startswith("i")))
    convert = conversion(tag, may_be_odd=tag.kind.startswith("f"))
    if convert is not None:
        steps.append(convert)
    return _one_after_the_other(steps)


def _one_after_the_other(steps: Sequence[Callable[[Any], Any]]) -> From | None:
    if len(steps) < 2:
        return steps[0] if steps else None

    def all_of_them(raw: Any) -> Value | None:
        for step in steps:
            raw = step(raw)
        return raw  # type: ignore[no-any-return]

    return all_of_them


def _switch(value: Value) -> bool:
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise ValueError(f"{value!r} is neither true nor false")
