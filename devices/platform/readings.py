"""One reading, checked: is it a value its property may have, at a time that can be?"""

from __future__ import annotations

import math
from typing import Any, Final

from devices.platform.ingest.ingest import Reading
from devices.platform.model import INT64, MAX_TEXT, NOT_FINITE, NOT_OF_TYPE, TOO_BIG, TOO_LONG, Value, storable
from devices.platform.store import QUALITIES, Point, Quality
from devices.platform.things import Product
from devices.web.reasons import refusal, shown
from lab.text import Text

UNDECLARED: Final = Text(zh="产品 {product} 的物模型中没有 {name}", en="the thing model of {product} has no {name}")
BAD_QUALITY: Final = Text(
    zh="{name}：质量应为 good、bad 或 uncertain，实际是 {value}",
    en="{name}: quality is good, bad or uncertain, not {value}",
)
BAD_NAME: Final = Text(zh="属性名 {name} 不能用", en="{name} cannot be the name of a property")
NOT_A_TIME: Final = Text(
    zh="时间戳应为毫秒整数，实际是 {value}", en="a timestamp is a whole number of milliseconds, not {value}"
)
TOO_EARLY: Final = Text(
    zh="时间戳 {value} 早于 2000 年；单位须为毫秒",
    en="the timestamp {value} is before the year 2000; it must be in milliseconds",
)
FUTURE: Final = Text(
    zh="时间戳 {value} 比平台时钟超前 {ahead:.0f} 秒，上限 {limit:g} 秒",
    en="the timestamp {value} is {ahead:.0f} s ahead of the platform's clock, the limit is {limit:g} s",
)

_YEAR_2000: Final = 946_684_800_000
_LONGEST_NAME: Final = 64


def checked_time(at: Any, now: int, future_seconds: float) -> int:
    """Milliseconds since the epoch, `now` where nothing is said; raises Refused.

    There is no guessing: seconds fall before the year 2000 and nanoseconds far into the future, and both are refused.
    """
    if at is None:
        return now
    is_whole = isinstance(at, int) or (isinstance(at, float) and at.is_integer())
    if isinstance(at, bool) or not is_whole:
        raise refusal("bad-time", NOT_A_TIME, value=shown(at))
    if at < _YEAR_2000:
        raise refusal("bad-time", TOO_EARLY, value=shown(at))
    if at > now + future_seconds * 1000:
        ahead = min((at - now) / 1000 if at < 1e300 else math.inf, 1e12)
        raise refusal("future", FUTURE, value=shown(at), ahead=ahead, limit=future_seconds)
    return int(at)


def checked_point(product: Product, reading: Reading, at: int) -> Point:
    """The value as it is kept; raises Refused."""
    quality = _quality(reading)
    datum = product.properties.get(reading.name)
    if datum is None and product.undeclared == "reject":
        raise refusal("undeclared", UNDECLARED, product=product.id, name=shown(reading.name))
    if reading.value is None:
        return Point(at, None, "bad")
    if datum is None:
        return Point(at, _undeclared(reading.name, reading.value), quality)
    return Point(at, datum.check(reading.name, reading.value), quality)


def _quality(reading: Reading) -> Quality:
    for quality in QUALITIES:
        if reading.quality == quality:
            return quality
    raise refusal("bad-quality", BAD_QUALITY, name=shown(reading.name), value=shown(reading.quality))


def _undeclared(name: str, value: Any) -> Value:
    """A value outside of the thing model, of a product that keeps these."""
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise refusal("bad-name", BAD_NAME, name=shown(name))
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise refusal("too-long", TOO_LONG, name=name, length=len(value), limit=MAX_TEXT)
        return storable(name, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise refusal("not-finite", NOT_FINITE, name=name, value=value)
    if isinstance(value, int) and value not in INT64:
        raise refusal("too-big", TOO_BIG, name=name, value=shown(value))
    if not isinstance(value, (int, float)):
        raise refusal("wrong-type", NOT_OF_TYPE, name=name, type="number, bool, text", value=shown(value))
    return value
