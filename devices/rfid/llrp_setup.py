"""How the reader is set up for LLRP: what a client reads and changes with the configuration messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from devices.rfid.llrp_checks import GPIS, POWERS, check_antennas, nearest_index
from devices.rfid.reader import Reader
from devices.rfid.settings import ANTENNAS
from devices.rfid.site import SiteConfig
from lab.wire.llrp import Refused, StatusCode
from lab.wire.llrp.configuration import (
    AccessReport,
    AntennaProperties,
    ConfigurationState,
    EventsAndReports,
    EventState,
    EventStates,
    GpiPort,
    GpiState,
    Identification,
    Keepalive,
    KeepaliveTrigger,
    Notification,
)
from lab.wire.llrp.messages import Configuration, GetReaderConfig, GetReaderConfigResponse, SetReaderConfig
from lab.wire.llrp.parameters import SUCCESS
from lab.wire.llrp.specs import (
    AntennaConfiguration,
    ReportContent,
    ReportTrigger,
    RfReceiver,
    RfTransmitter,
    RoReport,
    Selected,
)

_REPORT: Final = RoReport(
    ReportTrigger.N_TAGS_OR_END_OF_RO_SPEC,
    0,
    ReportContent(
        Selected.ANTENNA_ID | Selected.PEAK_RSSI | Selected.FIRST_SEEN | Selected.LAST_SEEN | Selected.SEEN_COUNT
    ),
)
_NO_KEEPALIVE: Final = Keepalive(KeepaliveTrigger.NULL, 0)
_LEAST_KEEPALIVE: Final = 100
"""Milliseconds"""


@dataclass(slots=True)
class Setup:
    """As delivered, until somebody sets it otherwise."""

    reader: Reader
    site: SiteConfig
    mac: bytes
    events: set[Notification] = field(default_factory=set)
    powers: dict[int, int] = field(default_factory=dict)
    """Indices into the power table, by antenna; the reader's own setting for those that are not there."""
    report: RoReport = _REPORT
    keepalive: Keepalive = _NO_KEEPALIVE
    hold: bool = False
    gpi_enabled: bool = True
    state: int = 1

    def defaults(self) -> tuple[RoReport, Mapping[int, float]]:
        """For ROSpecs that do not say."""
        own = self.reader.settings.power
        powers = {
            number: POWERS[self.powers[number] - 1] if number in self.powers else own
            for number in range(1, ANTENNAS + 1)
        }
        return self.report, powers

    def take(self, wanted: SetReaderConfig) -> None:
        """Raises Refused, and has changed nothing then."""
        check_antennas(wanted.antennas)
        for gpi in wanted.gpis:
            _require(1 <= gpi.port <= GPIS, f"input {gpi.port}, where there is {GPIS}")
        _require(not wanted.gpos, "this reader has no outputs")
        _require(not wanted.properties, "gains of antennas are not to be set")
        keepalive = wanted.keepalive
        if keepalive is not None and keepalive.trigger == KeepaliveTrigger.PERIODIC:
            _require(keepalive.period >= _LEAST_KEEPALIVE, f"a keepalive takes {_LEAST_KEEPALIVE} ms or more")
        if wanted.reset:
            self._reset()
        for state in wanted.events.states if wanted.events is not None else ():
            (self.events.add if state.enabled else self.events.discard)(state.event)
        for antenna in wanted.antennas:
            if antenna.transmitter is not None:
                numbers = range(1, ANTENNAS + 1) if antenna.antenna == 0 else (antenna.antenna,)
                self.powers.update(dict.fromkeys(numbers, antenna.transmitter.power))
        self.report = wanted.report or self.report
        self.keepalive = keepalive or self.keepalive
        if wanted.holding is not None:
            self.hold = wanted.holding.hold
        for gpi in wanted.gpis:
            self.gpi_enabled = gpi.enabled
        self.state = self.state % 0xFFFFFFFF + 1

    def _reset(self) -> None:
        self.events.clear()
        self.powers.clear()
        self.report, self.keepalive = _REPORT, _NO_KEEPALIVE
        self.hold, self.gpi_enabled = False, True

    def tell(self, request: GetReaderConfig) -> GetReaderConfigResponse:
        """What was requested, or everything; raises Refused for an antenna or input that is not there."""
        _require(request.antenna <= ANTENNAS, f"antenna {request.antenna}, where there are {ANTENNAS}")
        _require(request.gpi <= GPIS, f"input {request.gpi}, where there is {GPIS}")
        numbers = [number for number in range(1, ANTENNAS + 1) if request.antenna in (0, number)]
        level = GpiState.HIGH if self.reader.input else GpiState.LOW
        everything = GetReaderConfigResponse(
            SUCCESS,
            identification=Identification(0, self.mac[:3] + b"\xff\xfe" + self.mac[3:]),
            properties=tuple(self._properties(number) for number in numbers),
            antennas=tuple(self._antenna(number) for number in numbers),
            events=EventStates(tuple(EventState(each, each in self.events) for each in Notification)),
            report=self.report,
            access_report=AccessReport(0),
            state=ConfigurationState(self.state),
            keepalive=self.keepalive,
            gpis=(GpiPort(1, self.gpi_enabled, level),),
            holding=EventsAndReports(self.hold),
        )
        if request.requested == Configuration.ALL:
            return everything
        wanted = _PLACES.get(request.requested)
        only = GetReaderConfigResponse(SUCCESS)
        return only if wanted is None else replace(only, **{wanted: getattr(everything, wanted)})

    def _properties(self, number: int) -> AntennaProperties:
        antenna = next((each for each in self.site.antennas if each.number == number), None)
        return AntennaProperties(antenna is not None, number, round(antenna.gain * 100) if antenna is not None else 0)

    def _antenna(self, number: int) -> AntennaConfiguration:
        index = self.powers.get(number, nearest_index(self.reader.settings.power))
        return AntennaConfiguration(number, RfReceiver(1), RfTransmitter(0, 1, index))


_PLACES: Final[Mapping[Configuration, str]] = {
    Configuration.IDENTIFICATION: "identification",
    Configuration.ANTENNA_PROPERTIES: "properties",
    Configuration.ANTENNA_CONFIGURATION: "antennas",
    Configuration.RO_REPORT: "report",
    Configuration.EVENTS: "events",
    Configuration.ACCESS_REPORT: "access_report",
    Configuration.STATE: "state",
    Configuration.KEEPALIVE: "keepalive",
    Configuration.GPI: "gpis",
    Configuration.HOLDING: "holding",
}


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Refused(StatusCode.A_OUT_OF_RANGE, what)
