"""`config/<platform>.yaml`: the broker, the page's port, users, products, devices and alarm rules.

What the file declares is read-only for REST, which adds to it; both say it in these models. What REST added is kept in
the platform's database, and gives way to the file where both name the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from devices.platform.model import Identifier, Title
from devices.platform.registry import FULL, consistent
from devices.platform.rules import Rule
from devices.platform.things import Device, Product
from devices.web.credentials import Credentials
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.text import Text

USED_TWICE: Final = Text(zh="标识 {name!r} 用了两次", en="the identifier {name!r} is used twice")
PASSWORD_ALONE: Final = Text(zh="有 password 就要有 username", en="a password needs a username")
UNKNOWN_PRODUCT: Final = Text(zh="没有产品 {name!r}", en="there is no product {name!r}")
UNKNOWN_DEVICE: Final = Text(zh="没有设备 {name!r}", en="there is no device {name!r}")

Role = Literal["viewer", "operator", "admin"]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class BrokerLink(Strict):
    """The MQTT broker that carries what devices and gateways say."""

    host: str = Field(min_length=1, max_length=253, description="地址或主机名。 Address or name.")
    port: PortNumber = Field(1883, description="TCP 端口。 TCP port.")
    username: str | None = Field(None, min_length=1, max_length=200, description="用户名。 User name.")
    password: str | None = Field(None, max_length=200, description="口令。 Password.")
    client_id: str | None = Field(
        None, min_length=1, max_length=200, description="客户端标识，缺省为主机名。 Client identifier; the host's name."
    )
    keep_alive: int = Field(60, ge=1, le=65535, description="保活时间，秒。 Keep alive, in seconds.")
    reconnect_min_ms: int = Field(500, ge=10, le=86_400_000, description="首次重连等待，毫秒。 First pause, ms.")
    reconnect_max_ms: int = Field(10_000, ge=10, le=86_400_000, description="最长重连等待，毫秒。 Longest pause, ms.")
    me: Identifier | None = Field(
        None,
        description="v1/devices/me/… 指的设备：代理不说是谁发的。 "
        "The device that v1/devices/me/… means, as a broker does not say who published.",
    )

    host_id: Identifier | None = Field(
        None,
        description="Sparkplug 主控主机应用的标识，写了就发布 STATE。 Identifier as a Sparkplug host application, whose STATE "
        "is then published.",
    )

    @model_validator(mode="after")
    def _password_has_a_user(self) -> BrokerLink:
        # MQTT-3.1.2-22: without a user name there is no password.
        if self.password is not None and self.username is None:
            raise KnownValueError(PASSWORD_ALONE)
        return self


class User(Credentials):
    """Somebody who may log in."""

    role: Role = Field("viewer", description="viewer 查看，operator 操作，admin 管理。 What they may do.")


class Limits(Strict):
    """What is too much."""

    payload: int = Field(1 << 20, ge=100, le=16 << 20, description="报文最大字节数。 Bytes of a message.")
    future_s: float = Field(
        300,
        ge=0,
        le=86_400,
        description="时间戳最多超前的秒数。 Seconds a timestamp may be ahead of the platform's clock.",
    )
    devices: int = Field(10_000, ge=1, le=100_000, description="设备数上限。 Devices at most.")
    trace: int = Field(50, ge=1, le=1000, description="每台设备保留的报文数。 Messages kept of each device.")


class Retention(Strict):
    """How long things are kept."""

    history_days: float = Field(30, gt=0, le=36_500, description="历史数据保留天数。 Days of history.")
    event_days: float = Field(90, gt=0, le=36_500, description="事件和已恢复报警保留天数。 Events and past alarms.")
    backup_hours: float | None = Field(
        None, gt=0, le=8760, description="自动备份间隔，小时；不写为不备份。 Hours between backups; none unless given."
    )
    backups: int = Field(7, ge=1, le=100, description="保留的备份数。 Backups kept.")


class PlatformConfig(HostConfig):
    """The configuration of a platform."""

    port: PortNumber = Field(80, description="网页和 REST 的 TCP 端口。 TCP port of the page and of REST.")
    title: Title = Field("工业互联网平台 · Industrial internet platform", description="网页标题。 Title of the page.")
    token_hours: float = Field(8, gt=0, le=720, description="登录有效的小时数。 Hours a login is good for.")
    broker: BrokerLink | None = Field(None, description="MQTT 代理。 The MQTT broker.")
    users: dict[Identifier, User] = Field(default_factory=dict, description="用户。 Users by name.")
    products: list[Product] = Field(default_factory=list, description="产品。 Products.")
    devices: list[Device] = Field(default_factory=list, description="设备。 Devices.")
    rules: list[Rule] = Field(default_factory=list, description="报警规则。 Alarm rules.")
    limits: Limits = Field(Limits(), description="上限。 Limits.")
    retention: Retention = Field(Retention(), description="保留。 How long things are kept.")

    @model_validator(mode="after")
    def _consistent(self) -> PlatformConfig:
        if len(self.devices) > self.limits.devices:
            raise KnownValueError(FULL, limit=self.limits.devices)
        products = unique(each.id for each in self.products)
        devices = unique(each.id for each in self.devices)
        unique(each.id for each in self.rules)
        consistent({each.id: each for each in self.products}, {each.id: each for each in self.devices})
        for rule in self.rules:
            if rule.product is not None and rule.product not in products:
                raise KnownValueError(UNKNOWN_PRODUCT, wrong=rule.product, known=products, name=rule.product)
            if rule.device is not None and rule.device not in devices:
                raise KnownValueError(UNKNOWN_DEVICE, wrong=rule.device, known=devices, name=rule.device)
        if self.broker is not None and self.broker.me is not None and self.broker.me not in devices:
            raise KnownValueError(UNKNOWN_DEVICE, wrong=self.broker.me, known=devices, name=self.broker.me)
        return self


def unique(names: Iterable[str]) -> list[str]:
    """All of them; raises for the first that comes twice."""
    seen: dict[str, None] = {}
    for name in names:
        if name in seen:
            raise KnownValueError(USED_TWICE, name=name)
        seen[name] = None
    return list(seen)
