"""OPC UA: which sessions were opened, what was read, written, called and monitored.

Of an encrypted channel only its policy and mode are known, and that messages pass.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from grading.conversations.conversation import Conversation, Decoder
from grading.observations import (
    ChannelSecured,
    DataChanged,
    MethodCalled,
    MonitoredItem,
    MonitoredItemsCreated,
    NodeRead,
    NodeWritten,
    ServiceFailed,
    SessionOpened,
    UserKind,
)
from lab.wire import opcua
from lab.wire.opcua import DataValue, Variant
from lab.wire.opcua.attribute import CallRequest, CallResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse
from lab.wire.opcua.common import MessageSecurityMode, Request, Response
from lab.wire.opcua.session import (
    ActivateSessionRequest,
    ActivateSessionResponse,
    IssuedIdentityToken,
    UserNameIdentityToken,
    X509IdentityToken,
)
from lab.wire.opcua.subscription import (
    CreateMonitoredItemsRequest,
    CreateMonitoredItemsResponse,
    CreateSubscriptionRequest,
    CreateSubscriptionResponse,
    DataChangeNotification,
    DeleteSubscriptionsRequest,
    ModifySubscriptionRequest,
    ModifySubscriptionResponse,
    PublishResponse,
)

if TYPE_CHECKING:
    from grading.flows import Flow

MAX_MESSAGE = 1 << 20
MAX_PENDING = 256
"""Requests of one connection that wait for an answer; the oldest are forgotten."""
MAX_MONITORED = 10_000
"""Monitored items of one connection whose nodes are remembered; the oldest are forgotten."""
MODES = {
    MessageSecurityMode.NONE: "None",
    MessageSecurityMode.SIGN: "Sign",
    MessageSecurityMode.SIGN_AND_ENCRYPT: "SignAndEncrypt",
}


Where = tuple[float, str, str, str, tuple[int, ...]]
"""What every observation begins with."""
_MAX_SUBSCRIPTIONS = 1000


class OpcUaConversation(Conversation):
    """Pairs responses with requests by the channel's request id."""

    protocol = "opcua"

    __slots__ = ("_intervals", "_nodes", "_policy", "_requests", "_secured")

    def __init__(self, flow: Flow) -> None:
        self._requests: dict[int, tuple[Request, tuple[int, ...]]] = {}
        self._policy: str | None = None
        self._secured: tuple[str, MessageSecurityMode] | None = None
        """Policy and mode that have been reported."""
        self._intervals: dict[int, float] = {}
        """Publishing interval by subscription, in milliseconds."""
        self._nodes: OrderedDict[tuple[int, int], str] = OrderedDict()
        """By subscription and client handle."""
        super().__init__(flow)

    def decoder(self, by_client: bool) -> Decoder:
        decoder = opcua.ChannelDecoder(MAX_MESSAGE)
        decoder.policy_uri = self._policy
        if self._policy == opcua.NONE:
            decoder.mode = MessageSecurityMode.NONE
        return decoder

    def client_message(self, message: opcua.Transported, at: float, frames: tuple[int, ...]) -> None:
        match message:
            case opcua.Open(policy_uri=policy):
                self._policy = policy
            case opcua.Message(request_id=request_id, body=body):
                self._secure(self._client, at, frames)
                if isinstance(body, opcua.UnreadableService):
                    self.complain(True, body.reason, at, frames)
                elif isinstance(body, Request):
                    if len(self._requests) >= MAX_PENDING:
                        del self._requests[next(iter(self._requests))]
                    self._requests[request_id] = (body, frames)
            case opcua.Opaque(kind=opcua.Kind.OPEN, policy_uri=policy):
                self._policy = policy
            case opcua.Opaque():
                self._secure(self._client, at, frames)

    def server_message(self, message: opcua.Transported, at: float, frames: tuple[int, ...]) -> None:
        match message:
            case opcua.Message(request_id=request_id, body=body):
                asked = self._requests.pop(request_id, None)
                if isinstance(body, opcua.UnreadableService):
                    self.complain(False, body.reason, at, frames)
                elif asked is not None and isinstance(body, Response):
                    self._answered(asked[0], body, at, asked[1] + frames)
            case opcua.Error(error=error):
                self._failed("Hello", error, at, frames)
            case _:
                pass

    def _secure(self, decoder: Any, at: float, frames: tuple[int, ...]) -> None:
        """Report how the channel is secured, once its first message has shown it."""
        mode = decoder.mode
        if mode is None or self._policy is None or self._secured == (self._policy, mode):
            return
        self._secured = (self._policy, mode)
        flow = self.flow
        where = (at, flow.client, flow.server, flow.server_address, frames)
        flow.emit(ChannelSecured(*where, flow.opened_at, *self._security()))

    def _security(self) -> tuple[str, str]:
        """Policy and mode by name."""
        if self._secured is None:
            return "", ""
        policy, mode = self._secured
        return policy.rpartition("#")[2], MODES.get(mode, "")

    def _answered(self, request: Request, response: Response, at: float, frames: tuple[int, ...]) -> None:
        if response.header.service_result.is_bad:
            self._failed(_name(request), response.header.service_result, at, frames)
            return
        flow = self.flow
        where = (at, flow.client, flow.server, flow.server_address, frames)
        match request, response:
            case _, PublishResponse():
                self._published(response, where)
            case ReadRequest(), ReadResponse():
                for node, value in zip(request.nodes_to_read, response.results, strict=False):
                    told = (_plain(value.value), value.status.name, value.source_timestamp)
                    flow.emit(NodeRead(*where, str(node.node_id), node.attribute_id, *told))
            case WriteRequest(), WriteResponse():
                for write, status in zip(request.nodes_to_write, response.results, strict=False):
                    value = _plain(write.value.value)
                    flow.emit(NodeWritten(*where, str(write.node_id), write.attribute_id, value, status.name))
            case CallRequest(), CallResponse():
                for call, result in zip(request.methods_to_call, response.results, strict=False):
                    inputs, outputs = map(_plain_all, (call.input_arguments, result.output_arguments))
                    names = (str(call.object_id), str(call.method_id))
                    flow.emit(MethodCalled(*where, *names, inputs, outputs, result.status.name))
            case ActivateSessionRequest(), ActivateSessionResponse():
                flow.emit(SessionOpened(*where, flow.opened_at, *self._security(), *_user(request.user_identity_token)))
            case CreateSubscriptionRequest(), CreateSubscriptionResponse():
                if len(self._intervals) < _MAX_SUBSCRIPTIONS:
                    self._intervals[response.subscription_id] = response.revised_publishing_interval
            case ModifySubscriptionRequest(), ModifySubscriptionResponse():
                if request.subscription_id in self._intervals:
                    self._intervals[request.subscription_id] = response.revised_publishing_interval
            case DeleteSubscriptionsRequest(), _:
                self._delete(set(request.subscription_ids))
            case CreateMonitoredItemsRequest(), CreateMonitoredItemsResponse():
                self._monitored(request, response, where)
            case _:
                pass

    def _monitored(
        self, request: CreateMonitoredItemsRequest, response: CreateMonitoredItemsResponse, where: Where
    ) -> None:
        items = []
        for wanted, result in zip(request.items_to_create, response.results, strict=False):
            node = str(wanted.item_to_monitor.node_id)
            items.append(
                MonitoredItem(
                    node,
                    wanted.item_to_monitor.attribute_id,
                    result.revised_sampling_interval,
                    int(wanted.monitoring_mode),
                    result.status.name,
                )
            )
            self._nodes[request.subscription_id, wanted.requested_parameters.client_handle] = node
            if len(self._nodes) > MAX_MONITORED:
                self._nodes.popitem(last=False)
        interval = self._intervals.get(request.subscription_id, 0.0)
        self.flow.emit(
            MonitoredItemsCreated(*where, self.flow.opened_at, request.subscription_id, interval, tuple(items))
        )

    def _published(self, response: PublishResponse, where: Where) -> None:
        for notification in response.notification_message.notification_data:
            if isinstance(notification, DataChangeNotification):
                for item in notification.monitored_items:
                    node = self._nodes.get((response.subscription_id, item.client_handle), "")
                    value: DataValue = item.value
                    told = (_plain(value.value), value.status.name, value.source_timestamp)
                    self.flow.emit(DataChanged(*where, self.flow.opened_at, response.subscription_id, node, *told))

    def _delete(self, subscriptions: set[int]) -> None:
        for each in subscriptions:
            self._intervals.pop(each, None)
        for key in [key for key in self._nodes if key[0] in subscriptions]:
            del self._nodes[key]

    def _failed(self, service: str, status: opcua.StatusCode, at: float, frames: tuple[int, ...]) -> None:
        flow = self.flow
        flow.emit(ServiceFailed(at, flow.client, flow.server, flow.server_address, frames, service, status.name))


def _name(request: Request) -> str:
    return type(request).__name__.removesuffix("Request")


def _user(token: object) -> tuple[UserKind, str]:
    match token:
        case UserNameIdentityToken(user_name=name):
            return "user-name", name or ""
        case X509IdentityToken():
            return "certificate", ""
        case IssuedIdentityToken():
            return "issued-token", ""
    return "anonymous", ""


def _plain(variant: Variant | None) -> Any:
    return variant.value if variant is not None else None


def _plain_all(variants: Iterable[Variant]) -> tuple[Any, ...]:
    return tuple(map(_plain, variants))
