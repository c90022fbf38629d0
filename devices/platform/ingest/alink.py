"""Alibaba's Alink, which JetLinks and others follow: `/sys/{productKey}/{deviceName}/thing/…`, with replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from devices.platform.ingest.ingest import (
    Call,
    CallAnswered,
    Heard,
    Message,
    Occurrence,
    Outcome,
    Reading,
    Telemetry,
    an_object,
    parsed,
    to_json,
)
from devices.platform.registry import Address
from devices.web.reasons import Refused, refusal
from lab.text import Text

NO_NUMBER: Final = Text(zh="Alink 报文缺少 id", en="an Alink message without id")

_OK: Final = 200
_WRONG: Final = 460
"""Alink: request parameter error."""
_SET: Final = "property/set"


class Alink:
    """See the module."""

    name = "alink"
    answers_calls = True
    filters: tuple[str, ...] = (
        "/sys/+/+/thing/event/+/post",
        "/sys/+/+/thing/service/+",
        "/sys/+/+/thing/service/property/set_reply",
    )

    def who(self, topic: str) -> Address:
        _, _, product, device, *_ = topic.split("/")
        return Address(device, product=product)

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        _, _, _, _, _, kind, *rest = topic.split("/")
        if kind == "service" and not rest[-1].endswith("_reply"):
            return []  # what we have asked ourselves comes back to us
        document = an_object(parsed(payload), "/")
        who = self.who(topic)
        number = document.get("id")
        if not isinstance(number, (str, int)) or isinstance(number, bool):
            raise refusal("unexpected", NO_NUMBER)
        if kind == "service":
            is_success = document.get("code") == _OK
            answer = document.get("data") if is_success else document.get("message", document.get("code"))
            return [CallAnswered(who, str(number)[:64], is_success, answer)]
        parameters = an_object(document.get("params"), "params")
        if rest[0] == "property":
            return [Telemetry(who, None, list(_readings(parameters)))]
        data = parameters.get("value", parameters)
        return [Occurrence(who, rest[0], parameters.get("time"), an_object(data, "params.value"))]

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        if "/event/" not in topic:
            return None
        document: Any = {}
        try:
            document = parsed(payload)
        except Refused:
            pass  # it gets its answer all the same, if without its number
        number = document.get("id") if isinstance(document, dict) else None
        said = {name: str(reason) for name, reason in outcome.refused.items()}
        reply = {
            "id": number if isinstance(number, (str, int)) else "",
            "code": _WRONG if said else _OK,
            "data": said,
            "message": "; ".join(said.values()) if said else "success",
            "method": document.get("method", "") if isinstance(document, dict) else "",
            "version": "1.0",
        }
        return Message(f"{topic}_reply", to_json(reply))

    def call(self, call: Call) -> Message | None:
        is_set = call.method == "set"
        service = _SET if is_set else call.method
        document = {
            "id": call.number,
            "version": "1.0",
            "params": call.parameters,
            "method": "thing.service.property.set" if is_set else f"thing.service.{call.method}",
        }
        return Message(f"/sys/{call.product}/{call.device}/thing/service/{service}", to_json(document))


def _readings(parameters: dict[str, Any]) -> Iterator[Reading]:
    """`{"temp":23.5}` or `{"temp":{"value":23.5,"time":<ms>}}`"""
    for name, said in parameters.items():
        if isinstance(said, dict) and "value" in said and said.keys() <= {"value", "time"}:
            value, at = said["value"], said.get("time")
        else:
            value, at = said, None
        yield Reading(name, value, "bad" if value is None else "good", at)
