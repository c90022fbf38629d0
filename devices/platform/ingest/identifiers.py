"""Events of readers: `v1/{site}/{gateway}/{reader}/idevent`, with the keys of EPCIS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from devices.platform.ingest.ingest import Heard, Occurrence, OneWay, a_list, a_text, an_object, parsed
from devices.platform.registry import Address
from devices.web.reasons import refusal, shown
from lab.text import Text

NOT_A_TIME: Final = Text(
    zh="eventTime 应为 ISO 8601 时间，实际是 {value}", en="eventTime should be an ISO 8601 time, not {value}"
)
NOT_AN_ACTION: Final = Text(
    zh="action 应为 ADD、OBSERVE 或 DELETE，实际是 {value}", en="action should be ADD, OBSERVE or DELETE, not {value}"
)
TOO_MANY: Final = Text(zh="epcList 有 {count} 项，上限 {limit}", en="epcList has {count} entries, the limit is {limit}")

IDENTIFIED: Final = "idevent"
_MOST: Final = 1000


class Identifiers(OneWay):
    """See the module."""

    name = "idevent"
    filters: tuple[str, ...] = ("v1/+/+/+/idevent",)

    def who(self, topic: str) -> Address:
        _, site, gateway, reader, _ = topic.split("/")
        return Address(reader, gateway, site)

    def read(self, topic: str, payload: bytes) -> Sequence[Heard]:
        document = an_object(parsed(payload), "/")
        codes = a_list(document.get("epcList"), "epcList")
        if len(codes) > _MOST:
            raise refusal("too-long", TOO_MANY, count=len(codes), limit=_MOST)
        for place, code in enumerate(codes):
            a_text(code, f"epcList[{place}]")
        # EPCIS 1.2, section 7.3.1.1
        if document.get("action") not in ("ADD", "OBSERVE", "DELETE"):
            raise refusal("unexpected", NOT_AN_ACTION, value=shown(document.get("action")))
        return [Occurrence(self.who(topic), IDENTIFIED, _milliseconds(document), document)]


def _milliseconds(document: dict[str, Any]) -> int:
    """eventTime has an offset of its own; eventTimeZoneOffset says where it happened, for people."""
    written = document.get("eventTime")
    try:
        at = datetime.fromisoformat(a_text(written, "eventTime"))
        if at.tzinfo is None:
            raise ValueError
        return int((at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    except (ValueError, OverflowError):
        raise refusal("bad-time", NOT_A_TIME, value=shown(written)) from None
