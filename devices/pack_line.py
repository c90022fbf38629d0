"""`pack-line`: the controller of a packaging machine, an OPC UA server with a mirror on Modbus (device library L7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import Field, model_validator

from devices.modbus_plc import ModbusController, ModbusControllerConfig
from devices.modbus_unit import Identity, ModbusUnit
from devices.opcua.config import OpcUaServing
from devices.process.packaging import PackagingMachine
from devices.registers import Registers, Variable
from lab.model.document import KnownValueError
from lab.network.appliance import RecordTruth, Value
from lab.network.host import Host
from lab.network.logbook import Log
from lab.text import Text

if TYPE_CHECKING:
    from devices.opcua.machine import MachineFace

NAMESPACE: Final = "urn:lab:pack"
MACHINE: Final = "Pack01"
SAME_PORT: Final = Text(zh="port 与 opcua.port 相同：{port}", en="port and opcua.port are the same: {port}")

NODES: Final[Mapping[str, tuple[str, str]]] = {
    "state_current": ("StateCurrent", "Int32"),
    "mach_speed": ("MachSpeed", "Double"),
    "prod_processed": ("ProdProcessed", "UInt32"),
    "prod_defective": ("ProdDefective", "UInt32"),
    "stop_reason": ("StopReason", "UInt16"),
}
"""Point of the process → name and type of its node."""
_SPEED: Final = (0.0, 120.0)
"""Packs per minute that are measured."""


class OpcUaFaceConfig(OpcUaServing):
    enabled: bool = Field(default=True, description="是否启用。Whether it is there.")


class PackLineConfig(ModbusControllerConfig):
    firmware: Literal["V6.2", "V6.3"] = "V6.2"
    opcua: OpcUaFaceConfig = Field(default_factory=OpcUaFaceConfig, description="OPC UA 服务器。OPC UA server.")

    @model_validator(mode="after")
    def _each_face_has_a_port_of_its_own(self) -> PackLineConfig:
        if self.opcua.enabled and self.opcua.port == self.port:
            raise KnownValueError(SAME_PORT, port=self.port)
        return self


class PackLine(ModbusController[PackLineConfig]):
    """Both faces show the same measurements of the same process."""

    kind: ClassVar[str] = "pack-line"
    title: ClassVar[Text] = Text(zh="包装线控制器", en="Packaging line controller")
    Config = PackLineConfig
    Process = PackagingMachine
    identity: ClassVar[Identity] = Identity("Lab Packaging", "PKL-60", "V6.2")

    def __init__(self, host: Host, config: PackLineConfig, record: RecordTruth) -> None:
        super().__init__(host, config, record)
        self.logs["security"] = Log()
        self._face: MachineFace | None = None

    def lay_out(self, registers: Registers) -> Mapping[str, Variable]:
        holding = registers.holding_registers
        return {
            "state_current": holding.number(0, "u16"),
            "mach_speed": holding.number(1, "f32"),
            "prod_processed": holding.number(3, "u32"),
            "prod_defective": holding.number(5, "u32"),
            "stop_reason": holding.number(7, "u16"),
        }

    async def open(self, unit: ModbusUnit) -> None:
        await super().open(unit)
        if self.config.opcua.enabled:
            # asyncua takes a second to import, which programs that only look at the list of devices need not wait for.
            from devices.opcua.machine import MachineFace, Point

            points = {
                point: Point(name, kind, public=True)
                if point != "mach_speed"
                else Point(name, kind, True, False, *_SPEED)
                for point, (name, kind) in NODES.items()
            }
            face = MachineFace(
                points,
                host=self.host.name,
                namespace=NAMESPACE,
                machine=MACHINE,
                identity=self.who,
                config=self.config.opcua,
                log=self.logs["security"],
                scan_period=self.scan_period,
            )
            await face.start(self._values(), _never, is_running=self.process.controlled)
            self._face = face

    async def close(self) -> None:
        if self._face is not None:
            face, self._face = self._face, None
            await face.stop()
        await super().close()

    async def apply(self, config: PackLineConfig) -> None:
        """Another list of trusted certificates cuts nobody off."""
        trusting = config.model_copy(update={"opcua": self.config.opcua})
        listed = self.config.opcua.model_copy(update={"trusted": config.opcua.trusted})
        if self._face is not None and trusting == self.config and listed == config.opcua:
            self.config = config
            self._face.trust(config.opcua)
            return
        await super().apply(config)

    def switched(self) -> None:
        super().switched()
        if self._face is not None:
            self._face.show(self._values(), is_running=self.process.controlled)

    def status(self) -> Mapping[str, object]:
        return {**super().status(), **(self._face.status() if self._face is not None else {})}

    def _show(self) -> None:
        super()._show()
        if self._face is not None:
            self._face.show(self._values(), is_running=True)

    def _values(self) -> dict[str, Value]:
        """What the control has measured."""
        return {point: self._measured(point, value) for point, value in self.process.values().items()}


def _never(point: str, value: Value) -> int:
    raise AssertionError(f"{point} is no set-point")
