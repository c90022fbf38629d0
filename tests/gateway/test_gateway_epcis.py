"""What the north hears of an identifier."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.identification.epcis import Business, identity, object_event
from gateway.samples import IdentifierEvent

AT = 1_792_800_000_123_456_789
"""2026-10-24T00:00:00.123Z and a little."""


def event(code: str, symbology: str = "", **more: Any) -> IdentifierEvent:
    return IdentifierEvent("dock", AT, code, "barcode" if symbology else "rfid", symbology, **more)


@pytest.mark.parametrize(
    ("seen", "who"),
    [
        (event("3034257BF7194E4000003039"), "urn:epc:id:sgtin:0614141.812345.12345"),
        (event("3035A537C8377540000003E9"), "urn:epc:id:sgtin:6901234.056789.1001"),
        (event("3034257BF7194E40"), "urn:epc:raw:64.x3034257BF7194E40"),
        (event("E20034120123456789ABCDEF"), "urn:epc:raw:96.xE20034120123456789ABCDEF"),
        (event("0106901234567892211001", "]C1"), "https://id.gs1.org/01/06901234567892/21/1001"),
        (event("01069012345678921020A\x1d211001", "]d2"), "https://id.gs1.org/01/06901234567892/10/20A/21/1001"),
        (event("6901234567892", "]E0"), "https://id.gs1.org/01/06901234567892"),
        (event("6901234567893", "]E0"), "6901234567893"),
        (event("9999", "]C1"), "9999"),
        (event("88.900.C/ABC", "]Q1"), "88.900.C/ABC"),
    ],
)
def test_who_was_seen_is_named_as_the_standards_name_it(seen: IdentifierEvent, who: str) -> None:
    assert identity(seen) == who


def test_an_event_says_when_where_and_what_for() -> None:
    said = json.loads(object_event(event("3034257BF7194E4000003039", antenna=2, count=3), Business(), "plant/dock"))
    assert datetime.fromisoformat(said["eventTime"]).timestamp() == pytest.approx(AT // 1_000_000 / 1000)
    assert said["eventTime"].endswith(said["eventTimeZoneOffset"])
    assert said["eventTimeZoneOffset"] == "+08:00"
    assert said["epcList"] == ["urn:epc:id:sgtin:0614141.812345.12345"]
    assert (said["action"], said["bizStep"], said["readPoint"]) == ("OBSERVE", "receiving", {"id": "plant/dock"})
    assert (said["code"], said["antenna"], said["count"]) == ("3034257BF7194E4000003039", 2, 3)


def test_the_configuration_says_what_an_event_means() -> None:
    business = Business(step="shipping", read_point="urn:epc:id:sgln:0614141.07346.1234", time_zone="-03:30")
    said = json.loads(object_event(event("A", "]Q1"), business, "plant/dock"))
    assert (said["bizStep"], said["readPoint"]) == ("shipping", {"id": "urn:epc:id:sgln:0614141.07346.1234"})
    assert said["eventTime"].endswith("-03:30")


@pytest.mark.parametrize("offset", ["", "8", "+8:00", "+25:00", "08:00", "+08:60", "+0800!", "Z"])
def test_a_wrong_offset_is_refused(offset: str) -> None:
    with pytest.raises(ValidationError, match=r"\+08:00"):
        Business(time_zone=offset)
