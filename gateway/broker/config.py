"""What a trainee writes about the broker."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.broker.passwords import PREFIX, parse_hash
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
BAD_HASH = Text(
    zh="$7$ 开头的口令须为 mosquitto_passwd 的格式：$7$迭代次数$盐$散列",
    en="a password that begins with $7$ has the form of mosquitto_passwd: $7$iterations$salt$hash",
)
NO_LISTENER = Text(
    zh="port 和 tls 都没有，代理服务器无从连接", en="neither port nor tls is there: nobody could connect"
)
SAME_PORT = Text(zh="port 和 tls 用了同一个端口 {port}", en="port and tls use the same port {port}")
CA_MISSING = Text(
    zh="要检查客户端证书就要给出 ca", en="to check the certificates of clients takes the certificate of a ca"
)
IDENTITY_WITHOUT = Text(
    zh="use_identity_as_username 要求 client_certificate: required",
    en="use_identity_as_username takes client_certificate: required",
)


def _topic_filter(value: str) -> str:
    if not is_topic_filter(value):
        raise KnownValueError(NOT_A_FILTER, topic=value)
    return value


def _password(value: str) -> str:
    if value.startswith(PREFIX):
        try:
            parse_hash(value)
        except ValueError:
            raise KnownValueError(BAD_HASH) from None
    return value


class User(Strict):
    """Somebody who may log in."""

    password: Annotated[str, AfterValidator(_password)] = Field(
        min_length=1,
        description="口令，明文或 mosquitto_passwd 的 $7$ 散列。 Password, plain or hashed as by mosquitto_passwd ($7$…).",
    )


class Rule(Strict):
    """A permission, or with `deny` the lack of one.

    The order of rules does not matter: what any rule denies is denied, and of the rest what any rule permits is
    permitted.
    """

    user: str | None = Field(None, description="用户名；不写则对所有人，包括匿名者。 A user; everybody unless given.")
    topic: Annotated[str, AfterValidator(_topic_filter)] = Field(
        description="主题过滤器，如 v1/plant/#；一级可为 %u（用户名）或 %c（客户端标识）。"
        " Topic filter such as v1/plant/#; a level may be %u (user name) or %c (client identifier)."
    )
    access: Literal["read", "write", "readwrite", "deny"] = Field(
        "readwrite", description="read 订阅，write 发布；deny 优先。 read: subscribe, write: publish; deny wins."
    )


class Limits(Strict):
    """How much a client may ask of the broker, and all of them together."""

    max_connections: int = Field(500, ge=1, le=10_000, description="同时连接数。 Connections at a time.")
    max_sessions: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="保留的会话数；满时丢弃离线最久的。 Sessions kept for clients that are away; the longest absent goes first.",
    )
    session_expiry_s: int = Field(
        0, ge=0, description="离线会话保留的秒数；0 为一直保留。 Seconds a session outlives its client; 0 is for ever."
    )
    max_packet: int = Field(
        1 << 20, ge=256, le=1 << 28, description="一个报文的最大字节数。 Bytes of one packet at most."
    )
    max_inflight: int = Field(
        20, ge=1, le=65_535, description="每个客户端未确认的消息数。 Unacknowledged messages for each client."
    )
    max_queued_messages: int = Field(
        1000, ge=1, le=1_000_000, description="每个客户端排队的消息数。 Messages queued for each client."
    )
    max_queued_bytes: int = Field(
        4 << 20, ge=1024, le=1 << 30, description="每个客户端排队的字节数。 Bytes queued for each client."
    )
    max_subscriptions: int = Field(
        1000, ge=1, le=100_000, description="每个客户端的订阅数。 Subscriptions of each client."
    )
    max_retained: int = Field(10_000, ge=0, le=1_000_000, description="保留消息数。 Retained messages.")
    max_retained_bytes: int = Field(
        16 << 20, ge=0, le=1 << 30, description="保留消息的总字节数。 Bytes of all retained messages."
    )
    max_rate: int = Field(
        0,
        ge=0,
        description="每个客户端每秒发布的消息数，超过则放慢读取；0 为不限。"
        " Messages a second each client may publish; more are read later. 0: no limit.",
    )


class TlsConfig(Strict):
    """The port for TLS; certificates and keys are PEM text."""

    port: PortNumber = Field(8883, description="TLS 端口。 Port for TLS.")
    certificate: str = Field(
        description="服务器证书（PEM），后面可接中间证书。 Certificate of the server; intermediate ones may follow."
    )
    key: str = Field(description="服务器私钥（PEM，不加密）。 Private key of the server, not encrypted.")
    ca: str | None = Field(
        None, description="签发客户端证书的 CA 证书（PEM）。 Certificates of those who sign clients' certificates."
    )
    client_certificate: Literal["none", "optional", "required"] = Field(
        "none", description="是否要求客户端证书（双向认证）。 Whether clients need a certificate (mutual TLS)."
    )
    use_identity_as_username: bool = Field(
        False,
        description="以客户端证书的 CN 作为用户名，不查口令。 The common name of the client's certificate is its user name.",
    )
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="最低 TLS 版本。 Lowest version of TLS.")

    @model_validator(mode="after")
    def _fits_together(self) -> TlsConfig:
        if self.client_certificate != "none" and self.ca is None:
            raise KnownValueError(CA_MISSING)
        if self.use_identity_as_username and self.client_certificate != "required":
            raise KnownValueError(IDENTITY_WITHOUT)
        from lab.network.tls_server import check_credentials  # cryptography takes its time to load

        check_credentials(self.certificate, self.key, self.ca)
        return self


class BrokerConfig(HostConfig):
    """The configuration of a broker."""

    port: PortNumber | None = Field(1883, description="TCP 端口；null 为关闭。 TCP port; null: none.")
    tls: TlsConfig | None = Field(None, description="TLS 端口及证书。 Port and certificates for TLS.")
    allow_anonymous: bool = Field(
        True, description="是否允许不带用户名登录。 Whether clients may come without a user name."
    )
    users: dict[str, User] = Field(default_factory=dict, description="用户，键为用户名。 Users by name.")
    acl: list[Rule] = Field(
        default_factory=list,
        description="访问规则；没有规则时全部允许，有规则时只允许列出的。 Permissions; without any, everything is allowed.",
    )
    limits: Limits = Field(default_factory=Limits, description="限额。 Limits.")
    persistence: bool = Field(
        True,
        description="保留消息和会话是否存盘，重启后仍在。 Whether retained messages and sessions outlast a restart.",
    )
    sys_interval_s: int = Field(
        10, ge=0, description="$SYS 主题的更新间隔，秒；0 为没有。 Seconds between updates of $SYS topics; 0: none."
    )

    @model_validator(mode="after")
    def _users_are_known(self) -> BrokerConfig:
        if self.tls is None:
            if self.port is None:
                raise KnownValueError(NO_LISTENER)
        elif self.tls.port == self.port:
            raise KnownValueError(SAME_PORT, port=self.port)
        if self.tls is not None and self.tls.use_identity_as_username:
            return self  # names come from certificates, too
        for rule in self.acl:
            if rule.user is not None and rule.user not in self.users:
                raise KnownValueError(UNKNOWN_USER, wrong=rule.user, known=self.users, user=rule.user)
        return self
