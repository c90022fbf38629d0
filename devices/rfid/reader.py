"""What the reader makes of answers from the air: identifiers, each once per dwell, and mistakes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from devices.rfid.air import Round
from devices.rfid.findings import ERRORS_KEPT, Counters, Identifier, Limits, Mistake, Outcome
from devices.rfid.radio import Observation, Plan, Radio
from devices.rfid.settings import DeviceStatus, OperationStatus, ReaderSettings
from devices.rfid.tags import filter_value, is_epc
from lab.clock import now_ns

_MOST_IDENTIFIERS: Final = 2_000
"""In one dwell or scan; further ones are not heard."""


@dataclass(slots=True)
class _Dwell:
    """Within which every tag counts once."""

    began: int
    seen: dict[bytes, Identifier] = field(default_factory=dict)
    mistakes: dict[tuple[OperationStatus, bytes | int], Mistake] = field(default_factory=dict)
    answers: int = 0


@dataclass(slots=True)
class _Scan:
    limits: Limits
    ended: Callable[[Outcome], None]
    is_own: bool = False
    """Whether the reader does it of its own accord, so that it makes way for others."""
    found: dict[bytes, Identifier] = field(default_factory=dict)
    mistakes: list[OperationStatus] = field(default_factory=list)


class Reader:
    """Owns the radio, unless somebody has it on loan; dwells follow one another while it scans."""

    def __init__(self, radio: Radio, settings: ReaderSettings) -> None:
        self.radio = radio
        self.settings = settings
        self.status = DeviceStatus.IDLE
        self.outcome = OperationStatus.SUCCESS
        """Of the last dwell."""
        self.errors: deque[Mistake] = deque(maxlen=ERRORS_KEPT)
        """The latest first."""
        self.mistakes = 0
        """How many there have been."""
        self.counters = Counters()
        self.identified: list[Callable[[Identifier], None]] = []
        """Called with each identifier, once per dwell."""
        self.changed: list[Callable[[], None]] = []
        """Called when the status, or the outcome of the last dwell, may be another."""
        self.input = False
        """Level of the trigger input."""
        self.input_changed: list[Callable[[bool], None]] = []
        self._is_powered = False
        self._is_lent = False
        self._scan: _Scan | None = None
        self._dwell: _Dwell | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def power_on(self) -> None:
        self._is_powered = True
        self._rest()

    def power_off(self) -> None:
        self._is_powered = False
        self._abandon()

    def configure(self, settings: ReaderSettings) -> None:
        """Take on other settings; a dwell that was under way is forgotten."""
        if settings == self.settings:
            return
        self.settings = settings
        if self._is_powered and not self._is_lent:
            self._abandon()
            self._rest()
        self._tell()

    def reset(self) -> None:
        """As after power came: nothing remembered of what was read."""
        self.errors.clear()
        self.mistakes = 0
        self.counters = Counters()
        self.outcome = OperationStatus.SUCCESS
        if self._is_powered and not self._is_lent:
            self._abandon()
            self._rest()
        self._tell()

    def curtain(self, is_broken: bool) -> None:
        """The trigger input has changed."""
        self.input = is_broken
        for listener in self.input_changed:
            listener(is_broken)
        if is_broken and self.settings.trigger == "edge":
            self.read_once()

    def read_once(self) -> OperationStatus:
        """One dwell from now on, if nothing is under way."""
        return self.scan(Limits(seconds=self.settings.dwell_ms / 1000), _ignore)

    def scan(self, limits: Limits, ended: Callable[[Outcome], None]) -> OperationStatus:
        """Read until a limit is reached; `ended` learns what came of it, unless this says that it did not begin."""
        if not self._is_powered or self._is_lent or (self._scan is not None and not self._scan.is_own):
            return OperationStatus.DEVICE_NOT_READY
        if not self.settings.antennas:
            return OperationStatus.INVALID_CONFIGURATION
        self._abandon()
        self._begin(_Scan(limits, ended))
        return OperationStatus.SUCCESS

    def scan_stop(self) -> None:
        """End the scan somebody began, with what it has found so far."""
        if self._scan is not None and not self._scan.is_own:
            self._finish()

    def borrow(self) -> Radio:
        """The radio, for somebody who reads by rules of their own; the reader's own work rests."""
        self._abandon()
        self._is_lent = True
        self._say(DeviceStatus.BUSY)
        return self.radio

    def give_back(self) -> None:
        if self._is_lent:
            self.radio.stop()
            self._is_lent = False
            self._rest()

    def plan(self) -> Plan:
        settings = self.settings
        return Plan(dict.fromkeys(sorted(set(settings.antennas)), settings.power), settings.session)

    def _rest(self) -> None:
        """What it does of its own accord."""
        if self._is_powered and self.settings.trigger == "continuous" and self.settings.antennas:
            self._begin(_Scan(Limits(), _ignore, is_own=True))
        else:
            self._say(DeviceStatus.IDLE)

    def _begin(self, scan: _Scan) -> None:
        self._scan = scan
        self._say(DeviceStatus.SCANNING)
        loop = asyncio.get_running_loop()
        if scan.limits.seconds:
            self._timers.append(loop.call_later(scan.limits.seconds, self._finish))
        self.radio.start(self.plan(), self._heard)
        self._open_dwell(loop)

    def _open_dwell(self, loop: asyncio.AbstractEventLoop) -> None:
        self._dwell = _Dwell(now_ns())
        dwell = self.settings.dwell_ms / 1000
        scan = self._scan
        if scan is not None and not 0 < scan.limits.seconds <= dwell:
            self._timers.append(loop.call_later(dwell, self._next_dwell, loop))

    def _next_dwell(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > loop.time()]
        self._close_dwell()
        if self._scan is not None:
            self._open_dwell(loop)

    def _abandon(self) -> None:
        """End whatever is under way; a scan somebody waits for ends with what it has."""
        if self._scan is not None:
            self._dwell = None
            self._end_scan()
        else:
            self.radio.stop()

    def _finish(self) -> None:
        self._close_dwell()
        if self._scan is None:
            return
        self._end_scan()
        self._rest()

    def _end_scan(self) -> None:
        scan, self._scan = self._scan, None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.radio.stop()
        assert scan is not None
        found = tuple(scan.found.values())
        scan.ended(Outcome(_verdict(found, scan.mistakes), found))

    def _heard(self, result: Round, observations: list[Observation]) -> None:
        dwell, scan = self._dwell, self._scan
        if dwell is None or scan is None:
            return
        for observation in observations:
            dwell.answers += 1
            self._take(observation, dwell, scan)
        limits, turns = scan.limits, max(len(set(self.settings.antennas)), 1)
        is_over = (limits.data_available and scan.found) or 0 < limits.cycles * turns <= self.radio.rounds
        if is_over and self._scan is scan:
            self._finish()

    def _take(self, observation: Observation, dwell: _Dwell, scan: _Scan) -> None:
        heard = observation.heard
        if heard.epc is None:
            self._mistake(OperationStatus.READ_ERROR, heard.antenna, observation, dwell)
            return
        if heard.epc in dwell.seen:
            dwell.seen[heard.epc].seen_again(observation)
            return
        settings = self.settings
        if not is_epc(heard.pc):
            self._mistake(OperationStatus.CODE_NOT_SUPPORTED, heard.epc, observation, dwell)
            return
        if settings.filter:
            value = filter_value(heard.epc)
            if value is None:
                self._mistake(OperationStatus.DECODING_ERROR, heard.epc, observation, dwell)
            if value != settings.filter:
                return
        if settings.mask is not None and not settings.mask.fits(heard.epc):
            return
        if len(dwell.seen) >= _MOST_IDENTIFIERS:
            return
        identifier = Identifier(
            heard.epc, heard.pc, settings.power, heard.antenna, heard.rssi, observation.at, observation.at
        )
        dwell.seen[heard.epc] = identifier
        if settings.mode == "multiple":
            self._tell_of(identifier, scan)

    def _tell_of(self, identifier: Identifier, scan: _Scan) -> None:
        if len(scan.found) < _MOST_IDENTIFIERS:
            scan.found.setdefault(identifier.epc, identifier)
        self.counters.identifiers += 1
        for listener in self.identified:
            listener(identifier)

    def _mistake(self, status: OperationStatus, what: bytes | int, observation: Observation, dwell: _Dwell) -> None:
        """The same mistake of the same tag is one mistake per dwell."""
        if (status, what) not in dwell.mistakes and len(dwell.mistakes) < _MOST_IDENTIFIERS:
            mistake = Mistake(status, observation.heard.antenna, observation.at)
            dwell.mistakes[status, what] = mistake
            self._log(mistake)

    def _log(self, mistake: Mistake) -> None:
        self.errors.appendleft(mistake)
        self.mistakes += 1

    def _close_dwell(self) -> None:
        dwell, self._dwell, scan = self._dwell, None, self._scan
        if dwell is None or scan is None:
            return
        found = tuple(dwell.seen.values())
        mistakes = [status for status, _ in dwell.mistakes]
        if self.settings.mode == "single" and len(found) == 1:
            self._tell_of(found[0], scan)
        elif self.settings.mode == "single" and found:
            mistakes.insert(0, OperationStatus.MULTIPLE_IDENTIFIERS)
            self._log(Mistake(OperationStatus.MULTIPLE_IDENTIFIERS, found[-1].antenna, now_ns()))
            found = ()
        scan.mistakes += mistakes if len(scan.mistakes) < _MOST_IDENTIFIERS else []
        self.outcome = _verdict(found, mistakes)
        if self.outcome == OperationStatus.NO_IDENTIFIER and self.settings.trigger != "continuous":
            self._log(Mistake(self.outcome, 0, now_ns()))
        seconds = (now_ns() - dwell.began) / 1e9
        counters = self.counters
        counters.dwells += 1
        counters.answers += dwell.answers
        counters.last = len(found)
        counters.rate = dwell.answers / seconds if seconds else 0.0
        self._tell()

    def _say(self, status: DeviceStatus) -> None:
        if status != self.status:
            self.status = status
            self._tell()

    def _tell(self) -> None:
        for listener in self.changed:
            listener()


def _ignore(outcome: Outcome) -> None:
    """Listeners have learned of everything already."""


def _verdict(found: Sequence[Identifier], mistakes: Sequence[OperationStatus]) -> OperationStatus:
    if found:
        return OperationStatus.SUCCESS
    return mistakes[0] if mistakes else OperationStatus.NO_IDENTIFIER
