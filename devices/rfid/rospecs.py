"""ROSpecs at work (LLRP 1.0.1 section 10): disabled, inactive until their start trigger, active until a stop trigger.

One is active at a time and has the radio; one with a higher priority takes it away. Its AISpecs run one after another,
and when the last is over, so is the ROSpec; with an immediate trigger it then begins anew.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from devices.rfid.air import Round
from devices.rfid.llrp_checks import ROSPECS, check
from devices.rfid.llrp_plan import ALL, antennas_in, plan
from devices.rfid.llrp_reports import Sightings
from devices.rfid.radio import Observation
from devices.rfid.reader import Reader
from lab.clock import now_ns
from lab.wire.llrp import Refused, StatusCode
from lab.wire.llrp import specs as asked
from lab.wire.llrp.parameters import UtcTimestamp
from lab.wire.llrp.reports import RoSpecEventType
from lab.wire.llrp.specs import (
    AiSpec,
    AiStopTrigger,
    ReportTrigger,
    RoReport,
    RoSpec,
    RoSpecState,
    StartTrigger,
    StopTrigger,
)


class Client(Protocol):
    """Whom the reader works for."""

    def report(self, sightings: Sightings) -> None:
        """Tell what was seen, now or as soon as it is possible."""

    def ro_spec_event(self, event: RoSpecEventType, ro_spec: int, preempting: int) -> None: ...

    def ai_spec_event(self, ro_spec: int, spec_index: int, last: Round | None) -> None: ...


@dataclass(slots=True)
class _Kept:
    spec: RoSpec
    sightings: Sightings
    trigger: RoReport
    state: RoSpecState = RoSpecState.DISABLED
    timer: asyncio.TimerHandle | None = None
    """Of the next periodic start."""


@dataclass(slots=True)
class _Run:
    """The active ROSpec."""

    kept: _Kept
    index: int = -1
    """Of the AISpec, from 0."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    ai_timers: list[asyncio.TimerHandle] = field(default_factory=list)
    quiet: asyncio.TimerHandle | None = None
    seen: set[bytes] = field(default_factory=set)
    """EPCs in this AISpec."""
    last: Round | None = None

    @property
    def ai_spec(self) -> AiSpec:
        return self.kept.spec.specs[self.index]


class RoSpecs:
    """All there are, by id."""

    def __init__(
        self, reader: Reader, client: Client, defaults: Callable[[], tuple[RoReport, Mapping[int, float]]]
    ) -> None:
        self._reader = reader
        self._client = client
        self._defaults = defaults
        """The report and the power by antenna for ROSpecs that do not say."""
        self._kept: dict[int, _Kept] = {}
        self._run: _Run | None = None
        reader.input_changed.append(self._input_changed)

    def close(self) -> None:
        self._reader.input_changed.remove(self._input_changed)
        self.delete(ALL)

    def __iter__(self) -> Iterator[RoSpec]:
        for kept in self._kept.values():
            yield replace(kept.spec, state=kept.state)

    def sightings(self) -> Iterator[Sightings]:
        for kept in self._kept.values():
            yield kept.sightings

    def add(self, spec: RoSpec) -> None:
        """Raises Refused, as what follows does."""
        check(spec)
        if spec.id in self._kept:
            raise Refused(StatusCode.A_INVALID, f"ROSpec {spec.id} is there already")
        if len(self._kept) >= ROSPECS:
            raise Refused(StatusCode.M_OVERFLOW_PARAMETER, f"{ROSPECS} ROSpecs are all that is possible")
        report = spec.report or self._defaults()[0]
        self._kept[spec.id] = _Kept(spec, Sightings(report.content), report)

    def delete(self, number: int) -> None:
        for kept in self._named(number):
            self._disable(kept)
            del self._kept[kept.spec.id]

    def enable(self, number: int) -> None:
        for kept in self._named(number):
            if kept.state == RoSpecState.DISABLED:
                kept.state = RoSpecState.INACTIVE
                self._await_start(kept)

    def disable(self, number: int) -> None:
        for kept in self._named(number):
            self._disable(kept)

    def start(self, number: int) -> None:
        kept = self._one(number)
        if kept.state == RoSpecState.DISABLED:
            raise Refused(StatusCode.A_INVALID, f"ROSpec {number} is disabled")
        if kept.state == RoSpecState.INACTIVE and not self._begin(kept):
            raise Refused(StatusCode.A_INVALID, "a ROSpec of the same priority or a higher one is active")

    def stop(self, number: int) -> None:
        kept = self._one(number)
        if kept.state == RoSpecState.DISABLED:
            raise Refused(StatusCode.A_INVALID, f"ROSpec {number} is disabled")
        if kept.state == RoSpecState.ACTIVE:
            self._end(RoSpecEventType.END)

    def _one(self, number: int) -> _Kept:
        try:
            return self._kept[number]
        except KeyError:
            raise Refused(StatusCode.M_FIELD_ERROR, f"there is no ROSpec {number}") from None

    def _named(self, number: int) -> list[_Kept]:
        return list(self._kept.values()) if number == ALL else [self._one(number)]

    def _disable(self, kept: _Kept) -> None:
        if kept.timer is not None:
            kept.timer.cancel()
            kept.timer = None
        if kept.state == RoSpecState.ACTIVE:
            self._end(RoSpecEventType.END)
        kept.state = RoSpecState.DISABLED

    def _await_start(self, kept: _Kept) -> None:
        start = kept.spec.boundary.start
        if start.trigger == StartTrigger.IMMEDIATE:
            self._begin(kept)
        elif start.trigger == StartTrigger.PERIODIC and start.periodic is not None:
            periodic = start.periodic
            wait = periodic.offset / 1000
            if isinstance(periodic.time, UtcTimestamp):
                wait += (periodic.time.microseconds - now_ns() // 1000) / 1e6
                if wait < 0:
                    wait = wait % (periodic.period / 1000) if periodic.period else 0.0
            self._await_period(kept, wait, periodic.period / 1000)

    def _await_period(self, kept: _Kept, wait: float, period: float) -> None:
        loop = asyncio.get_running_loop()
        kept.timer = loop.call_later(wait, self._period_over, kept, period)

    def _period_over(self, kept: _Kept, period: float) -> None:
        kept.timer = None
        if period:
            self._await_period(kept, period, period)
        if kept.state == RoSpecState.INACTIVE:
            self._begin(kept)

    def _begin(self, kept: _Kept) -> bool:
        """Whether it could: who is at work makes way for a smaller number only."""
        if self._run is not None:
            active = self._run.kept
            if kept.spec.priority >= active.spec.priority:
                return False
            self._end(RoSpecEventType.PREEMPTION, kept.spec.id, goes_on=True)
        kept.state = RoSpecState.ACTIVE
        run = self._run = _Run(kept)
        self._client.ro_spec_event(RoSpecEventType.START, kept.spec.id, 0)
        stop = kept.spec.boundary.stop
        if stop.trigger == StopTrigger.DURATION:
            self._later(run.timers, stop.duration, self._over, run)
        elif stop.trigger == StopTrigger.GPI and stop.gpi is not None and stop.gpi.timeout:
            self._later(run.timers, stop.gpi.timeout, self._over, run)
        self._next_ai_spec(run)
        return True

    @staticmethod
    def _later(timers: list[asyncio.TimerHandle], milliseconds: int, act: Callable[[_Run], None], run: _Run) -> None:
        timers.append(asyncio.get_running_loop().call_later(milliseconds / 1000, act, run))

    def _over(self, run: _Run) -> None:
        """The ROSpec has come to its end."""
        if self._run is not run:
            return
        begins_anew = run.kept.spec.boundary.start.trigger == StartTrigger.IMMEDIATE
        self._end(RoSpecEventType.END, goes_on=begins_anew)
        if begins_anew:
            self._begin(run.kept)

    def _end(self, event: RoSpecEventType, preempting: int = 0, *, goes_on: bool = False) -> None:
        """The active one is active no more; the reader gets its radio back unless LLRP `goes_on`."""
        run, self._run = self._run, None
        assert run is not None
        self._end_ai_spec(run)
        for timer in run.timers:
            timer.cancel()
        run.kept.state = RoSpecState.INACTIVE
        if run.kept.trigger.trigger == ReportTrigger.N_TAGS_OR_END_OF_RO_SPEC:
            self._client.report(run.kept.sightings)
        self._client.ro_spec_event(event, run.kept.spec.id, preempting)
        if not goes_on:
            self._reader.give_back()

    def _next_ai_spec(self, run: _Run) -> None:
        if self._run is not run:
            return
        self._end_ai_spec(run)
        run.index += 1
        if run.index >= len(run.kept.spec.specs):
            self._over(run)
            return
        spec = run.ai_spec
        run.seen.clear()
        run.last = None
        self._reader.borrow().start(plan(spec, self._defaults()[1]), functools.partial(self._heard, run))
        stop = spec.stop
        if stop.trigger == AiStopTrigger.DURATION:
            self._later(run.ai_timers, stop.duration, self._next_ai_spec, run)
        elif stop.trigger == AiStopTrigger.GPI and stop.gpi is not None and stop.gpi.timeout:
            self._later(run.ai_timers, stop.gpi.timeout, self._next_ai_spec, run)
        elif stop.trigger == AiStopTrigger.TAG_OBSERVATION and stop.observation is not None:
            if stop.observation.timeout:
                self._later(run.ai_timers, stop.observation.timeout, self._next_ai_spec, run)
            self._wait_for_quiet(run)

    def _wait_for_quiet(self, run: _Run) -> None:
        observation = run.ai_spec.stop.observation
        if observation is None or observation.trigger != asked.Observation.NO_MORE_NEW_TAGS:
            return
        if run.quiet is not None:
            run.quiet.cancel()
        loop = asyncio.get_running_loop()
        run.quiet = loop.call_later(observation.quiet / 1000, self._next_ai_spec, run)

    def _end_ai_spec(self, run: _Run) -> None:
        for timer in run.ai_timers:
            timer.cancel()
        run.ai_timers.clear()
        if run.quiet is not None:
            run.quiet.cancel()
            run.quiet = None
        if run.index < 0 or run.index >= len(run.kept.spec.specs):
            return
        self._reader.radio.stop()
        if run.kept.trigger.trigger == ReportTrigger.N_TAGS_OR_END_OF_AI_SPEC:
            self._client.report(run.kept.sightings)
        self._client.ai_spec_event(run.kept.spec.id, run.index + 1, run.last)

    def _heard(self, run: _Run, result: Round, observations: list[Observation]) -> None:
        run.last = result
        kept, spec = run.kept, run.ai_spec
        inventory = spec.inventories[0].id
        for each in observations:
            if each.heard.epc is None:
                continue
            if each.heard.epc not in run.seen:
                run.seen.add(each.heard.epc)
                self._wait_for_quiet(run)
            kept.sightings.add(each, kept.spec.id, run.index + 1, inventory)
            wanted = kept.trigger.tags
            if kept.trigger.trigger != ReportTrigger.NONE and 0 < wanted <= len(kept.sightings):
                self._client.report(kept.sightings)
        stop = spec.stop
        if stop.trigger == AiStopTrigger.TAG_OBSERVATION and stop.observation is not None:
            has_enough = {
                asked.Observation.N_TAGS: len(run.seen) >= stop.observation.tags,
                asked.Observation.NO_MORE_NEW_TAGS: False,
                asked.Observation.N_ATTEMPTS: self._reader.radio.rounds
                >= stop.observation.attempts * max(len(antennas_in(spec)), 1),
            }
            if has_enough[stop.observation.trigger]:
                self._next_ai_spec(run)

    def _input_changed(self, level: bool) -> None:
        run = self._run
        if run is not None:
            stop, ai_stop = run.kept.spec.boundary.stop, run.ai_spec.stop
            if stop.trigger == StopTrigger.GPI and stop.gpi is not None and stop.gpi.event == level:
                self._over(run)
            elif ai_stop.trigger == AiStopTrigger.GPI and ai_stop.gpi is not None and ai_stop.gpi.event == level:
                self._next_ai_spec(run)
        for kept in tuple(self._kept.values()):
            start = kept.spec.boundary.start
            is_asked = start.trigger == StartTrigger.GPI and start.gpi is not None and start.gpi.event == level
            if is_asked and kept.state == RoSpecState.INACTIVE:
                self._begin(kept)
