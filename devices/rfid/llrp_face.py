"""The reader's LLRP server: one client at a time, which is told what it asks for and what it has not seen yet.

ROSpecs and settings outlast a connection, as section 4.2 of LLRP 1.0.1 has it; they do not outlast a power cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from devices.rfid.air import Round
from devices.rfid.llrp_capabilities import capabilities
from devices.rfid.llrp_connection import Connection
from devices.rfid.llrp_reports import Sightings
from devices.rfid.llrp_setup import Setup
from devices.rfid.reader import Reader
from devices.rfid.rospecs import RoSpecs
from devices.rfid.site import SiteConfig
from lab.clock import now_ns
from lab.wire import llrp
from lab.wire.llrp import Message, Refused, StatusCode
from lab.wire.llrp import messages as say
from lab.wire.llrp.configuration import KeepaliveTrigger, Notification
from lab.wire.llrp.parameters import SUCCESS, LlrpStatus, UtcTimestamp, refusal
from lab.wire.llrp.reports import (
    AiSpecEvent,
    BufferOverflow,
    ConnectionAttempt,
    ConnectionAttempted,
    ConnectionClosed,
    GpiEvent,
    ReaderEvent,
    RoSpecEvent,
    RoSpecEventType,
    SingulationDetails,
)

_UNANSWERED: Final = 3
"""Keepalives after which a silent client is gone."""
_AT_ONCE: Final = 500
"""Tags in one message; the rest goes into the next."""
_IMPOSSIBLE: Final = LlrpStatus(StatusCode.M_UNSUPPORTED_MESSAGE, "only readers say this")


class LlrpFace:
    """What the reader does for LLRP clients, and says to the one there is."""

    def __init__(self, reader: Reader, site: SiteConfig, mac: bytes) -> None:
        self._reader, self._site = reader, site
        self.setup = Setup(reader, site, mac)
        self.rospecs = RoSpecs(reader, self, self.setup.defaults)
        self._client: Connection | None = None
        self._server: asyncio.Server | None = None
        self._is_held = False
        """Whether events and reports wait until the client asks for them."""
        self._messages = 0
        self._keepalive: asyncio.TimerHandle | None = None
        self._unanswered = 0
        reader.input_changed.append(self._input_changed)

    @property
    def has_client(self) -> bool:
        return self._client is not None

    async def start(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), None, port)

    async def stop(self) -> None:
        """Say goodbye, cut the connection, forget every ROSpec."""
        self._reader.input_changed.remove(self._input_changed)
        if self._server is not None:
            self._server.close()
            self._server = None
        client = self._client
        if client is not None:
            self._tell(ReaderEvent(_time(), closed=ConnectionClosed()), even_held=True)
            client.close()
            await client.lost
        self.rospecs.close()

    def arrived(self, client: Connection) -> bool:
        """Whether this is now the client; there is room for one (LLRP 1.0.1 section 15.1)."""
        if self._client is not None:
            self._tell(_attempted(ConnectionAttempt.ANOTHER_ATTEMPTED), even_held=True)
            client.send(say.ReaderEventNotification(_attempted(ConnectionAttempt.CLIENT_INITIATED_EXISTS)), 0)
            return False
        self._client = client
        self._is_held = self.setup.hold
        self._tell(_attempted(ConnectionAttempt.SUCCESS), even_held=True)
        self._beat()
        self.caught_up()
        return True

    def left(self, client: Connection) -> None:
        if self._client is client:
            self._client = None
            self._beat()

    def caught_up(self) -> None:
        """The client listens (again)."""
        for sightings in tuple(self.rospecs.sightings()):
            if sightings.is_overflowing:
                self._tell(ReaderEvent(_time(), buffer_overflow=BufferOverflow()))
            if sightings.is_due:
                self.report(sightings)

    def answer(self, frame: llrp.Frame) -> Message | None:
        """What to say to a message; None is nothing."""
        response = _RESPONSES.get(frame.number)
        try:
            message = llrp.decode(frame)
            return _ACTIONS.get(type(message), _refuse)(self, message)
        except Refused as refused:
            status = refusal(refused)
            has_version = refused.code != StatusCode.M_UNSUPPORTED_VERSION
            return response(status) if response is not None and has_version else say.ErrorMessage(status)

    # What the ROSpecs say.

    def report(self, sightings: Sightings) -> None:
        if not sightings:
            return
        sightings.is_due = self._client is None or self._is_held or self._client.is_paused
        if not sightings.is_due:
            reports = sightings.take()
            for start in range(0, len(reports), _AT_ONCE):
                self._send(say.RoAccessReport(reports[start : start + _AT_ONCE]))

    def ro_spec_event(self, event: RoSpecEventType, ro_spec: int, preempting: int) -> None:
        if Notification.RO_SPEC in self.setup.events:
            self._tell(ReaderEvent(_time(), ro_spec=RoSpecEvent(event, ro_spec, preempting)))

    def ai_spec_event(self, ro_spec: int, spec_index: int, last: Round | None) -> None:
        has_details = Notification.AI_SPEC_WITH_DETAILS in self.setup.events
        if has_details or Notification.AI_SPEC in self.setup.events:
            details = SingulationDetails(last.collided, last.empty) if has_details and last is not None else None
            self._tell(ReaderEvent(_time(), ai_spec=AiSpecEvent(0, ro_spec, spec_index, details)))

    def _input_changed(self, level: bool) -> None:
        if Notification.GPI in self.setup.events and self.setup.gpi_enabled:
            self._tell(ReaderEvent(_time(), gpi=GpiEvent(1, level)))

    # What clients ask for.

    def _get_capabilities(self, request: say.GetReaderCapabilities) -> Message:
        return capabilities(request.requested, self._site)

    def _get_config(self, request: say.GetReaderConfig) -> Message:
        return self.setup.tell(request)

    def _set_config(self, request: say.SetReaderConfig) -> Message:
        self.setup.take(request)
        if request.reset:
            self.rospecs.delete(0)
        self._beat()
        return say.SetReaderConfigResponse(SUCCESS)

    def _close(self, request: say.CloseConnection) -> Message:
        return say.CloseConnectionResponse(SUCCESS)

    def _add(self, request: say.AddRoSpec) -> Message:
        self.rospecs.add(request.spec)
        return say.AddRoSpecResponse(SUCCESS)

    def _get_ro_specs(self, request: say.GetRoSpecs) -> Message:
        return say.GetRoSpecsResponse(SUCCESS, tuple(self.rospecs))

    def _on_access_spec(self, request: Any) -> Message:
        """There are none, so all of them are easily deleted."""
        response = _RESPONSES[llrp_number(request)]
        if request.id:
            raise Refused(StatusCode.M_FIELD_ERROR, f"there is no AccessSpec {request.id}")
        return response(SUCCESS)

    def _get_access_specs(self, request: say.GetAccessSpecs) -> Message:
        return say.GetAccessSpecsResponse(SUCCESS)

    def _get_report(self, request: say.GetReport) -> Message | None:
        self._is_held = False
        for sightings in tuple(self.rospecs.sightings()):
            self.report(sightings)
        return None

    def _enable_reports(self, request: say.EnableEventsAndReports) -> Message | None:
        self._is_held = False
        self.caught_up()
        return None

    def _acknowledge(self, request: say.KeepaliveAck) -> Message | None:
        self._unanswered = 0
        return None

    def _beat(self) -> None:
        """Begin to send keepalives, or cease, as it is set."""
        if self._keepalive is not None:
            self._keepalive.cancel()
            self._keepalive = None
        self._unanswered = 0
        if self._client is not None and self.setup.keepalive.trigger == KeepaliveTrigger.PERIODIC:
            self._beat_later()

    def _beat_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._keepalive = loop.call_later(self.setup.keepalive.period / 1000, self._send_keepalive)

    def _send_keepalive(self) -> None:
        self._keepalive = None
        if self._unanswered >= _UNANSWERED and self._client is not None:
            self._client.close()
            return
        self._unanswered += 1
        self._send(say.KeepaliveMessage())
        self._beat_later()

    def _tell(self, event: ReaderEvent, *, even_held: bool = False) -> None:
        if even_held or not self._is_held:
            self._send(say.ReaderEventNotification(event))

    def _send(self, message: Message) -> None:
        if self._client is not None:
            self._messages = self._messages % 0xFFFFFFFF + 1
            self._client.send(message, self._messages)


def _time() -> UtcTimestamp:
    return UtcTimestamp(now_ns() // 1000)


def _attempted(status: ConnectionAttempt) -> ReaderEvent:
    return ReaderEvent(_time(), connection=ConnectionAttempted(status))


def _refuse(face: LlrpFace, request: Any) -> Message:
    return say.ErrorMessage(_IMPOSSIBLE)


def _on_ro_spec(act: Callable[[RoSpecs, int], None]) -> Callable[[LlrpFace, Any], Message]:
    def do(face: LlrpFace, request: Any) -> Message:
        act(face.rospecs, request.id)
        return _RESPONSES[llrp_number(request)](SUCCESS)

    return do


def llrp_number(message: Message) -> int:
    """The number of its type."""
    return llrp.layout_of(type(message)).number


_RESPONSES: Final[Mapping[int, Callable[[LlrpStatus], Message]]] = {
    1: say.GetReaderCapabilitiesResponse,
    2: say.GetReaderConfigResponse,
    3: say.SetReaderConfigResponse,
    14: say.CloseConnectionResponse,
    20: say.AddRoSpecResponse,
    21: say.DeleteRoSpecResponse,
    22: say.StartRoSpecResponse,
    23: say.StopRoSpecResponse,
    24: say.EnableRoSpecResponse,
    25: say.DisableRoSpecResponse,
    26: say.GetRoSpecsResponse,
    41: say.DeleteAccessSpecResponse,
    42: say.EnableAccessSpecResponse,
    43: say.DisableAccessSpecResponse,
    44: say.GetAccessSpecsResponse,
}
"""By the number of the request."""

_ACTIONS: Final[Mapping[type, Callable[[LlrpFace, Any], Message | None]]] = {
    say.GetReaderCapabilities: LlrpFace._get_capabilities,
    say.GetReaderConfig: LlrpFace._get_config,
    say.SetReaderConfig: LlrpFace._set_config,
    say.CloseConnection: LlrpFace._close,
    say.AddRoSpec: LlrpFace._add,
    say.DeleteRoSpec: _on_ro_spec(RoSpecs.delete),
    say.StartRoSpec: _on_ro_spec(RoSpecs.start),
    say.StopRoSpec: _on_ro_spec(RoSpecs.stop),
    say.EnableRoSpec: _on_ro_spec(RoSpecs.enable),
    say.DisableRoSpec: _on_ro_spec(RoSpecs.disable),
    say.GetRoSpecs: LlrpFace._get_ro_specs,
    say.DeleteAccessSpec: LlrpFace._on_access_spec,
    say.EnableAccessSpec: LlrpFace._on_access_spec,
    say.DisableAccessSpec: LlrpFace._on_access_spec,
    say.GetAccessSpecs: LlrpFace._get_access_specs,
    say.GetReport: LlrpFace._get_report,
    say.EnableEventsAndReports: LlrpFace._enable_reports,
    say.KeepaliveAck: LlrpFace._acknowledge,
}
