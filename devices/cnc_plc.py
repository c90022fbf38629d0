"""`cnc-plc`: the controller of a machining centre, an OPC UA server (device library L2)."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import Field

from devices.process.machining import MachiningCentre
from devices.scan import ScanCycle
from lab.model.plant import HostConfig
from lab.network.appliance import Appliance, RecordTruth, Value
from lab.network.host import Host
from lab.text import Text

if TYPE_CHECKING:
    from devices.opcua_server import OpcUaServer

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
SETPOINTS: Final = frozenset({"feed_override", "spindle_override"})
"""What `eng` may write."""
_TYPES: Final = {"state": "Int16", "part_count": "UInt32", "alarm_code": "UInt16", "program": "String"}
_DECIMALS: Final = {"spindle_speed": 0, "spindle_load": 1, "feed_rate": 0, "tool_wear": 2}
"""What the control shows of a Double, and so what its clients see."""


class CncPlcConfig(HostConfig):
    machine: str = Field(default="CNC01", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")
    """First part of every node id."""
    port: int = Field(default=4840, ge=1, le=65535)
    policies: list[Literal["None", "Basic256Sha256"]] = Field(default=["None", "Basic256Sha256"], min_length=1)
    anonymous: bool = True
    users: dict[Literal["acq", "eng"], str] = Field(default_factory=dict)
    """Passwords. `acq` may read everything, `eng` may write set-points as well."""
    max_sessions: int = Field(default=10, ge=1, le=100)
    max_subscriptions: int = Field(default=20, ge=1, le=1000)


class CncPlc(Appliance[CncPlcConfig]):
    kind: ClassVar[str] = "cnc-plc"
    title: ClassVar[Text] = Text(zh="数控机床控制器", en="Machining centre controller")
    Config = CncPlcConfig
    scan_period: ClassVar[float] = 0.5
    """Seconds"""

    def __init__(self, host: Host, config: CncPlcConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.process = MachiningCentre(Random(host.random.getrandbits(64)))
        self._seen: dict[str, Value] = {}
        self._server: OpcUaServer | None = None
        self._scan_cycle = ScanCycle(self.scan_period, self._scan)

    async def start(self) -> None:
        # asyncua takes a second to import, which programs that only look at the list of devices need not wait for.
        from asyncua import ua

        from devices.opcua_server import OpcUaServer, OpcUaVariable

        config = self.config
        server = OpcUaServer(
            host=self.host.name,
            application=f"{NAMESPACE}:{self.host.name}",
            namespace=NAMESPACE,
            machine=config.machine,
            title=f"{config.machine} controller",
            port=config.port,
            policies=config.policies,
            passwords={str(name): password for name, password in config.users.items()},
            anonymous=config.anonymous,
            writers=("eng",),
            max_sessions=config.max_sessions,
            max_subscriptions=config.max_subscriptions,
        )
        variables = [
            OpcUaVariable(
                name, ua.VariantType[_TYPES.get(point, "Double")], public=point in PUBLIC, writable=point in SETPOINTS
            )
            for point, name in NODES.items()
        ]
        self._show()
        await server.start(variables, {NODES[point]: value for point, value in self._seen.items()}, self._written)
        self._server = server
        self._scan_cycle.start()

    async def stop(self) -> None:
        self._scan_cycle.stop()
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop()

    def points(self) -> Mapping[str, Value]:
        return dict(self._seen)

    def force(self, point: str, value: Value | None) -> None:
        self.process.force(point, value)
        self._show()

    def status(self) -> Mapping[str, object]:
        sessions = self._server.sessions if self._server is not None else 0
        return {"machine": self.config.machine, "sessions": sessions, **self._seen}

    def _scan(self, seconds: float) -> None:
        self.process.step(seconds)
        self._show()

    def _written(self, node: str, value: Value) -> None:
        point = next(point for point, name in NODES.items() if name == node)
        self.process.set(point, value)
        self._show()

    def _show(self) -> None:
        """Bring the nodes up to date where their values differ, and tell the truth of it."""
        changed: dict[str, Value] = {}
        for point, value in self.process.values().items():
            seen = round(value, _DECIMALS[point]) if point in _DECIMALS and isinstance(value, float) else value
            if self._seen.get(point) != seen:
                self._seen[point] = changed[NODES[point]] = seen
                self.record(point, seen)
        if changed and self._server is not None:
            self._server.show(changed)
