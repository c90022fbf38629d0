"""Sessions of clients: what each may read, watch, write and call is decided by the rights of its user."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.user_managers import UserManager
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from devices.opcua.monitoring import RangeOf, Subscriptions, check_timestamps, with_timestamps
from devices.opcua.nodes import LazyNodes, standard_nodes
from devices.opcua.rights import Rights
from devices.opcua.trust import TrustList

# asyncua counts the sessions of all servers of a process together; ours count their own.
InternalSession.max_connections = 2**31


class Users(UserManager):
    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        return self._rights.user(username, password)


class Internals(InternalServer):
    """With a lazy standard address space, sessions that know rights, and a stop that does not wait for a clock."""

    def __init__(
        self, rights: Rights, trust: TrustList, max_sessions: int, fastest_sampling: float, range_of: RangeOf
    ) -> None:
        super().__init__(user_manager=Users(rights))
        self.rights, self.trust = rights, trust
        self._max_sessions = max_sessions
        self.channel_certificate: bytes | None = None
        """Of the channel whose client is about to get a session."""
        self.subscription_service: Subscriptions = Subscriptions(self.aspace, self, fastest_sampling, range_of)
        self.isession.subscription_service = self.subscription_service

    @property
    def sessions(self) -> int:
        return len(self._external_sessions)

    def user_of(self, session: ua.NodeId) -> str | None:
        """Whose session this is, while there is one."""
        for each in self._external_sessions.values():
            if each.session_id == session and each.user is not None:
                return each.user.name
        return None

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        self.aspace._nodes = LazyNodes(await standard_nodes())  # type: ignore[assignment]

    def create_session(self, name: str, user: User | None = None, external: bool = False) -> InternalSession:
        if external and len(self._external_sessions) >= self._max_sessions:
            raise ServiceError(StatusCodes.BadTooManySessions)
        session = Session(
            self, self.aspace, self.subscription_service, name, user=user or User(UserRole.Anonymous), external=external
        )
        session.certificate = self.channel_certificate
        return session

    async def stop(self) -> None:
        if self.time_task is not None:
            self.time_task.cancel()
            await asyncio.gather(self.time_task, return_exceptions=True)
            self.time_task = None
        for session in tuple(self._external_sessions.values()):
            await session.close_session()
        await super().stop()


class Session(InternalSession):
    """A client's session. What asyncua does not look at is looked at here, service by service (OPC 10000-4 section 5)."""

    iserver: Internals
    subscription_service: Subscriptions
    certificate: bytes | None = None
    """Of the channel in which it was made; None where that is not secured."""

    async def create_session(self, params: ua.CreateSessionParameters, sockname: Any = None) -> ua.CreateSessionResult:
        try:
            self._check_certificate(params)
            return await super().create_session(params, sockname)
        except (ServiceError, ua.UaStatusCodeError):
            await self.close_session()
            raise

    def _check_certificate(self, params: ua.CreateSessionParameters) -> None:
        """Raises ServiceError."""
        if self.certificate is None:
            return
        if params.ClientCertificate != self.certificate:
            # Section 5.6.2.2: the certificate is that of the channel.
            raise ServiceError(StatusCodes.BadSecurityChecksFailed)
        self.iserver.trust.check_application(self.certificate, params.ClientDescription.ApplicationUri)

    # -- attributes ------------------------------------------------------------------------------------------------

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        check_timestamps(params.TimestampsToReturn)
        if not params.MaxAge >= 0 or math.isinf(params.MaxAge):
            raise ServiceError(StatusCodes.BadMaxAgeInvalid)
        rights = self.iserver.rights
        results = []
        for item, found in zip(params.NodesToRead, await super().read(params), strict=True):
            result = with_timestamps(found, params.TimestampsToReturn)
            if not rights.may_read(self.user, item):
                result = ua.DataValue(StatusCode=_status(StatusCodes.BadUserAccessDenied))
            elif item.IndexRange and (found.Value is None or not found.Value.is_array):
                result = ua.DataValue(StatusCode=_status(StatusCodes.BadIndexRangeNoData))
            elif item.AttributeId == AttributeIds.UserAccessLevel and item.NodeId.NamespaceIndex != 0:
                level = rights.access_level(self.user, item.NodeId)
                result = dataclasses.replace(result, Value=ua.Variant(level, ua.VariantType.Byte))
            elif item.AttributeId == AttributeIds.UserExecutable and not rights.may_call(self.user, item.NodeId):
                result = dataclasses.replace(result, Value=ua.Variant(False, ua.VariantType.Boolean))
            results.append(result)
        return results

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        results = []
        for item in params.NodesToWrite:
            known = item.NodeId in self.aspace
            code = self.iserver.rights.write(self.user, item) if known else StatusCodes.BadNodeIdUnknown
            results.append(_status(code))
        return results

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        results = []
        for request in params:
            if self.iserver.rights.may_call(self.user, request.MethodId):
                results += await super().call([request])
            else:
                results.append(ua.CallMethodResult(StatusCode=_status(StatusCodes.BadUserAccessDenied)))
        return results

    # -- subscriptions: one's own only -------------------------------------------------------------------------------

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[Any]:
        self._own(params.SubscriptionId)
        allowed = [self.iserver.rights.may_read(self.user, item.ItemToMonitor) for item in params.ItemsToCreate]
        watched = [item for item, may in zip(params.ItemsToCreate, allowed, strict=True) if may]
        created = iter(await super().create_monitored_items(dataclasses.replace(params, ItemsToCreate=watched)))
        return [next(created) if may else _denied() for may in allowed]

    async def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[Any]:
        self._own(params.SubscriptionId)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        self._own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        self._own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        results = []
        for number in params.SubscriptionIds:
            if self.subscription_service.is_owner(number, self.session_id):
                results += await super().set_publishing_mode(dataclasses.replace(params, SubscriptionIds=[number]))
            else:
                results.append(_status(StatusCodes.BadSubscriptionIdInvalid))
        return results

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        results = []
        for number in ids:
            if self.subscription_service.is_owner(number, self.session_id):
                results += await super().delete_subscriptions([number])
            else:
                results.append(_status(StatusCodes.BadSubscriptionIdInvalid))
        return results

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        self._own(params.SubscriptionId)
        return super().modify_subscription(params)

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        self._own(params.SubscriptionId)
        found = super().republish(params)
        if not found.SequenceNumber:
            raise ServiceError(StatusCodes.BadMessageNotAvailable)
        return found

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> tuple[int, list[ua.StatusCode]]:
        mine = [number for number, each in self.subscription_service.subscriptions.items() if self._owns(each)]
        if not mine:
            raise ServiceError(StatusCodes.BadNoSubscription)
        acks = list(acks or ())
        own = [ack for ack in acks if ack.SubscriptionId in mine]
        results = iter(super().publish(own)[1])
        invalid = _status(StatusCodes.BadSubscriptionIdInvalid)
        return len(mine), [next(results) if ack.SubscriptionId in mine else invalid for ack in acks]

    async def transfer_subscriptions(  # type: ignore[override]
        self, params: ua.TransferSubscriptionsParameters, callback: Any
    ) -> list[Any]:
        """Only from a session of the same user (section 5.14.7)."""
        results = []
        for number in params.SubscriptionIds:
            found = self.subscription_service.subscriptions.get(number)
            if found is not None and self.iserver.user_of(found.session_id) not in (None, self._name):
                results.append(ua.TransferResult(StatusCode=_status(StatusCodes.BadUserAccessDenied)))
                continue
            one = dataclasses.replace(params, SubscriptionIds=[number])
            results += await super().transfer_subscriptions(one, callback)
        return results

    @property
    def _name(self) -> str | None:
        return self.user.name if self.user is not None else None

    def _owns(self, subscription: Any) -> bool:
        return bool(subscription.session_id == self.session_id)

    def _own(self, subscription: int) -> None:
        self.subscription_service.check_owner(subscription, self.session_id)


def _denied() -> ua.MonitoredItemCreateResult:
    return ua.MonitoredItemCreateResult(StatusCode=_status(StatusCodes.BadUserAccessDenied))


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
