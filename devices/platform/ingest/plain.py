"""The conventions of the lab: `v1/{site}/{gateway}/{device}/telemetry`, with `values` or with `tags`.

`{"ts":<ms>,"values":{id:value},"q":{id:"good|bad|uncertain"}}`; or, as Neuron writes it,
`{"timestamp":<ms>,"node":…,"group":…,"tags":[{"name":id,"value":value},{"name":id,"error":code}]}`. The status of a
gateway is `{"online":true|false}`. On `…/command` a device is asked to do something with `{"id","method","params"}` and
to write with `{"id","values":{id:value}}`; on `…/reply` or `…/command/reply` it answers with `{"id","ok":true}`,
`{"id","result"}`, `{"id","error"}` or `{"id","ok":false,"errors":{id:why}}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from devices.platform.calls import SET
from devices.platform.ingest.ingest import (
    Call,
    CallAnswered,
    Heard,
    Message,
    Outcome,
    Presence,
    Reading,
    Telemetry,
    a_list,
    a_text,
    an_object,
    parsed,
    to_json,
)
from devices.platform.registry import Address
from devices.web.reasons import Reason, refusal, shown
from lab.text import Text

NEITHER: Final = Text(zh="既没有 values 也没有 tags", en="has neither values nor tags")
NOT_ONLINE: Final = Text(
    zh="online 应为 true 或 false，实际是 {value}", en="online should be true or false, not {value}"
)
NO_NUMBER: Final = Text(zh="回复缺少 id", en="a reply without id")
TAG_ERROR: Final = Text(zh="网关报告采集错误 {error}", en="the gateway reports the error {error}")

_SUCCESS: Final = (None, 0, 200, True)


class Plain:
    """See the module."""

    name = "plain"
    answers_calls = True
    filters: tuple[str, ...] = ("v1/+/+/+/telemetry", "v1/+/+/status", "v1/+/+/+/reply", "v1/+/+/+/command/reply")

    def who(self, topic: str) -> Address:
        _, site, gateway, *rest = topic.split("/")
        return Address(gateway, None, site) if rest == ["status"] else Address(rest[0], gateway, site)

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        who = self.who(topic)
        document = an_object(parsed(payload), "/")
        if topic.endswith("/status"):
            is_online = document.get("online")
            if not isinstance(is_online, bool):
                raise refusal("unexpected", NOT_ONLINE, value=shown(is_online))
            return [Presence(who, is_online)]
        if topic.endswith("/reply"):
            return [_reply(who, document)]
        if "values" in document:
            return [_values(who, document)]
        if "tags" in document:
            return [_tags(who, document)]
        raise refusal("unexpected", NEITHER)

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        return None

    def call(self, call: Call) -> Message | None:
        if call.gateway is None or call.site is None:
            return None
        said = {"values": call.parameters} if call.method == SET else {"method": call.method, "params": call.parameters}
        document = {"id": call.number, **said}
        return Message(f"v1/{call.site}/{call.gateway}/{call.device}/command", to_json(document))


def _values(who: Address, document: dict[str, Any]) -> Telemetry:
    qualities = an_object(document.get("q", {}), "q")
    errors = an_object(document.get("errors", {}), "errors")
    values = an_object(document["values"], "values")
    readings = [
        Reading(name, value, qualities.get(name, "bad" if value is None else "good")) for name, value in values.items()
    ]
    # Neuron's other form lists tags that could not be read apart.
    readings += [_failed(name, error) for name, error in errors.items() if name not in values]
    return Telemetry(who, document.get("ts", document.get("timestamp")), readings)


def _tags(who: Address, document: dict[str, Any]) -> Telemetry:
    return Telemetry(who, document.get("timestamp", document.get("ts")), list(_each_tag(document["tags"])))


def _each_tag(tags: Any) -> Iterator[Reading]:
    for place, each in enumerate(a_list(tags, "tags")):
        tag = an_object(each, f"tags[{place}]")
        name = a_text(tag.get("name"), f"tags[{place}].name")
        if "value" in tag:
            yield Reading(name, tag["value"], "bad" if tag["value"] is None else "good", tag.get("t"))
        else:
            yield _failed(name, tag.get("error"))


def _failed(name: str, error: Any) -> Reading:
    return Reading(name, None, "bad", error=Reason("gateway-error", TAG_ERROR, {"error": shown(error)}))


def _reply(who: Address, document: dict[str, Any]) -> CallAnswered:
    number = document.get("id")
    if not isinstance(number, (str, int)) or isinstance(number, bool):
        raise refusal("unexpected", NO_NUMBER)
    error = document.get("error", document.get("errors"))
    is_success = error is None and document.get("code") in _SUCCESS and document.get("ok", True) is True
    return CallAnswered(who, shown(number).strip("'"), is_success, document.get("result") if is_success else error)
