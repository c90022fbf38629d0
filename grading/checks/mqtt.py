"""Checks of MQTT traffic: `mqtt.session`, `mqtt.pub`."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field, StrictInt, model_validator

from grading.checks.check import Check, Context, HostName
from grading.checks.payload import MISSING, JsonType, at, is_type, parse, shown
from grading.checks.rhythm import SENTENCES, Periodic, Rhythm
from grading.observations import (
    ConnectionClosed,
    MessagePublished,
    MqttConnected,
    MqttDisconnected,
    MqttWill,
    Observation,
    TlsHandshake,
)
from grading.verdict import Verdict, failed, passed
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text
from lab.wire.malformed import Malformed
from lab.wire.mqtt import matches
from lab.wire.mqtt.topics import topic_filter

MAX_TOPICS: Final = 64
BAD_FILTER = Text(zh="{text!r} 不是有效的主题过滤器：{reason}", en="{text!r} is no topic filter: {reason}")
HIDDEN = Text(
    zh="TLS 之内的内容无法看到，tls: true 时不能要求 {names}",
    en="what is inside TLS cannot be seen: with tls: true nothing can be asked of {names}",
)


def _topic_filter(text: str) -> str:
    try:
        return topic_filter(text.encode())
    except Malformed as malformed:
        raise KnownValueError(BAD_FILTER, text=text, reason=malformed) from None


TopicFilter = Annotated[
    str,
    AfterValidator(_topic_filter),
    Field(description="主题过滤器，可用 + 和 #。 Topic filter; + and # are allowed."),
]
Qos = Annotated[StrictInt, Field(ge=0, le=2, description="服务质量。 Quality of service.")]


class Publishing(Strict):
    """Whose messages, to which broker, about what."""

    client: Annotated[HostName, Field(description="发布者。 Who publishes.")]
    broker: Annotated[HostName, Field(description="消息代理。 The broker.")]
    topic: TopicFilter

    def is_about(self, message: MessagePublished) -> bool:
        """Whether a message is one of these."""
        return message.client == self.client and message.server == self.broker and matches(self.topic, message.topic)


class MqttPubParams(Publishing, Periodic):
    """What is to be published and how often."""

    qos: Annotated[Qos | None, Field(description="服务质量；缺省不限。 Quality of service; any by default.")] = None
    retain: bool | None = Field(None, description="是否保留；缺省不限。 Retained or not; either by default.")
    required: dict[str, JsonType] = Field(
        default_factory=dict,
        description="JSON 中必须有的键及类型，如 values.pressure: number。 Keys the JSON must have, and their types.",
    )


class MqttPub(Check[MqttPubParams]):
    """Messages of the right form come at the right distance; each topic for itself."""

    name = "mqtt.pub"
    Params = MqttPubParams
    wants = (MessagePublished,)
    sentences: ClassVar[Mapping[str, Text]] = {
        **SENTENCES,
        "never-published": Text(
            zh="还没有看到 {client} 向 {broker} 发布 {topic}",
            en="{client} has not been seen to publish to {topic} at {broker}",
        ),
        "wrong-topic": Text(zh="发布到了 {seen}，应为 {topic}", en="published to {seen}, it should be {topic}"),
        "not-json": Text(zh="{seen_topic} 的内容不是 JSON", en="the payload at {seen_topic} is no JSON"),
        "wrong-shape": Text(
            zh="{path} 应为 {expected}，实际为 {seen}", en="{path} should be of type {expected}, found {seen}"
        ),
        "missing-key": Text(zh="缺少 {path}", en="{path} is missing"),
        "wrong-qos": Text(zh="QoS 为 {seen}，应为 {expected}", en="the QoS is {seen}, it should be {expected}"),
        "wrong-retain": Text(
            zh="保留标志为 {seen}，应为 {expected}", en="the retain flag is {seen}, it should be {expected}"
        ),
    }

    def __init__(self, id_: str, params: MqttPubParams, context: Context) -> None:
        super().__init__(id_, params, context)
        self._reset()

    def _reset(self) -> None:
        self._topics: OrderedDict[str, Rhythm] = OrderedDict()
        self._frames: tuple[int, ...] = ()
        self._offences: dict[str, tuple[float, Verdict]] = {}
        """The last of each aspect: shape, qos, retain."""
        self._astray: MessagePublished | None = None

    def begin(self, at: float) -> None:
        super().begin(at)
        self._reset()

    def observe(self, observation: Observation) -> None:
        if not isinstance(observation, MessagePublished) or self.since is None or observation.at < self.since:
            return
        params = self.params
        if not params.is_about(observation):
            if observation.client == params.client and observation.server == params.broker:
                self._astray = observation
            return
        self._frames = observation.frames
        rhythm = self._topics.get(observation.topic)
        if rhythm is None:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.popitem(last=False)
            rhythm = self._topics[observation.topic] = Rhythm(params.window)
        if not observation.duplicate:
            rhythm.beat(observation.at)
        self._inspect(observation)

    def _inspect(self, message: MessagePublished) -> None:
        params, frames = self.params, message.frames
        if params.qos is not None and message.qos != params.qos:
            wrong = failed("wrong-qos", frames=frames, seen=message.qos, expected=params.qos)
            self._offences["qos"] = (message.at, wrong)
        if params.retain is not None and message.retain != params.retain:
            wrong = failed("wrong-retain", frames=frames, seen=message.retain, expected=params.retain)
            self._offences["retain"] = (message.at, wrong)
        if params.required:
            shape = self._shape(message)
            if shape is not None:
                self._offences["shape"] = (message.at, shape)

    def _shape(self, message: MessagePublished) -> Verdict | None:
        document = parse(message.payload)
        if document is MISSING:
            return failed("not-json", frames=message.frames, seen_topic=message.topic)
        for path, wanted in self.params.required.items():
            value = at(document, path)
            if value is MISSING:
                return failed("missing-key", frames=message.frames, path=path, expected=wanted)
            if not is_type(value, wanted):
                return failed("wrong-shape", frames=message.frames, path=path, expected=wanted, seen=shown(value))
        return None

    def judge(self, since: float, now: float) -> Verdict:
        params = self.params
        names: dict[str, Any] = {"client": params.client, "broker": params.broker, "topic": params.topic}
        if not self._topics:
            if self._astray is not None:
                return failed("wrong-topic", frames=self._astray.frames, **names, seen=self._astray.topic)
            return failed("never-published", **names)
        complaints = [(topic, rhythm.complaint(params, now)) for topic, rhythm in self._topics.items()]
        untimely = next(((topic, complaint) for topic, complaint in complaints if complaint is not None), None)
        if untimely is not None and untimely[1][0] in ("too-few", "stopped"):
            topic, (reason, facts) = untimely
            return failed(reason, frames=self._frames, **names, seen_topic=topic, **facts)
        offences = {
            aspect: wrong
            for aspect in ("shape", "qos", "retain")
            for seen_at, wrong in [self._offences.get(aspect, (now - params.window - 1, None))]
            if wrong is not None and now - seen_at <= params.window
        }
        aspects = 1 + bool(params.required) + (params.qos is not None) + (params.retain is not None)
        share = 1 - (len(offences) + (untimely is not None)) / aspects
        if offences:
            wrong = next(iter(offences.values()))
            return failed(wrong.reason, share=share, frames=wrong.frames, **names, **dict[str, Any](wrong.facts))
        if untimely is not None:
            topic, (reason, facts) = untimely
            return failed(reason, share=share, frames=self._frames, **names, seen_topic=topic, **facts)
        messages = sum(rhythm.count for rhythm in self._topics.values())
        mean = next(reversed(self._topics.values())).mean
        return passed(frames=self._frames, **names, messages=messages, mean=mean)


class WillParams(Strict):
    """What the broker is to say for a client that goes without a word."""

    topic: str = Field(description="遗嘱主题。 The will's topic.")
    payload: Any = Field(
        None, description="遗嘱内容：文本，或 JSON 值；缺省不限。 Text or a JSON value; any by default."
    )
    qos: Annotated[Qos | None, Field(description="服务质量；缺省不限。 Quality of service; any by default.")] = None
    retain: bool | None = Field(None, description="是否保留；缺省不限。 Retained or not; either by default.")


class MqttSessionParams(Strict):
    """How a client is to be connected; what is not asked for may be anything."""

    client: Annotated[HostName, Field(description="客户端。 The client.")]
    broker: Annotated[HostName, Field(description="消息代理。 The broker.")]
    tls: bool = Field(False, description="是否须用 TLS。 Whether inside TLS.")
    server_name: str | None = Field(None, description="TLS 中要求的服务器名。 The server name asked for in TLS.")
    client_id: str | None = Field(None, description="客户端标识。 Client identifier.")
    user: str | None = Field(None, description="用户名；空文本表示没有。 User name; empty text for none.")
    password: bool | None = Field(None, description="是否带口令。 Whether a password is given.")
    version: Annotated[
        StrictInt | None, Field(ge=3, le=5, description="协议级别：4 为 3.1.1，5 为 5。 Protocol level: 4 is 3.1.1.")
    ] = None
    keep_alive: Annotated[
        StrictInt | None, Field(ge=0, le=65535, description="保活时间，秒。 Keep alive in seconds.")
    ] = None
    clean_start: bool | None = Field(None, description="是否清除旧会话。 Clean session, clean start.")
    will: WillParams | None = Field(None, description="遗嘱。 The will.")

    @model_validator(mode="after")
    def _visible(self) -> MqttSessionParams:
        hidden = [name for name in _INSIDE if getattr(self, name) is not None]
        if self.tls and hidden:
            raise KnownValueError(HIDDEN, names=", ".join(hidden))
        return self


_INSIDE: Final = ("client_id", "user", "password", "version", "keep_alive", "clean_start", "will")


class MqttSession(Check[MqttSessionParams]):
    """The client is connected as it should be, now."""

    name = "mqtt.session"
    Params = MqttSessionParams
    wants = (MqttConnected, MqttDisconnected, TlsHandshake, ConnectionClosed)
    sentences: ClassVar[Mapping[str, Text]] = {
        "never-connected": Text(
            zh="还没有看到 {client} 连接 {broker}", en="{client} has not been seen to connect to {broker}"
        ),
        "refused": Text(
            zh="{broker} 拒绝了 {client}（返回码 {code}）", en="{broker} refused {client} (return code {code})"
        ),
        "gone": Text(zh="{client} 已与 {broker} 断开", en="{client} is no longer connected to {broker}"),
        "wrong-setting": Text(
            zh="{setting} 为 {seen}，应为 {expected}（共 {wrong} 项不符）",
            en="{setting} is {seen}, it should be {expected} ({wrong} settings differ)",
        ),
        "not-encrypted": Text(zh="{client} 未用 TLS 连接 {broker}", en="{client} is connected to {broker} without TLS"),
        "handshake-failed": Text(
            zh="与 {broker} 的 TLS 握手失败：{alert}", en="the TLS handshake with {broker} failed: {alert}"
        ),
    }

    def __init__(self, id_: str, params: MqttSessionParams, context: Context) -> None:
        super().__init__(id_, params, context)
        self._session: MqttConnected | None = None
        self._refused: MqttConnected | None = None
        self._handshake: TlsHandshake | None = None
        self._was_there = False

    def observe(self, observation: Observation) -> None:
        # A session may be older than the window: what counts is how the client is connected now.
        params = self.params
        if observation.client != params.client or observation.server != params.broker:
            return
        if isinstance(observation, MqttConnected):
            if observation.return_code:
                self._refused = observation
            else:
                self._session, self._refused, self._was_there = observation, None, True
        elif isinstance(observation, MqttDisconnected):
            if self._session is not None and self._session.opened_at == observation.opened_at:
                self._session = None
        elif isinstance(observation, TlsHandshake):
            self._handshake = observation
        elif isinstance(observation, ConnectionClosed):
            handshake = self._handshake
            if handshake is not None and handshake.is_complete and observation.opened_at <= handshake.at:
                self._handshake, self._was_there = None, True

    def judge(self, since: float, now: float) -> Verdict:
        params = self.params
        names: dict[str, Any] = {"client": params.client, "broker": params.broker}
        if params.tls:
            return self._judge_tls(names)
        session = self._session
        if session is None:
            if self._refused is not None:
                return failed("refused", frames=self._refused.frames, **names, code=self._refused.return_code)
            return failed("gone" if self._was_there else "never-connected", **names)
        asked = list(self._settings(session))
        wrong = [each for each in asked if each[1] != each[2]]
        if wrong:
            setting, seen, expected = wrong[0]
            share = 1 - len(wrong) / len(asked)
            facts = {"setting": setting, "seen": seen, "expected": expected, "wrong": len(wrong)}
            return failed("wrong-setting", share=share, frames=session.frames, **names, **facts)
        return passed(frames=session.frames, **names, client_id=session.client_id)

    def _judge_tls(self, names: Mapping[str, Any]) -> Verdict:
        handshake = self._handshake
        if handshake is None:
            if self._session is not None:
                return failed("not-encrypted", frames=self._session.frames, **names)
            return failed("gone" if self._was_there else "never-connected", **names)
        frames = handshake.frames
        if not handshake.is_complete:
            return failed("handshake-failed", frames=frames, **names, alert=handshake.alert)
        expected = self.params.server_name
        if expected is not None and handshake.server_name != expected:
            facts = {"setting": "server_name", "seen": handshake.server_name, "expected": expected, "wrong": 1}
            return failed("wrong-setting", share=0.5, frames=frames, **names, **facts)
        return passed(frames=frames, **names, version=handshake.version)

    def _settings(self, session: MqttConnected) -> list[tuple[str, Any, Any]]:
        """What is asked for: the setting, as it is, as it should be."""
        params = self.params
        pairs: list[tuple[str, Any, Any]] = [
            ("client_id", session.client_id, params.client_id),
            ("user", session.user, params.user),
            ("password", session.has_password, params.password),
            ("version", session.level, params.version),
            ("keep_alive", session.keep_alive, params.keep_alive),
            ("clean_start", session.clean_start, params.clean_start),
        ]
        if params.will is not None:
            pairs += _will_settings(session.will, params.will)
        return [pair for pair in pairs if pair[2] is not None]


def _will_settings(will: MqttWill | None, wanted: WillParams) -> list[tuple[str, Any, Any]]:
    if will is None:
        return [("will", None, wanted.topic)]
    payload = will.payload.decode(errors="replace")
    expected = wanted.payload
    if expected is not None and not isinstance(expected, str):
        document = parse(will.payload)
        payload = expected if document == expected else payload
    elif isinstance(expected, str) and _same_json(payload, expected):
        payload = expected
    return [
        ("will.topic", will.topic, wanted.topic),
        ("will.payload", payload, expected),
        ("will.qos", will.qos, wanted.qos),
        ("will.retain", will.retain, wanted.retain),
    ]


def _same_json(a: str, b: str) -> bool:
    try:
        return bool(json.loads(a) == json.loads(b))
    except (ValueError, RecursionError):
        return False
