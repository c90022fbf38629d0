"""What is known of each tag, and of each group at work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway.driver import NOT_CONNECTED_YET, Group, Reader, Tag
from gateway.fields import Reported
from gateway.reporting import Gate
from gateway.samples import Quality, Reason, Sample, bad
from gateway.timing import Schedule
from lab.clock import now_ns

_PLAIN = Reported()
_ALL_GOOD: Final = {Quality.GOOD}


class TagState:
    """What is known of a tag."""

    __slots__ = ("bad", "gate", "good", "last_good", "sample", "tag", "trouble")

    def __init__(self, tag: Tag, group: Any, at: int) -> None:
        self.tag = tag
        self.sample = bad(NOT_CONNECTED_YET, at)
        self.last_good: Sample | None = None
        self.good = 0
        self.bad = 0
        """Samples that were not good."""
        self.trouble: Reason | None = None
        """The last reason, kept when all is well again."""
        self.gate = Gate(tag if isinstance(tag, Reported) else _PLAIN, group if isinstance(group, Reported) else _PLAIN)

    def status(self, raw: str | None) -> dict[str, object]:
        sample = self.sample
        reason = str(sample.reason) if sample.reason else ""
        shown: dict[str, object] = {
            "value": sample.value,
            "unit": self.tag.unit,
            "quality": str(sample.quality),
            "ts": sample.at // 1_000_000,
            "good": self.good,
            "bad": self.bad,
            "reason": reason,
        }
        if sample.source_at is not None:
            shown["source_ts"] = sample.source_at // 1_000_000
        if raw is not None:
            shown["raw"] = raw
        if self.bad and not reason:
            shown["last_error"] = str(self.trouble)
        return shown


class GroupState:
    """A group at work."""

    def __init__(self, config: Group, stale_after_ms: int) -> None:
        self.config = config
        self.name = config.name
        self.cycles = 0
        self.schedule: Schedule | None = None
        self.reader: Reader | None = None
        now = now_ns()
        tags: list[Tag] = config.tags
        self.tags = {tag.name: TagState(tag, config, now) for tag in tags}
        self.task: asyncio.Task[None] | None = None
        self._stale_after = stale_after_ms * 1_000_000
        self._passes_all = all(state.gate.mode == "period" for state in self.tags.values())
        self._fresh: Mapping[str, Sample] = {}
        self._fresh_cycles = 0
        """Cycles in which everything was good, of which the tags do not know yet, and what the last of them brought."""

    def take(self, samples: Mapping[str, Sample], now: int) -> Mapping[str, Sample]:
        """Remember what was read, and return what is to be passed on."""
        self.cycles += 1
        tags, good = self.tags, Quality.GOOD
        if self._passes_all and len(samples) == len(tags) and {sample[1] for sample in samples.values()} == _ALL_GOOD:
            # Nearly always; and then there is nothing to do that cannot wait until somebody asks.
            self._fresh, self._fresh_cycles = samples, self._fresh_cycles + 1
            return samples
        self._settle()
        changed: dict[str, Sample] = {}
        for name, sample in samples.items():
            state = tags[name]
            if sample.quality is good:
                state.good += 1
                state.last_good = sample
            else:
                state.bad += 1
                state.trouble = sample.reason
                kept = self._kept(state, sample, now)
                if kept is not sample:
                    sample = changed[name] = kept
            state.sample = sample
        if changed:
            samples = {**samples, **changed}
        if self._passes_all:
            return samples
        return {name: sample for name, sample in samples.items() if tags[name].gate.passes(sample, now)}

    @property
    def patience(self) -> float | None:
        """Seconds of silence that all of its tags allow; None where none of them minds."""
        limits = [state.gate.patience for state in self.tags.values()]
        return min((limit for limit in limits if limit is not None), default=None)

    def overdue(self, now: int) -> Mapping[str, Sample]:
        """What is to be said again though it has not changed."""
        self._settle()
        return {name: state.sample for name, state in self.tags.items() if state.gate.overdue(now)}

    def status(self) -> dict[str, object]:
        return {
            "period_ms": self.config.period_ms,
            "cycles": self.cycles,
            "overruns": self.schedule.overruns if self.schedule else 0,
        }

    def tags_status(self) -> dict[str, dict[str, object]]:
        self._settle()
        raw = self.reader.raw() if self.reader is not None else {}
        return {name: state.status(raw.get(name)) for name, state in self.tags.items()}

    def _settle(self) -> None:
        """Let the tags know of what was good."""
        cycles, self._fresh_cycles = self._fresh_cycles, 0
        if cycles:
            for name, sample in self._fresh.items():
                state = self.tags[name]
                state.good += cycles
                state.sample = state.last_good = sample

    def _kept(self, state: TagState, sample: Sample, now: int) -> Sample:
        """The last good value in place of none, while it is young enough."""
        last = state.last_good
        if sample.value is not None or last is None or now - last.at >= self._stale_after:
            return sample
        return Sample(last.value, Quality.UNCERTAIN, last.at, sample.reason, last.source_at)
