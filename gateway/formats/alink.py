"""Property reports as Alibaba Cloud's Alink protocol and JetLinks have them: one topic for each device and deed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.formats import json_text
from gateway.formats.format import (
    NO_VALUE,
    NOT_A_COMMAND,
    NOT_JSON,
    Command,
    Format,
    Heard,
    Outcomes,
    Publication,
)
from gateway.formats.json_text import encode
from gateway.samples import Reason, Report

POST: Final = "thing.event.property.post"
VERSION: Final = "1.0"
OK, FAILED = 200, 500


class Alink(Format):
    """`/sys/{productKey}/{deviceName}/thing/event/property/post`, and property/set the other way."""

    def __init__(self, product_key: str, qos: int, obeys: bool) -> None:
        self._root = f"/sys/{product_key}"
        self._qos = qos
        self._count = 0
        self.filters = (f"{self._root}/+/thing/service/property/set",) if obeys else ()

    def kept(self, report: Report) -> Sequence[tuple[str, bytes]]:
        parameters = {
            name: {"value": sample.value, "time": sample.at // 1_000_000}
            for name, sample in report.samples.items()
            if sample.value is not None
        }
        if not parameters:
            return ()
        self._count += 1
        document = {"id": str(self._count), "version": VERSION, "params": parameters, "method": POST}
        topic = f"{self._root}/{report.device}/thing/event/property/post"
        return ((topic, encode(document).encode()),)

    def hear(self, topic: str, payload: bytes, retained: bool) -> Heard:
        if not self.filters:
            return Heard()
        where = {"topic": topic}
        document = json_text.read_object(payload)
        if document is None:
            return Heard(complaint=Reason(NOT_JSON, where))
        values = document.get("params")
        if not isinstance(values, dict) or not values:
            return Heard(complaint=Reason(NOT_A_COMMAND, {**where, "key": "params"}))
        if not all(isinstance(value, (bool, int, float, str)) for value in values.values()):
            return Heard(complaint=Reason(NO_VALUE, where))
        device = topic.removeprefix(self._root + "/").split("/")[0]

        def answer(outcomes: Outcomes) -> Publication:
            errors = {tag: str(reason) for tag, reason in outcomes.items() if reason is not None}
            reply = {
                "code": FAILED if errors else OK,
                "data": errors,
                "id": document.get("id"),
                "message": "; ".join(errors.values()) or "success",
                "version": VERSION,
            }
            return Publication(f"{topic}_reply", encode(reply).encode(), self._qos, False)

        return Heard(commands=[Command(device, values, answer)])
