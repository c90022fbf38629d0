"""`config/<gateway>.yaml`: what the gateway reads from the plant, and where it publishes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from gateway.fields import Name, unique
from gateway.modbus.config import ModbusDevice
from gateway.mqtt.config import MqttDestination
from gateway.opcua.config import OpcUaDevice
from lab.model.plant import HostConfig

DeviceConfig = Annotated[ModbusDevice | OpcUaDevice, Field(discriminator="driver")]


class GatewayConfig(HostConfig):
    """The configuration of a gateway."""

    site: Name = Field("plant", description="站点名，主题的一级。 Name of the site, one level of every topic.")
    gateway: Name | None = Field(
        None,
        description="网关名，主题的一级，默认为主机名。 Name of the gateway in topics; the host's name unless given.",
    )
    south: list[DeviceConfig] = Field(default_factory=list, description="南向：要采集的设备。 Devices to read from.")
    north: list[MqttDestination] = Field(default_factory=list, description="北向：上报的去处。 Where to publish.")

    @model_validator(mode="after")
    def _names_are_unique(self) -> GatewayConfig:
        unique(device.name for device in self.south)
        unique(destination.name for destination in self.north)
        return self
