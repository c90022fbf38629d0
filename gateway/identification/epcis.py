"""What the north hears of an identifier: an ObjectEvent with the keys of EPCIS 2.0 (section 7.4.2), curriculum 5.4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from gateway.formats.json_text import encode
from gateway.samples import IdentifierEvent
from lab.model.document import KnownValueError
from lab.model.plant import Strict
from lab.text import Text
from lab.wire import epc, gs1
from lab.wire.malformed import Malformed

NOT_AN_OFFSET = Text(
    zh="时区偏移应如 +08:00，不是 {value!r}", en="an offset of time zones is like +08:00, not {value!r}"
)
_GS1: Final = ("]C1", "]Q3", "]d2", "]e0")
"""AIM identifiers of symbols that hold GS1 element strings."""
_EAN_13: Final = "]E0"


def _offset(value: str) -> str:
    try:
        _zone(value)
    except ValueError:
        raise KnownValueError(NOT_AN_OFFSET, value=value) from None
    return value


def _zone(offset: str) -> timezone:
    if len(offset) != 6 or offset[0] not in "+-":
        raise ValueError(offset)
    found = datetime.strptime(offset, "%z").utcoffset()
    assert found is not None
    return timezone(found)


class Business(Strict):
    """What the reading of an identifier means to the business."""

    step: str = Field(
        "receiving",
        min_length=1,
        max_length=100,
        description="业务步骤（CBV），如 receiving、shipping。 Business step (CBV), such as receiving or shipping.",
    )
    read_point: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="读取点，默认为 站点/设备名。 Read point; site and device unless given.",
    )
    time_zone: Annotated[str, AfterValidator(_offset)] = Field(
        "+08:00", description="事件发生地的时区。 Offset of the place's time from UTC."
    )


def object_event(event: IdentifierEvent, business: Business, place: str) -> bytes:
    """The event in JSON; `place` is the read point where the configuration names none."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event.at // 1_000_000)
    document: dict[str, object] = {
        "type": "ObjectEvent",
        "eventTime": at.astimezone(_zone(business.time_zone)).isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": business.time_zone,
        "epcList": [identity(event)],
        "action": "OBSERVE",
        "bizStep": business.step,
        "readPoint": {"id": business.read_point or place},
        "code": event.code,
        "carrier": event.carrier,
        "count": event.count,
    }
    if event.symbology:
        document["symbology"] = event.symbology
    if event.antenna is not None:
        document["antenna"] = event.antenna
    return encode(document).encode()


def identity(event: IdentifierEvent) -> str:
    """Who was seen: an EPC URI, a GS1 Digital Link, or the text as it is where it is neither."""
    if event.carrier == "rfid":
        try:
            return epc.decode(bytes.fromhex(event.code)).uri
        except Malformed:
            # TDS 1.13, section 12.3.9: a tag whose contents nobody here understands.
            return f"urn:epc:raw:{len(event.code) * 4}.x{event.code}"
    try:
        if event.symbology in _GS1:
            return gs1.digital_link(gs1.parse(event.code))
        if event.symbology == _EAN_13:
            return gs1.digital_link({"01": event.code.zfill(14)})
    except Malformed:
        pass
    return event.code
