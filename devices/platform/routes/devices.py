"""Devices: the registry, credentials, and asking them to do something."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from devices.platform.calls import SET, CallRecord, service_parameters, written_properties
from devices.platform.documents import (
    CallRequest,
    CallsView,
    CallView,
    Credentials,
    DeviceImport,
    DeviceQuery,
    Devices,
    DeviceView,
    Done,
    Imported,
    WriteRequest,
)
from devices.platform.http import Ask, Route
from devices.platform.ingest.ingest import Call
from devices.platform.routes.products import same_id
from devices.platform.service import Service, now_ms
from devices.platform.things import Device
from devices.platform.trace import Traced, beginning
from devices.web.reasons import Reason
from lab.text import Text

CHANGED: Final = Text(zh="{by} 设置设备 {device}", en="{by} set the device {device}")
DELETED: Final = Text(zh="{by} 删除设备 {device}", en="{by} deleted the device {device}")
IMPORTED: Final = Text(zh="{by} 导入 {count} 台设备", en="{by} imported {count} devices")
NEW_TOKEN: Final = Text(zh="{by} 为设备 {device} 生成新凭证", en="{by} made a new token for the device {device}")
CALLED: Final = Text(zh="{by} 调用设备 {device} 的 {method}：{state}", en="{by} called {method} of {device}: {state}")


async def list_devices(service: Service, ask: Ask) -> Any:
    query: DeviceQuery = ask.query
    wanted = (query.search or "").casefold()
    found = sorted(
        (
            each
            for each in service.registry.devices.values()
            if query.product in (None, each.product)
            and query.gateway in (None, each.gateway)
            and (wanted in each.id.casefold() or wanted in each.name.casefold())
        ),
        key=lambda each: each.id,
    )
    alarms = Counter(alarm.device for alarm in service.desk.raised)
    page = found[query.offset : query.offset + query.limit]
    items = [_view(service, each, ask, alarms[each.id]) for each in page]
    return Devices.model_construct(total=len(found), limit=query.limit, offset=query.offset, items=items)


async def create_device(service: Service, ask: Ask) -> Any:
    device: Device = ask.body
    service.catalogue.create("device", device.id, device)
    service.log(CHANGED.say(by=ask.session.user, device=device.id))
    return _view(service, device, ask)


async def get_device(service: Service, ask: Ask) -> Any:
    return _view(service, service.catalogue.get("device", ask.path["id"]), ask)


async def change_device(service: Service, ask: Ask) -> Any:
    device: Device = ask.body
    same_id(ask.path["id"], device.id)
    service.catalogue.get("device", device.id)
    service.catalogue.put("device", [(device.id, device)])
    service.log(CHANGED.say(by=ask.session.user, device=device.id))
    return _view(service, device, ask)


async def delete_device(service: Service, ask: Ask) -> Any:
    service.delete_device(ask.path["id"])
    service.log(DELETED.say(by=ask.session.user, device=ask.path["id"]))
    return Done()


async def import_devices(service: Service, ask: Ask) -> Any:
    devices: DeviceImport = ask.body
    service.catalogue.put("device", [(each.id, each) for each in devices.devices])
    service.log(IMPORTED.say(by=ask.session.user, count=len(devices.devices)))
    return Imported(imported=len(devices.devices))


async def new_credentials(service: Service, ask: Ask) -> Any:
    device: Device = service.catalogue.get("device", ask.path["id"])
    token = f"{service.host.random.getrandbits(160):040x}"
    service.catalogue.put("device", [(device.id, device.model_copy(update={"token": token}))])
    service.log(NEW_TOKEN.say(by=ask.session.user, device=device.id))
    return Credentials(device=device.id, token=token)


async def call_service(service: Service, ask: Ask) -> Any:
    wanted: CallRequest = ask.body
    device: Device = service.catalogue.get("device", ask.path["id"])
    product = service.registry.products[device.product]
    parameters = service_parameters(product, wanted.service, wanted.params)
    return await _call(service, ask, device, wanted.service, parameters, wanted.timeout)


async def write_properties(service: Service, ask: Ask) -> Any:
    wanted: WriteRequest = ask.body
    device: Device = service.catalogue.get("device", ask.path["id"])
    product = service.registry.products[device.product]
    values = written_properties(product, wanted.values)
    return await _call(service, ask, device, SET, values, wanted.timeout)


async def list_calls(service: Service, ask: Ask) -> Any:
    service.catalogue.get("device", ask.path["id"])
    return CallsView(items=[_call_view(each, ask) for each in service.calls.of(ask.path["id"])])


async def _call(
    service: Service, ask: Ask, device: Device, method: str, parameters: dict[str, Any], patience: float
) -> CallView:
    known = service.hub.known(device.id)
    gateway, site = _where(service, device)
    number = service.calls.new_number()
    call = Call(number, method, parameters, device.called, gateway, site, device.product)
    way = known.way or service.hub.formats[0]

    def send(message: Any) -> bool:
        service.trace.note(
            device.id,
            Traced(now_ms(), "down", message.topic, beginning(message.payload), len(message.payload), way.name),
        )
        return service.link is not None and service.link.publish(message)

    record = await service.calls.ask(call, device, way, send, ask.session.user, patience)
    service.log(CALLED.say(by=ask.session.user, device=device.id, method=method, state=record.state))
    return _call_view(record, ask)


def _where(service: Service, device: Device) -> tuple[str | None, str | None]:
    """Gateway and site as topics name them: as the device was heard last, else as it is registered."""
    heard = service.hub.known(device.id).address
    above = service.registry.devices.get(device.gateway or "")
    gateway = above.called if above is not None else None
    site = device.site or (above.site if above is not None else None)
    if heard is None:
        return gateway, site
    return heard.gateway or gateway, heard.site or site


def _call_view(record: CallRecord, ask: Ask) -> CallView:
    answer = record.answer.say(ask.language) if isinstance(record.answer, Reason) else record.answer
    return CallView(
        id=record.id,
        device=record.device,
        method=record.method,
        params=dict(record.parameters),
        by=record.by,
        at=record.at,
        state=record.state,
        answer=answer,
        answered_at=record.answered_at,
    )


def _view(service: Service, device: Device, ask: Ask, alarms: int | None = None) -> DeviceView:
    known = service.hub.known(device.id)
    shown = dict(device)
    if ask.session.role != "admin":
        shown["token"] = None
    if alarms is None:
        alarms = sum(alarm.device == device.id for alarm in service.desk.raised)
    return DeviceView.model_construct(
        **shown,
        declared=service.catalogue.is_declared("device", device.id),
        online=service.hub.is_online(device),
        seen_at=known.seen_at,
        format=known.way.name if known.way is not None else None,
        alarms=alarms,
    )


_TAG: Final = "devices"
ROUTES: Final = (
    Route(
        "GET",
        "/api/devices",
        list_devices,
        Text(zh="设备列表", en="List devices"),
        "viewer",
        _TAG,
        query=DeviceQuery,
        returns=Devices,
    ),
    Route(
        "POST",
        "/api/devices",
        create_device,
        Text(zh="注册设备", en="Register a device"),
        "admin",
        _TAG,
        body=Device,
        returns=DeviceView,
        status=201,
        errors=(409,),
    ),
    Route(
        "POST",
        "/api/devices/import",
        import_devices,
        Text(zh="批量注册：全部或全不", en="Register many devices, all or none"),
        "admin",
        _TAG,
        body=DeviceImport,
        returns=Imported,
        errors=(409,),
    ),
    Route("GET", "/api/devices/{id}", get_device, Text(zh="设备", en="A device"), "viewer", _TAG, returns=DeviceView),
    Route(
        "PUT",
        "/api/devices/{id}",
        change_device,
        Text(zh="修改设备", en="Change a device"),
        "admin",
        _TAG,
        body=Device,
        returns=DeviceView,
        errors=(409,),
    ),
    Route(
        "DELETE",
        "/api/devices/{id}",
        delete_device,
        Text(zh="删除设备及其数据", en="Delete a device and its data"),
        "admin",
        _TAG,
        returns=Done,
        errors=(409,),
    ),
    Route(
        "POST",
        "/api/devices/{id}/credentials",
        new_credentials,
        Text(zh="生成新凭证", en="Make new credentials"),
        "admin",
        _TAG,
        returns=Credentials,
        errors=(409,),
    ),
    Route(
        "POST",
        "/api/devices/{id}/rpc",
        call_service,
        Text(zh="调用服务", en="Call a service"),
        "operator",
        _TAG,
        body=CallRequest,
        returns=CallView,
        errors=(409, 429, 503),
    ),
    Route(
        "PUT",
        "/api/devices/{id}/properties",
        write_properties,
        Text(zh="写属性", en="Write properties"),
        "operator",
        _TAG,
        body=WriteRequest,
        returns=CallView,
        errors=(409, 429, 503),
    ),
    Route(
        "GET",
        "/api/devices/{id}/rpc",
        list_calls,
        Text(zh="最近的调用", en="The latest calls"),
        "viewer",
        _TAG,
        returns=CallsView,
    ),
)
