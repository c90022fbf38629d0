"""ThingsBoard's gateway API: https://thingsboard.io/docs/reference/gateway-mqtt-api/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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
from gateway.samples import Reason, Report, Value

TELEMETRY: Final = "v1/gateway/telemetry"
CONNECT: Final = "v1/gateway/connect"
DISCONNECT: Final = "v1/gateway/disconnect"
ATTRIBUTES: Final = "v1/gateway/attributes"
RPC: Final = "v1/gateway/rpc"


class ThingsBoard(Format):
    """`{"device":[{"ts":…,"values":{…}}]}`; devices are announced, shared attributes and RPC are written."""

    def __init__(self, qos: int, obeys: bool) -> None:
        self._qos = qos
        self._devices: dict[str, None] = {}
        self._prefixes: dict[str, str] = {}
        self.filters = (RPC, ATTRIBUTES) if obeys else ()

    def connected(self) -> Sequence[Publication]:
        """The platform forgets who is behind a gateway when the gateway goes."""
        return [Publication(CONNECT, _device(name), self._qos, False) for name in self._devices]

    def farewell(self) -> Sequence[Publication]:
        return [Publication(DISCONNECT, _device(name), self._qos, False) for name in self._devices]

    def kept(self, report: Report) -> Sequence[tuple[str, bytes]]:
        messages = []
        if report.device not in self._devices:
            self._devices[report.device] = None
            self._prefixes[report.device] = f"{{{encode(report.device)}:[{{"
            messages.append((CONNECT, _device(report.device)))
        # The platform keeps values only: what cannot be read is not there.
        if values := json_text.good_values(report.samples):
            prefix = self._prefixes[report.device]
            text = f'{prefix}"ts":{report.at // 1_000_000},"values":{encode(values)}}}]}}'
            messages.append((TELEMETRY, text.encode()))
        return messages

    def hear(self, topic: str, payload: bytes, retained: bool) -> Heard:
        if topic not in self.filters:
            return Heard()
        where = {"topic": topic}
        document = json_text.read_object(payload)
        if document is None:
            return Heard(complaint=Reason(NOT_JSON, where))
        device, data = document.get("device"), document.get("data")
        if not isinstance(device, str) or not isinstance(data, dict):
            key = "data" if isinstance(device, str) else "device"
            return Heard(complaint=Reason(NOT_A_COMMAND, {**where, "key": key}))
        if topic == ATTRIBUTES:
            values = _writable(data)
            if values is None:
                return Heard(complaint=Reason(NO_VALUE, where))
            return Heard(commands=[Command(device, values, lambda _: None)])
        values = _values_of_call(data)
        if values is None:
            return Heard(complaint=Reason(NO_VALUE, where))

        def answer(outcomes: Outcomes) -> Publication:
            errors = {tag: str(reason) for tag, reason in outcomes.items() if reason is not None}
            said = {"success": False, "error": "; ".join(errors.values())} if errors else {"success": True}
            reply = {"device": device, "id": data.get("id"), "data": said}
            return Publication(RPC, encode(reply).encode(), self._qos, False)

        return Heard(commands=[Command(device, values, answer)])


def _values_of_call(data: Mapping[str, Any]) -> dict[str, Value] | None:
    """`{"method":"write","params":{tag:value}}`, or the name of a tag as the method and its value as the parameter."""
    method, parameters = data.get("method"), data.get("params")
    if isinstance(parameters, dict):
        if isinstance(parameters.get("tag"), str) and "value" in parameters:
            parameters = {parameters["tag"]: parameters["value"]}
        return _writable(parameters)
    return _writable({method: parameters}) if isinstance(method, str) else None


def _writable(values: Mapping[str, Any]) -> dict[str, Value] | None:
    if not values or not all(isinstance(value, (bool, int, float, str)) for value in values.values()):
        return None
    return dict(values)


def _device(name: str) -> bytes:
    return encode({"device": name}).encode()
