"""`snmp:` in a device's configuration."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

PORT = 161
TRAP_PORT = 162
USER_TWICE = Text(zh="用户 {user!r} 定义了两次", en="the user {user!r} is there twice")
COMMUNITY_TWICE = Text(zh="团体名 {community!r} 定义了两次", en="the community {community!r} is there twice")

Access = Literal["read", "read-write"]
Secret = Annotated[str, StringConstraints(min_length=8, max_length=64)]
"""RFC 3414 section 11.2 asks for eight characters at least."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class Community(Strict):
    community: Name
    access: Access = "read"


class User(Strict):
    """A user of SNMPv3, who is always authenticated and whose messages are always encrypted (authPriv)."""

    user: Name
    auth: Literal["sha", "sha256"] = "sha256"
    auth_password: Secret
    priv: Literal["aes128"] = "aes128"
    priv_password: Secret
    access: Access = "read"


class TrapReceiver(Strict):
    """Who is sent SNMPv2c notifications."""

    host: IPv4Address
    port: int = Field(default=TRAP_PORT, ge=1, le=65535)
    community: Name = "public"


class SnmpConfig(Strict):
    """Without communities nobody is answered in v2c, without users nobody in v3; v1 is never answered."""

    v2c: tuple[Community, ...] = ()
    v3: tuple[User, ...] = ()
    traps: tuple[TrapReceiver, ...] = ()
    contact: str = Field(default="", max_length=255)
    location: str = Field(default="", max_length=255)

    @model_validator(mode="after")
    def _each_once(self) -> SnmpConfig:
        communities = [each.community for each in self.v2c]
        users = [each.user for each in self.v3]
        for community in communities:
            if communities.count(community) > 1:
                raise KnownValueError(COMMUNITY_TWICE, community=community)
        for user in users:
            if users.count(user) > 1:
                raise KnownValueError(USER_TWICE, user=user)
        return self
