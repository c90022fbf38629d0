"""What a trainee writes about an MQTT broker to publish to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.fields import HostName, Milliseconds, Name, PortNumber, Reconnecting, topic_template
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text

PASSWORD_ALONE = Text(zh="有 password 就要有 username", en="a password needs a username")

Qos = Annotated[int, Field(ge=0, le=2)]
DataTopic = Annotated[str, AfterValidator(topic_template("site", "gateway", "device", "group"))]
StatusTopic = Annotated[str, AfterValidator(topic_template("site", "gateway"))]


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


class Buffer(Strict):
    """What is kept while the broker cannot be reached."""

    max_messages: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="最多缓存的消息数；满时丢弃最旧的并计数。 Most messages kept; when full the oldest is dropped and counted.",
    )


class MqttDestination(Reconnecting):
    """A broker to publish to."""

    name: Name = Field("mqtt", description="名称，仅供显示。 Name, for display.")
    driver: Literal["mqtt"] = Field("mqtt", description="协议。 The protocol.")
    host: HostName = Field(description="代理服务器地址或主机名。 Address or name of the broker.")
    port: PortNumber = Field(1883, description="TCP 端口。 TCP port.")
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
    topic: DataTopic = Field(
        "v1/{site}/{gateway}/{device}/telemetry",
        description="数据主题模板：{site} {gateway} {device} {group}。 Topic template for data.",
    )
    format: Literal["json"] = Field(
        "json",
        description='数据格式，json 即 {"ts":毫秒,"values":{…},"q":{…}}。 Payload format; ts is in milliseconds.',
    )
    will: Will | None = Field(default_factory=Will, description="遗嘱；null 为不设。 The will; null for none.")
    birth: Birth | None = Field(
        default_factory=Birth, description="上线消息；null 为不发。 Said once connected; null for nothing."
    )
    buffer: Buffer = Field(default_factory=Buffer, description="断线缓存。 Kept while disconnected.")
    max_inflight: int = Field(
        20, ge=1, le=1000, description="未确认消息的上限（QoS 1、2）。 Most unacknowledged messages, QoS 1 and 2."
    )
    timeout_ms: Milliseconds = Field(
        5000, description="等待连接的时间，毫秒。 How long to wait for a connection, in ms."
    )

    @model_validator(mode="after")
    def _consistent(self) -> MqttDestination:
        # MQTT-3.1.2-22: without a user name there is no password.
        if self.password is not None and self.username is None:
            raise KnownValueError(PASSWORD_ALONE)
        return self
