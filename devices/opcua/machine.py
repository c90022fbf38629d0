"""A process as an OPC UA server shows it: its points as nodes, and how far each can be relied on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from devices.modbus_unit import Identity
from devices.opcua.config import OpcUaServing
from devices.opcua.server import Build, OpcUaMethod, OpcUaServer, OpcUaVariable, Reading
from lab.network.appliance import Value
from lab.network.logbook import Log

_BELOW, _ABOVE = -0.025, 1.0625
"""Beyond these parts of its span a transmitter says that it has failed: 3.6 and 21 mA (NAMUR NE 43)."""
GOOD: Final = int(StatusCodes.Good)


@dataclass(frozen=True, slots=True)
class Point:
    """How a point of the process is shown."""

    name: str
    """Of its node, behind that of the machine."""
    type: str
    """Of OPC UA, such as `Double`."""
    public: bool = False
    """Whether users without a password may read it."""
    writable: bool = False
    low: float | None = None
    high: float | None = None
    """What is measured from and to, or may be set from and to."""
    unit: str = ""
    decimals: int | None = None
    """What the control shows of it, and so what its clients see."""

    def shown(self, value: Value) -> Value:
        return round(value, self.decimals) if self.decimals is not None and isinstance(value, float) else value

    def quality(self, value: Value) -> int:
        """The status code of a measured value (OPC 10000-8 section 6.3.3)."""
        if isinstance(value, float) and not math.isfinite(value):
            return int(StatusCodes.BadSensorFailure)
        if self.low is None or self.high is None or isinstance(value, str):
            return GOOD
        part = (value - self.low) / (self.high - self.low)
        if not _BELOW < part < _ABOVE:
            return int(StatusCodes.BadSensorFailure)
        return GOOD if 0 <= part <= 1 else int(StatusCodes.UncertainEngineeringUnitsExceeded)


class MachineFace:
    """The points of one machine, served."""

    def __init__(
        self,
        points: Mapping[str, Point],
        *,
        host: str,
        namespace: str,
        machine: str,
        identity: Identity,
        config: OpcUaServing,
        log: Log[Any],
        scan_period: float,
    ) -> None:
        self._points = points
        self._machine = machine
        self._shown: dict[str, tuple[Value, int]] = {}
        build = Build(identity.vendor_name, identity.product_code, identity.revision)
        self._server = OpcUaServer(
            host=host,
            namespace=namespace,
            title=f"{machine} controller",
            build=build,
            config=config,
            log=log,
            fastest_sampling=scan_period,
        )

    async def start(
        self,
        values: Mapping[str, Value],
        written: Callable[[str, Value], int],
        methods: Iterable[OpcUaMethod] = (),
        *,
        is_running: bool,
    ) -> None:
        """Listen; `written(point, value)` is called when a client moves a set-point, and says how that went."""
        by_name = {point.name: key for key, point in self._points.items()}
        variables = [
            OpcUaVariable(
                point.name,
                ua.VariantType[point.type],
                public=point.public,
                writable=point.writable,
                unit=point.unit,
                low=point.low,
                high=point.high,
            )
            for point in self._points.values()
        ]
        readings = self._readings(values, is_running=is_running)
        await self._server.start(
            self._machine, variables, readings, lambda name, value: written(by_name[name], value), methods
        )

    async def stop(self) -> None:
        await self._server.stop()

    def show(self, values: Mapping[str, Value], *, is_running: bool) -> None:
        """Bring the nodes up to date where their values or their quality differ."""
        if changed := self._readings(values, is_running=is_running):
            self._server.show(changed)

    def trust(self, config: OpcUaServing) -> None:
        """Take on another list of trusted certificates; who is connected stays so."""
        self._server.trust.accept(config.trusted)

    def status(self) -> dict[str, object]:
        return self._server.status()

    def _readings(self, values: Mapping[str, Value], *, is_running: bool) -> dict[str, Reading]:
        """What is new, by name."""
        changed = {}
        for key, value in values.items():
            point = self._points[key]
            # What a controller that does not run shows is what it saw last.
            status = point.quality(value) if is_running else int(StatusCodes.UncertainLastUsableValue)
            now = point.shown(value), status
            if self._shown.get(key) != now:
                self._shown[key] = now
                is_bad = bool(status & 0x8000_0000)
                changed[point.name] = Reading(None if is_bad else now[0], status)
        return changed
