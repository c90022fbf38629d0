"""What devices have said: latest values, history, events, messages; and what they say by HTTP."""

from __future__ import annotations

from typing import Any, Final

from devices.platform.documents import (
    AggregateQuery,
    Aggregates,
    BucketView,
    Events,
    History,
    HistoryQuery,
    Latest,
    LatestValue,
    Page,
    PointView,
    Taken,
    TracedReason,
    TraceView,
)
from devices.platform.http import Ask, Route
from devices.platform.hub import TOO_LARGE
from devices.platform.ingest.ingest import Attributes, Heard, an_object, parsed
from devices.platform.ingest.thingsboard import telemetry
from devices.platform.registry import Address
from devices.platform.service import Service, now_ms
from devices.platform.things import Device, Product
from devices.platform.trace import STRANGERS
from devices.web.reasons import refusal
from lab.text import Text

TOO_MANY: Final = Text(zh="会有 {count} 个区间，上限 {limit}", en="that makes {count} intervals, the limit is {limit}")
BACKWARDS: Final = Text(zh="end 应晚于 start", en="end should be after start")

_MOST_BUCKETS: Final = 10_000


async def latest_values(service: Service, ask: Ask) -> Any:
    device: Device = service.catalogue.get("device", ask.path["id"])
    product: Product = service.registry.products[device.product]
    known = service.hub.known(device.id)
    values = []
    for name, point in sorted(known.latest.items()):
        datum = product.properties.get(name)
        values.append(
            LatestValue.model_construct(
                property=name,
                name=datum.name if datum else "",
                unit=datum.unit if datum else "",
                label=datum.enum.get(point.value, "") if datum and isinstance(point.value, int) else "",
                writable=datum is not None and datum.access == "rw",
                **point._asdict(),
            )
        )
    return Latest.model_construct(device=device.id, values=values, attributes=known.attributes)


async def history(service: Service, ask: Ask) -> Any:
    query: HistoryQuery = ask.query
    device: Device = service.catalogue.get("device", ask.path["id"])
    end = _end(query.start, query.end)
    name = query.property
    points = service.store.history(
        device.id, name, query.start, end, query.limit, query.offset, newest_first=query.order == "desc"
    )
    return History.model_construct(
        total=service.store.count(device.id, name, query.start, end),
        limit=query.limit,
        offset=query.offset,
        items=[PointView.model_construct(**point._asdict()) for point in points],
    )


async def aggregates(service: Service, ask: Ask) -> Any:
    query: AggregateQuery = ask.query
    device: Device = service.catalogue.get("device", ask.path["id"])
    end = _end(query.start, query.end)
    count = -((query.start - end) // query.interval)
    if count > _MOST_BUCKETS:
        raise refusal("too-many", TOO_MANY, count=count, limit=_MOST_BUCKETS)
    buckets = service.store.aggregate(device.id, query.property, query.start, end, query.interval, _MOST_BUCKETS)
    return Aggregates(
        interval=query.interval,
        items=[
            BucketView(
                start=each.start,
                count=each.count,
                avg=each.average,
                min=each.least,
                max=each.greatest,
                sum=each.total,
            )
            for each in buckets
        ],
    )


def _end(start: int, end: int | None) -> int:
    """Up to and with this very millisecond, unless an end is given."""
    end = now_ms() + 1 if end is None else end
    if end <= start:
        raise refusal("invalid", BACKWARDS)
    return end


async def device_events(service: Service, ask: Ask) -> Any:
    query: Page = ask.query
    service.catalogue.get("device", ask.path["id"])
    total, items = service.store.events(ask.path["id"], query.limit, query.offset)
    return Events.model_validate({"total": total, "limit": query.limit, "offset": query.offset, "items": items})


async def device_trace(service: Service, ask: Ask) -> Any:
    service.catalogue.get("device", ask.path["id"])
    return _trace(service, ask, ask.path["id"])


async def strangers_trace(service: Service, ask: Ask) -> Any:
    return _trace(service, ask, STRANGERS)


def _trace(service: Service, ask: Ask, device: str) -> TraceView:
    messages = service.trace.of(device)
    return TraceView.model_validate({"items": [each.as_document(ask.language) for each in messages]})


async def take_telemetry(service: Service, ask: Ask) -> Any:
    device = _by_token(service, ask)
    return await _take(service, ask, "telemetry", list(telemetry(Address(device.id), parsed(ask.raw))), device)


async def take_attributes(service: Service, ask: Ask) -> Any:
    device = _by_token(service, ask)
    return await _take(
        service, ask, "attributes", [Attributes(Address(device.id), an_object(parsed(ask.raw), "/"))], device
    )


def _by_token(service: Service, ask: Ask) -> Device:
    device = service.registry.by_token(ask.path["token"])
    limit = service.config.limits.payload
    if len(ask.raw) > limit:
        raise refusal("too-large", TOO_LARGE, size=len(ask.raw), limit=limit)
    return device


async def _take(service: Service, ask: Ask, what: str, heard: list[Heard], device: Device) -> Taken:
    outcome = service.hub.process_of(device, heard, f"POST /api/v1/***/{what}", ask.raw)
    await service.hub.committed()
    reasons = [
        TracedReason(item=item, code=reason.code, message=reason.say(ask.language))
        for item, reason in outcome.refused.items()
    ]
    return Taken(accepted=outcome.accepted, reasons=reasons)


_TAG: Final = "data"
_DEVICE: Final = "device API"
ROUTES: Final = (
    Route(
        "GET",
        "/api/devices/{id}/latest",
        latest_values,
        Text(zh="最新值", en="Latest values"),
        "viewer",
        _TAG,
        returns=Latest,
    ),
    Route(
        "GET",
        "/api/devices/{id}/history",
        history,
        Text(zh="历史数据，从 start 到 end 之前", en="History, from start to before end"),
        "viewer",
        _TAG,
        query=HistoryQuery,
        returns=History,
    ),
    Route(
        "GET",
        "/api/devices/{id}/aggregates",
        aggregates,
        Text(zh="按区间统计，没有数值的区间不列出", en="Numbers by interval; intervals without values are left out"),
        "viewer",
        _TAG,
        query=AggregateQuery,
        returns=Aggregates,
    ),
    Route(
        "GET",
        "/api/devices/{id}/events",
        device_events,
        Text(zh="事件，最新在前", en="Events, newest first"),
        "viewer",
        _TAG,
        query=Page,
        returns=Events,
    ),
    Route(
        "GET",
        "/api/devices/{id}/trace",
        device_trace,
        Text(zh="报文跟踪，最新在前", en="Messages as they came, newest first"),
        "operator",
        _TAG,
        returns=TraceView,
    ),
    Route(
        "GET",
        "/api/strangers",
        strangers_trace,
        Text(zh="未注册设备的报文", en="Messages of devices that are not registered"),
        "operator",
        _TAG,
        returns=TraceView,
    ),
    Route(
        "POST",
        "/api/v1/{token}/telemetry",
        take_telemetry,
        Text(zh="设备用凭证上报数据（ThingsBoard 格式）", en="A device reports with its token (ThingsBoard's form)"),
        None,
        _DEVICE,
        body=bytes,
        returns=Taken,
        errors=(400, 401),
    ),
    Route(
        "POST",
        "/api/v1/{token}/attributes",
        take_attributes,
        Text(zh="设备用凭证上报属性", en="A device reports attributes with its token"),
        None,
        _DEVICE,
        body=bytes,
        returns=Taken,
        errors=(400, 401),
    ),
)
