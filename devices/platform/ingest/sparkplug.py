"""Sparkplug B 3.0, as a host application hears it: births say what there is, data only what has changed.

A node whose birth was missed, or that leaves a gap in its sequence numbers, is asked to be born again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from devices.platform.calls import SET
from devices.platform.ingest.ingest import Call, Heard, Message, Outcome, Presence, Reading, Telemetry, Unreadable
from devices.platform.registry import Address
from devices.web.reasons import Reason, Refused, refusal
from lab.text import Text
from lab.wire import sparkplug
from lab.wire.malformed import Malformed
from lab.wire.sparkplug import BD_SEQ, GOOD, QUALITY, REBIRTH, SEQUENCE_LIMIT, STALE, DataType, Metric, Payload, Topic

MALFORMED: Final = Text(zh="不是 Sparkplug B 报文：{why}", en="not a Sparkplug B message: {why}")
UNBORN: Final = Text(zh="{name} 没有上线报文（birth），已请求重发", en="{name} has not been born; it was asked to be")
GAP: Final = Text(
    zh="序号应为 {expected}，实际是 {found}：有报文丢失，已请求重发上线报文",
    en="sequence number {found} instead of {expected}: something was lost, so a rebirth was asked for",
)
UNKNOWN_ALIAS: Final = Text(zh="上线报文中没有别名 {alias}", en="no birth has the alias {alias}")
NO_TYPE: Final = Text(zh="上线报文中没有 {name}", en="no birth has {name}")

_CONTROL: Final = "Node Control/"
_ASK_AGAIN: Final = 50
"""Messages of a node that is not born, before it is asked again."""
_MOST_NODES: Final = 1000
_MOST_DEVICES: Final = 1000
_TYPES: Final = {bool: DataType.BOOLEAN, int: DataType.INT64, float: DataType.DOUBLE, str: DataType.STRING}


@dataclass(slots=True)
class _Node:
    """What the births of a node and its devices have said; the node itself is the device None."""

    bd_seq: Any = None
    next_seq: int = 0
    is_born: bool = False
    types: dict[str | None, dict[str, int]] = field(default_factory=dict)
    """By device and metric."""
    aliases: dict[int, tuple[str | None, str]] = field(default_factory=dict)
    unborn: int = 0
    """Messages since it was asked to be born again."""


class Sparkplug:
    """See the module."""

    name = "sparkplug"
    filters: tuple[str, ...] = ("spBv1.0/+/+/+", "spBv1.0/+/+/+/+")
    answers_calls = False

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._request: Message | None = None

    def who(self, topic: str) -> Address | None:
        parts = topic.split("/")
        return Address(parts[-1], parts[3] if len(parts) == 5 else None, parts[1])

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        self._request = None
        try:
            place = sparkplug.parse_topic(topic)
            if place is None or place.verb in ("NCMD", "DCMD"):
                return []  # what we have asked ourselves comes back to us
            return self._heard(place, sparkplug.decode(payload))
        except Malformed as error:
            raise refusal("malformed", MALFORMED, why=str(error)) from None

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        return self._request

    def call(self, call: Call) -> Message | None:
        """Only what the birth of the device has told of can be written."""
        node = self._nodes.get((call.site or "", call.gateway or ""))
        if call.method != SET or node is None or call.gateway is None or call.site is None:
            return None
        types = node.types.get(call.device, {})
        try:
            metrics = [_written(name, value, types.get(name)) for name, value in call.parameters.items()]
        except ValueError:
            return None
        return Message(
            str(Topic(call.site, "DCMD", call.gateway, call.device)), Payload(int(call.number), metrics).encode()
        )

    # -- messages --------------------------------------------------------------------------------------------------

    def _heard(self, place: Topic, payload: Payload) -> list[Heard]:
        who = _address(place)
        node = self._nodes.get((place.group, place.node))
        match place.verb:
            case "NBIRTH":
                return self._node_born(place, payload)
            case "NDEATH":
                return self._node_died(place, payload, node)
            case _ if node is None or not node.is_born:
                self._ask_for_birth(place, node)
                raise refusal("unborn", UNBORN, name=place.node)
            case "DBIRTH":
                heard = self._in_sequence(place, payload, node)
                if len(node.types) < _MOST_DEVICES or place.device in node.types:
                    _learn(node, place.device, payload.metrics)
                return [*heard, Presence(who, True), *self._values(place, payload, node)]
            case "DDEATH":
                heard = self._in_sequence(place, payload, node)
                node.types.pop(place.device, None)
                return [*heard, Presence(who, False)]
            case _:
                heard = self._in_sequence(place, payload, node)
                if place.device not in node.types:
                    self._ask_for_birth(place, node)
                    return [*heard, Unreadable(Reason("unborn", UNBORN, {"name": place.device}), who)]
                return [*heard, *self._values(place, payload, node)]

    def _node_born(self, place: Topic, payload: Payload) -> list[Heard]:
        key = (place.group, place.node)
        self._nodes.pop(key, None)
        if len(self._nodes) >= _MOST_NODES:
            del self._nodes[next(iter(self._nodes))]
        node = self._nodes[key] = _Node(is_born=True, next_seq=((payload.seq or 0) + 1) % SEQUENCE_LIMIT)
        birth = payload.metric(BD_SEQ)
        node.bd_seq = birth.value.value if birth is not None and birth.value is not None else None
        _learn(node, None, payload.metrics)
        return [Presence(_address(place), True), *self._values(place, payload, node)]

    def _node_died(self, place: Topic, payload: Payload, node: _Node | None) -> list[Heard]:
        died = payload.metric(BD_SEQ)
        bd_seq = died.value.value if died is not None and died.value is not None else None
        # tck-id-operational-behavior-host-application-ndeath: the will of an earlier connection says nothing of this one
        if node is None or (node.is_born and bd_seq != node.bd_seq):
            return []
        devices = [device for device in node.types if device is not None]
        node.is_born = False
        node.types.clear()
        gone: list[Heard] = [Presence(Address(device, place.node, place.group), False) for device in devices]
        return [Presence(_address(place), False), *gone]

    def _in_sequence(self, place: Topic, payload: Payload, node: _Node) -> list[Heard]:
        """A complaint where something was lost."""
        expected, found = node.next_seq, payload.seq
        if found == expected:
            node.next_seq = (expected + 1) % SEQUENCE_LIMIT
            return []
        if found is not None:
            node.next_seq = (found + 1) % SEQUENCE_LIMIT
        self._ask_for_birth(place, node)
        return [Unreadable(Reason("gap", GAP, {"expected": expected, "found": found}), _address(place))]

    def _ask_for_birth(self, place: Topic, node: _Node | None) -> None:
        if node is None:
            if len(self._nodes) >= _MOST_NODES:
                return
            node = self._nodes[place.group, place.node] = _Node()
        if node.unborn % _ASK_AGAIN == 0:
            rebirth = Metric(
                name=REBIRTH, datatype=DataType.BOOLEAN, value=sparkplug.wire_value(DataType.BOOLEAN, True)
            )
            topic = str(Topic(place.group, "NCMD", place.node))
            self._request = Message(topic, Payload(None, (rebirth,)).encode())
        node.unborn += 1

    def _values(self, place: Topic, payload: Payload, node: _Node) -> list[Heard]:
        who = _address(place)
        readings: list[Reading] = []
        wrong: list[Heard] = []
        for metric in payload.metrics:
            try:
                reading = _reading(metric, payload, place.device, node)
            except Refused as error:
                wrong.append(Unreadable(error.reason, who))
                continue
            if reading is not None:
                readings.append(reading)
        return [*wrong, *([Telemetry(who, payload.timestamp, readings)] if readings else [])]


def _address(place: Topic) -> Address:
    if place.device is None:
        return Address(place.node, None, place.group)
    return Address(place.device, place.node, place.group)


def _learn(node: _Node, device: str | None, metrics: Iterable[Metric]) -> None:
    types = node.types[device] = {}
    for metric in metrics:
        if metric.name is None:
            continue
        types[metric.name] = metric.datatype or DataType.UNKNOWN
        if metric.alias is not None:
            node.aliases[metric.alias] = (device, metric.name)


def _reading(metric: Metric, payload: Payload, device: str | None, node: _Node) -> Reading | None:
    """None for what is Sparkplug's own business; raises Refused."""
    name = metric.name
    if name is None:
        known = node.aliases.get(metric.alias or 0)
        if known is None or known[0] != device:
            raise refusal("unknown-alias", UNKNOWN_ALIAS, alias=metric.alias)
        name = known[1]
    if device is None and (name == BD_SEQ or name.startswith(_CONTROL)):
        return None
    datatype = metric.datatype or node.types.get(device, {}).get(name)
    if datatype is None:
        raise refusal("unborn", NO_TYPE, name=name)
    at = metric.timestamp if metric.timestamp is not None else payload.timestamp
    if metric.is_null or metric.value is None:
        return Reading(name, None, "bad", at)
    try:
        value = sparkplug.meaning(datatype, metric.value)
    except Malformed as error:
        raise refusal("malformed", MALFORMED, why=f"{name}: {error}") from None
    return Reading(name, value, _quality(metric), at)


def _quality(metric: Metric) -> str:
    said = (metric.properties or {}).get(QUALITY)
    code = said.value.value if said is not None and said.value is not None else GOOD
    return {GOOD: "good", STALE: "uncertain"}.get(code, "bad") if isinstance(code, int) else "bad"


def _written(name: str, value: Any, datatype: int | None) -> Metric:
    """Raises ValueError where the birth has no such metric, or one that cannot hold this."""
    if datatype is None or type(value) not in _TYPES:
        raise ValueError(name)
    if datatype in (DataType.FLOAT, DataType.DOUBLE) and type(value) is int:
        value = float(value)
    return Metric(name=name, datatype=datatype, value=sparkplug.wire_value(datatype, value))
