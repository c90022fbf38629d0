"""What a trainee writes about an OPC UA server."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.fields import Aging, Milliseconds, Name, Redialling, Reported, Scaled, Writable, unique
from lab.model.document import KnownValueError
from lab.network.opcua_trust import thumbprint
from lab.text import Text

NOT_A_NODE = Text(
    zh="{node!r} 不是节点标识，如 ns=2;s=CNC01.State", en="{node!r} is no node identifier such as ns=2;s=CNC01.State"
)
NOT_AN_ENDPOINT = Text(
    zh="{url!r} 不是端点地址，如 opc.tcp://10.20.10.13:4840",
    en="{url!r} is no endpoint such as opc.tcp://10.20.10.13:4840",
)
PASSWORD_ALONE = Text(zh="有 password 就要有 username", en="a password needs a username")
TRUST_WITHOUT_POLICY = Text(
    zh="trusted 需要 security_policy：没有安全策略时不验证证书",
    en="trusted needs a security_policy: without one no certificate is looked at",
)

_NODE = re.compile(r"(ns=\d{1,5};|nsu=[^;]+;)?(i=\d{1,10}|s=.+|g=[0-9a-fA-F-]{36}|b=[A-Za-z0-9+/=]+)", re.DOTALL)


def _node(value: str) -> str:
    if not _NODE.fullmatch(value):
        raise KnownValueError(NOT_A_NODE, node=value)
    return value


def _endpoint(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme == "opc.tcp" and bool(parts.hostname) and (parts.port or 4840) > 0
    except ValueError:
        good = False
    if not good:
        raise KnownValueError(NOT_AN_ENDPOINT, url=value)
    return value if parts.port else value.replace(parts.netloc, f"{parts.netloc}:4840", 1)


def _none_in_any_spelling(value: Any) -> Any:
    return "None" if value is None or (isinstance(value, str) and value.lower() == "none") else value


SecurityPolicy = Annotated[
    Literal["None", "Basic256Sha256", "Aes256_Sha256_RsaPss"], BeforeValidator(_none_in_any_spelling)
]


class OpcUaTag(Scaled, Reported, Writable):
    """One node of a server."""

    name: Name = Field(description="变量名，即上报数据中的键。 The key under which the value is published.")
    node: Annotated[str, AfterValidator(_node)] = Field(
        description="节点标识：ns=2;s=CNC01.State，或 nsu=<命名空间 URI>;s=… 。 Node identifier, by index or namespace URI."
    )


class OpcUaGroup(Reported):
    """Nodes read together."""

    name: Name = Field(description="组名。 Name of the group.")
    period_ms: Milliseconds = Field(
        1000,
        description="读取周期；订阅方式下为采样间隔，毫秒。 Read period, or the sampling interval where subscribed, in ms.",
    )
    tags: list[OpcUaTag] = Field(min_length=1, description="变量。 The tags.")


class OpcUaConnection(Redialling):
    """How to reach the server, and as whom."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        description="端点，如 opc.tcp://10.20.10.13:4840。 Endpoint URL."
    )
    security_policy: SecurityPolicy = Field("None", description="安全策略。 Security policy.")
    security_mode: Literal["Sign", "SignAndEncrypt"] = Field(
        "SignAndEncrypt", description="有安全策略时：只签名，或签名并加密。 With a policy: sign, or sign and encrypt."
    )
    trusted: list[Annotated[str, AfterValidator(thumbprint)]] | None = Field(
        None,
        description="信任的服务器证书的指纹（SHA-1 或 SHA-256）；不写则都信任。 "
        "Thumbprints (SHA-1 or SHA-256) of the server certificates that are trusted; any is unless given.",
    )
    verify: bool = Field(
        True,
        description="是否检查服务器证书的有效期和名称。 Whether validity and name of the server's certificate are checked.",
    )
    username: str | None = Field(None, min_length=1, description="用户名；不写则匿名。 User; anonymous without one.")
    password: str | None = Field(None, description="口令。 Password.")
    mode: Literal["poll", "subscribe"] = Field(
        "poll", description="poll 按周期读取；subscribe 订阅，变化时上报。 Read every period, or subscribe to changes."
    )
    publishing_ms: Milliseconds = Field(
        500, description="订阅的发布间隔，毫秒。 Publishing interval of subscriptions, ms."
    )
    timeout_ms: Milliseconds = Field(
        4000, description="等待连接或应答的时间，毫秒。 How long to wait for an answer, in ms."
    )

    @model_validator(mode="after")
    def _consistent(self) -> OpcUaConnection:
        if self.password is not None and self.username is None:
            raise KnownValueError(PASSWORD_ALONE)
        if self.trusted is not None and self.security_policy == "None":
            raise KnownValueError(TRUST_WITHOUT_POLICY)
        return self


class OpcUaDevice(Aging):
    """A device that speaks OPC UA."""

    name: Name = Field(description="设备名，主题的一级。 Name of the device, one level of its topic.")
    driver: Literal["opcua"] = Field(description="协议。 The protocol.")
    connection: OpcUaConnection = Field(description="连接参数。 How to connect.")
    groups: list[OpcUaGroup] = Field(default_factory=list, description="采集组。 What to read, and how often.")

    @model_validator(mode="after")
    def _consistent(self) -> OpcUaDevice:
        unique(group.name for group in self.groups)
        unique(tag.name for group in self.groups for tag in group.tags)
        return self
