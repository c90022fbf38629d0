"""Checks of OPC UA traffic: `opcua.sub`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from grading.checks.check import Check, Context, HostName
from grading.observations import (
    ChannelSecured,
    ConnectionClosed,
    DataChanged,
    MonitoredItem,
    MonitoredItemsCreated,
    Observation,
    ServiceFailed,
    SessionOpened,
)
from grading.verdict import Verdict, failed, passed, undecided
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text
from lab.wire.opcua import NodeId

MAX_CONNECTIONS: Final = 16
MAX_NODES: Final = 10_000
INSECURE: Final = 0.5
"""The share of what is right but for its security or user."""
UNTIMELY: Final = 0.7
"""The share of what is right but for its intervals."""
_REPORTING: Final = 2
BAD_NODE = Text(
    zh="{text!r} 不是节点标识，如 ns=2;s=CNC01.State", en="{text!r} is no node id such as ns=2;s=CNC01.State"
)


def _node(text: str) -> str:
    try:
        return str(NodeId.parse(text))
    except ValueError:
        raise KnownValueError(BAD_NODE, text=text) from None


Node = Annotated[str, AfterValidator(_node)]
Milliseconds = Annotated[float, Field(gt=0, description="毫秒。 Milliseconds.")]


class OpcUaSubParams(Strict):
    """What is to be monitored, by whom, and how securely."""

    client: Annotated[HostName, Field(description="客户端。 The client.")]
    server: Annotated[HostName, Field(description="服务器。 The server.")]
    policy: str | None = Field(
        None, description="安全策略，如 Basic256Sha256；缺省不限。 Security policy; any by default."
    )
    mode: Literal["None", "Sign", "SignAndEncrypt"] | None = Field(
        None, description="安全模式；缺省不限。 Security mode; any by default."
    )
    user: str | None = Field(None, description="用户名；空文本为匿名。 User name; empty text for anonymous.")
    nodes: list[Node] = Field(
        default_factory=list,
        description="被监视的节点；加密的通道里看不到。 Nodes; not visible in an encrypted channel.",
    )
    sampling: Annotated[Milliseconds | None, Field(description="采样间隔的上限。 Longest sampling interval.")] = None
    publishing: Annotated[Milliseconds | None, Field(description="发布间隔，±20%。 Publishing interval, ±20 %.")] = None
    tolerance: float = Field(0.2, gt=0, lt=1, description="发布间隔允许的偏差。 How far the interval may be off.")


@dataclass(slots=True)
class _Connection:
    """One connection of the client to the server."""

    security: tuple[str, str] = ("", "")
    user: str | None = None
    items: OrderedDict[str, tuple[MonitoredItem, float]] = field(default_factory=OrderedDict)
    """By node, with the publishing interval."""
    status: dict[str, str] = field(default_factory=dict)
    """The last status of each node."""
    frames: tuple[int, ...] = ()


class OpcUaSub(Check[OpcUaSubParams]):
    """The nodes are monitored, over a channel as secure as asked for, and their values are good."""

    name = "opcua.sub"
    Params = OpcUaSubParams
    wants = (
        ChannelSecured,
        SessionOpened,
        MonitoredItemsCreated,
        DataChanged,
        ConnectionClosed,
        ServiceFailed,
    )
    sentences: ClassVar[Mapping[str, Text]] = {
        "never-connected": Text(
            zh="还没有看到 {client} 连接 {server}", en="{client} has not been seen to connect to {server}"
        ),
        "refused": Text(zh="{server} 拒绝了 {service}：{status}", en="{server} refused {service}: {status}"),
        "wrong-security": Text(
            zh="安全策略和模式为 {seen}，应为 {expected}", en="policy and mode are {seen}, they should be {expected}"
        ),
        "wrong-user": Text(
            zh="用户为 {seen!r}，应为 {expected!r}", en="the user is {seen!r}, it should be {expected!r}"
        ),
        "not-monitored": Text(
            zh="{expected} 个节点中监视了 {seen} 个，缺少 {node}",
            en="{seen} of {expected} nodes are monitored; {node} is not",
        ),
        "bad-status": Text(zh="{node} 的状态为 {status}", en="the status of {node} is {status}"),
        "no-values": Text(zh="还没有收到 {node} 的值", en="no value of {node} has come yet"),
        "wrong-sampling": Text(
            zh="采样间隔 {seen:g} 毫秒，最多 {expected:g} 毫秒",
            en="the sampling interval is {seen:g} ms, at most {expected:g} ms are allowed",
        ),
        "wrong-publishing": Text(
            zh="发布间隔 {seen:g} 毫秒，应为 {expected:g} 毫秒",
            en="the publishing interval is {seen:g} ms, it should be {expected:g} ms",
        ),
        "encrypted": Text(
            zh="通道已加密，看不到节点，需人工判定",
            en="the channel is encrypted and hides the nodes, people must decide",
        ),
    }

    def __init__(self, id_: str, params: OpcUaSubParams, context: Context) -> None:
        super().__init__(id_, params, context)
        self._connections: OrderedDict[float, _Connection] = OrderedDict()
        """Those that are open and have a secure channel, by when they were opened."""
        self._failure: ServiceFailed | None = None

    def observe(self, observation: Observation) -> None:
        # A subscription may be older than the window: what counts is what is subscribed to now.
        params = self.params
        if observation.client != params.client or observation.server != params.server:
            return
        if isinstance(observation, ConnectionClosed):
            self._connections.pop(observation.opened_at, None)
            return
        if isinstance(observation, ServiceFailed):
            self._failure = observation
            return
        assert isinstance(observation, (ChannelSecured, SessionOpened, MonitoredItemsCreated, DataChanged))
        connection = self._connection(observation.opened_at)
        match observation:
            case ChannelSecured(policy=policy, mode=mode):
                connection.security = (policy, mode)
                connection.frames = connection.frames or observation.frames
            case SessionOpened(user=user):
                connection.user = user
                connection.frames = observation.frames
            case MonitoredItemsCreated(items=items, publishing_interval=interval):
                for item in items:
                    if len(connection.items) < MAX_NODES or item.node in connection.items:
                        connection.items[item.node] = (item, interval)
                connection.frames = observation.frames
            case DataChanged(node=node, status=status):
                if len(connection.status) < MAX_NODES or node in connection.status:
                    connection.status[node] = status

    def _connection(self, opened_at: float) -> _Connection:
        found = self._connections.get(opened_at)
        if found is None:
            if len(self._connections) >= MAX_CONNECTIONS:
                self._connections.popitem(last=False)
            found = self._connections[opened_at] = _Connection()
        return found

    def judge(self, since: float, now: float) -> Verdict:
        params = self.params
        names: dict[str, Any] = {"client": params.client, "server": params.server}
        if not self._connections:
            failure = self._failure
            if failure is not None:
                facts = {**names, "service": failure.service, "status": failure.status}
                return failed("refused", frames=failure.frames, **facts)
            return failed("never-connected", **names)
        # Of several connections the one that monitors most, and of equals the latest.
        latest_first = reversed(self._connections.values())
        best = max(latest_first, key=lambda each: sum(node in each.items for node in params.nodes))
        asks_inside = bool(params.nodes) or params.user is not None
        if asks_inside and best.security[1] == "SignAndEncrypt" and self._is_secure(best):
            return undecided("encrypted", frames=best.frames, **names)
        complaint = self._complaint(best)
        if complaint is not None:
            reason, share, facts = complaint
            return failed(reason, share=share, frames=best.frames, **facts)
        policy, mode = best.security
        return passed(frames=best.frames, policy=policy, mode=mode, nodes=len(params.nodes))

    def _is_secure(self, connection: _Connection) -> bool:
        policy, mode = connection.security
        return self.params.policy in (None, policy) and self.params.mode in (None, mode)

    def _complaint(self, connection: _Connection) -> tuple[str, float, dict[str, Any]] | None:
        params = self.params
        missing = [node for node in params.nodes if not _is_reported(connection, node)]
        if missing:
            good = len(params.nodes) - len(missing)
            item = connection.items.get(missing[0])
            if item is not None and item[0].status.startswith("Bad"):
                return "bad-status", 0.5 * good / len(params.nodes), {"node": missing[0], "status": item[0].status}
            facts = {"seen": good, "expected": len(params.nodes), "node": missing[0]}
            return "not-monitored", 0.5 * good / len(params.nodes), facts
        for node in params.nodes:
            status = connection.status.get(node)
            if status is None:
                return "no-values", 0.5, {"node": node}
            if status.startswith("Bad"):
                return "bad-status", 0.5, {"node": node, "status": status}
        if not self._is_secure(connection):
            seen = " / ".join(connection.security)
            expected = " / ".join((params.policy or "*", params.mode or "*"))
            return "wrong-security", INSECURE if params.nodes else 0.0, {"seen": seen, "expected": expected}
        if params.user is not None and connection.user != params.user:
            return "wrong-user", INSECURE, {"seen": connection.user, "expected": params.user}
        return self._untimely(connection)

    def _untimely(self, connection: _Connection) -> tuple[str, float, dict[str, Any]] | None:
        params = self.params
        for node in params.nodes:
            item, publishing = connection.items[node]
            if params.sampling is not None and item.sampling_interval > params.sampling:
                return "wrong-sampling", UNTIMELY, {"seen": item.sampling_interval, "expected": params.sampling}
            wanted = params.publishing
            if wanted is not None and abs(publishing - wanted) > params.tolerance * wanted:
                return "wrong-publishing", UNTIMELY, {"seen": publishing, "expected": wanted}
        return None


def _is_reported(connection: _Connection, node: str) -> bool:
    entry = connection.items.get(node)
    return entry is not None and entry[0].mode == _REPORTING and not entry[0].status.startswith("Bad")
