"""Alarm rules, and alarms."""

from __future__ import annotations

from typing import Any, Final

from pydantic import RootModel

from devices.platform.alarm_desk import Alarm, as_document
from devices.platform.documents import AlarmQuery, Alarms, AlarmView, Assignment, Done, RuleList
from devices.platform.http import Ask, Route
from devices.platform.routes.products import same_id
from devices.platform.rules import Rule
from devices.platform.service import Service
from devices.web.reasons import refusal
from lab.text import Text

CHANGED: Final = Text(zh="{by} 设置报警规则 {rule}", en="{by} set the alarm rule {rule}")
DELETED: Final = Text(zh="{by} 删除报警规则 {rule}", en="{by} deleted the alarm rule {rule}")
ACKNOWLEDGED: Final = Text(zh="{by} 确认报警 {number}", en="{by} acknowledged the alarm {number}")
CLEARED: Final = Text(zh="{by} 手动恢复报警 {number}", en="{by} cleared the alarm {number} by hand")
ASSIGNED: Final = Text(zh="{by} 将报警 {number} 指派给 {to}", en="{by} assigned the alarm {number} to {to}")
NOT_A_NUMBER: Final = Text(zh="没有报警 {number}", en="there is no alarm {number}")


class RuleDocument(RootModel[Rule]):
    """An alarm rule."""


async def list_rules(service: Service, ask: Ask) -> Any:
    rules = service.catalogue.all("rule")
    items = [
        {**rules[name].model_dump(mode="json"), "declared": service.catalogue.is_declared("rule", name)}
        for name in sorted(rules)
    ]
    return RuleList(items=items)


async def create_rule(service: Service, ask: Ask) -> Any:
    rule: Rule = ask.body.root
    service.catalogue.create("rule", rule.id, rule)
    service.log(CHANGED.say(by=ask.session.user, rule=rule.id))
    return ask.body


async def change_rule(service: Service, ask: Ask) -> Any:
    rule: Rule = ask.body.root
    same_id(ask.path["id"], rule.id)
    service.catalogue.get("rule", rule.id)
    service.catalogue.put("rule", [(rule.id, rule)])
    service.log(CHANGED.say(by=ask.session.user, rule=rule.id))
    return ask.body


async def delete_rule(service: Service, ask: Ask) -> Any:
    service.catalogue.delete("rule", ask.path["id"])
    service.log(DELETED.say(by=ask.session.user, rule=ask.path["id"]))
    return Done()


async def list_alarms(service: Service, ask: Ask) -> Any:
    query: AlarmQuery = ask.query
    total, found = service.desk.page(
        query.limit, query.offset, is_open=query.open, device=query.device, severity=query.severity
    )
    items = [_view(each) for each in found]
    return Alarms(total=total, limit=query.limit, offset=query.offset, items=items)


async def get_alarm(service: Service, ask: Ask) -> Any:
    return _view(service.desk.get(_number(ask)))


async def acknowledge_alarm(service: Service, ask: Ask) -> Any:
    alarm = service.desk.acknowledge(_number(ask), ask.session.user)
    service.log(ACKNOWLEDGED.say(by=ask.session.user, number=alarm.id))
    return _view(alarm)


async def clear_alarm(service: Service, ask: Ask) -> Any:
    alarm = service.desk.clear(_number(ask), ask.session.user)
    service.log(CLEARED.say(by=ask.session.user, number=alarm.id))
    return _view(alarm)


async def assign_alarm(service: Service, ask: Ask) -> Any:
    wanted: Assignment = ask.body
    if wanted.assignee is not None:
        service.catalogue.get("user", wanted.assignee)
    alarm = service.desk.assign(_number(ask), wanted.assignee)
    service.log(ASSIGNED.say(by=ask.session.user, number=alarm.id, to=wanted.assignee or "-"))
    return _view(alarm)


def _number(ask: Ask) -> int:
    written = ask.path["number"]
    if not (written.isascii() and written.isdigit() and len(written) < 16):
        raise refusal("unknown-alarm", NOT_A_NUMBER, number=written[:40])
    return int(written)


def _view(alarm: Alarm) -> AlarmView:
    return AlarmView(**as_document(alarm))


_TAG: Final = "alarms"
ROUTES: Final = (
    Route("GET", "/api/rules", list_rules, Text(zh="报警规则", en="Alarm rules"), "viewer", _TAG, returns=RuleList),
    Route(
        "POST",
        "/api/rules",
        create_rule,
        Text(zh="新建规则", en="Create a rule"),
        "admin",
        _TAG,
        body=RuleDocument,
        returns=RuleDocument,
        status=201,
        errors=(409,),
    ),
    Route(
        "PUT",
        "/api/rules/{id}",
        change_rule,
        Text(zh="修改规则", en="Change a rule"),
        "admin",
        _TAG,
        body=RuleDocument,
        returns=RuleDocument,
        errors=(409,),
    ),
    Route(
        "DELETE",
        "/api/rules/{id}",
        delete_rule,
        Text(zh="删除规则", en="Delete a rule"),
        "admin",
        _TAG,
        returns=Done,
        errors=(409,),
    ),
    Route(
        "GET",
        "/api/alarms",
        list_alarms,
        Text(zh="报警，最新在前", en="Alarms, newest first"),
        "viewer",
        _TAG,
        query=AlarmQuery,
        returns=Alarms,
    ),
    Route("GET", "/api/alarms/{number}", get_alarm, Text(zh="报警", en="An alarm"), "viewer", _TAG, returns=AlarmView),
    Route(
        "POST",
        "/api/alarms/{number}/acknowledge",
        acknowledge_alarm,
        Text(zh="确认报警", en="Acknowledge an alarm"),
        "operator",
        _TAG,
        returns=AlarmView,
        errors=(409,),
    ),
    Route(
        "POST",
        "/api/alarms/{number}/clear",
        clear_alarm,
        Text(zh="手动恢复报警", en="Clear an alarm by hand"),
        "operator",
        _TAG,
        returns=AlarmView,
        errors=(409,),
    ),
    Route(
        "PUT",
        "/api/alarms/{number}/assignee",
        assign_alarm,
        Text(zh="指派报警", en="Assign an alarm"),
        "operator",
        _TAG,
        body=Assignment,
        returns=AlarmView,
    ),
)
