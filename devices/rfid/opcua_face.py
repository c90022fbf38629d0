"""The reader's OPC UA server: an RfidReaderDeviceType with its methods, variables and scan events."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from asyncua import ua
from asyncua.common.event_objects import BaseEvent

from devices.opcua.config import OpcUaServing
from devices.opcua.server import Build, OpcUaServer
from devices.rfid.findings import Identifier, Limits, Outcome
from devices.rfid.modbus_face import FIRMWARE, IDENTITY
from devices.rfid.opcua_model import (
    DEVICE_MEMBERS,
    EPC_CODE,
    NAMEPLATE,
    PARAMETERS,
    READER_MEMBERS,
    SCAN,
    SCAN_EVENT,
    SCAN_START,
    SCAN_STOP,
    Model,
)
from devices.rfid.opcua_types import AUTOID, AUTOID_URI, DI, DI_URI, OWN, classes, standard
from devices.rfid.reader import Reader
from devices.rfid.settings import LEAST_POWER, MOST_POWER, DeviceStatus, OperationStatus, antennas_of
from lab.network.appliance import Value
from lab.network.logbook import Log

NAMESPACE: Final = "urn:lab:rfid"
_LONGEST: Final = 60.0
"""Seconds that a call of Scan may take."""
_MOST_WAITING: Final = 1_000
_NO_TIME: Final = datetime(1601, 1, 1, tzinfo=UTC)


class OpcUaFace(OpcUaServer):
    """What clients see and call; who may get in, and how many, is the business of the server it is built on."""

    def __init__(self, reader: Reader, name: str, random: Random, config: OpcUaServing, log: Log[Any]) -> None:
        super().__init__(
            host=name,
            namespace=NAMESPACE,
            title=f"{name} RFID reader",
            build=Build(IDENTITY.vendor_name, IDENTITY.product_name, FIRMWARE),
            config=config,
            log=log,
        )
        self._reader = reader
        self._name = name
        self._random = random
        """For the ids of events."""
        self._classes = classes()
        self._last: Identifier | None = None
        self._shown: dict[str, Any] = {}
        self._waiting: deque[Identifier] = deque(maxlen=_MOST_WAITING)
        self._teller: asyncio.Task[None] | None = None
        self._notifiers: tuple[ua.NodeId, ...] = ()

    async def serve(self) -> None:
        """Build the address space, listen, and follow the reader."""
        indices = await self.prepare(NAMESPACE, DI_URI, AUTOID_URI)
        assert indices == [OWN, DI, AUTOID]
        model = Model(self.session)
        await model.types()
        methods = ((SCAN, self._scan), (SCAN_START, self._scan_start), (SCAN_STOP, self._scan_stop))
        device = await model.reader(self._name, {**self._nameplate(), **self._state()}, methods)
        self._notifiers = (device.nodeid, standard(ua.ObjectIds.Server))
        await self._let_write()
        self._reader.identified.append(self._identified)
        self._reader.changed.append(self._changed)
        await self.listen()

    async def stop(self) -> None:
        for listeners, listener in (
            (self._reader.identified, self._identified),
            (self._reader.changed, self._changed),
        ):
            if listener in listeners:
                listeners.remove(listener)  # type: ignore[arg-type]
        await super().stop()

    async def _let_write(self) -> None:
        """What follows the reader from now on, and what users who may write set."""
        for member in (*DEVICE_MEMBERS, *READER_MEMBERS, *PARAMETERS, *NAMEPLATE):
            node_id = ua.NodeId(ua.String(f"{self._name}.{member.name}"), ua.Int16(OWN))
            self.follow(member.name, node_id, member.kind)
        setpoints = {
            "ScanActive": (ua.VariantType.Boolean, self._set_active),
            "EnableAntennas": (ua.VariantType.UInt32, self._set_antennas),
            "RfPower": (ua.VariantType.SByte, self._set_power),
        }
        for name, (kind, accept) in setpoints.items():
            await self.let_write(ua.NodeId(ua.String(f"{self._name}.{name}"), ua.Int16(OWN)), kind, accept)

    def _nameplate(self) -> Mapping[str, Any]:
        return {
            "Manufacturer": ua.LocalizedText(IDENTITY.vendor_name),
            "Model": ua.LocalizedText(IDENTITY.product_code),
            "HardwareRevision": "1",
            "SoftwareRevision": FIRMWARE,
            "DeviceRevision": "1",
            "DeviceManual": "",
            "SerialNumber": self._name,
            "RevisionCounter": -1,
            "AutoIdModelVersion": "1.01",
            "DeviceInfo": IDENTITY.product_name,
            "DeviceName": self._name,
            "DeviceLocationName": "",
            "AntennaNames": [
                self._classes["AntennaNameIdPair"](AntennaId=number, AntennaName=f"ANT{number}")
                for number in antennas_of(0b1111)
            ],
        }

    def _state(self) -> dict[str, Any]:
        """The values that move."""
        reader, last = self._reader, self._last
        return {
            "DeviceStatus": int(reader.status),
            "ScanActive": reader.status == DeviceStatus.SCANNING,
            "EnableAntennas": reader.settings.antenna_mask,
            "RfPower": round(reader.settings.power),
            "LastScanData": "" if last is None else last.epc.hex().upper(),
            "LastScanTimestamp": _NO_TIME if last is None else _time(last.first),
            "LastScanAntenna": 0 if last is None else last.antenna,
            "LastScanRSSI": 0 if last is None else round(last.rssi),
        }

    def _changed(self) -> None:
        self._show_new()

    def _show_new(self) -> None:
        state = self._state()
        new = {name: value for name, value in state.items() if self._shown.get(name) != value}
        self._shown = state
        self.show(new)

    def _identified(self, identifier: Identifier) -> None:
        self._last = identifier
        self._show_new()
        if self.has_subscribers:
            self._waiting.append(identifier)
            if self._teller is None or self._teller.done():
                self._teller = self.run(self._tell_events())

    async def _tell_events(self) -> None:
        while self._waiting:
            identifier = self._waiting.popleft()
            for notifier in self._notifiers:
                await self.trigger(self._event(identifier, notifier))

    def _event(self, identifier: Identifier, notifier: ua.NodeId) -> BaseEvent:
        event: Any = BaseEvent(
            self._notifiers[0], f"{identifier.epc.hex().upper()} at antenna {identifier.antenna}", 100
        )
        event.EventType = SCAN_EVENT
        event.EventId = self._random.randbytes(16)
        event.SourceName = self._name
        event.Time = event.ReceiveTime = _time(identifier.first)
        event.emitting_node = notifier
        event.add_property("DeviceName", self._name, ua.VariantType.String)
        event.add_property("ScanResult", [self._result(identifier)], ua.VariantType.ExtensionObject)
        made: BaseEvent = event
        return made

    def _result(self, identifier: Identifier) -> Any:
        """An RfidScanResult."""
        epc = self._classes["ScanDataEpc"](PC=identifier.pc, UId=identifier.epc)
        data = self._classes["ScanData"]()
        data.Epc = epc
        sighting = self._classes["RfidSighting"](
            Antenna=identifier.antenna,
            Strength=round(identifier.rssi),
            Timestamp=_time(identifier.first),
            CurrentPowerLevel=round(identifier.power),
        )
        return self._classes["RfidScanResult"](
            CodeType=EPC_CODE, ScanData=data, Timestamp=_time(identifier.first), Sighting=[sighting]
        )

    async def _scan(self, parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        """Read until a limit is reached, and answer with what was read (OPC 30010 section 6.5.3.3)."""
        limits = self._limits(arguments)
        if limits is None or not (limits.seconds or limits.cycles or limits.data_available):
            return _bad(ua.StatusCodes.BadInvalidArgument)
        if limits.seconds > _LONGEST:
            return _bad(ua.StatusCodes.BadInvalidArgument)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        seconds = limits.seconds or _LONGEST
        began = self._reader.scan(Limits(seconds, limits.cycles, limits.data_available), done.set_result)
        if began == OperationStatus.DEVICE_NOT_READY:
            return _bad(ua.StatusCodes.BadInvalidState)
        if began != OperationStatus.SUCCESS:
            return self._answer((), began)
        outcome = await done
        return self._answer(outcome.identifiers, outcome.status)

    def _answer(self, identifiers: tuple[Identifier, ...], status: OperationStatus) -> list[ua.Variant]:
        results = [self._result(each) for each in identifiers]
        return [
            ua.Variant(results, ua.VariantType.ExtensionObject, is_array=True),
            ua.Variant(int(status), ua.VariantType.Int32),
        ]

    async def _scan_start(self, parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        """Read until a limit is reached or ScanStop is called; events tell what."""
        limits = self._limits(arguments)
        if limits is None:
            return _bad(ua.StatusCodes.BadInvalidArgument)
        began = self._reader.scan(limits, _ignore)
        if began == OperationStatus.DEVICE_NOT_READY:
            return _bad(ua.StatusCodes.BadInvalidState)
        return [ua.Variant(int(began), ua.VariantType.Int32)]

    async def _scan_stop(self, parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        self._reader.scan_stop()
        return []

    def _limits(self, arguments: tuple[ua.Variant, ...]) -> Limits | None:
        """What a client has put into ScanSettings, if it is that."""
        settings = arguments[0].Value if len(arguments) == 1 else None
        if not isinstance(settings, self._classes["ScanSettings"]):
            return None
        fields: Any = settings
        if not math.isfinite(fields.Duration) or fields.Duration < 0 or fields.Cycles < 0:
            return None
        return Limits(fields.Duration / 1000, fields.Cycles, bool(fields.DataAvailable))

    def _set_active(self, value: Value) -> None:
        if value:
            self._reader.scan(Limits(), _ignore)
        else:
            self._reader.scan_stop()
        self._changed()

    def _set_antennas(self, value: Value) -> None:
        self._configure({"antennas": antennas_of(int(value))})

    def _set_power(self, value: Value) -> None:
        self._configure({"power": min(max(float(value), LEAST_POWER), MOST_POWER)})

    def _configure(self, changes: Mapping[str, Any]) -> None:
        self._reader.configure(self._reader.settings.model_copy(update=dict(changes)))


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC)


def _bad(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))


def _ignore(outcome: Outcome) -> None:
    """Events have told of everything already."""
