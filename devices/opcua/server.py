"""An OPC UA server on asyncua: variables and methods of one machine, and what moves them.

It listens in three steps, between which devices with address spaces of their own add what they have: `prepare`, then
nodes, then `listen`.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncua import ua
from asyncua.common import connection, ua_utils
from asyncua.crypto import security_policies
from asyncua.server import internal_server, internal_session, internal_subscription, server, uaprocessor
from asyncua.server.address_space import AttributeValue
from asyncua.server.server import Server
from asyncua.ua import uaprotocol_auto, uatypes
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from devices.opcua.config import OpcUaServing, Policy
from devices.opcua.connection import LIMITS, Listener
from devices.opcua.rights import Rights, Setpoint, named
from devices.opcua.sessions import Internals
from devices.opcua.trust import TrustList
from lab.clock import now
from lab.network.appliance import Value
from lab.network.containment import contain
from lab.network.logbook import Log
from lab.network.opcua_identity import VALID_FROM, application_identity

_POLICY_TYPES: Final[Mapping[Policy, tuple[ua.SecurityPolicyType, ...]]] = {
    "None": (ua.SecurityPolicyType.NoSecurity,),
    "Basic256Sha256": (
        ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
        ua.SecurityPolicyType.Basic256Sha256_Sign,
    ),
    "Aes256_Sha256_RsaPss": (
        ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
        ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ),
}

# These look at the computer's clock: session and channel lifetimes, publishing cycles, build and start times, and every
# time field of a message that nobody set.
contain(connection, ua_utils, security_policies, internal_server, internal_session, internal_subscription, server)
contain(uaprocessor, uaprotocol_auto, uatypes)


@dataclass(frozen=True, slots=True)
class OpcUaVariable:
    """A variable `machine.name` in the namespace of the server."""

    name: str
    type: ua.VariantType
    public: bool = False
    """Whether users without a password may read it."""
    writable: bool = False
    """Whether it is a set-point."""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    """Of its EURange (OPC 10000-8 section 6.2): what it may be, and what a set-point may be set to."""


@dataclass(frozen=True, slots=True)
class OpcUaMethod:
    """A method of the machine, without arguments; only those who may write may call it."""

    name: str
    call: Callable[[], int]
    """Does it, and says how that went as a status code."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value, and how far it can be relied on."""

    value: Value | None
    status: int = int(StatusCodes.Good)
    """A status code; with a bad one there is no value."""


@dataclass(frozen=True, slots=True)
class Build:
    """Who made the server, and which it is (BuildInfo, OPC 10000-5 section 12.4)."""

    manufacturer: str
    product: str
    version: str
    number: str = "1"
    date: datetime = VALID_FROM


class OpcUaServer:
    """Nodes of one machine, served; `show` moves them."""

    def __init__(
        self,
        *,
        host: str,
        namespace: str,
        title: str,
        build: Build,
        config: OpcUaServing,
        log: Log[Any],
        writers: Iterable[str] = ("eng",),
        fastest_sampling: float = 0.1,
    ) -> None:
        self.namespace = namespace
        self._host = host
        self._application = f"{namespace}:{host}"
        self._build = build
        self._config = config
        passwords = {str(name): password for name, password in config.users.items()}
        self._rights = Rights(passwords, config.anonymous, frozenset(writers))
        self._ranges: dict[ua.NodeId, float] = {}
        self.trust = TrustList(config.trusted, log)
        self._internal = Internals(self._rights, self.trust, config.max_sessions, fastest_sampling, self._ranges.get)
        self._internal.max_subscriptions = config.max_subscriptions
        self._internal.max_connections = 2 * config.max_sessions
        self._internal.max_session_timeout_ms = 120_000
        self._internal.max_pending_activation_seconds = 10.0
        self._internal.max_monitored_item_queue_size = 1_000
        self._internal.max_unacked_messages_per_subscription = 100
        tokens: dict[Any, bool] = {
            ua.AnonymousIdentityToken: config.anonymous, ua.UserNameIdentityToken: bool(passwords)
        }  # fmt: skip
        self._internal.supported_tokens = tuple(token for token, wanted in tokens.items() if wanted)
        self._server = Server(iserver=self._internal)
        self._server.set_endpoint(f"opc.tcp://0.0.0.0:{config.port}/")
        self._server.set_server_name(title)
        self._server.product_uri = namespace
        self._server.manufacturer_name = build.manufacturer
        self._server.application_type = ua.ApplicationType.Server
        self._server.set_security_policy([kind for policy in config.policies for kind in _POLICY_TYPES[policy]])
        self._values: dict[str, tuple[ua.VariantType, AttributeValue]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- from start to stop ----------------------------------------------------------------------------------------

    async def start(
        self,
        machine: str,
        variables: Iterable[OpcUaVariable],
        values: Mapping[str, Value | Reading],
        written: Callable[[str, Value], int | None],
        methods: Iterable[OpcUaMethod] = (),
    ) -> None:
        """Listen, with one object that has these; `written(name, value)` is called when a client moves a set-point.

        It may answer with a status code.
        """
        (index,) = await self.prepare(self.namespace)
        space = ua.Int16(index)
        node = await self._server.nodes.objects.add_object(
            ua.NodeId(ua.String(machine), space), ua.QualifiedName(machine, space)
        )
        for variable in variables:
            node_id = ua.NodeId(ua.String(f"{machine}.{variable.name}"), space)
            first = values[variable.name]
            value = first.value if isinstance(first, Reading) else first
            made = await node.add_variable(
                node_id, ua.QualifiedName(variable.name, space), _of_type(value, variable.type), variable.type
            )
            if variable.low is not None and variable.high is not None:
                await self._describe(made, variable)
            if variable.writable:
                await self.let_write(node_id, variable.type, named(written, variable.name), variable.low, variable.high)
            if not variable.public:
                self._rights.private.add(node_id)
            self.follow(variable.name, node_id, variable.type)
        for method in methods:
            node_id = ua.NodeId(ua.String(f"{machine}.{method.name}"), space)
            await node.add_method(node_id, ua.QualifiedName(method.name, space), _called(method), [], [])
            self._rights.restricted.add(node_id)
        self.show(values)
        await self.listen()

    async def prepare(self, *namespaces: str) -> list[int]:
        """Make the standard address space, with these namespaces, whose indices are returned."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        opcua = self._server
        await opcua.init()
        await opcua.set_application_uri(self._application)
        build = self._build
        await opcua.set_build_info(
            self.namespace, build.manufacturer, build.product, build.version, build.number, build.date
        )
        if set(self._config.policies) - {"None"}:
            identity = await application_identity(self._application, self._host, "server")
            self._internal.certificate, self._internal.private_key = identity.certificate, identity.key
        return [await opcua.register_namespace(uri) for uri in namespaces]

    async def listen(self) -> None:
        """Let clients come: Server.start, less a check that wants the name of this very computer in the certificate."""
        opcua = self._server
        await opcua._setup_server_nodes()
        await self._internal.start()
        opcua.bserver = Listener(self._internal, "0.0.0.0", self._config.port, LIMITS)
        opcua.bserver.set_policies(opcua._policies)
        try:
            await opcua.bserver.start()
        except OSError:
            await self._internal.stop()
            raise

    async def stop(self) -> None:
        """Cut every connection, forget every session, close the port."""
        binary = self._server.bserver
        if binary is not None:
            clients = [client._task for client in binary.clients if client._task is not None]
            for transport in tuple(self._internal.asyncio_transports):
                transport.abort()
            await asyncio.gather(*clients, return_exceptions=True)
        await self._server.stop()
        for task in self._tasks:
            task.cancel()

    # -- for address spaces of devices' own --------------------------------------------------------------------------

    @property
    def session(self) -> Any:
        """asyncua's session of the server itself, with which nodes are made."""
        return self._internal.isession

    def follow(self, name: str, node_id: ua.NodeId, kind: ua.VariantType) -> None:
        """From now on `show` moves the value of this node by this name."""
        self._values[name] = (kind, self._internal.aspace[node_id].attributes[AttributeIds.Value])

    async def let_write(
        self,
        node_id: ua.NodeId,
        kind: ua.VariantType,
        accept: Callable[[Any], int | None],
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        """From now on users who may write write this node."""
        await self._server.get_node(node_id).set_writable()
        least, most = -math.inf if low is None else low, math.inf if high is None else high
        self._rights.setpoints[node_id] = Setpoint(kind, accept, least, most)

    @property
    def has_subscribers(self) -> bool:
        return bool(self._internal.subscription_service.subscriptions)

    async def trigger(self, event: Any) -> None:
        """Tell an event to those who subscribed to its notifier."""
        await self._internal.subscription_service.trigger_event(event)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work on behalf of the server, until it stops."""
        task = self._loop.create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- values ----------------------------------------------------------------------------------------------------

    def show(self, values: Mapping[str, Any]) -> None:
        """Put values or readings into variables, as of now: readers see them at once, subscribers are told."""
        at: Any = now()  # asyncua says DateTime for a datetime
        told = []
        for name, shown in values.items():
            kind, attribute = self._values[name]
            status = shown.status if isinstance(shown, Reading) else int(StatusCodes.Good)
            value = shown.value if isinstance(shown, Reading) else shown
            variant = ua.Variant(value, kind) if value is not None else ua.Variant(None, ua.VariantType.Null)
            code = ua.StatusCode(ua.UInt32(status))
            data = ua.DataValue(variant, code, SourceTimestamp=at, ServerTimestamp=at)
            attribute.value = data
            if attribute.datachange_callbacks:
                told.append((attribute, data))
        if told:
            self.run(_tell(told))

    # -- what a display shows ----------------------------------------------------------------------------------------

    @property
    def sessions(self) -> int:
        return self._internal.sessions

    def status(self) -> dict[str, object]:
        shown: dict[str, object] = {"sessions": self.sessions}
        if refused := self.trust.refused:
            shown["refused certificates"] = refused
        return shown

    async def _describe(self, node: Any, variable: OpcUaVariable) -> None:
        """EURange, and EngineeringUnits where there is one (OPC 10000-8 section 6.2)."""
        assert variable.low is not None
        assert variable.high is not None
        owner = node.nodeid
        told: list[tuple[str, Any, int]] = [("EURange", ua.Range(variable.low, variable.high), ua.ObjectIds.Range)]
        if variable.unit:
            unit = ua.EUInformation(DisplayName=ua.LocalizedText(variable.unit))
            told.append(("EngineeringUnits", unit, ua.ObjectIds.EUInformation))
        for name, value, kind in told:
            node_id = ua.NodeId(ua.String(f"{owner.Identifier}.{name}"), owner.NamespaceIndex)
            await node.add_property(
                node_id, ua.QualifiedName(name), value, ua.VariantType.ExtensionObject, ua.NodeId(ua.Int32(kind))
            )
        self._ranges[owner] = variable.high - variable.low


async def _tell(changes: Iterable[tuple[AttributeValue, ua.DataValue]]) -> None:
    for attribute, data in changes:
        for handle, callback in tuple(attribute.datachange_callbacks.items()):
            await callback(handle, data)


def _called(method: OpcUaMethod) -> Callable[..., Awaitable[Any]]:
    async def call(parent: ua.NodeId, *arguments: ua.Variant) -> ua.StatusCode | list[ua.Variant]:
        if arguments:
            return ua.StatusCode(ua.UInt32(StatusCodes.BadTooManyArguments))
        code = method.call()
        return [] if code == StatusCodes.Good else ua.StatusCode(ua.UInt32(code))

    return call


def _of_type(value: Any, kind: ua.VariantType) -> Any:
    """A value to make a node with, of which the type is taken."""
    if value is not None:
        return value
    return "" if kind == ua.VariantType.String else False if kind == ua.VariantType.Boolean else 0
