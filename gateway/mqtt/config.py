"""What a trainee writes about an MQTT broker to publish to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.fields import HostName, Milliseconds, Name, PortNumber, Reconnecting, topic_template
from gateway.formats.config import AlinkOptions, CommandTopics, SparkplugOptions
from gateway.formats.template import Template
from gateway.north import Buffer
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.network.tls import TlsClient
from lab.text import Text

PASSWORD_ALONE = Text(zh="有 password 就要有 username", en="a password needs a username")
OPTIONS_MISSING = Text(zh="format: {format} 还需要 {key}", en="format: {format} also needs {key}")
OPTIONS_UNUSED = Text(zh="{key} 只用于 format: {format}", en="{key} is for format: {format} only")
FIXED_TOPIC = Text(
    zh="format: {format} 的主题由协议规定，不能写 topic", en="format: {format} has topics of its own: leave out topic"
)
SPARKPLUG_DECIDES = Text(
    zh="Sparkplug B 规定了 {key}，不能另写", en="Sparkplug B itself decides about {key}: leave it out"
)
PLAIN = ("values", "json", "tags", "template")
"""Formats whose topics the user chooses."""

Qos = Annotated[int, Field(ge=0, le=2)]
DataTopic = Annotated[str, AfterValidator(topic_template("site", "gateway", "device", "group"))]
StatusTopic = Annotated[str, AfterValidator(topic_template("site", "gateway"))]
EventTopic = Annotated[str, AfterValidator(topic_template("site", "gateway", "reader"))]


def _version(value: Any) -> Any:
    return "5" if value in (5, "5.0") else value  # YAML reads 5 and 5.0 as numbers


class StatusMessage(Strict):
    """A message that says whether the gateway is there."""

    topic: StatusTopic = Field("v1/{site}/{gateway}/status", description="主题模板：{site} {gateway}。 Topic template.")
    payload: str = Field(max_length=10_000, description="内容。 Payload.")
    qos: Qos = Field(1, description="服务质量。 Quality of service.")
    retain: bool = Field(True, description="是否保留。 Retained or not.")


class Will(StatusMessage):
    """What the broker says when the connection breaks."""

    payload: str = Field('{"online":false}', max_length=10_000, description="内容。 Payload.")


class Birth(StatusMessage):
    """What the gateway says once connected."""

    payload: str = Field('{"online":true}', max_length=10_000, description="内容。 Payload.")


class Metrics(Strict):
    """What the gateway tells about itself from time to time."""

    topic: StatusTopic = Field(
        "v1/{site}/{gateway}/metrics", description="主题模板：{site} {gateway}。 Topic template."
    )
    period_s: float = Field(60, ge=0.1, le=86_400, description="周期，秒。 Period in seconds.")


class MqttDestination(Reconnecting):
    """A broker to publish to."""

    name: Name = Field("mqtt", description="名称，也是磁盘缓存的名称。 Name, also of its queue on the disk.")
    driver: Literal["mqtt"] = Field("mqtt", description="协议。 The protocol.")
    host: HostName = Field(description="代理服务器地址或主机名。 Address or name of the broker.")
    port: PortNumber | None = Field(
        None, description="TCP 端口，默认 1883，用 TLS 时 8883。 TCP port; 1883, or 8883 with TLS."
    )
    tls: TlsClient | None = Field(None, description="加密连接；不写为明文。 Secure the connection; plain without.")
    client_id: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="客户端标识，默认为网关名。 Client identifier; the gateway's name.",
    )
    username: str | None = Field(None, min_length=1, description="用户名。 User name.")
    password: str | None = Field(None, description="口令。 Password.")
    keep_alive: int = Field(60, ge=0, le=65535, description="保活时间，秒；0 为关闭。 Keep alive in seconds; 0 is off.")
    clean_session: bool = Field(
        True, description="连接时丢弃旧会话（MQTT 5：clean start）。 Begin with a clean session (MQTT 5: clean start)."
    )
    session_expiry: int = Field(
        3600,
        ge=0,
        le=0xFFFF_FFFF,
        description="MQTT 5 且非干净会话时，断开后会话保留的秒数。 MQTT 5 without clean start: seconds the session outlives.",
    )
    version: Annotated[Literal["3.1.1", "5"], BeforeValidator(_version)] = Field(
        "3.1.1", description="MQTT 版本。 MQTT version."
    )
    qos: Qos = Field(1, description="数据消息的服务质量。 Quality of service of data.")
    retain: bool = Field(False, description="数据消息是否保留。 Whether data is retained.")
    topic: DataTopic | None = Field(
        None,
        description="数据主题模板：{site} {gateway} {device} {group}，默认 v1/{site}/{gateway}/{device}/telemetry。"
        " Topic template for data.",
    )
    format: Literal["values", "json", "tags", "template", "thingsboard", "alink", "sparkplug"] = Field(
        "values",
        description='数据格式：values（即 json）为 {"ts":毫秒,"values":{…},"q":{…}}；tags 为变量列表；template 自定义；'
        "thingsboard、alink、sparkplug 按各自规范。 Payload format; values, also called json, has ts in milliseconds.",
    )
    template: Template | None = Field(None, description="format: template 的模板。 The template of format: template.")
    alink: AlinkOptions | None = Field(None, description="format: alink 的选项。 Options of format: alink.")
    sparkplug: SparkplugOptions | None = Field(
        None, description="format: sparkplug 的选项。 Options of format: sparkplug."
    )
    commands: CommandTopics | None = Field(
        None, description="接受平台下发的写命令；不写为不接受。 Obey commands that write; without it none is obeyed."
    )
    events: EventTopic = Field(
        "v1/{site}/{gateway}/{reader}/idevent", description="标识事件的主题模板。 Topic template for identifier events."
    )
    metrics: Metrics | None = Field(
        None, description="定期上报网关自身的计数。 Counters of the gateway itself, from time to time."
    )
    will: Will | None = Field(
        default_factory=Will,
        description="遗嘱；null 为不设。平台格式默认不设。 The will; null for none, as by default in formats of platforms.",
    )
    birth: Birth | None = Field(
        default_factory=Birth,
        description="上线消息；null 为不发，同上。 Said once connected; null for nothing, likewise.",
    )
    buffer: Buffer = Field(default_factory=Buffer, description="断线缓存。 Kept while disconnected.")
    max_inflight: int = Field(
        20, ge=1, le=1000, description="未确认消息的上限（QoS 1、2）。 Most unacknowledged messages, QoS 1 and 2."
    )
    timeout_ms: Milliseconds = Field(
        5000, description="等待连接的时间，毫秒。 How long to wait for a connection, in ms."
    )

    @property
    def tcp_port(self) -> int:
        return self.port or (1883 if self.tls is None else 8883)

    @property
    def has_status(self) -> bool:
        """Whether the formats' own status messages are the user's to choose."""
        return self.format in PLAIN

    @model_validator(mode="after")
    def _consistent(self) -> MqttDestination:
        # MQTT-3.1.2-22: without a user name there is no password.
        if self.password is not None and self.username is None:
            raise KnownValueError(PASSWORD_ALONE)
        for key, needed in (("template", True), ("alink", True), ("sparkplug", False)):
            given = getattr(self, key) is not None
            if given and self.format != key:
                raise KnownValueError(OPTIONS_UNUSED, key=key, format=key)
            if needed and self.format == key and not given:
                raise KnownValueError(OPTIONS_MISSING, key=key, format=key)
        if self.topic is not None and self.format not in PLAIN:
            raise KnownValueError(FIXED_TOPIC, format=self.format)
        if self.format == "sparkplug":
            for key in ("will", "birth", "qos", "retain", "session_expiry"):
                if key in self.model_fields_set:
                    raise KnownValueError(SPARKPLUG_DECIDES, key=key)
            if not self.clean_session:
                raise KnownValueError(SPARKPLUG_DECIDES, key="clean_session")
        return self
