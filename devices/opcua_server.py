"""An OPC UA server on asyncua: flat variables, who may read and write them, and limits on what clients may take.

asyncua's own user manager lets "admin" in with any password and its rights are per node, not per user; here every
session of a client goes through `_Session`, which asks `Rights`.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import hmac
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from asyncua import ua
from asyncua.common import connection, ua_utils
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto import security_policies
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server import internal_server, internal_session, internal_subscription, server, uaprocessor
from asyncua.server.address_space import AttributeValue
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua import uaprotocol_auto, uatypes
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from devices.opcua_nodes import LazyNodes, standard_nodes
from lab.clock import now
from lab.network.appliance import Value
from lab.network.containment import contain
from lab.network.opcua_identity import application_identity

Policy = Literal["None", "Basic256Sha256"]
ANONYMOUS: Final = "anonymous"

_POLICY_TYPES: Final[Mapping[Policy, tuple[ua.SecurityPolicyType, ...]]] = {
    "None": (ua.SecurityPolicyType.NoSecurity,),
    "Basic256Sha256": (
        ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
        ua.SecurityPolicyType.Basic256Sha256_Sign,
    ),
}
_LIMITS: Final = TransportLimits(
    max_recv_buffer=65_535, max_send_buffer=65_535, max_chunk_count=64, max_message_size=4_194_240
)
_READ, _READ_WRITE = 1, 3
"""Values of the AccessLevel attributes."""

# These look at the computer's clock: session and channel lifetimes, publishing cycles, build and start times, and every
# time field of a message that nobody set.
contain(connection, ua_utils, security_policies, internal_server, internal_session, internal_subscription, server)
contain(uaprocessor, uaprotocol_auto, uatypes)

# asyncua counts the sessions of all servers of a process together; ours count their own.
InternalSession.max_connections = 2**31


@dataclass(frozen=True, slots=True)
class OpcUaVariable:
    """A variable `machine.name` in the namespace of the server."""

    name: str
    type: ua.VariantType
    public: bool = False
    """Whether users without a password may read it."""
    writable: bool = False
    """Whether it is a set-point."""


@dataclass(slots=True)
class Rights:
    """Who may do what with which node."""

    passwords: Mapping[str, str]
    """By user; nobody else gets in."""
    anonymous: bool
    """Whether one gets in without a name."""
    writers: frozenset[str]
    """Users who may write set-points."""
    private: set[ua.NodeId] = field(default_factory=set)
    """Nodes closed to those without a name."""
    setpoints: dict[ua.NodeId, tuple[ua.VariantType, Callable[[Value], None]]] = field(default_factory=dict)

    def user(self, name: str | None, password: str | None) -> User | None:
        """The user these credentials belong to, or None."""
        if not name:
            return User(UserRole.User, ANONYMOUS) if self.anonymous else None
        expected = self.passwords.get(name)
        if expected is None or not hmac.compare_digest(expected.encode(), (password or "").encode()):
            return None
        return User(UserRole.User, name)

    def may_read(self, user: User, item: ua.ReadValueId) -> bool:
        hidden = user.name == ANONYMOUS and item.AttributeId == AttributeIds.Value
        return not (hidden and item.NodeId in self.private)

    def access_level(self, user: User, node: ua.NodeId) -> int:
        """What the UserAccessLevel attribute of one of our variables says to this user."""
        if node in self.setpoints and user.name in self.writers:
            return _READ_WRITE
        return 0 if user.name == ANONYMOUS and node in self.private else _READ

    def write(self, user: User, item: ua.WriteValue) -> int:
        """Do what a client asks, and the status code of it."""
        if item.NodeId not in self.setpoints or item.AttributeId != AttributeIds.Value:
            return StatusCodes.BadNotWritable
        if user.name not in self.writers:
            return StatusCodes.BadUserAccessDenied
        if item.IndexRange:
            return StatusCodes.BadIndexRangeNoData
        variant = item.Value.Value
        expected, accept = self.setpoints[item.NodeId]
        if variant is None or variant.VariantType != expected or variant.is_array:
            return StatusCodes.BadTypeMismatch
        if isinstance(variant.Value, float) and not math.isfinite(variant.Value):
            return StatusCodes.BadOutOfRange
        accept(variant.Value)
        return StatusCodes.Good


class OpcUaServer:
    """Variables of one machine, served; `show` moves them."""

    def __init__(
        self,
        *,
        host: str,
        application: str,
        namespace: str,
        machine: str,
        title: str,
        port: int,
        policies: Sequence[Policy],
        passwords: Mapping[str, str],
        anonymous: bool,
        writers: Iterable[str],
        max_sessions: int,
        max_subscriptions: int,
    ) -> None:
        self._host, self._application, self._namespace, self._machine = host, application, namespace, machine
        self._port = port
        self._policies = policies
        self._rights = Rights(passwords, anonymous, frozenset(writers))
        self._internal = _InternalServer(self._rights, max_sessions)
        self._internal.max_subscriptions = max_subscriptions
        self._internal.max_connections = 2 * max_sessions
        self._internal.max_session_timeout_ms = 120_000
        self._internal.max_pending_activation_seconds = 10.0
        self._internal.max_monitored_item_queue_size = 1_000
        self._internal.max_unacked_messages_per_subscription = 100
        tokens: dict[Any, bool] = {ua.AnonymousIdentityToken: anonymous, ua.UserNameIdentityToken: bool(passwords)}
        self._internal.supported_tokens = tuple(token for token, wanted in tokens.items() if wanted)
        self._server = Server(iserver=self._internal)
        self._server.set_endpoint(f"opc.tcp://0.0.0.0:{port}/")
        self._server.set_server_name(title)
        self._server.product_uri = namespace
        self._server.manufacturer_name = "Lab Machine Tools"
        self._server.application_type = ua.ApplicationType.Server
        self._server.set_security_policy([kind for policy in policies for kind in _POLICY_TYPES[policy]])
        self._values: dict[str, tuple[ua.VariantType, AttributeValue]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(
        self, variables: Iterable[OpcUaVariable], values: Mapping[str, Value], written: Callable[[str, Value], None]
    ) -> None:
        """Listen, with these variables; `written(name, value)` is called when a client moves a set-point."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        opcua = self._server
        await opcua.init()
        await opcua.set_application_uri(self._application)
        if "Basic256Sha256" in self._policies:
            identity = await application_identity(self._application, self._host, "server")
            self._internal.certificate, self._internal.private_key = identity.certificate, identity.key
        index = await opcua.register_namespace(self._namespace)
        namespace = ua.Int16(index)
        machine = await opcua.nodes.objects.add_object(
            ua.NodeId(ua.String(self._machine), namespace), ua.QualifiedName(self._machine, namespace)
        )
        for variable in variables:
            node_id = ua.NodeId(ua.String(f"{self._machine}.{variable.name}"), namespace)
            node = await machine.add_variable(
                node_id, ua.QualifiedName(variable.name, namespace), values[variable.name], variable.type
            )
            if variable.writable:
                await node.set_writable()
                self._rights.setpoints[node_id] = (variable.type, _named(written, variable.name))
            if not variable.public:
                self._rights.private.add(node_id)
            attribute = self._internal.aspace[node_id].attributes[AttributeIds.Value]
            self._values[variable.name] = (variable.type, attribute)
        self.show(values)
        await self._listen()

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

    async def _listen(self) -> None:
        """Server.start, less a check that wants the name of this very computer in the certificate."""
        opcua = self._server
        await opcua._setup_server_nodes()
        await self._internal.start()
        opcua.bserver = _BinaryServer(self._internal, "0.0.0.0", self._port, _LIMITS)
        opcua.bserver.set_policies(opcua._policies)
        try:
            await opcua.bserver.start()
        except OSError:
            await self._internal.stop()
            raise

    @property
    def sessions(self) -> int:
        return len(self._internal._external_sessions)

    def show(self, values: Mapping[str, Value]) -> None:
        """Put values into variables, as of now: readers see them at once, subscribers are told."""
        at: Any = now()  # asyncua says DateTime for a datetime
        told = []
        for name, value in values.items():
            kind, attribute = self._values[name]
            data = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=at, ServerTimestamp=at)
            attribute.value = data
            if attribute.datachange_callbacks:
                told.append((attribute, data))
        if told:
            task = self._loop.create_task(_tell(told), context=self._context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _tell(changes: Iterable[tuple[AttributeValue, ua.DataValue]]) -> None:
    for attribute, data in changes:
        for handle, callback in tuple(attribute.datachange_callbacks.items()):
            await callback(handle, data)


def _named(written: Callable[[str, Value], None], name: str) -> Callable[[Value], None]:
    return lambda value: written(name, value)


class _BinaryServer(BinaryServer):
    def _make_protocol(self) -> OPCUAProtocol:
        return _Connection(
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


class _Connection(OPCUAProtocol):
    """Takes no more than it can chew: asyncua alone would gather a message of 4 GB, or answers nobody fetches."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self._buffer) > _LIMITS.max_recv_buffer and self.transport is not None:
            self.transport.abort()

    def pause_writing(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


class _Users(UserManager):
    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        return self._rights.user(username, password)


class _InternalServer(InternalServer):
    """With a lazy standard address space, sessions that know rights, and a stop that does not wait for a clock."""

    def __init__(self, rights: Rights, max_sessions: int) -> None:
        super().__init__(user_manager=_Users(rights))
        self.rights = rights
        self._max_sessions = max_sessions

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        self.aspace._nodes = LazyNodes(await standard_nodes())  # type: ignore[assignment]

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> InternalSession:
        if external and len(self._external_sessions) >= self._max_sessions:
            raise ServiceError(StatusCodes.BadTooManySessions)
        return _Session(
            self, self.aspace, self.subscription_service, name, user=user or User(UserRole.Anonymous), external=external
        )

    async def stop(self) -> None:
        if self.time_task is not None:
            self.time_task.cancel()
            await asyncio.gather(self.time_task, return_exceptions=True)
            self.time_task = None
        for session in tuple(self._external_sessions.values()):
            await session.close_session()
        await super().stop()


class _Session(InternalSession):
    """A client's session: what it reads, watches and writes is decided by the rights of its user."""

    iserver: _InternalServer

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        rights = self.iserver.rights
        results = list(await super().read(params))
        for index, item in enumerate(params.NodesToRead):
            if not rights.may_read(self.user, item):
                results[index] = ua.DataValue(StatusCode=_status(StatusCodes.BadUserAccessDenied))
            elif item.AttributeId == AttributeIds.UserAccessLevel and item.NodeId.NamespaceIndex != 0:
                level = rights.access_level(self.user, item.NodeId)
                results[index] = dataclasses.replace(results[index], Value=ua.Variant(level, ua.VariantType.Byte))
        return results

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        results = []
        for item in params.NodesToWrite:
            known = item.NodeId in self.aspace
            code = self.iserver.rights.write(self.user, item) if known else StatusCodes.BadNodeIdUnknown
            results.append(_status(code))
        return results

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[Any]:
        allowed = [self.iserver.rights.may_read(self.user, item.ItemToMonitor) for item in params.ItemsToCreate]
        watched = [item for item, may in zip(params.ItemsToCreate, allowed, strict=True) if may]
        created = iter(await super().create_monitored_items(dataclasses.replace(params, ItemsToCreate=watched)))
        return [next(created) if may else _denied() for may in allowed]


def _denied() -> ua.MonitoredItemCreateResult:
    return ua.MonitoredItemCreateResult(StatusCode=_status(StatusCodes.BadUserAccessDenied))


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
