"""RPC: devices are asked to do something, and answer, or do not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from devices.platform.ingest.ingest import Call, Ingest, Message
from devices.platform.model import Value
from devices.platform.things import Device, Product
from devices.web.reasons import Reason, refusal, shown
from lab.text import Text

SET: Final = "set"
"""The method that writes properties, in all formats."""

NO_SERVICE: Final = Text(zh="产品 {product} 没有服务 {service}", en="the product {product} has no service {service}")
NO_PROPERTY: Final = Text(zh="产品 {product} 没有属性 {name}", en="the product {product} has no property {name}")
READ_ONLY: Final = Text(zh="属性 {name} 只读", en="the property {name} is read-only")
NOTHING: Final = Text(zh="没有要写的属性", en="there is nothing to write")
NO_WAY: Final = Text(
    zh="不知道怎样找到设备 {device}：它没有网关和站点，也还没有上报过",
    en="there is no way to {device} yet: it has neither gateway nor site, and has not said anything",
)
NOT_CONNECTED: Final = Text(zh="平台未连接到代理", en="the platform is not connected to the broker")
NO_ANSWER: Final = Text(
    zh="设备 {device} 在 {seconds:g} 秒内没有应答", en="the device {device} has not answered in {seconds:g} s"
)
TOO_MANY: Final = Text(zh="正在等待的调用过多（{limit}）", en="{limit} calls are waiting already")

_MOST_WAITING: Final = 200
_KEPT: Final = 500

State = Literal["waiting", "sent", "succeeded", "failed", "timeout"]
"""What a device cannot confirm in its format is sent, and no more is known."""


@dataclass(slots=True)
class CallRecord:
    """What became of a call."""

    id: str
    device: str
    method: str
    parameters: Mapping[str, Any]
    by: str
    at: int
    state: State = "waiting"
    answer: Any = None
    answered_at: int | None = None


class Calls:
    """Those that wait, and the latest of the others."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._next = 0
        self._waiting: dict[str, tuple[CallRecord, asyncio.Future[None]]] = {}
        self._past: deque[CallRecord] = deque(maxlen=_KEPT)

    def new_number(self) -> str:
        """Numbers go on from the clock, so that an answer from before a restart fits no call of after it."""
        self._next = max(self._next + 1, self._now())
        return str(self._next)

    async def ask(
        self, call: Call, device: Device, way: Ingest, send: Callable[[Message], bool], user: str, patience: float
    ) -> CallRecord:
        """Ask, and wait for the answer; raises Refused where it cannot even be asked."""
        if len(self._waiting) >= _MOST_WAITING:
            raise refusal("too-many-calls", TOO_MANY, limit=_MOST_WAITING)
        message = way.call(call)
        if message is None:
            raise refusal("no-way", NO_WAY, device=device.id)
        record = CallRecord(call.number, device.id, call.method, call.parameters, user, self._now())
        answered = asyncio.get_running_loop().create_future()
        self._waiting[call.number] = (record, answered)
        try:
            if not send(message):
                raise refusal("broker-away", NOT_CONNECTED)
            self._past.append(record)
            if not way.answers_calls:
                record.state = "sent"
                return record
            async with asyncio.timeout(patience):
                await answered
        except TimeoutError:
            record.state = "timeout"
            record.answer = Reason("no-answer", NO_ANSWER, {"device": device.id, "seconds": patience})
        finally:
            del self._waiting[call.number]
        return record

    def answered(self, device: str, number: str, *, is_success: bool, answer: Any) -> bool:
        """False where nobody has asked this device so."""
        record, future = self._waiting.get(number, (None, None))
        if record is None or future is None or record.device != device or future.done():
            return False
        record.state = "succeeded" if is_success else "failed"
        record.answer = answer
        record.answered_at = self._now()
        future.set_result(None)
        return True

    def of(self, device: str) -> list[CallRecord]:
        """Newest first."""
        return [each for each in reversed(self._past) if each.device == device]


def service_parameters(product: Product, service: str, given: Mapping[str, Any]) -> dict[str, Value]:
    """Checked against the thing model; raises Refused."""
    if service not in product.services:
        raise refusal("unknown-service", NO_SERVICE, product=product.id, service=shown(service))
    return product.services[service].check(service, given)


def written_properties(product: Product, given: Mapping[str, Any]) -> dict[str, Value]:
    """Checked against the thing model; raises Refused."""
    if not given:
        raise refusal("nothing-to-write", NOTHING)
    for name in given:
        if name not in product.properties:
            raise refusal("unknown-property", NO_PROPERTY, product=product.id, name=shown(name))
        if product.properties[name].access != "rw":
            raise refusal("read-only", READ_ONLY, name=name)
    return {name: product.properties[name].check(name, value, written=True) for name, value in given.items()}
