"""What every OPC UA server of a device lets one configure."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from lab.model.plant import Strict

Policy = Literal["None", "Basic256Sha256", "Aes256_Sha256_RsaPss"]
UserName = Literal["acq", "eng"]
READERS, ENGINEERS = "acq", "eng"


def _thumbprint(value: str) -> str:
    from lab.network.opcua_trust import thumbprint  # cryptography takes its time to load

    return thumbprint(value)


Thumbprint = Annotated[str, AfterValidator(_thumbprint)]


class OpcUaServing(Strict):
    """A server's port, who gets in, and how many."""

    port: int = Field(default=4840, ge=1, le=65535, description="端口。Port.")
    policies: list[Policy] = Field(
        default=["None", "Basic256Sha256"], min_length=1, description="安全策略。Security policies."
    )
    anonymous: bool = Field(default=True, description="是否允许匿名。Whether one gets in without a name.")
    users: dict[UserName, str] = Field(
        default_factory=dict,
        description="用户密码：`acq` 可读全部，`eng` 还可写设定值、调用方法。"
        "Passwords: `acq` reads everything, `eng` writes set-points and calls methods as well.",
    )
    trusted: list[Thumbprint] | None = Field(
        default=None,
        max_length=100,
        description="信任的客户端证书指纹；不写则信任所有证书。被拒绝的证书见设备状态，写到这里即接受。"
        "Thumbprints of clients' certificates to trust; without the key, all are. Those refused stand in the device's status.",
    )
    max_sessions: int = Field(default=10, ge=1, le=100, description="最多会话数。Sessions at most.")
    max_subscriptions: int = Field(default=20, ge=1, le=1000, description="最多订阅数。Subscriptions at most.")


LIVE: Final = frozenset({"trusted"})
"""Keys that take effect while clients stay connected."""
