"""Tags and the nodes they stand for: what a server's data values say, and what is written to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asyncua import ua

from gateway.conversion import Convert, conversion, raw_value
from gateway.opcua.config import OpcUaTag
from gateway.samples import NOT_A_NUMBER, Quality, Reason, Sample, Unreachable, Value, bad
from lab.clock import now_ns
from lab.text import Text

STATUS = Text(zh="服务器答复 {status}", en="the server says {status}")
NO_SUCH_NAMESPACE = Text(zh="服务器没有命名空间 {uri}", en="the server has no namespace {uri}")
NOT_PUBLISHABLE = Text(zh="不支持的值类型 {kind}", en="values of type {kind} cannot be published")
NO_VALUE = Reason(Text(zh="节点没有值", en="the node has no value"))

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE: Final = {
    ua.VariantType.SByte: (-(1 << 7), (1 << 7) - 1),
    ua.VariantType.Byte: (0, (1 << 8) - 1),
    ua.VariantType.Int16: (-(1 << 15), (1 << 15) - 1),
    ua.VariantType.UInt16: (0, (1 << 16) - 1),
    ua.VariantType.Int32: (-(1 << 31), (1 << 31) - 1),
    ua.VariantType.UInt32: (0, (1 << 32) - 1),
    ua.VariantType.Int64: (-(1 << 63), (1 << 63) - 1),
    ua.VariantType.UInt64: (0, (1 << 64) - 1),
}


class Measured:
    """Tags by the node they stand for, on a server with these namespaces."""

    def __init__(self, tags: Iterable[OpcUaTag], namespaces: list[str]) -> None:
        self.namespaces = namespaces
        self.unknown: dict[str, Sample] = {}
        self._by_node: dict[ua.NodeId, list[tuple[str, Convert | None]]] = {}
        for tag in tags:
            try:
                node = node_id(tag.node, namespaces)
            except Unreachable as error:
                self.unknown[tag.name] = bad(error.reason, now_ns())
            else:
                self._by_node.setdefault(node, []).append((tag.name, conversion(tag, may_be_odd=True)))
        self.nodes = list(self._by_node)

    def put(self, node: ua.NodeId, answer: ua.DataValue, at: int, samples: dict[str, Sample]) -> None:
        """Put one sample for every tag at this node into `samples`."""
        tags = self._by_node[node]
        status = answer.StatusCode
        if status is not None and status.is_bad():
            sample = bad(Reason(STATUS, {"status": status.name}), at)
            samples.update((name, sample) for name, _ in tags)
            return
        raw = answer.Value.Value if answer.Value is not None else None
        try:
            value = publishable(raw)
        except Unreachable as error:
            samples.update((name, bad(error.reason, at)) for name, _ in tags)
            return
        quality, reason = Quality.GOOD, None
        if status is not None and status.is_uncertain():
            quality, reason = Quality.UNCERTAIN, Reason(STATUS, {"status": status.name})
        source_at = _nanoseconds(answer.SourceTimestamp)
        is_number = not isinstance(value, (bool, str))
        for name, convert in tags:
            converted = convert(value) if convert is not None and is_number else value
            samples[name] = (
                bad(NOT_A_NUMBER, at) if converted is None else Sample(converted, quality, at, reason, source_at)
            )

    def refused(self, nodes: Mapping[ua.NodeId, ua.StatusCode]) -> dict[str, Sample]:
        """Bad samples for the tags at nodes that cannot be monitored."""
        at = now_ns()
        return {
            name: bad(Reason(STATUS, {"status": status.name}), at)
            for node, status in nodes.items()
            for name, _ in self._by_node[node]
        }


def node_id(text: str, namespaces: list[str]) -> ua.NodeId:
    """The node on this server; raises Unreachable where its namespace is not there."""
    node = ua.NodeId.from_string(text)
    if not isinstance(node, ua.ExpandedNodeId):
        return node
    if node.NamespaceUri not in namespaces:
        raise Unreachable(Reason(NO_SUCH_NAMESPACE, {"uri": node.NamespaceUri}))
    return ua.NodeId(node.Identifier, ua.Int16(namespaces.index(node.NamespaceUri)), node.NodeIdType)


def publishable(raw: Any) -> Value:
    """A value as JSON can say it; raises Unreachable for one it cannot."""
    if isinstance(raw, (bool, int, float, str)):
        return raw
    if raw is None:
        raise Unreachable(NO_VALUE)
    if isinstance(raw, datetime):
        return raw.isoformat()
    if isinstance(raw, UUID):
        return str(raw)
    if isinstance(raw, ua.LocalizedText):
        return raw.Text or ""
    raise Unreachable(Reason(NOT_PUBLISHABLE, {"kind": type(raw).__name__}))


def plain(tag: OpcUaTag, variant: ua.Variant | None) -> Value | None:
    """What a node holds in the units of a tag; None for what cannot be said."""
    try:
        value = publishable(variant.Value if variant is not None else None)
    except Unreachable:
        return None
    convert = conversion(tag, may_be_odd=True)
    return value if convert is None or isinstance(value, (bool, str)) else convert(value)


def to_variant(tag: OpcUaTag, value: Value, before: ua.Variant | None) -> ua.Variant:
    """A value in the type the node has now; raises ValueError where it does not fit."""
    kind = before.VariantType if before is not None else ua.VariantType.Null
    if kind is ua.VariantType.Boolean:
        if not isinstance(value, bool) and value not in (0, 1):
            raise ValueError(f"{value!r} is neither true nor false")
        return ua.Variant(bool(value), kind)
    if kind is ua.VariantType.String:
        return ua.Variant(str(value), kind)
    if isinstance(value, (bool, str)):
        raise ValueError(f"{value!r} is no number")
    if kind in _WHOLE:
        raw = int(raw_value(tag, value, whole=True))
        low, high = _WHOLE[kind]
        if not low <= raw <= high:
            raise ValueError(f"{raw} does not fit {kind.name}")
        return ua.Variant(raw, kind)
    if kind in (ua.VariantType.Float, ua.VariantType.Double):
        return ua.Variant(float(raw_value(tag, value, whole=False)), kind)
    raise ValueError(f"nodes of type {kind.name} cannot be written to")


def _nanoseconds(at: datetime | None) -> int | None:
    if at is None:
        return None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
