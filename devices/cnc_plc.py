"""`cnc-plc`: the controller of a machining centre, an OPC UA server (device library L2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import Field

from devices.controller import Controller, ControllerConfig
from devices.modbus_unit import Identity
from devices.opcua.config import LIVE, OpcUaServing
from devices.process.machining import MachiningCentre
from devices.process_device import ProcessDevice
from lab.network.appliance import RecordTruth, Value
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

if TYPE_CHECKING:
    from devices.opcua.machine import MachineFace, Point

NAMESPACE: Final = "urn:lab:cnc"

NODES: Final[Mapping[str, str]] = {
    "state": "State",
    "spindle_speed": "SpindleSpeed",
    "spindle_load": "SpindleLoad",
    "feed_rate": "FeedRate",
    "part_count": "PartCount",
    "alarm_code": "AlarmCode",
    "tool_wear": "ToolWear",
    "program": "Program",
    "feed_override": "FeedOverride",
    "spindle_override": "SpindleOverride",
}
"""Point of the process → name of its node after `CNC01.`"""
PUBLIC: Final = frozenset({"state", "part_count", "alarm_code"})
"""What users without a name may read."""
_TYPES: Final = {"state": "Int16", "part_count": "UInt32", "alarm_code": "UInt16", "program": "String"}
_DECIMALS: Final = {"spindle_speed": 0, "spindle_load": 1, "feed_rate": 0, "tool_wear": 2}
_SPANS: Final[Mapping[str, tuple[float, float, str]]] = {
    "spindle_speed": (0.0, 8000.0, "rpm"),
    "spindle_load": (0.0, 150.0, "%"),
    "feed_rate": (0.0, 10_000.0, "mm/min"),
    "tool_wear": (0.0, 100.0, "%"),
    "feed_override": (0.0, 150.0, "%"),
    "spindle_override": (50.0, 120.0, "%"),
}


def points() -> dict[str, Point]:
    """How each point of the process is shown."""
    from devices.opcua.machine import Point

    shown = {}
    for point, name in NODES.items():
        low, high, unit = _SPANS.get(point, (None, None, ""))
        shown[point] = Point(
            name,
            _TYPES.get(point, "Double"),
            public=point in PUBLIC,
            writable=point in MachiningCentre.setpoints,
            low=low,
            high=high,
            unit=unit,
            decimals=_DECIMALS.get(point),
        )
    return shown


class CncPlcConfig(ControllerConfig, OpcUaServing):
    machine: str = Field(
        default="CNC01",
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$",
        description="节点标识的第一部分。First part of every node id.",
    )
    firmware: Literal["V4.1", "V4.2"] = "V4.1"


class OpcUaMachine(ProcessDevice[CncPlcConfig]):
    """Shows a machining centre to OPC UA clients."""

    Process = MachiningCentre
    identity: ClassVar[Identity] = Identity("Lab Machine Tools", "VMC-850", "V4.1")

    def __init__(self, host: Host, config: CncPlcConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.process: MachiningCentre
        self.logs["security"] = Log()
        self._face: MachineFace | None = None

    async def start(self) -> None:
        # asyncua takes a second to import, which programs that only look at the list of devices need not wait for.
        from devices.opcua.machine import MachineFace
        from devices.opcua.server import OpcUaMethod

        self._catch_up()
        face = MachineFace(
            points(),
            host=self.host.name,
            namespace=NAMESPACE,
            machine=self.config.machine,
            identity=self.who,
            config=self.config,
            log=self.logs["security"],
            scan_period=self.scan_period,
        )
        methods = [
            OpcUaMethod("Start", lambda: self._done(self.process.cycle_start())),
            OpcUaMethod("Stop", lambda: self._done(self.process.feed_hold())),
            OpcUaMethod("ResetAlarm", lambda: self._done(self.process.reset())),
        ]
        self._show()
        await face.start(self._values(), self._written, methods, is_running=self.process.controlled)
        self._face = face
        self._scan_cycle.start()

    async def stop(self) -> None:
        self._rest()
        if self._face is not None:
            face, self._face = self._face, None
            await face.stop()

    def switched(self) -> None:
        self._update()
        if self._face is not None:
            self._face.show(self._values(), is_running=self.process.controlled)

    def _values(self) -> dict[str, Value]:
        """What the control has measured."""
        return {point: self._measured(point, value) for point, value in self.process.values().items()}

    def _show(self) -> None:
        values = self._values()
        for point, value in values.items():
            decimals = _DECIMALS.get(point)
            self._tell(point, round(value, decimals) if decimals is not None and isinstance(value, float) else value)
        if self._face is not None:
            self._face.show(values, is_running=self.process.controlled)

    def _written(self, point: str, value: Value) -> int:
        from asyncua.ua.status_codes import StatusCodes

        if not self.process.controlled:
            return int(StatusCodes.BadInvalidState)
        self.process.set(point, value)
        self._update()
        return int(StatusCodes.Good)

    def _done(self, could: bool) -> int:
        """The status code of a method that could, or could not, be done now."""
        from asyncua.ua.status_codes import StatusCodes

        if could:
            self._update()
        return int(StatusCodes.Good if could else StatusCodes.BadInvalidState)


class CncPlc(Controller[CncPlcConfig], OpcUaMachine):
    kind: ClassVar[str] = "cnc-plc"
    title: ClassVar[Text] = Text(zh="数控机床控制器", en="Machining centre controller")
    Config = CncPlcConfig
    live: ClassVar[frozenset[str]] = LIVE | Controller.live

    async def start(self) -> None:
        self.equip()
        await super().start()

    async def apply(self, config: CncPlcConfig) -> None:
        """Another mode, or another list of trusted certificates, cuts nobody off."""
        changed = {key for key in CncPlcConfig.model_fields if getattr(config, key) != getattr(self.config, key)}
        if self._face is None or not changed <= self.live:
            await super().apply(config)
            return
        self.config = config
        self.equip()
        self._face.trust(config)

    def status(self) -> Mapping[str, object]:
        face = self._face.status() if self._face is not None else {"sessions": 0}
        return {"machine": self.config.machine, **super().status(), **face, **self._seen}
