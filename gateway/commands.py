"""Commands to devices: checked, carried out, read back, and written down whatever became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.driver import NotWritten, Written
from gateway.fields import Writable
from gateway.samples import Reason, Unreachable, Value
from gateway.south import Device
from lab.clock import now, now_ns
from lab.network.logbook import Log
from lab.text import Text

KEPT: Final = 200
"""Entries of the audit list that are shown."""

Outcome = Literal["done", "refused", "failed", "unconfirmed"]
"""Carried out and read back; not allowed; not carried out; carried out, but something else was read back."""

NO_DEVICE = Text(zh="没有设备 {device!r}，已有：{known}", en="there is no device {device!r}; known: {known}")
NO_TAG = Text(zh="设备 {device} 没有变量 {tag!r}", en="{device} has no tag {tag!r}")
READ_ONLY = Text(zh="变量 {tag} 未设 write: true，不接受写入", en="{tag} takes no commands, as it lacks write: true")
OUT_OF_RANGE = Text(zh="{value} 不在允许的 {low} 到 {high} 之内", en="{value} is not within {low} and {high}")
NOT_FINITE = Text(zh="{value} 不是有限的数", en="{value} is no finite number")
READ_BACK = Text(zh="写入后读回的是 {after}", en="what was read back is {after}")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command and what became of it."""

    at: int
    """Plant time in nanoseconds."""
    who: str
    device: str
    tag: str
    wanted: Value
    before: Value | None
    after: Value | None
    outcome: Outcome
    reason: Reason | None = None

    def status(self) -> dict[str, object]:
        return {
            "at": self.at // 1_000_000,
            "who": self.who,
            "device": self.device,
            "tag": self.tag,
            "wanted": self.wanted,
            "before": self.before,
            "after": self.after,
            "outcome": self.outcome,
            "reason": str(self.reason) if self.reason else "",
        }


class Commands:
    """Every command passes here, whoever gives it."""

    def __init__(self, log: Log[str]) -> None:
        self._log = log
        self.audit: deque[AuditEntry] = deque(maxlen=KEPT)

    async def write(self, devices: Mapping[str, Device], device: str, tag: str, value: Value, who: str) -> AuditEntry:
        """Set a tag in engineering units; says what came of it and never raises for what a command can do wrong."""
        written = Written(None, None, False)
        outcome: Outcome = "refused"
        reason: Reason | None = None
        try:
            target, group, known = _find(devices, device, tag)
            _check(known, value)
            outcome = "failed"
            written = await target.driver.write(group, known, value)
        except NotWritten as error:
            reason = error.reason
        except Unreachable as error:
            reason = error.reason
        else:
            outcome = "done" if written.is_confirmed else "unconfirmed"
            if not written.is_confirmed:
                reason = Reason(READ_BACK, {"after": written.after})
        entry = AuditEntry(now_ns(), who, device, tag, value, written.before, written.after, outcome, reason)
        self.audit.append(entry)
        self._log.add(_line(entry))
        return entry


def _find(devices: Mapping[str, Device], device: str, tag: str) -> tuple[Device, Any, Any]:
    target = devices.get(device)
    if target is None:
        raise NotWritten(Reason(NO_DEVICE, {"device": device, "known": ", ".join(devices) or "–"}))
    found = target.tag(tag)
    if found is None:
        raise NotWritten(Reason(NO_TAG, {"device": device, "tag": tag}))
    return target, *found


def _check(tag: Any, value: Value) -> None:
    if not isinstance(tag, Writable) or not tag.write:
        raise NotWritten(Reason(READ_ONLY, {"tag": tag.name}))
    if isinstance(value, (bool, str)):
        return
    if value - value != 0:
        raise NotWritten(Reason(NOT_FINITE, {"value": value}))
    span = tag.write_range or getattr(tag, "range", None)
    if span is not None and not min(span) <= value <= max(span):
        raise NotWritten(Reason(OUT_OF_RANGE, {"value": value, "low": min(span), "high": max(span)}))


def _line(entry: AuditEntry) -> str:
    change = f"{entry.before!r} -> {entry.after!r}" if entry.outcome in ("done", "unconfirmed") else ""
    what = f"{entry.outcome} {entry.who or '-'} {entry.device}/{entry.tag} = {entry.wanted!r}"
    return (
        f"{now():%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        + "Z "
        + " ".join(part for part in (what, change) if part)
        + (f": {entry.reason}" if entry.reason else "")
    )
