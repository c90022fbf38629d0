"""The poll plan of one group, carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.driver import NOT_CONNECTED_YET
from gateway.modbus.channel import Answer
from gateway.modbus.config import AnyModbusDevice, ModbusGroup, ModbusLimits
from gateway.modbus.lessons import TEACHES, Lessons
from gateway.modbus.plan import Block
from gateway.modbus.points import BlockDecoder, Point, points_of
from gateway.samples import Reason, Sample, Unreachable, bad
from lab.clock import now_ns


class Rejected(Exception):
    """A unit did answer a request to read, but not with values."""

    def __init__(self, reason: Reason, code: int | None) -> None:
        self.reason = reason
        self.code = code
        """Of an exception response."""


class Asked(Protocol):
    """Who sends requests."""

    async def ask(self, number: int, block: Block[Point]) -> Answer:
        """Raises Rejected and Unreachable."""

    def lessons(self, unit: int) -> Lessons:
        """What is known of a unit."""


class ModbusReader:
    """Blocks, unit by unit; made anew when a unit teaches that they are wrong."""

    def __init__(self, asked: Asked, device: AnyModbusDevice, limits: ModbusLimits, group: ModbusGroup) -> None:
        by_unit: dict[int, list[Point]] = {}
        points = points_of(device, limits, group)
        for point in points:
            by_unit.setdefault(point.unit, []).append(point)
        self._units = [_UnitReader(asked, unit, points) for unit, points in by_unit.items()]
        # Copying it keeps the tags in the order of the file.
        self._empty = dict.fromkeys((point.name for point in points), bad(NOT_CONNECTED_YET, 0))

    async def read(self) -> Mapping[str, Sample]:
        samples = self._empty.copy()
        for unit in self._units:
            await unit.read(samples)
        return samples

    def raw(self) -> Mapping[str, str]:
        return {name: shown for unit in self._units for name, shown in unit.raw().items()}


class _UnitReader:
    def __init__(self, asked: Asked, unit: int, points: list[Point]) -> None:
        self._asked, self._unit, self._points = asked, unit, points
        self._lessons = asked.lessons(unit)
        self._decoders: list[BlockDecoder] = []
        self._learned = -1

    async def read(self, samples: dict[str, Sample]) -> None:
        if self._learned != self._lessons.count:
            self._learned = self._lessons.count
            self._decoders = [BlockDecoder(block) for block in self._lessons.plan(self._points)]
        for decoder in self._decoders:
            await self._read(decoder, samples)

    def raw(self) -> dict[str, str]:
        return {name: shown for decoder in self._decoders for name, shown in decoder.raw().items()}

    async def _read(self, decoder: BlockDecoder, samples: dict[str, Sample]) -> None:
        block = decoder.block
        try:
            answer = await self._asked.ask(self._unit, block)
        except Rejected as error:
            _all_bad(block, error.reason, samples)
            decoder.last = None
            if error.code in TEACHES:
                await self._learn(block, samples)
        except Unreachable as error:
            _all_bad(block, error.reason, samples)
        else:
            decoder.decode(answer, now_ns(), samples)

    async def _learn(self, block: Block[Point], samples: dict[str, Sample]) -> None:
        async def accepts(part: Block[Point]) -> bool:
            try:
                answer = await self._asked.ask(self._unit, part)
            except Rejected as error:
                _all_bad(part, error.reason, samples)
                if error.code not in TEACHES:
                    raise Unreachable(error.reason) from None
                return False
            BlockDecoder(part).decode(answer, now_ns(), samples)
            return True

        try:
            await self._lessons.learn(block, accepts)
        except Unreachable:
            pass  # nothing is learned from somebody who is silent or busy; the next cycle tries again


def _all_bad(block: Block[Point], reason: Reason, samples: dict[str, Sample]) -> None:
    sample = bad(reason, now_ns())
    for point in block.tags:
        samples[point.name] = sample
