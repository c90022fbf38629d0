"""Products and devices, as the configuration and REST declare them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from devices.platform.model import Identifier, ThingModel, Title
from lab.model.plant import Strict


class Provision(Strict):
    """Unknown devices that are registered by themselves, by patterns such as `th-*`."""

    devices: list[Title] = Field(
        default_factory=list, max_length=100, description="设备名的通配符。 Patterns of device names."
    )
    gateways: list[Title] = Field(
        default_factory=lambda: ["*"], max_length=100, description="网关名的通配符。 Patterns of their gateways' names."
    )


class Product(ThingModel):
    """A type of device, with its thing model."""

    id: Identifier = Field(description="产品标识（productKey）。 Identifier of the product.")
    name: Title = Field("", description="名称。 Name.")
    profile: Title = Field("", description="说明：厂商、型号……。 Profile: maker, model …")
    undeclared: Literal["reject", "keep"] = Field(
        "reject", description="物模型以外的属性：拒绝或保留。 Properties outside of the thing model."
    )
    provision: Provision = Field(
        Provision(), description="自动注册未知设备；缺省全部拒绝。 Which unknown devices are registered."
    )


class Device(Strict):
    """One device, or gateway."""

    id: Identifier = Field(description="设备标识。 Identifier of the device.")
    product: Identifier = Field(description="产品。 Its product.")
    name: Title = Field("", description="显示名称。 Display name.")
    gateway: Identifier | None = Field(None, description="上级网关的设备标识。 The gateway it is behind.")
    address: Identifier | None = Field(
        None, description="报文主题中的名字，缺省为设备标识。 Its name in topics; the identifier unless given."
    )
    site: Identifier | None = Field(None, description="站点，写了就核对。 Site, compared with topics where given.")
    token: str | None = Field(
        None, min_length=8, max_length=100, description="设备凭证，用于 HTTP 上报。 Credential for reports by HTTP."
    )
    enabled: bool = Field(True, description="停用的设备不收数据。 What a disabled device says is not taken.")

    @property
    def called(self) -> str:
        """Its name in topics."""
        return self.address or self.id
