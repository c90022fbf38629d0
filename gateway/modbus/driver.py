"""The southbound Modbus connection: one request under way, to whichever unit is due."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

from gateway.driver import Driver, NotWritten, Written
from gateway.modbus.channel import (
    NOBODY_THERE,
    WRITE_EXCEPTION,
    Answer,
    Channel,
    Misfit,
    Refused,
    Silent,
)
from gateway.modbus.config import (
    AnyModbusDevice,
    ModbusDevice,
    ModbusGroup,
    ModbusLimits,
    ModbusLineDevice,
    ModbusTag,
    unit_of,
)
from gateway.modbus.lessons import Lessons
from gateway.modbus.plan import Block
from gateway.modbus.points import Point
from gateway.modbus.reader import ModbusReader, Rejected
from gateway.modbus.units import Unit
from gateway.samples import Reason, Unreachable, Value
from lab.text import Text

NO_ANSWER = Text(zh="单元 {unit} 在 {timeout_ms} ms 内没有应答", en="no answer from unit {unit} within {timeout_ms} ms")
DOES_NOT_FIT = Text(zh="值 {value} 写不进去：{why}", en="{value} cannot be written: {why}")


class ModbusDriver(Driver):
    """One channel, and what is known of the units behind it."""

    def __init__(self, config: ModbusDevice | ModbusLineDevice, channel: Channel, random: Random) -> None:
        super().__init__()
        self._config: AnyModbusDevice = config
        self._limits: ModbusLimits = config.connection
        self._channel = channel
        channel.lost = self.lose
        self._random = random
        self._turn = asyncio.Lock()
        self._quiet_until = 0.0
        self._units: dict[int, Unit] = {}
        self._in_use: frozenset[int] = frozenset()
        self._lessons: dict[int, Lessons] = {}

    async def connect(self) -> None:
        await self._channel.open()
        for unit in self._units.values():
            unit.hurry()

    async def close(self) -> None:
        await self._channel.close()

    def serve(self, groups: Iterable[ModbusGroup]) -> None:
        super().serve(groups)
        self._in_use = frozenset(unit_of(self._limits, group, tag) for group in self.groups for tag in group.tags)

    def reader(self, group: ModbusGroup) -> ModbusReader:
        return ModbusReader(self, self._config, self._limits, group)

    def lessons(self, unit: int) -> Lessons:
        """What a unit has taught so far."""
        if unit not in self._lessons:
            limits = self._limits
            self._lessons[unit] = Lessons(limits.max_registers, limits.max_gap, limits.max_bits)
        return self._lessons[unit]

    def status(self) -> Mapping[str, object]:
        shown: dict[str, object] = {}
        if len(self._in_use) > 1 or any(unit.missed for unit in self._units.values()):
            shown["units"] = {
                number: {"silent": unit.missed, "resting": unit.is_given_up, "reason": str(unit.trouble or "")}
                for number, unit in sorted(self._units.items())
            }
        learned = {
            number: {
                "gaps": [f"{gap.table} {gap.first}–{gap.after - 1}" for gap in sorted(lessons.closed)],
                "refused": [f"{place.table} {place.first}" for place in sorted(lessons.alone)],
            }
            for number, lessons in self._lessons.items()
            if lessons.count
        }
        return {**shown, "learned": learned} if learned else shown

    async def ask(self, number: int, block: Block[Point]) -> Answer:
        """Read one block; raises Rejected, and Unreachable where the unit or the connection does not answer."""
        unit = self._unit(number)
        self._check(unit)
        async with self._turn:
            self._check(unit)
            return await self._read(number, unit, block)

    async def write(self, group: ModbusGroup, tag: ModbusTag, value: Value) -> Written:
        number = unit_of(self._limits, group, tag)
        point = Point(tag, number, tag.order_on(self._config.order))
        block = Block(*point.where, point.size, (point,))
        unit = self._unit(number)
        async with self._turn:
            self._check(unit)
            try:
                before = await self._read(number, unit, block)
                raw = point.raw_for(value, before)
                await self._send(number, unit, tag.function_to_write, block, raw)
                after = await self._read(number, unit, block)
            except ValueError as error:
                raise NotWritten(Reason(DOES_NOT_FIT, {"value": repr(value), "why": error})) from None
            except Rejected as error:
                raise NotWritten(error.reason) from None
        is_confirmed = list(after[: point.size]) == list(raw)
        return Written(point.value(before), point.value(after), is_confirmed)

    def _unit(self, number: int) -> Unit:
        if number not in self._units:
            self._units[number] = Unit(self._limits, self._random)
        return self._units[number]

    @property
    def _is_alone(self) -> bool:
        """Whether silence of the one unit is silence of the connection, which has its own pauses."""
        return self._channel.can_be_lost and len(self._in_use) <= 1

    def _check(self, unit: Unit) -> None:
        if not self.up.is_set():
            raise Unreachable(self.trouble)
        if not self._is_alone and unit.rests(asyncio.get_running_loop().time()):
            raise Unreachable(unit.trouble or self.trouble)

    def _patience(self, unit: Unit) -> int:
        limits = self._limits
        is_probe = unit.is_given_up and not self._is_alone
        return min(limits.probe_timeout_ms, limits.timeout_ms) if is_probe else limits.timeout_ms

    async def _read(self, number: int, unit: Unit, block: Block[Point]) -> Answer:
        loop = asyncio.get_running_loop()
        patience = self._patience(unit)
        await self._keep_quiet(loop)
        began = loop.time()
        self.requests += 1
        try:
            answer = await self._channel.read(number, block.table, block.offset, block.quantity, patience / 1000)
        except Silent:
            self._was_silent(number, unit, patience)
            raise Unreachable(unit.trouble or self.trouble) from None
        except Refused as refusal:
            reason = refusal.reason(block.table, block.offset, block.quantity)
            self._refused(unit, refusal.code, reason)
            raise Rejected(reason, refusal.code) from None
        except Misfit as misfit:
            self.errors += 1
            unit.answered()
            raise Rejected(misfit.reason, None) from None
        finally:
            self._quiet_until = loop.time() + self._channel.pause
        self.roundtrips.took(loop.time() - began)
        self.answers += 1
        unit.answered()
        return answer

    async def _send(
        self, number: int, unit: Unit, function: int, block: Block[Point], raw: list[int] | list[bool]
    ) -> None:
        self.requests += 1
        loop = asyncio.get_running_loop()
        patience = self._patience(unit)
        await self._keep_quiet(loop)
        try:
            await self._channel.write(number, function, block.offset, raw, patience / 1000)
        except Silent:
            self._was_silent(number, unit, patience)
            raise Unreachable(unit.trouble or self.trouble) from None
        except Refused as refusal:
            self.errors += 1
            raise NotWritten(refusal.reason(block.table, block.offset, block.quantity, WRITE_EXCEPTION)) from None
        except Misfit as misfit:
            self.errors += 1
            raise NotWritten(misfit.reason) from None
        finally:
            self._quiet_until = loop.time() + self._channel.pause

    async def _keep_quiet(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._quiet_until > (now := loop.time()) and self._channel.pause:
            await asyncio.sleep(self._quiet_until - now)

    def _refused(self, unit: Unit, code: int, reason: Reason) -> None:
        self.errors += 1
        if code in NOBODY_THERE:
            unit.was_silent(asyncio.get_running_loop().time(), reason)
        else:
            self.answers += 1
            unit.answered()

    def _was_silent(self, number: int, unit: Unit, patience: int) -> None:
        self.errors += 1
        reason = Reason(NO_ANSWER, {"unit": number, "timeout_ms": patience})
        unit.was_silent(asyncio.get_running_loop().time(), reason)
        # The connection goes when nobody behind it answers any more: the peer may have forgotten it.
        if self._channel.can_be_lost and all(self._unit(each).missed for each in self._in_use | {number}):
            self.lose(reason)
