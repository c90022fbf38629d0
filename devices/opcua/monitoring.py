"""What subscribers are told: asyncua's monitored items with the defects mended that a lab would show.

Of asyncua 2, `server/monitored_item_service.py` and `server/internal_subscription.py`:

- A deadband is measured from the value last reported, not from the one before: a value that creeps is reported too
  (OPC 10000-4 section 7.22.2). A percentage is of the node's EURange (OPC 10000-8 section 6.2); where there is none, and
  where a deadband makes no sense, the filter is refused.
- A sampling interval is kept: between two samples only the latest value counts (OPC 10000-4 section 5.13.1.2).
- A queue that overflows says so in the Overflow bit, and drops its oldest or its newest value as the client wished
  (section 5.13.1.5). A queue size of 0 is 1 (section 7.21).
- An item in mode Sampling fills its queue and reports nothing (section 5.13.1.3).
- Only the timestamps that were asked for are sent.
- A publishing interval has a lower limit: a client that asked for a microsecond would keep a server busy for ever. A
  subscription lives at least three keep-alives long (section 5.14.2.2).
- A notification goes to the session whose subscription it is: ids can be guessed, and asyncua lets anybody delete,
  change or take over the subscriptions of others.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AddressSpace
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua import uaprotocol_auto
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

FASTEST_PUBLISHING: Final = 50.0
"""Milliseconds."""
_SLOWEST: Final = 3_600_000.0
_OVERFLOW: Final = 0x0480
"""InfoType DataValue and the Overflow bit (OPC 10000-4 section 7.39.1)."""
_NUMBERS: Final = (int, float)

_STAMPS: Final = ua.TimestampsToReturn

RangeOf = Callable[[ua.NodeId], float | None]
"""High minus low of a node's EURange, or None where it has none."""


class Subscriptions(SubscriptionService):
    """Makes subscriptions whose items are ours."""

    def __init__(self, aspace: AddressSpace, iserver: Any, fastest_sampling: float, range_of: RangeOf) -> None:
        super().__init__(aspace, iserver)
        self._fastest_sampling = fastest_sampling
        self._range_of = range_of

    async def create_subscription(self, params: ua.CreateSubscriptionParameters, *rest: Any, **more: Any) -> Any:
        wanted = params.RequestedPublishingInterval
        interval = min(max(wanted, FASTEST_PUBLISHING), _SLOWEST) if math.isfinite(wanted) else FASTEST_PUBLISHING
        params = dataclasses.replace(params, RequestedPublishingInterval=interval)
        result = await super().create_subscription(params, *rest, **more)
        result.RevisedLifetimeCount = max(result.RevisedLifetimeCount, 3 * result.RevisedMaxKeepAliveCount)
        made = self.subscriptions[result.SubscriptionId]
        made.monitored_item_srv = MonitoredItems(made, self.aspace, self._fastest_sampling, self._range_of)
        return result

    def check_owner(self, subscription: int, session: ua.NodeId) -> None:
        """Raises ServiceError for a subscription that is not this session's."""
        if not self.is_owner(subscription, session):
            raise ServiceError(StatusCodes.BadSubscriptionIdInvalid)

    def is_owner(self, subscription: int, session: ua.NodeId) -> bool:
        found = self.subscriptions.get(subscription)
        return found is not None and found.session_id == session


class _Item:
    """What we keep of a monitored item beside asyncua."""

    def __init__(
        self, interval: float, queue_size: int, discard_oldest: bool, timestamps: ua.TimestampsToReturn
    ) -> None:
        self.interval = interval
        """Seconds; 0 is every change."""
        self.queue_size = queue_size
        self.discard_oldest = discard_oldest
        self.timestamps = timestamps
        self.reported: ua.DataValue | None = None
        self.due = -math.inf
        """When the next sample is taken, on the loop's clock."""
        self.latest: ua.DataValue | None = None
        """Since the last sample."""
        self.timer: asyncio.TimerHandle | None = None
        self.queue: list[ua.MonitoredItemNotification] = []
        """Of an item that reports nothing for now."""
        self.span: float | None = None
        """Of the EURange that a percentage refers to."""


class MonitoredItems(MonitoredItemService):
    """See the module."""

    isub: InternalSubscription

    def __init__(
        self, subscription: InternalSubscription, aspace: AddressSpace, fastest: float, range_of: RangeOf
    ) -> None:
        super().__init__(subscription, aspace)
        self._fastest = fastest
        self._range_of = range_of
        self._items: dict[int, _Item] = {}
        """By id."""
        self._timestamps = ua.TimestampsToReturn.Both
        """Of the items that are being made."""

    # -- making items ----------------------------------------------------------------------------------------------

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[Any]:
        check_timestamps(params.TimestampsToReturn)
        self._timestamps = params.TimestampsToReturn
        return await super().create_monitored_items(params)

    def _create_events_monitored_item(self, params: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        if not isinstance(params.RequestedParameters.Filter, ua.EventFilter):
            return _refused(StatusCodes.BadEventFilterInvalid)
        return super()._create_events_monitored_item(params)

    async def _create_data_change_monitored_item(self, params: ua.MonitoredItemCreateRequest) -> Any:
        wanted, watched = params.RequestedParameters, params.ItemToMonitor
        wanted.Filter = _stated(wanted.Filter)
        value = self.aspace.read_attribute_value(watched.NodeId, watched.AttributeId)
        span = self._range_of(watched.NodeId)
        if watched.IndexRange:
            return _refused(StatusCodes.BadIndexRangeNoData)
        if code := _fault_of(wanted.Filter, watched.AttributeId, value, span):
            return _refused(code)
        item = _Item(*self._revised(wanted, watched.AttributeId), self._timestamps)
        item.span = span
        # asyncua takes the first sample while it makes the item: ours has to be there by then.
        self._items[self._monitored_item_counter + 1] = item
        result = await super()._create_data_change_monitored_item(params)
        if not result.StatusCode.is_good():
            self._items.pop(result.MonitoredItemId, None)
            return result
        result.RevisedSamplingInterval = item.interval * 1000 or self._fastest * 1000
        result.RevisedQueueSize = item.queue_size
        return result

    def _modify_monitored_item(self, params: ua.MonitoredItemModifyRequest) -> ua.MonitoredItemModifyResult:
        data, item = self._monitored_items.get(params.MonitoredItemId), self._items.get(params.MonitoredItemId)
        if data is None:
            # asyncua calls the status code of this case, as if it were a function (line 112).
            return ua.MonitoredItemModifyResult(StatusCode=_status(StatusCodes.BadMonitoredItemIdInvalid))
        if item is None:
            return super()._modify_monitored_item(params)
        watched: Any = data.read_value_id
        wanted = params.RequestedParameters
        wanted.Filter = _stated(wanted.Filter)
        value = self.aspace.read_attribute_value(watched.NodeId, watched.AttributeId)
        if code := _fault_of(wanted.Filter, watched.AttributeId, value, item.span):
            return ua.MonitoredItemModifyResult(StatusCode=_status(code))
        item.interval, item.queue_size, item.discard_oldest = self._revised(wanted, watched.AttributeId)
        data.filter = wanted.Filter
        data.client_handle = wanted.ClientHandle
        return ua.MonitoredItemModifyResult(
            RevisedSamplingInterval=item.interval * 1000 or self._fastest * 1000, RevisedQueueSize=item.queue_size
        )

    def _revised(self, wanted: ua.MonitoringParameters, attribute: AttributeIds) -> tuple[float, int, bool]:
        """Sampling interval in seconds, queue size, and which end of the queue gives way."""
        interval = wanted.SamplingInterval
        if not math.isfinite(interval) or interval < 0:
            interval = self.isub.data.RevisedPublishingInterval
        seconds = min(interval, _SLOWEST) / 1000
        # Values move with the scan; sampling as often, or more often, is seeing every one.
        seconds = 0.0 if seconds <= self._fastest or attribute != AttributeIds.Value else seconds
        return seconds, min(max(1, wanted.QueueSize), self.isub.max_queue_size), bool(wanted.DiscardOldest)

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        item = self._items.pop(mid, None)
        if item is not None and item.timer is not None:
            item.timer.cancel()
        return super()._delete_monitored_items(mid)

    def delete_all_monitored_items(self) -> None:
        self.delete_monitored_items(list(self._monitored_items))

    async def _set_monitoring_mode(self, mode: ua.MonitoringMode, mid: int) -> ua.StatusCode:
        result = await super()._set_monitoring_mode(mode, mid)
        item = self._items.get(mid)
        if item is not None and mode == ua.MonitoringMode.Reporting:
            waiting, item.queue = item.queue, []
            for notification in waiting:
                _enqueue(self.isub._triggered_datachanges.setdefault(mid, []), notification, item)
        elif item is not None and mode == ua.MonitoringMode.Disabled:
            item.queue, item.latest, item.reported, item.due = [], None, None, -math.inf
        return result

    # -- sampling --------------------------------------------------------------------------------------------------

    async def datachange_callback(self, handle: int, value: ua.DataValue, error: ua.StatusCode | None = None) -> None:
        mid = self._monitored_datachange.get(handle)
        item = None if mid is None else self._items.get(mid)
        if error or mid is None or item is None:
            if error:
                await super().datachange_callback(handle, value, error)
            return
        if self._monitored_items[mid].mode == ua.MonitoringMode.Disabled:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= item.due:
            item.due = loop.time() + item.interval
            self._take(mid, item, value)
        elif item.timer is None:
            item.latest = value
            item.timer = loop.call_at(item.due, self._sample_later, mid, item)
        else:
            item.latest = value

    def _sample_later(self, mid: int, item: _Item) -> None:
        item.timer = None
        value, item.latest = item.latest, None
        if value is not None and mid in self._items:
            item.due = asyncio.get_running_loop().time() + item.interval
            self._take(mid, item, value)

    def _take(self, mid: int, item: _Item, value: ua.DataValue) -> None:
        """Queue a sample where it differs enough from the last that was queued."""
        data = self._monitored_items[mid]
        if not _differs(item.reported, value, data.filter, item.span):
            return
        item.reported = value
        notification = ua.MonitoredItemNotification(
            ClientHandle=data.client_handle, Value=with_timestamps(value, item.timestamps)
        )
        if data.mode == ua.MonitoringMode.Sampling:
            _enqueue(item.queue, notification, item)
        else:
            _enqueue(self.isub._triggered_datachanges.setdefault(mid, []), notification, item)


def _enqueue(queue: list[Any], notification: ua.MonitoredItemNotification, item: _Item) -> None:
    """OPC 10000-4 section 5.13.1.5: a queue of one has no overflow, a longer one marks where values are missing."""
    if len(queue) < item.queue_size:
        queue.append(notification)
    elif item.queue_size == 1:
        queue[:] = [notification]
    elif item.discard_oldest:
        queue.append(notification)
        del queue[: len(queue) - item.queue_size]
        queue[0] = _overflown(queue[0])
    else:
        queue[-1] = _overflown(notification)


def _overflown(notification: ua.MonitoredItemNotification) -> ua.MonitoredItemNotification:
    code = notification.Value.StatusCode.value if notification.Value.StatusCode is not None else 0
    value = dataclasses.replace(notification.Value, StatusCode=_status(code | _OVERFLOW))
    return dataclasses.replace(notification, Value=value)


def _differs(before: ua.DataValue | None, now: ua.DataValue, wanted: Any, span: float | None) -> bool:
    """Whether a subscriber wants to hear of it (OPC 10000-4 section 7.22.2)."""
    if before is None or before.StatusCode != now.StatusCode:
        return True
    trigger = ua.DataChangeTrigger.StatusValue if wanted is None else wanted.Trigger
    if trigger == ua.DataChangeTrigger.Status:
        return False
    if trigger == ua.DataChangeTrigger.StatusValueTimestamp and before.SourceTimestamp != now.SourceTimestamp:
        return True
    if before.Value == now.Value:
        return False
    deadband = _deadband(wanted, span)
    old = before.Value.Value if before.Value is not None else None
    new = now.Value.Value if now.Value is not None else None
    if not deadband or not isinstance(old, _NUMBERS) or not isinstance(new, _NUMBERS):
        return True
    return not abs(new - old) <= deadband


def _deadband(wanted: Any, span: float | None) -> float:
    if wanted is None or wanted.DeadbandType == ua.DeadbandType.None_:
        return 0.0
    if wanted.DeadbandType == ua.DeadbandType.Percent:
        return float(wanted.DeadbandValue) / 100 * (span or 0.0)
    return float(wanted.DeadbandValue)


def _stated(wanted: Any) -> Any:
    """A filter, or None for the null object by which clients say that they want none (OPC 10000-6 section 5.2.2.15)."""
    return None if isinstance(wanted, ua.ExtensionObject) and wanted.TypeId == ua.NodeId() else wanted


def _fault_of(wanted: Any, attribute: AttributeIds, value: ua.DataValue, span: float | None) -> int:
    """Why a filter cannot be used, as a status code; 0 where it can."""
    if wanted is None:
        return 0
    if not isinstance(wanted, uaprotocol_auto.DataChangeFilter):  # what asyncua decodes; ua has a subclass
        return int(StatusCodes.BadMonitoredItemFilterUnsupported)
    if attribute != AttributeIds.Value:
        return int(StatusCodes.BadFilterNotAllowed)
    if wanted.DeadbandType == ua.DeadbandType.None_:
        return 0
    if wanted.DeadbandType not in (ua.DeadbandType.Absolute, ua.DeadbandType.Percent):
        return int(StatusCodes.BadDeadbandFilterInvalid)
    kind = value.Value.VariantType if value.Value is not None else None
    if kind is not None and kind not in _NUMERIC:
        return int(StatusCodes.BadFilterNotAllowed)
    if not math.isfinite(wanted.DeadbandValue) or wanted.DeadbandValue < 0:
        return int(StatusCodes.BadDeadbandFilterInvalid)
    if wanted.DeadbandType == ua.DeadbandType.Percent:
        if wanted.DeadbandValue > 100:
            return int(StatusCodes.BadDeadbandFilterInvalid)
        if span is None:
            return int(StatusCodes.BadMonitoredItemFilterUnsupported)
    return 0


_NUMERIC: Final = frozenset(
    getattr(ua.VariantType, name)
    for name in ("SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "Null")
)


def with_timestamps(value: ua.DataValue, wanted: ua.TimestampsToReturn) -> ua.DataValue:
    """A value with the timestamps a client asks for, and no others (OPC 10000-4 section 7.40)."""
    if wanted == ua.TimestampsToReturn.Both:
        return value
    source = value.SourceTimestamp if wanted == ua.TimestampsToReturn.Source else None
    server = value.ServerTimestamp if wanted == ua.TimestampsToReturn.Server else None
    return dataclasses.replace(value, SourceTimestamp=source, ServerTimestamp=server)


def check_timestamps(wanted: Any) -> None:
    """Raises ServiceError for what stands for none of the four choices."""
    if wanted not in (_STAMPS.Source, _STAMPS.Server, _STAMPS.Both, _STAMPS.Neither):
        raise ServiceError(StatusCodes.BadTimestampsToReturnInvalid)


def _refused(code: int) -> ua.MonitoredItemCreateResult:
    return ua.MonitoredItemCreateResult(StatusCode=_status(code))


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))
