"""`config/<gateway>.yaml`: what the gateway reads from the plant, and where it publishes it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from gateway.fields import Name, unique
from gateway.http.config import HttpDestination
from gateway.identification.config import RfidDevice, ScannerDevice
from gateway.log import LogConfig
from gateway.maintenance import MaintenanceConfig
from gateway.modbus.config import ModbusDevice, ModbusLineDevice
from gateway.mqtt.config import MqttDestination
from gateway.opcua.config import OpcUaDevice
from gateway.serial_ports import SerialNumber, SerialPortConfig
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig
from lab.network.firmware import FirmwareImage
from lab.text import Text

UNKNOWN_DEVICE = Text(zh="没有名为 {name!r} 的设备", en="there is no device {name!r}")
SAME_CLIENT = Text(
    zh="{first} 与 {second} 以同一客户端标识 {client_id!r} 连接 {host}：会互相挤掉，请为其一另写 client_id",
    en="{first} and {second} would connect to {host} as the same client {client_id!r} and push each other out: "
    "give one a client_id of its own",
)


def _driver(value: Any) -> str:
    """MQTT is what is meant where nothing is said."""
    return str(value.get("driver", "mqtt") if isinstance(value, dict) else getattr(value, "driver", "mqtt"))


NorthConfig = Annotated[
    Annotated[MqttDestination, Tag("mqtt")] | Annotated[HttpDestination, Tag("http")], Discriminator(_driver)
]
DeviceConfig = Annotated[
    ModbusDevice | ModbusLineDevice | OpcUaDevice | RfidDevice | ScannerDevice, Field(discriminator="driver")
]


class GatewayConfig(HostConfig):
    """The configuration of a gateway."""

    site: Name = Field("plant", description="站点名，主题的一级。 Name of the site, one level of every topic.")
    gateway: Name | None = Field(
        None,
        description="网关名，主题的一级，默认为主机名。 Name of the gateway in topics; the host's name unless given.",
    )
    serial: dict[SerialNumber, SerialPortConfig] = Field(
        default_factory=dict, description='串口 "1" 和 "2" 的参数。 Settings of the serial ports "1" and "2".'
    )
    south: list[DeviceConfig] = Field(default_factory=list, description="南向：要采集的设备。 Devices to read from.")
    north: list[NorthConfig] = Field(default_factory=list, description="北向：上报的去处。 Where to publish.")
    log: LogConfig = Field(default_factory=LogConfig, description="日志。 The log.")
    maintenance: MaintenanceConfig | None = Field(
        None,
        description="维护接口（HTTP）：状态、备份、恢复、保存、重启驱动；不写则没有。 "
        "Maintenance over HTTP: status, backup, restore, saving, restarting a driver; none unless given.",
    )
    firmware: str | None = Field(
        None,
        description="要运行的固件版本，取自 images；与现有不同则升级并重启。 "
        "The firmware to run, of those in images; another one than before is installed, with a restart.",
    )
    images: dict[str, FirmwareImage] = Field(
        default_factory=dict, description="可用的固件映像，以版本为键。 Firmware images, by version."
    )
    saved: bool = Field(
        True,
        description="此配置是否也写入闪存；断电或升级后以最后写入的启动。 "
        "Whether this is written to flash too; after a power cut or an upgrade the gateway has what was saved last.",
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> GatewayConfig:
        unique(device.name for device in self.south)
        unique(destination.name for destination in self.north)
        clients: dict[tuple[str, int, str | None], str] = {}
        for each in self.north:
            if isinstance(each, MqttDestination):
                key = each.host, each.tcp_port, each.client_id
                if key in clients:
                    client_id = each.client_id or self.gateway or "{gateway}"
                    raise KnownValueError(
                        SAME_CLIENT, first=clients[key], second=each.name, client_id=client_id, host=each.host
                    )
                clients[key] = each.name
        devices = [device.name for device in self.south]
        for name in self.log.devices:
            if name not in devices:
                raise KnownValueError(UNKNOWN_DEVICE, wrong=name, known=devices, name=name)
        return self
