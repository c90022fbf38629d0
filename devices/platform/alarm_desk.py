"""The alarms of a platform: rules watched over devices, what is raised, who has seen it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from devices.platform.alarms import Change, Watch, watch
from devices.platform.rules import Rule, StaleRule, ThresholdRule
from devices.platform.store import Store
from devices.platform.things import Device
from devices.web.reasons import refusal, shown
from lab.network.host import Host
from lab.network.timer import Timer
from lab.text import Text

NO_ALARM: Final = Text(zh="没有报警 {number}", en="there is no alarm {number}")
ACKNOWLEDGED: Final = Text(zh="报警 {number} 已经确认过", en="the alarm {number} has been acknowledged already")
CLEARED: Final = Text(zh="报警 {number} 已经恢复", en="the alarm {number} is over already")

BY_CONDITION: Final = ""
BY_CONFIGURATION: Final = "-"
"""In `cleared_by`, beside the names of users."""
_OPEN: Final = "cleared_at IS NULL"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm, from its beginning to its end; times in milliseconds since the epoch."""

    id: int
    rule: str
    device: str
    property: str
    severity: str
    message: str
    raised_at: int
    raised_value: str
    """As text; empty for an alarm by silence."""
    cleared_at: int | None = None
    cleared_by: str | None = None
    """A user, empty where the value has come back, `-` where rule or device are no more."""
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None


_COLUMNS: Final = ", ".join(each.name for each in fields(Alarm))
_INSERT: Final = (
    "INSERT INTO alarms (id, rule, device, property, severity, message, raised_at, raised_value) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE: Final = (
    "UPDATE alarms SET cleared_at = ?, cleared_by = ?, acknowledged_at = ?, acknowledged_by = ?, assignee = ? "
    "WHERE id = ?"
)

Key = tuple[str, str, str]
"""Rule, device, property; for a rule about any property the last is empty."""


class AlarmDesk:
    """Runs on its host, whose timers it uses."""

    def __init__(self, host: Host, store: Store, now: Callable[[], int], tell: Callable[[Change, Alarm], None]) -> None:
        self._host = host
        self._store = store
        self._now = now
        self._tell = tell
        self._rules: Mapping[str, ThresholdRule | StaleRule] = {}
        self._devices: Mapping[str, Device] = {}
        self._watches: dict[Key, Watch] = {}
        self._timers: dict[Key, Timer] = {}
        self._by_series: dict[tuple[str, str], list[Key]] = {}
        """Which watches a reading concerns, once known."""
        self._raised: dict[Key, Alarm] = {}
        self._next_number = 1
        self._context = contextvars.copy_context()
        self.recall()

    def recall(self) -> None:
        """Take the open alarms from the database, at the start or when another has been put in its place."""
        self.stop()
        self._watches.clear()
        self._by_series.clear()
        newest = self._store.run("SELECT max(id) FROM alarms").fetchone()[0]
        self._next_number = (newest or 0) + 1
        rows = self._store.run(f"SELECT {_COLUMNS} FROM alarms WHERE {_OPEN}")
        self._raised = {(alarm.rule, alarm.device, alarm.property): alarm for alarm in (Alarm(*row) for row in rows)}

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.dispose()
        self._timers.clear()

    def watch_over(self, rules: Iterable[Rule], devices: Mapping[str, Device]) -> None:
        """Take on rules and devices; what has not changed goes on where it stands."""
        wanted = {rule.id: rule for rule in rules if rule.enabled}
        changed = {name for name, rule in self._rules.items() if wanted.get(name) != rule}
        self._rules, self._devices = wanted, devices
        self._by_series.clear()
        for key in [key for key in self._watches if key[0] in changed or not self._applies(key)]:
            del self._watches[key]
            if (timer := self._timers.pop(key, None)) is not None:
                timer.dispose()
        for key in [key for key in self._raised if key[0] in changed or not self._applies(key)]:
            self._over(key, BY_CONFIGURATION)
        for rule in wanted.values():
            if isinstance(rule, StaleRule):
                for device in devices.values():
                    self._await_first((rule.id, device.id, rule.property or ""))

    def device_added(self, device: Device) -> None:
        """One more; cheaper than to look at all."""
        for rule in self._rules.values():
            if isinstance(rule, StaleRule):
                self._await_first((rule.id, device.id, rule.property or ""))

    def _await_first(self, key: Key) -> None:
        """Silence counts from now on, also of a device that has never said anything."""
        if self._applies(key) and key not in self._watches:
            self._wait(key, self._watch(key))

    def _applies(self, key: Key) -> bool:
        rule, device = self._rules.get(key[0]), self._devices.get(key[1])
        return (
            rule is not None
            and device is not None
            and device.enabled
            and rule.product in (None, device.product)
            and rule.device in (None, device.id)
        )

    def _watch(self, key: Key) -> Watch:
        made = self._watches.get(key)
        if made is None:
            made = self._watches[key] = watch(self._rules[key[0]], is_raised=key in self._raised)
        return made

    # -- readings --------------------------------------------------------------------------------------------------

    def seen(self, device: str, name: str, value: object, at: int) -> None:
        """A good reading, newer than all before."""
        keys = self._by_series.get((device, name))
        if keys is None:
            keys = self._by_series[device, name] = self._keys_for(device, name)
        for key in keys:
            watching = self._watch(key)
            change = watching.seen(value, at)
            self._wait(key, watching)
            if change is not None:
                self._changed(key, change, _text(value), at)

    def _keys_for(self, device: str, name: str) -> list[Key]:
        keys = [
            (rule.id, device, rule.property or "") for rule in self._rules.values() if rule.property in (None, name)
        ]
        return [key for key in keys if self._applies(key)]

    def _wait(self, key: Key, watching: Watch) -> None:
        seconds = watching.waits()
        timer = self._timers.get(key)
        if seconds is None:
            if timer is not None:
                timer.stop()
            return
        if timer is None:
            loop = self._host.network.loop
            timer = self._timers[key] = Timer(loop, self._context, lambda: self._elapsed(key))
        # A condition that goes on holding waits from its first reading on, silence from the last.
        if not timer.is_running or isinstance(self._rules[key[0]], StaleRule):
            timer.start(seconds)

    def _elapsed(self, key: Key) -> None:
        change = self._watches[key].elapsed()
        if change is not None:
            self._changed(key, change, "", self._now())

    def _changed(self, key: Key, change: Change, value: str, at: int) -> None:
        if change is Change.CLEARED:
            self._over(key, BY_CONDITION, at)
            return
        rule = self._rules[key[0]]
        alarm = Alarm(self._next_number, *key, rule.severity, rule.message, at, value)
        self._next_number += 1
        self._store.later(_INSERT, (alarm.id, *key, rule.severity, rule.message, at, value))
        self._raised[key] = alarm
        self._tell(change, alarm)

    def _over(self, key: Key, by: str, at: int | None = None) -> None:
        alarm = self._raised.pop(key, None)
        if alarm is not None:
            over = replace(alarm, cleared_at=self._now() if at is None else at, cleared_by=by)
            self._save(over)
            self._tell(Change.CLEARED, over)

    def _save(self, alarm: Alarm) -> None:
        state = (alarm.cleared_at, alarm.cleared_by, alarm.acknowledged_at, alarm.acknowledged_by, alarm.assignee)
        self._store.later(_UPDATE, (*state, alarm.id))
        key = (alarm.rule, alarm.device, alarm.property)
        if key in self._raised and self._raised[key].id == alarm.id:
            self._raised[key] = alarm

    # -- what people do --------------------------------------------------------------------------------------------

    @property
    def raised(self) -> Iterable[Alarm]:
        return self._raised.values()

    def get(self, number: int) -> Alarm:
        """Raises Refused."""
        self._store.flush()
        row = self._store.run(f"SELECT {_COLUMNS} FROM alarms WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise refusal("unknown-alarm", NO_ALARM, number=number)
        return Alarm(*row)

    def acknowledge(self, number: int, user: str) -> Alarm:
        """Raises Refused."""
        alarm = self.get(number)
        if alarm.acknowledged_at is not None:
            raise refusal("already-acknowledged", ACKNOWLEDGED, number=number)
        seen = replace(alarm, acknowledged_at=self._now(), acknowledged_by=user)
        self._save(seen)
        self._store.flush()
        return seen

    def clear(self, number: int, user: str) -> Alarm:
        """End an alarm by hand; the next reading for which its condition holds raises another. Raises Refused."""
        alarm = self.get(number)
        if alarm.cleared_at is not None:
            raise refusal("already-cleared", CLEARED, number=number)
        key = (alarm.rule, alarm.device, alarm.property)
        if key in self._watches:
            watching = self._watches[key]
            watching.reset()
            self._wait(key, watching)
        self._over(key, user)
        return self.get(number)

    def assign(self, number: int, assignee: str | None) -> Alarm:
        """Raises Refused."""
        alarm = replace(self.get(number), assignee=assignee)
        self._save(alarm)
        self._store.flush()
        return alarm

    def page(
        self,
        limit: int,
        offset: int,
        *,
        is_open: bool | None = None,
        device: str | None = None,
        severity: str | None = None,
    ) -> tuple[int, list[Alarm]]:
        """How many there are, and one page of them, newest first."""
        where = "(? IS NULL OR (cleared_at IS NULL) = ?) AND (? IS NULL OR device = ?) AND (? IS NULL OR severity = ?)"
        self._store.flush()
        given = (is_open, is_open, device, device, severity, severity)
        total = self._store.run(f"SELECT count(*) FROM alarms WHERE {where}", given).fetchone()[0]
        rows = self._store.run(
            f"SELECT {_COLUMNS} FROM alarms WHERE {where} ORDER BY id DESC LIMIT ? OFFSET ?", (*given, limit, offset)
        )
        return total, [Alarm(*row) for row in rows]


def as_document(alarm: Alarm) -> dict[str, Any]:
    return asdict(alarm)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value) if isinstance(value, (int, str)) else shown(value)
