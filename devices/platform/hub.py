"""What becomes of a message: read, matched to its device, checked, kept, watched for alarms, and noted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from devices.platform.alarm_desk import AlarmDesk
from devices.platform.calls import Calls
from devices.platform.config import Limits
from devices.platform.ingest.identifiers import IDENTIFIED
from devices.platform.ingest.ingest import (
    Attributes,
    CallAnswered,
    Heard,
    Ingest,
    Message,
    Occurrence,
    Outcome,
    Presence,
    Telemetry,
    Unreadable,
)
from devices.platform.model import MAX_MEMBERS, checked_members
from devices.platform.readings import UNDECLARED, checked_point, checked_time
from devices.platform.registry import Address, Registry
from devices.platform.store import Point, Store
from devices.platform.things import Device
from devices.platform.trace import STRANGERS, Trace, Traced, beginning
from devices.web.reasons import Reason, Refused, refusal, shown
from lab.network.logbook import Log
from lab.text import Text
from lab.wire.mqtt.topics import matches

TOO_LARGE: Final = Text(zh="报文 {size} 字节，上限 {limit}", en="a message of {size} bytes, the limit is {limit}")
NO_FORMAT: Final = Text(zh="没有格式认识主题 {topic}", en="no format has the topic {topic}")
NOT_ASKED: Final = Text(zh="没有等待应答的调用 {number}", en="no call {number} waits for an answer")
TOO_MANY_PROPERTIES: Final = Text(
    zh="设备 {device} 的物模型外属性已达上限 {limit}",
    en="the device {device} has {limit} properties, the most there may be",
)
TOO_MANY_ATTRIBUTES: Final = Text(zh="属性过多或过长", en="too many attributes, or too long ones")
DISK_FULL: Final = Text(zh="磁盘已满", en="the disk is full")
NOT_WRITTEN: Final = Text(zh="数据库无法写入：{why}", en="the database cannot be written: {why}")

_GATHERING: Final = 0.01
"""Seconds for which writes are gathered before they are committed."""
_MANY: Final = 5000
"""Values that are not gathered any longer."""
_REASONS_KEPT: Final = 20
_ITEM_LENGTH: Final = 80
_MOST_ATTRIBUTES: Final = 100
_ATTRIBUTE_BYTES: Final = 1000


@dataclass(slots=True)
class Known:
    """What is known of a device at present."""

    latest: dict[str, Point] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    is_online: bool | None = None
    seen_at: int | None = None
    """When it last said anything."""
    way: Ingest | None = None
    """How it speaks, which is how it is spoken to."""
    address: Address | None = None


@dataclass(slots=True)
class _Tally:
    """What became of one device's part of a message."""

    accepted: int = 0
    refused: dict[str, Reason] = field(default_factory=dict)

    def refuse(self, item: str, reason: Reason) -> None:
        if len(self.refused) < _REASONS_KEPT:
            self.refused[item if len(item) <= _ITEM_LENGTH else item[: _ITEM_LENGTH - 1] + "…"] = reason


class Hub:
    """See the module. `take` is synchronous, so that messages are treated in the order in which they come."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        desk: AlarmDesk,
        calls: Calls,
        trace: Trace,
        now: Callable[[], int],
        log: Log[Any],
    ) -> None:
        self.store, self.registry, self.desk, self.calls, self.trace = store, registry, desk, calls, trace
        self.limits = Limits()
        self.formats: Sequence[Ingest] = ()
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        """By the code of the reason."""
        self.publish: Callable[[Message], bool] = lambda message: False
        self.newcomer: Callable[[Device], None] = lambda device: None
        """Told of a stranger that is registered from now on."""
        self.has_room: Callable[[], bool] = lambda: True
        self._now = now
        self._log = log
        self._known: dict[str, Known] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._committed: asyncio.Future[None] | None = None
        self.recall()

    def recall(self) -> None:
        """Take the latest values from the database."""
        self._known.clear()
        for device, name, point in self.store.latest():
            self.known(device).latest[name] = point

    def known(self, device: str) -> Known:
        found = self._known.get(device)
        if found is None:
            found = self._known[device] = Known()
        return found

    def forget(self, device: str) -> None:
        self._known.pop(device, None)
        self.trace.forget(device)

    def is_online(self, device: Device) -> bool | None:
        """As it or its gateway has said, None where neither has; behind a gateway that has gone nobody is there."""
        seen: set[str] = set()
        state = self.known(device.id).is_online
        above = device.gateway
        while above is not None and above not in seen and above in self.registry.devices:
            seen.add(above)
            there = self.known(above).is_online
            if there is False:
                return False
            state = there if state is None else state
            above = self.registry.devices[above].gateway
        return state

    # -- messages --------------------------------------------------------------------------------------------------

    async def hear(self, topic: str, payload: bytes) -> None:
        """Take a message; returns once what it said is in the database."""
        answer = self.take(topic, payload)
        await self.committed()
        if answer is not None:
            self.publish(answer)

    async def committed(self) -> None:
        """Wait until everything that was taken is in the database."""
        if self._committed is not None:
            await asyncio.shield(self._committed)

    def take(self, topic: str, payload: bytes) -> Message | None:
        """Take a message; returns what the device wants to be told."""
        self.counts["messages"] += 1
        ingest = next((each for each in self.formats if any(matches(f, topic) for f in each.filters)), None)
        try:
            if ingest is None:
                raise refusal("no-format", NO_FORMAT, topic=shown(topic))
            if len(payload) > self.limits.payload:
                raise refusal("too-large", TOO_LARGE, size=len(payload), limit=self.limits.payload)
            heard = ingest.read(topic, payload)
        except Refused as error:
            who = ingest.who(topic) if ingest is not None else None
            heard = [Unreadable(error.reason, who)]
        outcome = self.process(heard, topic, payload, ingest) if heard else Outcome()
        return None if ingest is None or len(payload) > self.limits.payload else ingest.answer(topic, payload, outcome)

    def process(
        self, heard: Sequence[Heard], topic: str, payload: bytes, way: Ingest | None, sender: Device | None = None
    ) -> Outcome:
        """Everything a message says, each part on its own: what is wrong in one does not spoil the others."""
        tallies: dict[str, _Tally] = {}
        now = self._now()
        for each in heard:
            try:
                device = sender or (self._device(each.who) if each.who is not None else None)
            except Refused as error:
                reason = each.reason if isinstance(each, Unreadable) else error.reason
                item = each.who.device if each.who is not None else ""
                tallies.setdefault(STRANGERS, _Tally()).refuse(item, reason)
                continue
            tally = tallies.setdefault(STRANGERS if device is None else device.id, _Tally())
            if device is None or isinstance(each, Unreadable):
                assert isinstance(each, Unreadable)
                tally.refuse("", each.reason)
                continue
            known = self.known(device.id)
            known.seen_at = now
            if way is not None and not isinstance(each, CallAnswered):
                known.way, known.address = way, each.who
            try:
                tally.accepted += self._handle(device, each, now, tally)
            except Refused as error:
                tally.refuse("", error.reason)
        for name, tally in tallies.items():
            self._note(name, tally, topic, payload, way.name if way else "http", now)
        return Outcome(
            sum(tally.accepted for tally in tallies.values()),
            {item: reason for tally in tallies.values() for item, reason in tally.refused.items()},
        )

    def process_of(self, device: Device, heard: Sequence[Heard], topic: str, payload: bytes) -> Outcome:
        """What a device says that has shown who it is."""
        self.counts["messages"] += 1
        return self.process(heard, topic, payload, None, device)

    def _note(self, device: str, tally: _Tally, topic: str, payload: bytes, form: str, now: int) -> None:
        self.counts["values"] += tally.accepted
        shown_topic = topic[:200]
        self.trace.note(
            device,
            Traced(now, "up", shown_topic, beginning(payload), len(payload), form, tally.accepted, dict(tally.refused)),
        )
        for item, reason in tally.refused.items():
            self.refusals[reason.code] += 1
            self._log.add(f"{now} {shown_topic} {item}: {reason}" if item else f"{now} {shown_topic}: {reason}")

    def _device(self, who: Address) -> Device:
        """The device, which may be registered just now; raises Refused."""
        try:
            return self.registry.find(who)
        except Refused as error:
            if error.reason.code != "unknown-device":
                raise
            if who.gateway is not None and self.registry.gateway(who.gateway) is None:
                self._take_in(Address(who.gateway, None, who.site))
            if not self._take_in(who):
                raise
            return self.registry.find(who)

    def _take_in(self, stranger: Address) -> bool:
        device = self.registry.provisioned(stranger)
        if device is None:
            return False
        self.registry.add_stranger(device)
        self.newcomer(device)
        return True

    def _handle(self, device: Device, heard: Heard, now: int, tally: _Tally) -> int:
        """How much of it was taken; raises Refused."""
        match heard:
            case Telemetry():
                return self._telemetry(device, heard, now, tally)
            case Presence(is_online=is_online):
                self.known(device.id).is_online = is_online
            case Attributes(values=values):
                self._attributes(device, values)
            case Occurrence():
                self._occurrence(device, heard, now)
            case CallAnswered(number=number, is_success=is_success, answer=answer):
                if not self.calls.answered(device.id, number, is_success=is_success, answer=answer):
                    raise refusal("not-asked", NOT_ASKED, number=shown(number))
            case _:
                return 0
        return 1

    def _telemetry(self, device: Device, heard: Telemetry, now: int, tally: _Tally) -> int:
        if not self.has_room():
            raise refusal("disk-full", DISK_FULL)
        product = self.registry.products[device.product]
        known = self.known(device.id)
        future = self.limits.future_s
        at = checked_time(heard.at, now, future)
        accepted = 0
        for reading in heard.readings:
            name = reading.name
            try:
                when = at if reading.at is None else checked_time(reading.at, now, future)
                point = checked_point(product, reading, when)
                before = known.latest.get(name)
                if before is None and len(known.latest) >= 2 * MAX_MEMBERS:
                    raise refusal("too-many", TOO_MANY_PROPERTIES, device=device.id, limit=2 * MAX_MEMBERS)
            except Refused as error:
                tally.refuse(name, error.reason)
                continue
            accepted += 1
            if reading.error is not None:
                tally.refuse(name, reading.error)
            is_latest = before is None or point.at >= before.at
            self.store.add(device.id, name, point, is_latest=is_latest)
            if is_latest:
                known.latest[name] = point
                if point.quality != "bad" and point.value is not None:
                    self.desk.seen(device.id, name, point.value, point.at)
        self.flush_soon()
        return accepted

    def _attributes(self, device: Device, values: Mapping[str, Any]) -> None:
        known = self.known(device.id)
        merged = {**known.attributes, **values}
        if len(merged) > _MOST_ATTRIBUTES or any(
            len(name) + _size(each) > _ATTRIBUTE_BYTES for name, each in values.items()
        ):
            raise refusal("too-long", TOO_MANY_ATTRIBUTES)
        known.attributes = merged

    def _occurrence(self, device: Device, heard: Occurrence, now: int) -> None:
        product = self.registry.products[device.product]
        declared = product.events.get(heard.event)
        at = checked_time(heard.at, now, self.limits.future_s)
        level = "info"
        if declared is not None:
            checked_members(heard.event, declared.outputs, heard.data)
            level = declared.level
        elif heard.event != IDENTIFIED and product.undeclared == "reject":
            raise refusal("undeclared", UNDECLARED, product=product.id, name=shown(heard.event))
        self.store.add_event(device.id, at, heard.event, level, heard.data)
        self.flush_soon()

    # -- writing ---------------------------------------------------------------------------------------------------

    def flush_soon(self) -> None:
        """Have what the store was given committed in a moment."""
        loop = asyncio.get_running_loop()
        if self._flushing is None:
            self._committed = loop.create_future()
            self._flushing = loop.call_later(_GATHERING, self.flush)
        elif self.store.waiting >= _MANY:
            self.flush()

    def flush(self) -> None:
        """Commit now, and tell whoever waits for it."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        try:
            self.store.flush()
        except sqlite3.Error as error:
            # What waits is written with the next message; the broker has no use for a refusal.
            self._log.add(f"{self._now()} {NOT_WRITTEN.say(why=error)}")
            self.counts["write failures"] += 1
        committed, self._committed = self._committed, None
        if committed is not None and not committed.done():
            committed.set_result(None)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return (
        0
        if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and value.bit_length() < 64)
        else _ATTRIBUTE_BYTES
    )
