"""What was seen on the wire, each in one short line for people who watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from grading import observations as seen
from grading.observations import Observation
from lab.text import Text

_LONGEST: Final = 60

_REQUEST = Text(zh="发起 {kind} {port}", en="tries {kind} {port}")
_ARRIVED = Text(zh="{kind} {port} 到达", en="{kind} {port} arrives")
_OPENED = Text(zh="TCP {port} 已连接", en="TCP {port} connected")
_REFUSED = Text(zh="TCP {port} 被拒绝", en="TCP {port} refused")
_TIMED_OUT = Text(zh="TCP {port} 无应答（{attempts} 次）", en="TCP {port}: no answer to {attempts} attempts")
_CLOSED = Text(zh="TCP {port} 已关闭", en="TCP {port} closed")
_RESET = Text(zh="TCP {port} 被复位", en="TCP {port} reset")
_UDP_ANSWERED = Text(zh="UDP {port} 有应答", en="UDP {port} answered")
_UDP_SILENT = Text(zh="UDP {port} 无应答", en="UDP {port}: no answer")
_PING = Text(zh="ping 通", en="ping answered")
_NO_PING = Text(zh="ping 不通", en="ping: no answer")
_UNREACHABLE = Text(zh="{reporter} 报告 {kind} {port} 不可达", en="{reporter} says: {kind} {port} unreachable")
_ARP = Text(zh="ARP：{server_address} 在 {server}", en="ARP: {server_address} is {server}")
_NO_ARP = Text(zh="ARP：{server_address} 无人应答", en="ARP: nobody is {server_address}")
_CONFLICT = Text(zh="地址冲突：{server_address}", en="address conflict: {server_address}")
_READ = Text(zh="读 单元 {unit} {table} {span} = {shown}", en="reads unit {unit} {table} {span} = {shown}")
_WRITTEN = Text(zh="写 单元 {unit} {table} {span} = {shown}", en="writes unit {unit} {table} {span} = {shown}")
_EXCEPTION = Text(
    zh="Modbus 异常 {code}（功能码 {function}，单元 {unit}，地址 {address}）",
    en="Modbus exception {code} (function {function}, unit {unit}, address {address})",
)
_UNANSWERED = Text(
    zh="Modbus 无应答（功能码 {function}，单元 {unit}，地址 {address}）",
    en="Modbus: no answer (function {function}, unit {unit}, address {address})",
)
_NODE_READ = Text(zh="读 {node} = {shown} {status}", en="reads {node} = {shown} {status}")
_NODE_WRITTEN = Text(zh="写 {node} = {shown} {status}", en="writes {node} = {shown} {status}")
_CHANGED = Text(zh="{node} 变为 {shown}", en="{node} became {shown}")
_CONNECTED = Text(
    zh="MQTT 连接 {client_id}（返回码 {return_code}）", en="MQTT connect {client_id} (code {return_code})"
)
_PUBLISHED = Text(zh="发布 {topic} QoS {qos}：{shown}", en="publishes {topic} QoS {qos}: {shown}")
_DELIVERED = Text(zh="收到 {topic} QoS {qos}：{shown}", en="receives {topic} QoS {qos}: {shown}")
_SUBSCRIBED = Text(zh="订阅 {shown}", en="subscribes {shown}")
_DISCONNECTED = Text(zh="MQTT 断开 {client_id}", en="MQTT disconnect {client_id}")
_TLS = Text(zh="TLS {version} {server_name} {alert}", en="TLS {version} {server_name} {alert}")
_MALFORMED = Text(zh="错误的 {protocol} 报文：{reason}", en="malformed {protocol}: {reason}")

_SENTENCES: Final[Mapping[type[Observation], Text]] = {
    seen.RequestLeft: _REQUEST,
    seen.RequestArrived: _ARRIVED,
    seen.ConnectionOpened: _OPENED,
    seen.ConnectionRefused: _REFUSED,
    seen.ConnectionTimedOut: _TIMED_OUT,
    seen.DatagramAnswered: _UDP_ANSWERED,
    seen.DatagramUnanswered: _UDP_SILENT,
    seen.PingAnswered: _PING,
    seen.PingUnanswered: _NO_PING,
    seen.Unreachable: _UNREACHABLE,
    seen.ArpAnswered: _ARP,
    seen.ArpUnanswered: _NO_ARP,
    seen.AddressConflict: _CONFLICT,
    seen.RegistersRead: _READ,
    seen.RegistersWritten: _WRITTEN,
    seen.ModbusException: _EXCEPTION,
    seen.ModbusUnanswered: _UNANSWERED,
    seen.NodeRead: _NODE_READ,
    seen.NodeWritten: _NODE_WRITTEN,
    seen.DataChanged: _CHANGED,
    seen.MqttConnected: _CONNECTED,
    seen.MessagePublished: _PUBLISHED,
    seen.MessageDelivered: _DELIVERED,
    seen.Subscribed: _SUBSCRIBED,
    seen.MqttDisconnected: _DISCONNECTED,
    seen.TlsHandshake: _TLS,
    seen.MalformedMessage: _MALFORMED,
}


def summary(observation: Observation) -> str:
    """One line, in the language now spoken; a kind without a sentence is called by its name."""
    sentence = _SENTENCES.get(type(observation))
    if isinstance(observation, seen.ConnectionClosed):
        sentence = _RESET if observation.was_reset else _CLOSED
    if sentence is None:
        return type(observation).__name__
    facts: dict[str, Any] = {name: getattr(observation, name) for name in _names(type(observation))}
    if "server" in facts:
        facts["server"] = facts["server"] or "?"
    if isinstance(observation, (seen.RegistersRead, seen.RegistersWritten)):
        quantity = max(len(observation.values), 1)
        last = observation.address + quantity - 1
        facts["span"] = f"{observation.address}–{last}" if quantity > 1 else str(observation.address)
    for name, show in _SHOWN.items():
        if name in facts:
            facts["shown"] = _short(show(facts[name]))
    return " ".join(sentence.say(**facts).split())


_SHOWN: Final[Mapping[str, Callable[[Any], str]]] = {
    "values": lambda values: " ".join(map(str, values)),
    "value": str,
    "payload": lambda payload: payload.decode("utf-8", "replace"),
    "filters": lambda filters: ", ".join(f"{topic} QoS {qos}" for topic, qos in filters),
}


def _names(kind: type[Observation]) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
