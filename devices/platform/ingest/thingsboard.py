"""ThingsBoard's MQTT APIs: that of gateways, and that of devices which speak for themselves.

`v1/gateway/telemetry` is `{"Device A":[{"ts":<ms>,"values":{…}}]}`; `connect`, `disconnect`, `attributes` and `rpc` are
beside it. `v1/devices/me/…` says who it is by the login, which a broker does not hand on, so `me` is configured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from devices.platform.ingest.ingest import (
    Attributes,
    Call,
    CallAnswered,
    Heard,
    Message,
    Outcome,
    Presence,
    Reading,
    Telemetry,
    Unreadable,
    a_text,
    an_object,
    parsed,
    to_json,
)
from devices.platform.registry import Address
from devices.web.reasons import Refused, refusal, shown
from lab.text import Text

WHO_IS_ME: Final = Text(
    zh="v1/devices/me 不写是哪台设备；在平台配置 broker.me 中指定，或用 HTTP 凭证上报",
    en="v1/devices/me does not say which device; name it in broker.me of the platform, or report by HTTP with a token",
)
NO_NUMBER: Final = Text(zh="RPC 回复缺少 id", en="an answer to an RPC without id")

_ERROR: Final = "error"


class ThingsBoardGateway:
    """A gateway that speaks for its devices, by their names."""

    name = "thingsboard"
    answers_calls = True
    filters: tuple[str, ...] = (
        "v1/gateway/telemetry",
        "v1/gateway/connect",
        "v1/gateway/disconnect",
        "v1/gateway/attributes",
        "v1/gateway/rpc",
    )

    def who(self, topic: str) -> Address | None:
        return None

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        document = an_object(parsed(payload), "/")
        match topic.rsplit("/", 1)[-1]:
            case "telemetry":
                return [heard for device, listed in document.items() for heard in telemetry(Address(device), listed)]
            case "attributes":
                return [
                    Attributes(Address(device), an_object(values, shown(device))) for device, values in document.items()
                ]
            case "rpc":
                return _answer(document)
            case how:
                return [Presence(Address(a_text(document.get("device"), "device")), how == "connect")]

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        return None

    def call(self, call: Call) -> Message | None:
        data = {"id": int(call.number), "method": call.method, "params": call.parameters}
        return Message("v1/gateway/rpc", to_json({"device": call.device, "data": data}))


def _answer(document: dict[str, Any]) -> Sequence[Heard]:
    number = document.get("id")
    data = document.get("data")
    if number is None and isinstance(data, dict) and "method" in data:
        return []  # what we have asked ourselves comes back to us, as it does to everybody who subscribes
    if not isinstance(number, int) or isinstance(number, bool):
        raise refusal("unexpected", NO_NUMBER)
    failed = isinstance(data, dict) and (_ERROR in data or data.get("success") is False)
    said = data.get(_ERROR, data) if failed and isinstance(data, dict) else data
    return [CallAnswered(Address(a_text(document.get("device"), "device")), shown(number), not failed, said)]


class ThingsBoardDevice:
    """A device that speaks for itself."""

    name = "thingsboard-device"
    answers_calls = True
    filters: tuple[str, ...] = ("v1/devices/me/telemetry", "v1/devices/me/attributes", "v1/devices/me/rpc/response/+")

    def __init__(self, me: str | None) -> None:
        self._me = me

    def who(self, topic: str) -> Address | None:
        return None if self._me is None else Address(self._me)

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        if self._me is None:
            raise refusal("anonymous", WHO_IS_ME)
        who = Address(self._me)
        document = parsed(payload)
        if topic.endswith("/telemetry"):
            return list(telemetry(who, document))
        if topic.endswith("/attributes"):
            return [Attributes(who, an_object(document, "/"))]
        return [CallAnswered(who, topic.rsplit("/", 1)[-1], True, document)]

    def answer(self, topic: str, payload: bytes, outcome: Outcome) -> Message | None:
        return None

    def call(self, call: Call) -> Message | None:
        document = {"method": call.method, "params": call.parameters}
        return Message(f"v1/devices/me/rpc/request/{call.number}", to_json(document))


def telemetry(who: Address, document: Any) -> Iterator[Heard]:
    """`{"ts":…,"values":{…}}`, `{key:value}`, or a list of these; what is wrong in one does not spoil the others."""
    for place, each in enumerate(document if isinstance(document, list) else [document]):
        try:
            entry = an_object(each, f"{shown(who.device)}[{place}]")
            has_time = "ts" in entry and "values" in entry
            values = an_object(entry["values"], "values") if has_time else entry
        except Refused as error:
            yield Unreadable(error.reason, who)
            continue
        readings = [Reading(name, value, "bad" if value is None else "good") for name, value in values.items()]
        yield Telemetry(who, entry["ts"] if has_time else None, readings)
