"""What a trainee writes about the broker."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.fields import PortNumber
from gateway.topics import is_topic_filter
from lab.model.document import KnownValueError
from lab.model.plant import HostConfig, Strict
from lab.text import Text

NOT_A_FILTER = Text(
    zh="{topic!r} 不是主题过滤器：# 只能独占最后一级，+ 须独占一级",
    en="{topic!r} is no topic filter: # stands alone in the last level, + alone in a level",
)
UNKNOWN_USER = Text(zh="没有用户 {user!r}", en="there is no user {user!r}")


def _topic_filter(value: str) -> str:
    if not is_topic_filter(value):
        raise KnownValueError(NOT_A_FILTER, topic=value)
    return value


class User(Strict):
    """Somebody who may log in."""

    password: str = Field(min_length=1, description="口令。 Password.")


class Rule(Strict):
    """A permission, or with `deny` the lack of one."""

    user: str | None = Field(None, description="用户名；不写则对所有人，包括匿名者。 A user; everybody unless given.")
    topic: Annotated[str, AfterValidator(_topic_filter)] = Field(
        description="主题过滤器，如 v1/plant/#。 Topic filter such as v1/plant/#."
    )
    access: Literal["read", "write", "readwrite", "deny"] = Field(
        "readwrite", description="read 订阅，write 发布；deny 优先。 read: subscribe, write: publish; deny wins."
    )


class BrokerConfig(HostConfig):
    """The configuration of a broker."""

    port: PortNumber = Field(1883, description="TCP 端口。 TCP port.")
    allow_anonymous: bool = Field(
        True, description="是否允许不带用户名登录。 Whether clients may come without a user name."
    )
    users: dict[str, User] = Field(default_factory=dict, description="用户，键为用户名。 Users by name.")
    acl: list[Rule] = Field(
        default_factory=list,
        description="访问规则；没有规则时全部允许，有规则时只允许列出的。 Permissions; without any, everything is allowed.",
    )

    @model_validator(mode="after")
    def _users_are_known(self) -> BrokerConfig:
        for rule in self.acl:
            if rule.user is not None and rule.user not in self.users:
                raise KnownValueError(UNKNOWN_USER, wrong=rule.user, known=self.users, user=rule.user)
        return self
